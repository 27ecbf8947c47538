from __future__ import annotations

import pytest

from crypto.errors import SignatureInvalid
from crypto.selftest import run_selftests
from crypto.sm2 import Sm2Backend, Sm2PrivateKey, Sm2PublicKey
from crypto.sm2_gmssl import GmsslBackend


def test_every_known_answer_holds_on_both_backends(libcrypto: Sm2Backend, gmssl: Sm2Backend) -> None:
    for backend in (libcrypto, gmssl):
        results = run_selftests(backend)
        assert all(result.ok for result in results), results
        assert len({result.name for result in results}) == len(results)


def test_a_backend_that_cannot_sign_is_reported_and_not_raised() -> None:
    failed = {result.name: result.detail for result in run_selftests(GmsslBackend(random_bytes=None)) if not result.ok}
    assert failed == {"sm2-sign": "crypto.sm2_signing_refused"}


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

    def public_of(self, private: bytes) -> bytes:
        return self._inner.public_of(private)

    def private_key(self, private: bytes) -> Sm2PrivateKey:
        return self._inner.private_key(private)

    def public_key(self, public: bytes) -> Sm2PublicKey:
        return BrokenPublic(public, self._fault) if self._fault != "crashes" else self._inner.public_key(public)

    def sign(self, private: bytes, message: bytes, user_id: bytes) -> bytes:
        return self._inner.sign(private, message, user_id)

    def verify(self, public: bytes, message: bytes, signature: bytes, user_id: bytes) -> None:
        self.public_key(public).verify(message, signature, user_id)


class BrokenPublic:
    def __init__(self, public: bytes, fault: str) -> None:
        self.public = public
        self._fault = fault

    def verify(self, message: bytes, signature: bytes, user_id: bytes) -> None:
        if self._fault == "refuses everything":
            raise SignatureInvalid


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("accepts everything", {"sm2-verify", "sm2-sign"}),
        ("refuses everything", {"sm2-verify", "sm2-sign"}),
        ("crashes", {"sm2-sign"}),
    ],
)
def test_a_broken_backend_is_found(libcrypto: Sm2Backend, fault: str, found: set[str]) -> None:
    assert {result.name for result in run_selftests(Broken(libcrypto, fault)) if not result.ok} == found
