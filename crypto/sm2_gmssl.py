"""SM2 by gmssl, pure Python: the fallback that verifies everywhere, and the independent oracle of the tests.

It is not constant-time, so it takes a private key or draws a nonce only when it was made with a source of randomness,
which production never does. Only its point arithmetic and its signing equation are used: its nonces (from a
general-purpose generator), its Z, its handling of keys that begin with "04", its verifier (which never normalises a
doubled point) and its decryption (which computes C3 and never compares it) are all bypassed.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any, Final

from gmssl.sm2 import CryptSM2, default_ecc_table

from crypto.errors import DecryptionFailed, KeyRefused, SignatureInvalid, TrustError
from crypto.sm2_ciphertext import (
    C1_BYTES,
    OVERHEAD_BYTES,
    UNCOMPRESSED,
    sm2_kdf,
    validate_ciphertext,
    validate_plaintext,
)
from crypto.sm2_curve import (
    N,
    digest_of,
    validate_private,
    validate_public,
    validate_scalar,
    validate_signature,
    z_of,
)
from crypto.sm3 import sm3

RandomBytes = Callable[[int], bytes]
# 64 bits more than n make the remainder uniform to within 2^-64 (FIPS 186-5 A.2.1).
_WIDE_SCALAR_BYTES: Final = 40


class Sm2SigningRefused(TrustError):
    """The pure-Python backend was asked for what takes a private key or a nonce, outside tests."""

    code = "crypto.sm2_signing_refused"


class _Arithmetic:
    """gmssl's point arithmetic: affine points in hexadecimal x‖y, None for infinity."""

    __slots__ = ("_engine",)

    def __init__(self) -> None:
        self._engine: Any = CryptSM2(private_key="", public_key="00")

    def multiply(self, scalar: int, point: bytes | None) -> str | None:
        """Return [k]P, or [k]G without a point, for k in [1, n − 1]."""
        base: str = default_ecc_table["g"] if point is None else point.hex()
        product: str | None = self._engine._kg(scalar, base)  # noqa: SLF001  # its only scalar multiplication
        return product

    def add(self, a: str, b: str) -> str | None:
        """Return A + B."""
        # The 1 is z of Jacobian coordinates; its addition of A and −A gives z = 0, which comes back as None.
        jacobian = self._engine._double_point(f"{a}1") if a == b else self._engine._add_point(f"{a}1", b)  # noqa: SLF001  # its only addition
        total: str | None = self._engine._convert_jacb_to_nor(jacobian)  # noqa: SLF001  # see the line above
        return total

    def product(self, scalar: int, point: bytes | None) -> bytes:
        """Return [k]P, or [k]G without a point, as 64 bytes; never infinity, because k is in [1, n − 1]."""
        found = self.multiply(scalar, point)
        if found is None:
            raise KeyRefused(field="scalar", rule="range")
        return bytes.fromhex(found)

    def sign(self, d: int, digest: bytes, nonce: int) -> bytes | None:
        """Return r‖s, or None where this nonce gives r = 0, r + k = n or s = 0."""
        signer: Any = CryptSM2(private_key=f"{d:064x}", public_key="00")
        signature: str | None = signer.sign(digest, f"{nonce:064x}")
        return None if signature is None else bytes.fromhex(signature)


def _scalar(random_bytes: RandomBytes, below: int) -> int:
    """Return an integer uniform in [1, below]."""
    return int.from_bytes(random_bytes(_WIDE_SCALAR_BYTES), "big") % below + 1


def _xor(a: bytes, b: bytes) -> bytes:
    return (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).to_bytes(len(a), "big")


class _PublicKey:
    """A public key with the range checks gmssl leaves out."""

    __slots__ = ("_arithmetic", "_random_bytes", "public")

    def __init__(self, arithmetic: _Arithmetic, public: bytes, random_bytes: RandomBytes | None) -> None:
        validate_public(public)
        self.public = public
        self._arithmetic = arithmetic
        self._random_bytes = random_bytes

    def _verifies(self, digest: bytes, signature: bytes) -> bool:
        """Say whether (sG + tP).x + e = r, t = r + s (GB/T 32918.2 §7.1)."""
        try:
            validate_signature(signature)
        except SignatureInvalid:
            return False
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        first = self._arithmetic.multiply(s, None)
        second = self._arithmetic.multiply((r + s) % N, self.public)
        point = None if first is None or second is None else self._arithmetic.add(first, second)
        if point is None:
            return False
        return (int.from_bytes(digest, "big") + int(point[:64], 16)) % N == r

    def verify(self, message: bytes, signature: bytes, user_id: bytes) -> None:
        """Raise `SignatureInvalid` unless the 64 bytes r‖s verify."""
        if not self._verifies(digest_of(z_of(self.public, user_id), message), signature):
            raise SignatureInvalid

    def verify_many(self, items: Sequence[tuple[bytes, bytes]], user_id: bytes) -> tuple[bool, ...]:
        """Return one verdict a row."""
        z = z_of(self.public, user_id)
        return tuple(self._verifies(digest_of(z, message), signature) for message, signature in items)

    def encrypt(self, plaintext: bytes) -> bytes:
        """Return C1‖C3‖C2 (GB/T 32918.4 §6.1), for tests."""
        validate_plaintext(plaintext)
        if self._random_bytes is None:
            raise Sm2SigningRefused(field="backend", rule="gmssl_verifies_only")
        while True:
            k = _scalar(self._random_bytes, N - 1)
            shared = self._arithmetic.product(k, self.public)
            stream = sm2_kdf(shared, len(plaintext))
            if any(stream):
                break
        c1 = bytes((UNCOMPRESSED,)) + self._arithmetic.product(k, None)
        return c1 + sm3(shared[:32] + plaintext + shared[32:]) + _xor(plaintext, stream)


class _PrivateKey:
    """A private key for tests."""

    __slots__ = ("_arithmetic", "_d", "_random_bytes", "public")

    def __init__(self, arithmetic: _Arithmetic, private: bytes, random_bytes: RandomBytes) -> None:
        validate_private(private)
        self._arithmetic = arithmetic
        self._d = int.from_bytes(private, "big")
        self._random_bytes = random_bytes
        self.public = arithmetic.product(self._d, None)

    def sign(self, message: bytes, user_id: bytes) -> bytes:
        """Return 64 bytes r‖s."""
        digest = digest_of(z_of(self.public, user_id), message)
        while True:
            # None: a new nonce (GB/T 32918.2 §6.1, steps A5 and A6).
            signature = self._arithmetic.sign(self._d, digest, _scalar(self._random_bytes, N - 1))
            if signature is not None:
                return signature

    def sign_many(self, messages: Sequence[bytes], user_id: bytes) -> tuple[bytes, ...]:
        """Return 64 bytes r‖s of each message, one by one."""
        return tuple(self.sign(message, user_id) for message in messages)

    def decrypt(self, ciphertext: bytes) -> bytes:
        """Return the plaintext of C1‖C3‖C2 (GB/T 32918.4 §7.1)."""
        validate_ciphertext(ciphertext)
        c1, c3, c2 = ciphertext[1:C1_BYTES], ciphertext[C1_BYTES:OVERHEAD_BYTES], ciphertext[OVERHEAD_BYTES:]
        try:
            validate_public(c1)
        except KeyRefused:
            raise DecryptionFailed from None
        shared = self._arithmetic.product(self._d, c1)
        stream = sm2_kdf(shared, len(c2))
        plaintext = _xor(c2, stream)
        fits = hmac.compare_digest(sm3(shared[:32] + plaintext + shared[32:]), c3)
        if not any(stream) or not fits:
            raise DecryptionFailed
        return plaintext


class GmsslBackend:
    """SM2 by gmssl. With `random_bytes=None` it verifies and refuses every private key and every nonce."""

    name: Final = "gmssl"

    def __init__(self, *, random_bytes: RandomBytes | None) -> None:
        self._random_bytes = random_bytes
        self._arithmetic = _Arithmetic()
        self.signs = random_bytes is not None
        self.version = f"gmssl {metadata.version('gmssl')}"

    def _randomness(self) -> RandomBytes:
        if self._random_bytes is None:
            raise Sm2SigningRefused(field="backend", rule="gmssl_verifies_only")
        return self._random_bytes

    def generate(self) -> bytes:
        """Return a new private key, for tests."""
        return _scalar(self._randomness(), N - 2).to_bytes(32, "big")

    def generate_pair(self) -> tuple[bytes, bytes]:
        """Return a new private key and its public key, for tests."""
        private = self.generate()
        return private, self.public_of(private)

    def public_of(self, private: bytes) -> bytes:
        """Return 64 bytes x‖y of a private key, for tests."""
        return self.private_key(private).public

    def private_key(self, private: bytes) -> _PrivateKey:
        """Prepare a private key, for tests."""
        return _PrivateKey(self._arithmetic, private, self._randomness())

    def public_key(self, public: bytes) -> _PublicKey:
        """Prepare a public key."""
        return _PublicKey(self._arithmetic, public, self._random_bytes)

    def sign(self, private: bytes, message: bytes, user_id: bytes) -> bytes:
        """Sign once, for tests."""
        return self.private_key(private).sign(message, user_id)

    def verify(self, public: bytes, message: bytes, signature: bytes, user_id: bytes) -> None:
        """Verify once with a key that is not kept."""
        self.public_key(public).verify(message, signature, user_id)

    def encrypt(self, public: bytes, plaintext: bytes) -> bytes:
        """Encrypt once, for tests."""
        return self.public_key(public).encrypt(plaintext)

    def decrypt(self, private: bytes, ciphertext: bytes) -> bytes:
        """Decrypt once, for tests."""
        return self.private_key(private).decrypt(ciphertext)

    def multiply_base(self, scalar: bytes) -> bytes:
        """Return [k]G, for tests: the scalar is a secret."""
        self._randomness()
        validate_scalar(scalar)
        return self._arithmetic.product(int.from_bytes(scalar, "big"), None)

    def multiply(self, scalar: bytes, point: bytes) -> bytes:
        """Return [k]P, for tests: the scalar is a secret."""
        self._randomness()
        validate_scalar(scalar)
        validate_public(point, field="point")
        return self._arithmetic.product(int.from_bytes(scalar, "big"), point)
