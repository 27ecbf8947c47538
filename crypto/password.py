"""Password hashing: argon2id (RFC 9106), and PBKDF2-HMAC-SM3 (GM/T 0091-2020) where national algorithms are required.

Both take tens of milliseconds of CPU by design: callers run them in a bounded pool, never on the event loop.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Never

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError
from argon2.low_level import Type

from crypto.encoding import b64u_decode, b64u_encode
from crypto.errors import EncodingRefused, TrustError

RandomBytes = Callable[[int], bytes]

# OWASP Password Storage Cheat Sheet: argon2id with 19 MiB, 2 passes, 1 lane; memory times a bounded pool must fit.
ARGON2_MEMORY_KIB: Final = 19 * 1024
ARGON2_PASSES: Final = 2
ARGON2_LANES: Final = 1
# A stored hash never asks for more memory or passes than eight times ours, nor for lanes beyond a small machine's cores.
ARGON2_MAX_MEMORY_KIB: Final = 8 * ARGON2_MEMORY_KIB
ARGON2_MAX_PASSES: Final = 8 * ARGON2_PASSES
ARGON2_MAX_LANES: Final = 8
# PBKDF2 at the cost OWASP asks of HMAC-SHA-256, which SM3 resembles in speed.
PBKDF2_SM3_ITERATIONS: Final = 600_000
# A stored hash never asks for more work than ten of ours.
PBKDF2_SM3_MAX_ITERATIONS: Final = 10 * PBKDF2_SM3_ITERATIONS
PBKDF2_SALT_BYTES: Final = 16
# NIST SP 800-63B §3.1.1.2: at least 64 characters must be allowed; an upper bound keeps a megabyte from being hashed.
MAX_PASSWORD_CHARACTERS: Final = 256

_PBKDF2_PREFIX: Final = "$pbkdf2-sm3$"
# An argon2id hash, with the parameters above, of a random value nobody kept.
_NOBODYS_HASH: Final = (
    "$argon2id$v=19$m=19456,t=2,p=1$VCcaCf5RA9ZJh3i1ApJaQQ$PvXufCzhajxjBXwuwIx7A71G0OJkd07lku7VQC4wpsA"
)


class PasswordScheme(StrEnum):
    """How passwords are hashed here: argon2id, unless rules demand PBKDF2-HMAC-SM3."""

    ARGON2ID = "argon2id"
    PBKDF2_SM3 = "pbkdf2-sm3"


class PasswordMismatch(TrustError):
    """The password is not the one that was hashed."""

    code = "crypto.password_mismatch"


class PasswordRefused(TrustError):
    """A password that cannot be hashed at all."""

    code = "crypto.password_refused"


@dataclass(frozen=True, slots=True)
class Verified:
    """The password fits. `needs_rehash` asks the caller to store a new hash made with today's parameters."""

    needs_rehash: bool


def _hasher() -> PasswordHasher:
    return PasswordHasher(
        time_cost=ARGON2_PASSES, memory_cost=ARGON2_MEMORY_KIB, parallelism=ARGON2_LANES, type=Type.ID
    )


def hash_password(password: str) -> str:
    """Return the argon2id PHC string; raise `PasswordRefused` for an empty or overlong password."""
    return _hasher().hash(_prepared(password))


def hash_password_sm3(password: str, *, random_bytes: RandomBytes) -> str:
    """Return `$pbkdf2-sm3$<iterations>$<salt>$<hash>` (base64url); raise `PasswordRefused` as `hash_password` does."""
    salt = random_bytes(PBKDF2_SALT_BYTES)
    derived = hashlib.pbkdf2_hmac("sm3", _prepared(password), salt, PBKDF2_SM3_ITERATIONS)
    return f"{_PBKDF2_PREFIX}{PBKDF2_SM3_ITERATIONS}${b64u_encode(salt)}${b64u_encode(derived)}"


def hash_password_as(scheme: PasswordScheme, password: str, *, random_bytes: RandomBytes) -> str:
    """Return the stored form under the scheme the deployment demands; raise `PasswordRefused` as `hash_password` does.

    `random_bytes` salts PBKDF2-HMAC-SM3; argon2id takes its salt from the library's own generator.
    """
    if scheme is PasswordScheme.PBKDF2_SM3:
        return hash_password_sm3(password, random_bytes=random_bytes)
    return hash_password(password)


def verify_password(stored: str, password: str, *, scheme: PasswordScheme) -> Verified:
    """Return `Verified`; raise `PasswordMismatch` for another password and `EncodingRefused` for an unreadable hash.

    `scheme` is what new passwords are hashed with today: a hash of another scheme verifies and asks for a new one, so
    that a deployment moves from one to the other as people sign in.
    """
    try:
        prepared = _prepared(password)
    except PasswordRefused:
        # An empty or overlong password must take as long as a wrong one (no enumeration by time).
        refuse_unknown_person(scheme)
    if stored.startswith(_PBKDF2_PREFIX):
        outdated, found = _verify_pbkdf2(stored, prepared), PasswordScheme.PBKDF2_SM3
    else:
        outdated, found = _verify_argon2(stored, prepared), PasswordScheme.ARGON2ID
    return Verified(needs_rehash=outdated or scheme is not found)


def refuse_unknown_person(scheme: PasswordScheme) -> Never:
    """Do the work of one verification and raise `PasswordMismatch`: for a name nobody has, so that time tells nothing.

    While a deployment moves to another scheme, hashes still in the old one take their own time.
    """
    if scheme is PasswordScheme.PBKDF2_SM3:
        hashlib.pbkdf2_hmac("sm3", b"nobody", bytes(PBKDF2_SALT_BYTES), PBKDF2_SM3_ITERATIONS)
        raise PasswordMismatch
    try:
        _hasher().verify(_NOBODYS_HASH, b"nobody")
    except VerifyMismatchError:
        raise PasswordMismatch from None
    raise PasswordMismatch


def _prepared(password: str) -> bytes:
    """NFKC, so that the same characters typed on another keyboard give the same bytes (SP 800-63B §3.1.1.2)."""
    if not 1 <= len(password) <= MAX_PASSWORD_CHARACTERS:
        raise PasswordRefused(field="password", rule="length", maximum=MAX_PASSWORD_CHARACTERS)
    try:
        return unicodedata.normalize("NFKC", password).encode("utf-8")
    except UnicodeEncodeError:
        raise PasswordRefused(field="password", rule="characters", maximum=MAX_PASSWORD_CHARACTERS) from None


def _verify_argon2(stored: str, prepared: bytes) -> bool:
    """Return whether the parameters are no longer today's."""
    hasher = _hasher()
    try:
        asked = extract_parameters(stored)
        if (
            asked.memory_cost > ARGON2_MAX_MEMORY_KIB
            or asked.time_cost > ARGON2_MAX_PASSES
            or asked.parallelism > ARGON2_MAX_LANES
        ):
            raise EncodingRefused(field="password_hash", rule="work")
        hasher.verify(stored, prepared)
    except VerifyMismatchError:
        raise PasswordMismatch from None
    except (InvalidHashError, VerificationError):
        # The library says VerificationError for a hash it cannot decode.
        raise EncodingRefused(field="password_hash", rule="form") from None
    return hasher.check_needs_rehash(stored)


def _verify_pbkdf2(stored: str, prepared: bytes) -> bool:
    """Return whether the parameters are no longer today's."""
    parts = stored.removeprefix(_PBKDF2_PREFIX).split("$")
    if len(parts) != 3 or not (parts[0].isascii() and parts[0].isdigit()):
        raise EncodingRefused(field="password_hash", rule="form")
    iterations = int(parts[0])
    if not 1 <= iterations <= PBKDF2_SM3_MAX_ITERATIONS:
        raise EncodingRefused(field="password_hash", rule="iterations")
    salt, expected = b64u_decode(parts[1], field="password_hash"), b64u_decode(parts[2], field="password_hash")
    derived = hashlib.pbkdf2_hmac("sm3", prepared, salt, iterations)
    if not hmac.compare_digest(derived, expected):
        raise PasswordMismatch
    return iterations != PBKDF2_SM3_ITERATIONS or len(salt) != PBKDF2_SALT_BYTES
