"""Password hashing: argon2id (RFC 9106), and PBKDF2-HMAC-SM3 (GM/T 0091-2020) where national algorithms are required.

Both take tens of milliseconds of CPU by design: callers run them in a bounded pool, never on the event loop.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Never

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError
from argon2.low_level import Type

from crypto.encoding import b64u_decode, b64u_encode
from crypto.errors import EncodingRefused, TrustError

RandomBytes = Callable[[int], bytes]

# OWASP Password Storage Cheat Sheet: argon2id with 19 MiB, 2 passes, 1 lane; memory times a bounded pool must fit.
ARGON2_MEMORY_KIB: Final = 19 * 1024
ARGON2_PASSES: Final = 2
ARGON2_LANES: Final = 1
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


def verify_password(stored: str, password: str) -> Verified:
    """Return `Verified`; raise `PasswordMismatch` for another password and `EncodingRefused` for an unreadable hash."""
    try:
        prepared = _prepared(password)
    except PasswordRefused:
        # An empty or overlong password must take as long as a wrong one (no enumeration by time).
        refuse_unknown_person()
    if stored.startswith(_PBKDF2_PREFIX):
        return _verify_pbkdf2(stored, prepared)
    hasher = _hasher()
    try:
        hasher.verify(stored, prepared)
    except VerifyMismatchError:
        raise PasswordMismatch from None
    except (InvalidHashError, VerificationError):
        # The library says VerificationError for a hash it cannot decode.
        raise EncodingRefused(field="password_hash", rule="form") from None
    return Verified(needs_rehash=hasher.check_needs_rehash(stored))


def refuse_unknown_person() -> Never:
    """Do the work of one verification and raise `PasswordMismatch`: for a name nobody has, so that time tells nothing."""
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


def _verify_pbkdf2(stored: str, prepared: bytes) -> Verified:
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
    return Verified(needs_rehash=iterations != PBKDF2_SM3_ITERATIONS)
