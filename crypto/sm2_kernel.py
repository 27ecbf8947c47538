"""SM2 by the kernel of our own (`crypto/kernel`, C): constant in time, and the fastest of the backends.

The extension is compiled when the package is installed and is left out where no compiler is at hand; then this module
still loads and `KernelBackend()` raises `KernelUnavailable`, so that `select_backend` goes on to libcrypto.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Never

from crypto.errors import DecryptionFailed, EncodingRefused, KeyRefused, SignatureInvalid, TrustError
from crypto.native import Kernel, KernelUnavailable, load_kernel
from crypto.sm2_ciphertext import validate_ciphertext, validate_plaintext
from crypto.sm2_curve import PUBLIC_BYTES, SIGNATURE_BYTES, validate_private, validate_public, validate_scalar

__all__ = ["KernelBackend", "KernelUnavailable", "RandomnessUnavailable"]


class RandomnessUnavailable(TrustError):
    """The operating system gave no random bytes: nothing that needs a fresh nonce or key is done without."""

    code = "crypto.randomness_unavailable"


class _PublicKey:
    """A prepared public key. After some verifications it computes a table of its own and is four times as fast."""

    __slots__ = ("_key", "public")

    def __init__(self, kernel: Kernel, public: bytes) -> None:
        try:
            self._key = kernel.PublicKey(public)
        except ValueError:
            _refuse_public(public)
        self.public = public

    def verify(self, message: bytes, signature: bytes, user_id: bytes) -> None:
        """Raise `SignatureInvalid` unless the 64 bytes r‖s verify."""
        try:
            valid = self._key.verify(message, signature, user_id)
        except ValueError:
            raise EncodingRefused(field="user_id", rule="length") from None
        if not valid:
            raise SignatureInvalid

    def verify_many(self, items: Sequence[tuple[bytes, bytes]], user_id: bytes) -> tuple[bool, ...]:
        """Return one verdict a row: side by side, sharing inversions, and with the key's table."""
        try:
            verdicts = self._key.verify_many(list(items), user_id)
        except ValueError:
            raise EncodingRefused(field="user_id", rule="length") from None
        return tuple(map(bool, verdicts))

    def encrypt(self, plaintext: bytes) -> bytes:
        """Return C1‖C3‖C2."""
        validate_plaintext(plaintext)
        try:
            return self._key.encrypt(plaintext)
        except OSError:
            raise RandomnessUnavailable from None


class _PrivateKey:
    """A prepared private key; the kernel wipes its copy when the key is no longer used."""

    __slots__ = ("_key", "public")

    def __init__(self, kernel: Kernel, private: bytes) -> None:
        try:
            self._key = kernel.PrivateKey(private)
        except ValueError:
            validate_private(private)
            raise KeyRefused(field="private", rule="refused_by_kernel") from None
        self.public = self._key.public

    def sign(self, message: bytes, user_id: bytes) -> bytes:
        """Return 64 bytes r‖s."""
        try:
            return self._key.sign(message, user_id)
        except ValueError:
            raise EncodingRefused(field="user_id", rule="length") from None
        except OSError:
            raise RandomnessUnavailable from None

    def sign_many(self, messages: Sequence[bytes], user_id: bytes) -> tuple[bytes, ...]:
        """Return 64 bytes r‖s of each message; other threads run meanwhile."""
        try:
            signatures = self._key.sign_many(list(messages), user_id)
        except ValueError:
            raise EncodingRefused(field="user_id", rule="length") from None
        except OSError:
            raise RandomnessUnavailable from None
        return tuple(signatures[at : at + SIGNATURE_BYTES] for at in range(0, len(signatures), SIGNATURE_BYTES))

    def decrypt(self, ciphertext: bytes) -> bytes:
        """Open C1‖C3‖C2."""
        validate_ciphertext(ciphertext)
        try:
            plaintext = self._key.decrypt(ciphertext)
        except ValueError:
            # C1 is not on the curve. What is wrong with a ciphertext is told to nobody.
            raise DecryptionFailed from None
        if plaintext is None:
            raise DecryptionFailed
        return plaintext


class KernelBackend:
    """SM2 by the kernel. The constructor loads it and raises `KernelUnavailable` where there is none."""

    name: Final = "kernel"
    signs: Final = True

    def __init__(self) -> None:
        self._kernel = load_kernel()
        self.version = f"EduTrust kernel ({self._kernel.cpu()})"

    def generate(self) -> bytes:
        """Return a new private key from the system's random numbers."""
        return self.generate_pair()[0]

    def generate_pair(self) -> tuple[bytes, bytes]:
        """Return a new private key and its public key."""
        try:
            return self._kernel.generate()
        except OSError:
            raise RandomnessUnavailable from None

    def public_of(self, private: bytes) -> bytes:
        """Return 64 bytes x‖y of a private key."""
        validate_private(private)
        return self._kernel.multiply_base(private)

    def private_key(self, private: bytes) -> _PrivateKey:
        """Prepare a private key."""
        return _PrivateKey(self._kernel, private)

    def public_key(self, public: bytes) -> _PublicKey:
        """Prepare a public key."""
        return _PublicKey(self._kernel, public)

    def sign(self, private: bytes, message: bytes, user_id: bytes) -> bytes:
        """Sign once with a key that is not kept."""
        return self.private_key(private).sign(message, user_id)

    def verify(self, public: bytes, message: bytes, signature: bytes, user_id: bytes) -> None:
        """Verify once with a key that is not kept."""
        try:
            valid = self._kernel.verify(public, message, signature, user_id)
        except ValueError as refused:
            if refused.args[0] == "user_id":
                raise EncodingRefused(field="user_id", rule="length") from None
            _refuse_public(public)
        if not valid:
            raise SignatureInvalid

    def encrypt(self, public: bytes, plaintext: bytes) -> bytes:
        """Encrypt once to a key that is not kept."""
        return self.public_key(public).encrypt(plaintext)

    def decrypt(self, private: bytes, ciphertext: bytes) -> bytes:
        """Decrypt once with a key that is not kept."""
        return self.private_key(private).decrypt(ciphertext)

    def multiply_base(self, scalar: bytes) -> bytes:
        """Return [k]G."""
        try:
            return self._kernel.multiply_base(scalar)
        except ValueError:
            validate_scalar(scalar)
            raise KeyRefused(field="scalar", rule="refused_by_kernel") from None

    def multiply(self, scalar: bytes, point: bytes) -> bytes:
        """Return [k]P."""
        try:
            return self._kernel.multiply(scalar, point)
        except ValueError:
            validate_scalar(scalar)
            validate_public(point, field="point")
            raise KeyRefused(field="point", rule="refused_by_kernel") from None

    def multiply_two(self, first: bytes, second: bytes, point: bytes) -> bytes:
        """Return [a]G + [b]P: the server's step of a two-party signature.

        Raises `KeyRefused` with field "scalar" for a or b outside [1, n − 1], with field "point" for what is no point
        of the curve, and with rule "infinity" where the sum is the point at infinity.
        """
        try:
            return self._kernel.multiply_two(first, second, point)
        except ValueError:
            validate_scalar(first)
            validate_scalar(second)
            validate_public(point, field="point")
            raise KeyRefused(field="point", rule="infinity") from None


def _refuse_public(public: bytes) -> Never:
    """Say which rule the bytes break that the kernel took for no public key."""
    validate_public(public)
    raise KeyRefused(field="public", rule="length" if len(public) != PUBLIC_BYTES else "refused_by_kernel") from None
