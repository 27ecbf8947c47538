"""SM2 signatures behind one small interface, with the backend chosen once at start and passed on.

Backends: OpenSSL's libcrypto (signs and verifies) and gmssl (pure Python: verifies; it signs only when it was made
with a source of randomness, which tests alone do). There is no current backend to look up: whoever composes the
service selects one and hands it to what needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from crypto.errors import TrustError
from crypto.sm2_curve import (
    SM2_DEFAULT_ID,
    signature_from_der,
    signature_to_der,
    validate_private,
    validate_public,
)
from crypto.sm2_gmssl import GmsslBackend
from crypto.sm2_libcrypto import LibcryptoBackend, LibcryptoUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "BACKENDS",
    "SM2_DEFAULT_ID",
    "NoSm2Backend",
    "Sm2Backend",
    "Sm2PrivateKey",
    "Sm2PublicKey",
    "select_backend",
    "signature_from_der",
    "signature_to_der",
    "validate_private",
    "validate_public",
]

BACKENDS = ("libcrypto", "gmssl")


class NoSm2Backend(TrustError):
    """None of the SM2 backends asked for can be loaded on this machine."""

    code = "crypto.no_sm2_backend"


class Sm2PublicKey(Protocol):
    """A public key made ready once and used many times, from any thread."""

    @property
    def public(self) -> bytes:
        """The 64 bytes x‖y."""

    def verify(self, message: bytes, signature: bytes, user_id: bytes) -> None:
        """Raise `SignatureInvalid` unless 64 bytes r‖s sign the message under Z of this key and the user ID."""


class Sm2PrivateKey(Protocol):
    """A private key made ready once and used many times, from any thread."""

    @property
    def public(self) -> bytes:
        """The 64 bytes x‖y of the public key that belongs to it."""

    def sign(self, message: bytes, user_id: bytes) -> bytes:
        """Return 64 bytes r‖s."""


class Sm2Backend(Protocol):
    """What a backend offers. Private keys are 32 bytes d, public keys 64 bytes x‖y, signatures 64 bytes r‖s."""

    @property
    def name(self) -> str:
        """The name `select_backend` knows it by."""

    @property
    def version(self) -> str:
        """The library's own version line."""

    @property
    def signs(self) -> bool:
        """Whether it may hold private keys here."""

    def generate(self) -> bytes:
        """Return a new private key, d uniform in [1, n − 2]."""

    def public_of(self, private: bytes) -> bytes:
        """Return the public key of a private key; raise `KeyRefused` for d outside [1, n − 2]."""

    def private_key(self, private: bytes) -> Sm2PrivateKey:
        """Prepare a private key; raise `KeyRefused` for d outside [1, n − 2]."""

    def public_key(self, public: bytes) -> Sm2PublicKey:
        """Prepare a public key; raise `KeyRefused` unless it is a point of the curve."""

    def sign(self, private: bytes, message: bytes, user_id: bytes) -> bytes:
        """Sign once with a key that is not kept."""

    def verify(self, public: bytes, message: bytes, signature: bytes, user_id: bytes) -> None:
        """Verify once with a key that is not kept; raise `SignatureInvalid` or `KeyRefused`."""


def select_backend(preferred: Sequence[str]) -> Sm2Backend:
    """Return the first backend of the list that loads on this machine; raise `NoSm2Backend` if none does.

    `gmssl` selected here verifies and refuses to sign.
    """
    for name in preferred:
        if name == "libcrypto":
            try:
                return LibcryptoBackend()
            except LibcryptoUnavailable:
                continue
        elif name == "gmssl":
            return GmsslBackend(random_bytes=None)
        else:
            raise NoSm2Backend(field="backend", rule="unknown_name")
    raise NoSm2Backend(field="backend", rule="none_loads")
