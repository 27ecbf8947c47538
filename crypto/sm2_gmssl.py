"""SM2 by gmssl, pure Python: the fallback that verifies everywhere, and the independent oracle of the tests.

It is not constant-time, so it holds a private key only when it was made with a source of randomness, which
production never does. Its own nonces (from a general-purpose generator), its Z, and its handling of keys that begin
with "04" are all bypassed: nonce, digest and key are handed to it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from typing import Any, Final

from gmssl.sm2 import CryptSM2, default_ecc_table

from crypto.errors import SignatureInvalid, TrustError
from crypto.sm2_curve import (
    N,
    digest_of,
    validate_private,
    validate_public,
    validate_signature,
    z_of,
)

RandomBytes = Callable[[int], bytes]
# 64 bits more than n make the remainder uniform to within 2^-64 (FIPS 186-5 A.2.1).
_WIDE_SCALAR_BYTES: Final = 40


class Sm2SigningRefused(TrustError):
    """The pure-Python backend was asked to hold a private key outside tests."""

    code = "crypto.sm2_signing_refused"


def _engine(private: bytes, public: bytes) -> Any:
    engine = CryptSM2(private_key=private.hex(), public_key="00")
    # Its constructor strips leading zeros and fours of an x that begins with 04: the attribute is set instead.
    engine.public_key = public.hex()
    return engine


def _scalar(random_bytes: RandomBytes, below: int) -> int:
    """Return an integer uniform in [1, below]."""
    return int.from_bytes(random_bytes(_WIDE_SCALAR_BYTES), "big") % below + 1


class _PublicKey:
    """A public key with the range checks gmssl leaves out."""

    __slots__ = ("_engine", "public")

    def __init__(self, public: bytes) -> None:
        validate_public(public)
        self.public = public
        self._engine = _engine(b"", public)

    def verify(self, message: bytes, signature: bytes, user_id: bytes) -> None:
        """Raise `SignatureInvalid` unless the 64 bytes r‖s verify."""
        validate_signature(signature)
        try:
            verified = self._engine.verify(signature.hex(), digest_of(z_of(self.public, user_id), message))
        except (TypeError, ValueError):
            # Its point arithmetic has no infinity: an intermediate one surfaces as None.
            raise SignatureInvalid from None
        if verified is not True:
            raise SignatureInvalid


class _PrivateKey:
    """A private key for tests."""

    __slots__ = ("_engine", "_random_bytes", "public")

    def __init__(self, private: bytes, random_bytes: RandomBytes) -> None:
        validate_private(private)
        engine = _engine(private, b"")
        self.public = bytes.fromhex(engine._kg(int.from_bytes(private, "big"), default_ecc_table["g"]))  # noqa: SLF001  # its only scalar multiplication
        engine.public_key = self.public.hex()
        self._engine = engine
        self._random_bytes = random_bytes

    def sign(self, message: bytes, user_id: bytes) -> bytes:
        """Return 64 bytes r‖s."""
        digest = digest_of(z_of(self.public, user_id), message)
        while True:
            signature: str | None = self._engine.sign(digest, f"{_scalar(self._random_bytes, N - 1):064x}")
            # None stands for r = 0, r + k = n or s = 0 (GB/T 32918.2 §6.1, steps A5 and A6): a new nonce.
            if signature is not None:
                return bytes.fromhex(signature)


class GmsslBackend:
    """SM2 by gmssl. With `random_bytes=None` it verifies and refuses every private key."""

    name: Final = "gmssl"

    def __init__(self, *, random_bytes: RandomBytes | None) -> None:
        self._random_bytes = random_bytes
        self.signs = random_bytes is not None
        self.version = f"gmssl {metadata.version('gmssl')}"

    def _randomness(self) -> RandomBytes:
        if self._random_bytes is None:
            raise Sm2SigningRefused(field="backend", rule="gmssl_verifies_only")
        return self._random_bytes

    def generate(self) -> bytes:
        """Return a new private key, for tests."""
        return _scalar(self._randomness(), N - 2).to_bytes(32, "big")

    def public_of(self, private: bytes) -> bytes:
        """Return 64 bytes x‖y of a private key, for tests."""
        return _PrivateKey(private, self._randomness()).public

    def private_key(self, private: bytes) -> _PrivateKey:
        """Prepare a private key, for tests."""
        return _PrivateKey(private, self._randomness())

    def public_key(self, public: bytes) -> _PublicKey:
        """Prepare a public key."""
        return _PublicKey(public)

    def sign(self, private: bytes, message: bytes, user_id: bytes) -> bytes:
        """Sign once, for tests."""
        return self.private_key(private).sign(message, user_id)

    def verify(self, public: bytes, message: bytes, signature: bytes, user_id: bytes) -> None:
        """Verify once with a key that is not kept."""
        self.public_key(public).verify(message, signature, user_id)
