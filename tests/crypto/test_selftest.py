from __future__ import annotations

from collections.abc import Sequence

import pytest

from crypto.errors import SignatureInvalid
from crypto.selftest import run_selftests
from crypto.sm2 import Sm2Backend, Sm2PrivateKey, Sm2PublicKey
from crypto.sm2_gmssl import GmsslBackend

NEEDS_A_PRIVATE_KEY = {"sm2-sign", "sm2-multiply", "sm2-decrypt", "sm2-encrypt"}


def test_every_known_answer_holds_on_every_backend(backend: Sm2Backend) -> None:
    results = run_selftests(backend)
    assert all(result.ok for result in results), results
    assert len({result.name for result in results}) == len(results)


def test_a_backend_that_cannot_sign_is_reported_and_not_raised() -> None:
    failed = {result.name: result.detail for result in run_selftests(GmsslBackend(random_bytes=None)) if not result.ok}
    assert failed == dict.fromkeys(NEEDS_A_PRIVATE_KEY, "crypto.sm2_signing_refused")


class Broken:
    """A real backend with one fault planted."""

    name = "broken"
    signs = True

    def __init__(self, inner: Sm2Backend, fault: str) -> None:
        self.version = inner.version
        self._inner = inner
        self._fault = fault

    def generate(self) -> bytes:
        if self._fault == "crashes":
            raise MemoryError
        return self._inner.generate()

    def generate_pair(self) -> tuple[bytes, bytes]:
        private = self.generate()
        return private, self._inner.public_of(private)

    def public_of(self, private: bytes) -> bytes:
        return self._inner.public_of(private)

    def private_key(self, private: bytes) -> Sm2PrivateKey:
        inner = self._inner.private_key(private)
        return BrokenPrivate(inner) if self._fault == "opens everything" else inner

    def public_key(self, public: bytes) -> Sm2PublicKey:
        return BrokenPublic(self._inner.public_key(public), self._fault)

    def sign(self, private: bytes, message: bytes, user_id: bytes) -> bytes:
        return self._inner.sign(private, message, user_id)

    def verify(self, public: bytes, message: bytes, signature: bytes, user_id: bytes) -> None:
        self.public_key(public).verify(message, signature, user_id)

    def encrypt(self, public: bytes, plaintext: bytes) -> bytes:
        ciphertext = self._inner.encrypt(public, plaintext)
        return ciphertext[:65] + ciphertext[97:] + ciphertext[65:97] if self._fault == "C1C2C3" else ciphertext

    def decrypt(self, private: bytes, ciphertext: bytes) -> bytes:
        return self.private_key(private).decrypt(ciphertext)

    def multiply_base(self, scalar: bytes) -> bytes:
        return self._inner.multiply_base(scalar)

    def multiply(self, scalar: bytes, point: bytes) -> bytes:
        return (
            self._inner.multiply_base(scalar)
            if self._fault == "ignores the point"
            else self._inner.multiply(scalar, point)
        )


class BrokenPublic:
    def __init__(self, inner: Sm2PublicKey, fault: str) -> None:
        self.public = inner.public
        self._inner = inner
        self._fault = fault

    def verify(self, message: bytes, signature: bytes, user_id: bytes) -> None:
        if self._fault == "refuses everything":
            raise SignatureInvalid
        if self._fault != "accepts everything":
            self._inner.verify(message, signature, user_id)

    def verify_many(self, items: Sequence[tuple[bytes, bytes]], user_id: bytes) -> tuple[bool, ...]:
        verdicts = self._inner.verify_many(items, user_id)
        return verdicts[::-1] if self._fault == "batch out of order" else verdicts

    def encrypt(self, plaintext: bytes) -> bytes:
        return self._inner.encrypt(plaintext)


class BrokenPrivate:
    """Decrypts as a library does that computes C3 and never compares it: whatever C3 says, the plaintext comes out."""

    def __init__(self, inner: Sm2PrivateKey) -> None:
        self.public = inner.public
        self._inner = inner

    def sign(self, message: bytes, user_id: bytes) -> bytes:
        return self._inner.sign(message, user_id)

    def sign_many(self, messages: Sequence[bytes], user_id: bytes) -> tuple[bytes, ...]:
        return self._inner.sign_many(messages, user_id)

    def decrypt(self, ciphertext: bytes) -> bytes:
        return b"encryption standard"


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("accepts everything", {"sm2-verify", "sm2-sign"}),
        ("refuses everything", {"sm2-verify", "sm2-sign"}),
        ("batch out of order", {"sm2-verify"}),
        ("crashes", {"sm2-sign"}),
        ("ignores the point", {"sm2-multiply"}),
        ("opens everything", {"sm2-decrypt", "sm2-encrypt"}),
        ("C1C2C3", {"sm2-encrypt"}),
    ],
)
def test_a_broken_backend_is_found(libcrypto: Sm2Backend, fault: str, found: set[str]) -> None:
    assert {result.name for result in run_selftests(Broken(libcrypto, fault)) if not result.ok} == found
