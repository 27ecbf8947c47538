"""SM2 encryption (GB/T 32918.4): the published example, both forms, the `openssl` command, and the bounds."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.errors import DecryptionFailed, EncodingRefused
from crypto.sm2 import Sm2Backend, select_backend
from crypto.sm2_ciphertext import (
    MAX_SM2_PLAINTEXT_BYTES,
    OVERHEAD_BYTES,
    ciphertext_from_der,
    ciphertext_to_der,
    sm2_kdf,
)
from crypto.sm2_gmssl import GmsslBackend
from tests.crypto import sm2_arithmetic as plain
from tests.crypto.test_sm2 import NONCE, PKCS8, PRIVATE, PUBLIC, SPKI, pem

# GM/T 0003.5-2012 Annex C: the key and the nonce of Annex A
PLAINTEXT = b"encryption standard"
C1 = bytes.fromhex(
    "0404ebfc718e8d1798620432268e77feb6415e2ede0e073c0f4f640ecd2e149a73"
    "e858f9d81e5430a57b36daab8f950a3c64e6ee6a63094d99283aff767e124df0"
)
SHARED = bytes.fromhex(
    "335e18d751e51f040e27d468138b7ab1dc86ad7f981d7d416222fd6ab3ed230d"
    "ab743ebcfb22d64f7b6ab791f70658f25b48fa93e54064fdbfbed3f0bd847ac9"
)
C3 = bytes.fromhex("59983c18f809e262923c53aec295d30383b54e39d609d160afcb1908d0bd8766")
C2 = bytes.fromhex("21886ca989ca9c7d58087307ca93092d651efa")
CIPHERTEXT = C1 + C3 + C2


def test_annex_c_is_reproduced(backend: Sm2Backend) -> None:
    assert backend.multiply_base(plain.b32(NONCE)) == C1[1:]
    assert backend.multiply(plain.b32(NONCE), PUBLIC) == SHARED
    assert backend.multiply(PRIVATE, C1[1:]) == SHARED
    assert plain.xor(sm2_kdf(SHARED, len(C2)), PLAINTEXT) == C2
    assert plain.encrypt(plain.affine(int.from_bytes(PRIVATE, "big")), PLAINTEXT, NONCE) == CIPHERTEXT
    assert backend.decrypt(PRIVATE, CIPHERTEXT) == PLAINTEXT


def test_the_nonce_of_annex_c_gives_the_ciphertext_of_annex_c() -> None:
    # The backend adds 1 to what it draws mod n − 1, so that zero never comes out.
    backend = GmsslBackend(random_bytes=lambda _: (NONCE - 1).to_bytes(40, "big"))
    assert backend.encrypt(PUBLIC, PLAINTEXT) == CIPHERTEXT


def test_a_key_stream_of_zeros_is_never_used_to_encrypt() -> None:
    # The first nonce gives one byte a zero key stream; the standard goes back for another (GB/T 32918.4 §6.1, A5).
    point = plain.affine(int.from_bytes(PRIVATE, "big"))
    k, shared = 1, point
    while plain.kdf(plain.encode(shared), 1) != b"\0":
        k, shared = k + 1, plain.finite(plain.add(shared, point))
    draws = [k, NONCE]
    backend = GmsslBackend(random_bytes=lambda _: (draws.pop(0) - 1).to_bytes(40, "big"))
    assert backend.encrypt(PUBLIC, b"Z") == plain.encrypt(point, b"Z", NONCE)


def test_one_byte_never_travels_as_it_is(backend: Sm2Backend) -> None:
    # Without the check, one ciphertext in 256 would show the byte it hides.
    key = backend.public_key(PUBLIC)
    assert all(key.encrypt(b"Z")[OVERHEAD_BYTES:] != b"Z" for _ in range(60 if backend.name == "gmssl" else 2500))


def test_two_ciphertexts_of_one_plaintext_have_nothing_in_common(backend: Sm2Backend) -> None:
    made = [backend.encrypt(PUBLIC, PLAINTEXT) for _ in range(20)]
    for part in (slice(0, 65), slice(65, 97), slice(97, None)):
        assert len({ciphertext[part] for ciphertext in made}) == len(made)


@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, MAX_SM2_PLAINTEXT_BYTES])
def test_the_whole_range_of_sizes_travels(backend: Sm2Backend, libcrypto: Sm2Backend, size: int) -> None:
    plaintext = b"\xa5" * size
    ciphertext = backend.encrypt(PUBLIC, plaintext)
    assert len(ciphertext) == size + OVERHEAD_BYTES
    assert libcrypto.decrypt(PRIVATE, ciphertext_from_der(ciphertext_to_der(ciphertext))) == plaintext
    assert backend.decrypt(PRIVATE, ciphertext) == plaintext


@pytest.mark.parametrize("size", [0, MAX_SM2_PLAINTEXT_BYTES + 1])
def test_nothing_and_too_much_are_refused_before_any_work(backend: Sm2Backend, size: int) -> None:
    with pytest.raises(EncodingRefused) as refused:
        backend.encrypt(PUBLIC, bytes(size))
    assert (refused.value.field, refused.value.rule) == ("plaintext", "length")


@pytest.mark.parametrize("length", [0, -1, MAX_SM2_PLAINTEXT_BYTES + 1])
def test_a_key_stream_has_its_bounds(length: int) -> None:
    with pytest.raises(EncodingRefused) as refused:
        sm2_kdf(SHARED, length)
    assert (refused.value.field, refused.value.rule) == ("length", "range")


@pytest.mark.parametrize("length", [1, 31, 32, 33, 64, 65, 96, 1000])
def test_the_key_stream_is_that_of_the_plain_arithmetic(length: int) -> None:
    assert sm2_kdf(SHARED, length) == plain.kdf(SHARED, length)


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=1, max_size=400), st.data())
def test_no_changed_ciphertext_opens(plaintext: bytes, data: st.DataObject) -> None:
    backend = select_backend(["libcrypto"])
    ciphertext = bytearray(backend.encrypt(PUBLIC, plaintext))
    at = data.draw(st.integers(0, len(ciphertext) - 1))
    ciphertext[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises((DecryptionFailed, EncodingRefused)):
        backend.decrypt(PRIVATE, bytes(ciphertext))


def test_all_that_does_not_open_fails_alike(backend: Sm2Backend) -> None:
    broken = [
        b"\x04" + bytes(64) + C3 + C2,
        C1[:-1] + b"\xf1" + C3 + C2,
        C1 + C3[:-1] + b"\x67" + C2,
        C1 + C3 + C2[:-1] + b"\xfb",
        C1 + C2 + C3,
        C1 + C3 + C2[:-1],
    ]
    seen: set[tuple[object, ...]] = set()
    for ciphertext in broken:
        with pytest.raises(DecryptionFailed) as refused:
            backend.decrypt(PRIVATE, ciphertext)
        seen.add((type(refused.value), str(refused.value), refused.value.__cause__, tuple(refused.value.params)))
    assert len(seen) == 1


def openssl(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("openssl")
    assert program is not None, "the openssl command is part of the test environment"
    return subprocess.run([program, *arguments], capture_output=True, check=False)


def test_the_openssl_command_opens_ours_and_we_open_its(backend: Sm2Backend, tmp_path: Path) -> None:
    (tmp_path / "private.pem").write_text(pem("PRIVATE KEY", PKCS8 + PRIVATE))
    (tmp_path / "public.pem").write_text(pem("PUBLIC KEY", SPKI + PUBLIC))
    (tmp_path / "ours").write_bytes(ciphertext_to_der(backend.encrypt(PUBLIC, PLAINTEXT)))
    opened = openssl("pkeyutl", "-decrypt", "-inkey", str(tmp_path / "private.pem"), "-in", str(tmp_path / "ours"))
    assert (opened.returncode, opened.stdout) == (0, PLAINTEXT), opened.stderr
    (tmp_path / "plain").write_bytes(PLAINTEXT)
    sealed = openssl(
        *("pkeyutl", "-encrypt", "-pubin", "-inkey", str(tmp_path / "public.pem"), "-in", str(tmp_path / "plain"))
    )
    assert sealed.returncode == 0, sealed.stderr
    assert backend.decrypt(PRIVATE, ciphertext_from_der(sealed.stdout)) == PLAINTEXT
