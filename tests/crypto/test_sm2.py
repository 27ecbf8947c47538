from __future__ import annotations

import shutil
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.errors import EncodingRefused, SignatureInvalid, TrustError
from crypto.sm2 import (
    BACKENDS,
    SM2_DEFAULT_ID,
    NoSm2Backend,
    Sm2Backend,
    select_backend,
    signature_from_der,
    signature_to_der,
)
from crypto.sm2_ciphertext import ciphertext_from_der, ciphertext_to_der
from crypto.sm2_curve import digest_of, z_of
from crypto.sm2_gmssl import GmsslBackend, Sm2SigningRefused
from tests.crypto import sm2_arithmetic as plain

# GM/T 0003.5-2012 Annex A
PRIVATE = bytes.fromhex("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8")
PUBLIC = bytes.fromhex(
    "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
    "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
)
Z = bytes.fromhex("b2e14c5c79c6df5b85f4fe7ed8db7a262b9da7e07ccb0ea9f4747b8ccda8a4f3")
E = bytes.fromhex("f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640")
NONCE = 0x59276E27D506861A16680F3AD9C02DCCEF3CC1FA3CDBE4CE6D54B80DEAC1BC21
SIGNATURE = bytes.fromhex(
    "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3"
    "b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa"
)
MESSAGE = b"message digest"

SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d03420004")
PKCS8 = bytes.fromhex("3041020100301306072a8648ce3d020106082a811ccf5501822d042730250201010420")


def test_annex_a_intermediate_values_are_reproduced() -> None:
    assert z_of(PUBLIC, SM2_DEFAULT_ID) == Z
    assert digest_of(Z, MESSAGE) == E
    r, s = plain.sign_digest(int.from_bytes(PRIVATE, "big"), int.from_bytes(E, "big"), NONCE)
    assert plain.b32(r) + plain.b32(s) == SIGNATURE


def test_annex_a_signature_verifies(backend: Sm2Backend) -> None:
    assert backend.public_of(PRIVATE) == PUBLIC
    backend.verify(PUBLIC, MESSAGE, SIGNATURE, SM2_DEFAULT_ID)


@pytest.mark.parametrize("user_id", [SM2_DEFAULT_ID, b"", b"ALICE123@YAHOO.COM", b"x" * 8191])
@pytest.mark.parametrize("message", [b"", b"m", b"long " * 2000])
def test_each_backend_verifies_what_the_other_signed(
    libcrypto: Sm2Backend, gmssl: Sm2Backend, message: bytes, user_id: bytes
) -> None:
    private = libcrypto.generate()
    public = gmssl.public_of(private)
    assert public == libcrypto.public_of(private)
    gmssl.verify(public, message, libcrypto.sign(private, message, user_id), user_id)
    libcrypto.verify(public, message, gmssl.sign(private, message, user_id), user_id)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, plain.N - 2), st.binary(max_size=100))
def test_plain_arithmetic_agrees_with_the_library(d: int, message: bytes) -> None:
    backend = select_backend(["libcrypto"])
    public = plain.affine(d)
    assert backend.public_of(plain.b32(d)) == plain.encode(public)
    signature = backend.sign(plain.b32(d), message, SM2_DEFAULT_ID)
    e = plain.digest(public, SM2_DEFAULT_ID, message)
    assert plain.verify_digest(public, e, int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))


@pytest.mark.parametrize("d", [1, 2, 3, plain.N - 2, plain.N - 3, (plain.N - 1) // 2])
def test_keys_at_the_edges_of_the_range_sign(backend: Sm2Backend, d: int) -> None:
    private = plain.b32(d)
    backend.verify(backend.public_of(private), b"m", backend.sign(private, b"m", SM2_DEFAULT_ID), SM2_DEFAULT_ID)


@pytest.mark.parametrize("first", [0x00, 0x04, 0x40, 0x44])
def test_public_keys_whose_x_begins_like_a_format_byte_verify(
    libcrypto: Sm2Backend, gmssl: Sm2Backend, first: int
) -> None:
    # gmssl strips zeros and fours from keys that begin with "04"; the backend must not let it.
    d, point = 1, plain.G
    while point[0] >> 248 != first:
        following = plain.add(point, plain.G)
        assert following is not None
        d, point = d + 1, following
    private = plain.b32(d)
    public = libcrypto.public_of(private)
    assert public == plain.encode(point)
    gmssl.verify(public, b"m", libcrypto.sign(private, b"m", SM2_DEFAULT_ID), SM2_DEFAULT_ID)
    libcrypto.verify(public, b"m", gmssl.sign(private, b"m", SM2_DEFAULT_ID), SM2_DEFAULT_ID)


def pem(label: str, der: bytes) -> str:
    body = b64encode(der).decode()
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def openssl(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("openssl")
    assert program is not None, "the openssl command is part of the test environment"
    return subprocess.run([program, *arguments], capture_output=True, check=False)


@pytest.mark.parametrize("user_id", [SM2_DEFAULT_ID, b"ALICE123@YAHOO.COM"])
def test_the_openssl_command_verifies_our_signature(libcrypto: Sm2Backend, tmp_path: Path, user_id: bytes) -> None:
    private = libcrypto.generate()
    (tmp_path / "key.pem").write_text(pem("PUBLIC KEY", SPKI + libcrypto.public_of(private)))
    (tmp_path / "message").write_bytes(MESSAGE)
    signature = signature_to_der(libcrypto.sign(private, MESSAGE, user_id))
    arguments = (
        *("pkeyutl", "-verify", "-pubin", "-inkey", str(tmp_path / "key.pem"), "-in", str(tmp_path / "message")),
        *("-rawin", "-digest", "sm3", "-sigfile", str(tmp_path / "signature")),
        *("-pkeyopt", f"distid:{user_id.decode()}"),
    )
    (tmp_path / "signature").write_bytes(signature)
    assert openssl(*arguments).returncode == 0
    (tmp_path / "message").write_bytes(MESSAGE + b".")
    assert openssl(*arguments).returncode != 0


@pytest.mark.parametrize("user_id", [SM2_DEFAULT_ID, b"ALICE123@YAHOO.COM"])
def test_we_verify_the_openssl_commands_signature(backend: Sm2Backend, tmp_path: Path, user_id: bytes) -> None:
    private = backend.generate()
    (tmp_path / "key.pem").write_text(pem("PRIVATE KEY", PKCS8 + private))
    (tmp_path / "message").write_bytes(MESSAGE)
    signed = openssl(
        *("pkeyutl", "-sign", "-inkey", str(tmp_path / "key.pem"), "-in", str(tmp_path / "message")),
        *("-rawin", "-digest", "sm3", "-pkeyopt", f"distid:{user_id.decode()}"),
    )
    assert signed.returncode == 0, signed.stderr
    backend.verify(backend.public_of(private), MESSAGE, signature_from_der(signed.stdout), user_id)


def test_prepared_keys_serve_many_threads(backend: Sm2Backend) -> None:
    key = backend.private_key(PRIVATE)
    public = backend.public_key(PUBLIC)
    messages = [str(index).encode() for index in range(64)]

    def there_and_back(message: bytes) -> bool:
        public.verify(message, key.sign(message, SM2_DEFAULT_ID), SM2_DEFAULT_ID)
        return key.decrypt(public.encrypt(message)) == message

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(there_and_back, messages))


def test_a_repeated_nonce_would_give_the_key_away() -> None:
    # Two signatures with one k: s1 − s2 = (1+d)^-1 (r2 − r1) d, so d follows. Why a nonce is never cached or forked.
    d, k = int.from_bytes(PRIVATE, "big"), NONCE
    (r1, s1), (r2, s2) = plain.sign_digest(d, 111, k), plain.sign_digest(d, 222, k)
    found = (s2 - s1) * pow(s1 - s2 + r1 - r2, -1, plain.N) % plain.N
    assert found == d


def test_gmssl_without_randomness_verifies_and_refuses_every_private_key() -> None:
    backend = GmsslBackend(random_bytes=None)
    backend.verify(PUBLIC, MESSAGE, SIGNATURE, SM2_DEFAULT_ID)
    assert not backend.signs
    for use in (
        backend.generate,
        lambda: backend.public_of(PRIVATE),
        lambda: backend.private_key(PRIVATE),
        lambda: backend.sign(PRIVATE, MESSAGE, SM2_DEFAULT_ID),
        backend.generate_pair,
        lambda: backend.encrypt(PUBLIC, MESSAGE),
        lambda: backend.public_key(PUBLIC).encrypt(MESSAGE),
        lambda: backend.decrypt(PRIVATE, b"\x04" + bytes(97)),
        lambda: backend.multiply_base(PRIVATE),
        lambda: backend.multiply(PRIVATE, PUBLIC),
    ):
        with pytest.raises(Sm2SigningRefused):
            use()


def test_the_nonce_of_annex_a_gives_the_signature_of_annex_a() -> None:
    # The backend adds 1 to what it draws mod n − 1, so that zero never comes out.
    backend = GmsslBackend(random_bytes=lambda _: (NONCE - 1).to_bytes(40, "big"))
    assert backend.sign(PRIVATE, MESSAGE, SM2_DEFAULT_ID) == SIGNATURE


def test_the_first_backend_that_loads_is_chosen() -> None:
    assert select_backend(["libcrypto", "gmssl"]).name == "libcrypto"
    assert select_backend(["gmssl", "libcrypto"]).name == "gmssl"
    assert not select_backend(["gmssl"]).signs


def test_without_the_kernel_the_next_backend_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "crypto._kernel", None)
    assert select_backend(BACKENDS).name == "libcrypto"
    with pytest.raises(NoSm2Backend) as refused:
        select_backend(["kernel"])
    assert refused.value.rule == "none_loads"


@pytest.mark.parametrize("preferred", [[], ["botan"]])
def test_no_backend_is_a_clear_refusal(preferred: list[str]) -> None:
    with pytest.raises(NoSm2Backend):
        select_backend(preferred)


def test_a_failed_verification_leaves_no_error_behind_in_the_shared_library(libcrypto: Sm2Backend) -> None:
    import ssl

    for _ in range(20):
        with pytest.raises(SignatureInvalid):
            libcrypto.verify(PUBLIC, MESSAGE + b".", SIGNATURE, SM2_DEFAULT_ID)
    # The interpreter's ssl module reads the same thread's queue; a left-over error would surface here.
    ssl.create_default_context()


@pytest.mark.parametrize("value", [None, 7, "text", PRIVATE.hex(), ["list"]])
def test_what_is_not_bytes_gives_no_answer_and_no_crash(backend: Sm2Backend, value: Any) -> None:
    key = backend.public_key(PUBLIC)
    uses: list[Callable[[], object]] = [
        lambda: backend.public_key(value),
        lambda: backend.private_key(value),
        lambda: backend.public_of(value),
        lambda: backend.sign(PRIVATE, value, b""),
        lambda: backend.sign(PRIVATE, MESSAGE, value),
        lambda: key.verify(value, SIGNATURE, b""),
        lambda: key.verify(MESSAGE, value, b""),
        lambda: key.verify(MESSAGE, SIGNATURE, value),
        lambda: key.verify_many([(value, SIGNATURE)], b""),
        lambda: key.verify_many([(MESSAGE, SIGNATURE)], value),
        lambda: key.verify_many([value], b""),
        lambda: key.encrypt(value),
        lambda: backend.decrypt(PRIVATE, value),
        lambda: backend.multiply_base(value),
        lambda: backend.multiply(value, PUBLIC),
        lambda: backend.multiply(PRIVATE, value),
        lambda: ciphertext_to_der(value),
        lambda: ciphertext_from_der(value),
        lambda: signature_to_der(value),
        lambda: signature_from_der(value),
    ]
    for use in uses:
        # A mistake of the program is a TypeError, unless the length alone already refuses the argument.
        with pytest.raises((TypeError, ValueError, TrustError)):
            use()


@pytest.mark.parametrize("user_id", [SM2_DEFAULT_ID, b"ALICE123@YAHOO.COM"])
def test_many_messages_signed_at_once_verify_one_by_one_and_share_no_nonce(backend: Sm2Backend, user_id: bytes) -> None:
    private, public = backend.generate_pair()
    key = backend.private_key(private)
    messages = [b"", b"m", b"the same", b"the same", b"x" * 5000]
    signatures = key.sign_many(messages, user_id)
    assert len({signature[:32] for signature in signatures}) == len(messages)
    for message, signature in zip(messages, signatures, strict=True):
        backend.verify(public, message, signature, user_id)
    assert key.sign_many([], user_id) == ()
    with pytest.raises(EncodingRefused):
        key.sign_many([b"m"], b"x" * 8192)
