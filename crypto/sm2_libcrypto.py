"""SM2 through OpenSSL's libcrypto: the checks around the calls, and the forms they speak.

Z and e are computed here (`sm2_curve`), so that the library signs and verifies 32-byte digests and nothing depends on
how a version of it handles user IDs. It takes coordinates modulo p and, in releases before 2024, encrypts and opens with
an all-zero key stream: both are refused here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from crypto.errors import DecryptionFailed, KeyRefused, SignatureInvalid
from crypto.sm2_ciphertext import (
    C1_BYTES,
    OVERHEAD_BYTES,
    ciphertext_from_der,
    ciphertext_to_der,
    validate_ciphertext,
    validate_plaintext,
)
from crypto.sm2_curve import (
    SM2_DEFAULT_ID,
    N,
    digest_of,
    signature_from_der,
    signature_to_der,
    validate_private,
    validate_public,
    validate_scalar,
    z_of,
)
from crypto.sm2_libcrypto_calls import Libcrypto, LibcryptoUnavailable

__all__ = ["LibcryptoBackend", "LibcryptoUnavailable"]


class _PublicKey:
    """A prepared public key: the library's handle and Z of the default ID."""

    __slots__ = ("_library", "_pkey", "_z", "public")

    def __init__(self, library: Libcrypto, public: bytes) -> None:
        validate_public(public)
        self.public = public
        self._library = library
        self._pkey = library.load_public(public)
        self._z = z_of(public, SM2_DEFAULT_ID)

    def _z_of(self, user_id: bytes) -> bytes:
        return self._z if user_id == SM2_DEFAULT_ID else z_of(self.public, user_id)

    def verify(self, message: bytes, signature: bytes, user_id: bytes) -> None:
        """Raise `SignatureInvalid` unless the 64 bytes r‖s verify."""
        z = self._z_of(user_id)
        self._library.verify(self._pkey, digest_of(z, message), signature_to_der(signature))

    def verify_many(self, items: Sequence[tuple[bytes, bytes]], user_id: bytes) -> tuple[bool, ...]:
        """Return one verdict a row; the library has no batch, so they come one by one."""
        z = self._z_of(user_id)
        verdicts: list[bool] = []
        for message, signature in items:
            try:
                self._library.verify(self._pkey, digest_of(z, message), signature_to_der(signature))
            except SignatureInvalid:
                verdicts.append(False)
            else:
                verdicts.append(True)
        return tuple(verdicts)

    def encrypt(self, plaintext: bytes) -> bytes:
        """Return C1‖C3‖C2."""
        validate_plaintext(plaintext)
        while True:
            ciphertext = ciphertext_from_der(self._library.encrypt(self._pkey, plaintext))
            # An all-zero key stream leaves the plaintext as it is: a new nonce (GB/T 32918.4 §6.1, step A5).
            if ciphertext[OVERHEAD_BYTES:] != plaintext:
                return ciphertext


class _PrivateKey:
    """A prepared private key. Each operation has its own context, so threads may share the key."""

    __slots__ = ("_library", "_pkey", "_z", "public")

    def __init__(self, library: Libcrypto, private: bytes) -> None:
        validate_private(private)
        self._library = library
        self._pkey = library.load_private(private)
        self.public = library.public_bytes(self._pkey)
        self._z = z_of(self.public, SM2_DEFAULT_ID)

    def sign(self, message: bytes, user_id: bytes) -> bytes:
        """Return 64 bytes r‖s."""
        z = self._z if user_id == SM2_DEFAULT_ID else z_of(self.public, user_id)
        return signature_from_der(self._library.sign(self._pkey, digest_of(z, message)))

    def sign_many(self, messages: Sequence[bytes], user_id: bytes) -> tuple[bytes, ...]:
        """Return 64 bytes r‖s of each message, one by one."""
        return tuple(self.sign(message, user_id) for message in messages)

    def decrypt(self, ciphertext: bytes) -> bytes:
        """Return the plaintext of C1‖C3‖C2."""
        validate_ciphertext(ciphertext)
        try:
            # The library reduces coordinates modulo p, which would give one plaintext two ciphertexts.
            validate_public(ciphertext[1:C1_BYTES])
        except KeyRefused:
            raise DecryptionFailed from None
        der = ciphertext_to_der(ciphertext)
        plaintext = self._library.decrypt(self._pkey, der, len(ciphertext) - OVERHEAD_BYTES)
        if plaintext == ciphertext[OVERHEAD_BYTES:]:
            # An all-zero key stream (GB/T 32918.4 §7.1, step B4)
            raise DecryptionFailed
        return plaintext


class LibcryptoBackend:
    """SM2 by OpenSSL's libcrypto. The constructor loads the library and raises `LibcryptoUnavailable` without one."""

    name: Final = "libcrypto"
    signs: Final = True

    def __init__(self) -> None:
        self._library = Libcrypto()
        self.version = self._library.version

    def generate(self) -> bytes:
        """Return a new private key from the library's own generator."""
        return self.generate_pair()[0]

    def generate_pair(self) -> tuple[bytes, bytes]:
        """Return a new private key from the library's own generator, and its public key."""
        while True:
            private, public = self._library.generate()
            if int.from_bytes(private, "big") != N - 1:
                validate_private(private)
                return private, public

    def public_of(self, private: bytes) -> bytes:
        """Return 64 bytes x‖y of a private key."""
        validate_private(private)
        return self._library.multiply(private, None)

    def private_key(self, private: bytes) -> _PrivateKey:
        """Prepare a private key."""
        return _PrivateKey(self._library, private)

    def public_key(self, public: bytes) -> _PublicKey:
        """Prepare a public key."""
        return _PublicKey(self._library, public)

    def sign(self, private: bytes, message: bytes, user_id: bytes) -> bytes:
        """Sign once with a key that is not kept."""
        return self.private_key(private).sign(message, user_id)

    def verify(self, public: bytes, message: bytes, signature: bytes, user_id: bytes) -> None:
        """Verify once with a key that is not kept."""
        self.public_key(public).verify(message, signature, user_id)

    def encrypt(self, public: bytes, plaintext: bytes) -> bytes:
        """Encrypt once to a key that is not kept."""
        return self.public_key(public).encrypt(plaintext)

    def decrypt(self, private: bytes, ciphertext: bytes) -> bytes:
        """Decrypt once with a key that is not kept."""
        return self.private_key(private).decrypt(ciphertext)

    def multiply_base(self, scalar: bytes) -> bytes:
        """Return [k]G."""
        validate_scalar(scalar)
        return self._library.multiply(scalar, None)

    def multiply(self, scalar: bytes, point: bytes) -> bytes:
        """Return [k]P."""
        validate_scalar(scalar)
        validate_public(point, field="point")
        return self._library.multiply(scalar, point)
