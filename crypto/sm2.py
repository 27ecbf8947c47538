"""SM2 behind one small interface, with the backend chosen once at start and passed on.

Backends: the kernel of our own (C, compiled at installation), OpenSSL's libcrypto, and gmssl (pure Python: verifies; it
takes a private key or draws a nonce only when it was made with a source of randomness, which tests alone do). There is no current backend to look up:
whoever composes the service selects one and hands it to what needs it.

Everything is bytes: private keys 32 bytes d, public keys and points 64 bytes x‖y, signatures 64 bytes r‖s, ciphertexts
C1‖C3‖C2 with C1 = 04‖x‖y. Bytes that break a rule raise a `TrustError` which names the argument and the rule. An
argument that is not bytes at all is a mistake of the program: `TypeError`, unless its length alone is already refused.
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
from crypto.sm2_kernel import KernelBackend, KernelUnavailable
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

BACKENDS = ("kernel", "libcrypto", "gmssl")


class NoSm2Backend(TrustError):
    """None of the SM2 backends asked for can be loaded on this machine."""

    code = "crypto.no_sm2_backend"


class Sm2PublicKey(Protocol):
    """A public key made ready once and used many times, from any thread."""

    @property
    def public(self) -> bytes:
        """The 64 bytes x‖y."""

    def verify(self, message: bytes, signature: bytes, user_id: bytes) -> None:
        """Raise `SignatureInvalid` unless 64 bytes r‖s sign the message under Z of this key and the user ID.

        Raises `EncodingRefused` (field "user_id") for an ID longer than 8,191 bytes.
        """

    def verify_many(self, items: Sequence[tuple[bytes, bytes]], user_id: bytes) -> tuple[bool, ...]:
        """Return one verdict a (message, signature) row, in order; a signature of another form is False like a wrong one.

        Raises `EncodingRefused` (field "user_id") for an ID longer than 8,191 bytes.
        """

    def encrypt(self, plaintext: bytes) -> bytes:
        """Return raw C1‖C3‖C2, 97 bytes more than the plaintext (GB/T 32918.4 §6.1).

        Raises `EncodingRefused` (field "plaintext") for none or more than `MAX_SM2_PLAINTEXT_BYTES` bytes.
        """


class Sm2PrivateKey(Protocol):
    """A private key made ready once and used many times, from any thread."""

    @property
    def public(self) -> bytes:
        """The 64 bytes x‖y of the public key that belongs to it."""

    def sign(self, message: bytes, user_id: bytes) -> bytes:
        """Return 64 bytes r‖s. Raises `EncodingRefused` (field "user_id") for an ID longer than 8,191 bytes."""

    def sign_many(self, messages: Sequence[bytes], user_id: bytes) -> tuple[bytes, ...]:
        """Return 64 bytes r‖s of each message, in order: for those who issue thousands. Raises as `sign` does."""

    def decrypt(self, ciphertext: bytes) -> bytes:
        """Open raw C1‖C3‖C2 (GB/T 32918.4 §7.1).

        Raises `EncodingRefused` (field "ciphertext") for what cannot be one (length, or a C1 that does not begin with
        04), and for whatever else does not open – C1 off the curve, an all-zero key stream, another C3 – one
        `DecryptionFailed` without field or rule, so that nobody learns which step failed.
        """


class Sm2Backend(Protocol):
    """What a backend offers."""

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

    def generate_pair(self) -> tuple[bytes, bytes]:
        """Return a new private key and its public key."""

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

    def encrypt(self, public: bytes, plaintext: bytes) -> bytes:
        """Encrypt once to a key that is not kept; raise `EncodingRefused` or `KeyRefused`."""

    def decrypt(self, private: bytes, ciphertext: bytes) -> bytes:
        """Decrypt once with a key that is not kept; raise `DecryptionFailed`, `EncodingRefused` or `KeyRefused`."""

    def multiply_base(self, scalar: bytes) -> bytes:
        """Return [k]G as 64 bytes x‖y for a secret k of 32 bytes; raise `KeyRefused` (field "scalar") outside [1, n − 1]."""

    def multiply(self, scalar: bytes, point: bytes) -> bytes:
        """Return [k]P as 64 bytes x‖y for a secret k of 32 bytes and 64 bytes x‖y.

        Raises `KeyRefused` with field "scalar" outside [1, n − 1] and with field "point" for what is no point of the
        curve: a secret k never meets a point of another curve.
        """


def select_backend(preferred: Sequence[str]) -> Sm2Backend:
    """Return the first backend of the list that loads on this machine; raise `NoSm2Backend` if none does.

    `gmssl` selected here verifies and refuses whatever needs a private key or a nonce.
    """
    for name in preferred:
        if name == "kernel":
            try:
                return KernelBackend()
            except KernelUnavailable:
                continue
        elif name == "libcrypto":
            try:
                return LibcryptoBackend()
            except LibcryptoUnavailable:
                continue
        elif name == "gmssl":
            return GmsslBackend(random_bytes=None)
        else:
            raise NoSm2Backend(field="backend", rule="unknown_name")
    raise NoSm2Backend(field="backend", rule="none_loads")
