from __future__ import annotations

import pytest

from crypto import sm3 as module
from crypto.sm3 import hmac_sm3, sm3


@pytest.fixture(params=["kernel", "libcrypto"], autouse=True)
def road(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to the same bytes: the second is what a machine without a compiler has."""
    chosen: str = request.param
    if chosen == "libcrypto":
        monkeypatch.setattr(module, "_kernel", lambda: None)
    else:
        assert module._kernel() is not None
    return chosen


# GB/T 32905-2016 Annex A
VECTORS = [
    (b"abc", "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"),
    (b"abcd" * 16, "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"),
]


@pytest.mark.parametrize(("message", "digest"), VECTORS)
def test_the_standards_examples(message: bytes, digest: str) -> None:
    assert sm3(message).hex() == digest


@pytest.mark.parametrize("length", [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 1000])
def test_every_padding_case_agrees_with_gmssl(length: int) -> None:
    from gmssl import sm3 as oracle

    message = bytes(index % 251 for index in range(length))
    assert sm3(message).hex() == oracle.sm3_hash(list(message))


def test_whatever_holds_bytes_is_hashed_as_them() -> None:
    assert sm3(bytearray(b"abc")) == sm3(memoryview(b"abc")) == sm3(b"abc")  # type: ignore[arg-type]  # what a caller may hold
    assert hmac_sm3(bytearray(b"key"), memoryview(b"data")) == hmac_sm3(b"key", b"data")  # type: ignore[arg-type]  # as above


@pytest.mark.parametrize("length", [1, 32, 63, 64, 65, 100])
def test_hmac_is_two_hashes_with_a_block_of_64_bytes(length: int) -> None:
    key = bytes(range(1, length + 1))
    block = (sm3(key) if length > 64 else key).ljust(64, b"\0")
    inner = sm3(bytes(byte ^ 0x36 for byte in block) + b"data")
    assert hmac_sm3(key, b"data") == sm3(bytes(byte ^ 0x5C for byte in block) + inner)
