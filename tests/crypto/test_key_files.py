from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import der
from crypto.encoding import rs_from_der
from crypto.errors import DecryptionFailed, EncodingRefused, KeyRefused, TrustError
from crypto.key_files import (
    MAX_KEY_FILE_BYTES,
    OID_EC_PUBLIC_KEY,
    OID_SM2_CURVE,
    private_to_encrypted_pkcs8,
    private_to_pkcs8,
    private_to_sec1,
    public_to_spki,
    read_private,
    read_public,
)
from crypto.pbes import MAX_ITERATIONS, MIN_READ_ITERATIONS, MIN_WRITE_ITERATIONS, Prf, pbes2_decrypt, pbes2_encrypt
from crypto.pem import pem_encode
from crypto.sm2 import SM2_DEFAULT_ID, Sm2Backend, select_backend
from crypto.sm2_curve import GX, GY, N, P
from tests.crypto import sm2_arithmetic as plain
from tests.crypto.openssl_tool import DEFAULT_ID, new_key, openssl

PASSWORD = "口令 pass".encode()
PRIVATE = bytes.fromhex("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8")
PUBLIC = bytes.fromhex(
    "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
    "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
)
PRIVATE_KEYS = st.integers(1, N - 2).map(lambda d: d.to_bytes(32, "big"))


@cache
def loaded() -> Sm2Backend:
    """Load the backend once: a property takes no fixture of the function's scope."""
    return select_backend(["libcrypto"])


def sealed(password: bytes = PASSWORD, *, prf: Prf = Prf.HMAC_SHA256, pem: bool = False) -> bytes:
    return private_to_encrypted_pkcs8(
        PRIVATE, password, random_bytes=os.urandom, iterations=MIN_WRITE_ITERATIONS, prf=prf, pem=pem, public=PUBLIC
    )


def refusal_of(data: bytes, backend: Sm2Backend, password: bytes | None = None) -> TrustError:
    with pytest.raises(TrustError) as refused:
        read_private(data, password=password, backend=backend)
    return refused.value


@settings(deadline=None, max_examples=30)
@given(PRIVATE_KEYS, st.booleans(), st.booleans())
def test_a_key_comes_back_from_every_form(private: bytes, with_public: bool, pem: bool) -> None:
    backend = loaded()
    known = backend.public_of(private)
    public = known if with_public else None
    for written in (private_to_pkcs8(private, pem=pem, public=public), private_to_sec1(private, public, pem=pem)):
        assert read_private(written, password=None, backend=backend) == private
    assert read_public(public_to_spki(known, pem=pem)) == known


@pytest.mark.parametrize("prf", Prf)
@pytest.mark.parametrize("pem", [True, False])
def test_an_encrypted_key_comes_back(libcrypto: Sm2Backend, prf: Prf, pem: bool) -> None:
    assert read_private(sealed(prf=prf, pem=pem), password=PASSWORD, backend=libcrypto) == PRIVATE


def test_salt_and_iv_come_from_the_source_given() -> None:
    drawn: list[int] = []

    def source(size: int) -> bytes:
        drawn.append(size)
        return bytes((len(drawn),)) * size

    data = private_to_encrypted_pkcs8(PRIVATE, PASSWORD, random_bytes=source, iterations=10_000, pem=False)
    assert drawn == [16, 16]
    assert der.octet_string(b"\x01" * 16) in data
    assert der.octet_string(b"\x02" * 16) in data


# What openssl writes, we read


@pytest.mark.parametrize(
    "made",
    [
        ("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:SM2"),
        ("genpkey", "-algorithm", "SM2"),
        ("ecparam", "-name", "SM2", "-genkey"),
        ("ecparam", "-name", "SM2", "-genkey", "-noout"),
        ("genpkey", "-algorithm", "SM2", "-outform", "DER"),
    ],
)
def test_a_private_key_openssl_made_is_read(libcrypto: Sm2Backend, tmp_path: Path, made: tuple[str, ...]) -> None:
    key = tmp_path / "key"
    key.write_bytes(openssl(*made))
    form = "DER" if "DER" in made else "PEM"
    private = read_private(key.read_bytes(), password=None, backend=libcrypto)
    for form_of_public in ("PEM", "DER"):
        public = openssl("pkey", "-in", key, "-inform", form, "-pubout", "-outform", form_of_public)
        assert read_public(public) == libcrypto.public_of(private)
    for more in ((), ("-outform", "DER"), ("-no_public",)):
        sec1 = openssl("ec", "-in", key, "-inform", form, *more)
        assert read_private(sec1, password=None, backend=libcrypto) == private


def test_openssl_with_parameters_in_front_of_the_sec1_form_is_read(libcrypto: Sm2Backend, tmp_path: Path) -> None:
    key = new_key(tmp_path / "key.pem")
    private = read_private(key.read_bytes(), password=None, backend=libcrypto)
    sec1 = openssl("ec", "-in", key)
    assert b"SM2 PRIVATE KEY" in sec1
    parameters = openssl("ecparam", "-name", "SM2")
    assert b"SM2 PARAMETERS" in parameters
    for name in (b"SM2 PRIVATE KEY", b"EC PRIVATE KEY"):
        for other in (b"SM2 PARAMETERS", b"EC PARAMETERS"):
            file = parameters.replace(b"SM2 PARAMETERS", other) + sec1.replace(b"SM2 PRIVATE KEY", name)
            assert read_private(file, password=None, backend=libcrypto) == private


def test_a_compressed_point_openssl_wrote_is_the_same_point(tmp_path: Path) -> None:
    for _ in range(8):  # both signs of y come up
        key = new_key(tmp_path / "key.pem")
        written = openssl("ec", "-in", key, "-pubout")
        compressed = openssl("ec", "-in", key, "-pubout", "-conv_form", "compressed")
        assert compressed != written
        assert read_public(compressed) == read_public(written)


@pytest.mark.parametrize("cipher", ["sm4-cbc", "aes-256-cbc", "aes-128-cbc"])
@pytest.mark.parametrize("prf", ["hmacWithSHA1", "hmacWithSHA256", "hmacWithSHA512"])
def test_an_encrypted_key_openssl_wrote_opens(libcrypto: Sm2Backend, tmp_path: Path, cipher: str, prf: str) -> None:
    key = new_key(tmp_path / "key.pem")
    private = read_private(key.read_bytes(), password=None, backend=libcrypto)
    for form in ("PEM", "DER"):
        written = openssl(
            *("pkcs8", "-topk8", "-in", key, "-v2", cipher, "-v2prf", prf, "-outform", form, "-passout", "stdin"),
            stdin=PASSWORD + b"\n",
        )
        assert read_private(written, password=PASSWORD, backend=libcrypto) == private
        assert isinstance(refusal_of(written, libcrypto, b"another"), DecryptionFailed)


def test_the_default_encryption_of_genpkey_opens(libcrypto: Sm2Backend) -> None:
    written = openssl("genpkey", "-algorithm", "SM2", "-aes-256-cbc", "-pass", "pass:abc")
    assert len(read_private(written, password=b"abc", backend=libcrypto)) == 32


# What we write, openssl reads


@pytest.mark.parametrize("with_public", [True, False])
@pytest.mark.parametrize("pem", [True, False])
def test_openssl_reads_our_private_keys(tmp_path: Path, with_public: bool, pem: bool) -> None:
    public = PUBLIC if with_public else None
    form = "PEM" if pem else "DER"
    for written in (private_to_pkcs8(PRIVATE, pem=pem, public=public), private_to_sec1(PRIVATE, public, pem=pem)):
        (tmp_path / "key").write_bytes(written)
        assert read_public(openssl("pkey", "-in", tmp_path / "key", "-inform", form, "-pubout")) == PUBLIC


def test_our_forms_are_openssls_byte_for_byte(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(private_to_pkcs8(PRIVATE, pem=True, public=PUBLIC))
    assert openssl("pkey", "-in", key) == key.read_bytes()
    assert openssl("pkey", "-in", key, "-pubout") == public_to_spki(PUBLIC, pem=True)
    assert openssl("ec", "-in", key, "-outform", "DER") == private_to_sec1(PRIVATE, PUBLIC, pem=False)


def test_openssl_opens_our_encrypted_key(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(sealed(b"secret", pem=True))
    assert read_public(openssl("pkey", "-in", tmp_path / "key.pem", "-passin", "pass:secret", "-pubout")) == PUBLIC
    openssl("pkey", "-in", tmp_path / "key.pem", "-passin", "pass:Secret", ok=False)


def test_openssl_signs_with_our_key_and_verifies_with_our_public_key(libcrypto: Sm2Backend, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(private_to_pkcs8(PRIVATE, pem=True, public=PUBLIC))
    (tmp_path / "public.pem").write_bytes(public_to_spki(PUBLIC, pem=True))
    (tmp_path / "message").write_bytes(b"message digest")
    options = ("-rawin", "-digest", "sm3", "-pkeyopt", f"distid:{DEFAULT_ID}", "-in", tmp_path / "message")
    signature = openssl("pkeyutl", "-sign", "-inkey", tmp_path / "key.pem", *options)
    libcrypto.verify(PUBLIC, b"message digest", rs_from_der(signature), SM2_DEFAULT_ID)
    (tmp_path / "signature").write_bytes(signature)
    openssl(
        "pkeyutl", "-verify", "-pubin", "-inkey", tmp_path / "public.pem", *options, "-sigfile", tmp_path / "signature"
    )
    opened = openssl(
        *("pkeyutl", "-decrypt", "-inkey", tmp_path / "key.pem"),
        stdin=openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", tmp_path / "public.pem", stdin=b"sealed"),
    )
    assert opened == b"sealed"


# What is refused

CURVE = der.oid(OID_SM2_CURVE)
EC = der.oid(OID_EC_PUBLIC_KEY)
ALGORITHM = der.sequence(EC, CURVE)
D = der.octet_string(PRIVATE)
POINT = der.bit_string(b"\x04" + PUBLIC)
OTHER_POINT = der.bit_string(b"\x04" + GX.to_bytes(32, "big") + GY.to_bytes(32, "big"))
P256 = der.oid("1.2.840.10045.3.1.7")


def sec1(*parts: bytes) -> bytes:
    return der.sequence(*parts)


def pkcs8(key: bytes, *, version: int = 0, algorithm: bytes = ALGORITHM, behind: bytes = b"") -> bytes:
    return der.sequence(der.integer(version), algorithm, der.octet_string(key), behind)


ONE = der.integer(1)
NAMED = der.explicit(0, CURVE)
PLAIN_KEY = sec1(ONE, D)
BAD_PRIVATE_FILES = {
    "empty": (b"", "der_truncated"),
    "text": (b"hello", "der_type"),
    "d is zero": (pkcs8(sec1(ONE, der.octet_string(bytes(32)))), "range"),
    "d is n - 1": (pkcs8(sec1(ONE, der.octet_string((N - 1).to_bytes(32, "big")))), "range"),
    "d is n": (sec1(ONE, der.octet_string(N.to_bytes(32, "big")), NAMED), "range"),
    "d has 31 octets": (sec1(ONE, der.octet_string(PRIVATE[1:]), NAMED), "length"),
    "d has 33 octets": (pkcs8(sec1(ONE, der.octet_string(b"\0" + PRIVATE))), "length"),
    "the public key is another one": (pkcs8(sec1(ONE, D, der.explicit(1, OTHER_POINT))), "public_mismatch"),
    "the public key of SEC1 is another one": (sec1(ONE, D, NAMED, der.explicit(1, OTHER_POINT)), "public_mismatch"),
    "the public key of version 1 is another one": (
        pkcs8(PLAIN_KEY, version=1, behind=der.tlv(0x81, b"\0\x04" + GX.to_bytes(32, "big") + GY.to_bytes(32, "big"))),
        "public_mismatch",
    ),
    "the public key is off the curve": (
        pkcs8(sec1(ONE, D, der.explicit(1, der.bit_string(b"\x04" + PUBLIC[:-1] + b"\x14")))),
        "off_curve",
    ),
    "the public key has the hybrid form": (
        pkcs8(sec1(ONE, D, der.explicit(1, der.bit_string(b"\x07" + PUBLIC)))),
        "point_form",
    ),
    "the public key is infinity": (pkcs8(sec1(ONE, D, der.explicit(1, der.bit_string(b"\0")))), "point_form"),
    "SEC1 without a curve": (PLAIN_KEY, "curve_missing"),
    "SEC1 on P-256": (sec1(ONE, D, der.explicit(0, P256)), "curve"),
    "SEC1 with parameters spelt out": (sec1(ONE, D, der.explicit(0, der.sequence(ONE))), "explicit_curve"),
    "SEC1 of version 2": (sec1(der.integer(2), D, NAMED), "sec1_version"),
    "SEC1 with something behind": (sec1(ONE, D, NAMED, der.null()), "der_trailing"),
    "SEC1 with its parts exchanged": (sec1(ONE, D, der.explicit(1, POINT), NAMED), "curve_missing"),
    "PKCS#8 of an RSA key": (
        pkcs8(PLAIN_KEY, algorithm=der.sequence(der.oid("1.2.840.113549.1.1.1"), der.null())),
        "algorithm",
    ),
    "PKCS#8 on P-256": (pkcs8(PLAIN_KEY, algorithm=der.sequence(EC, P256)), "curve"),
    "PKCS#8 without a curve": (pkcs8(PLAIN_KEY, algorithm=der.sequence(EC)), "curve_missing"),
    "PKCS#8 with a NULL for a curve": (pkcs8(PLAIN_KEY, algorithm=der.sequence(EC, der.null())), "curve_missing"),
    "PKCS#8 with parameters spelt out": (
        pkcs8(PLAIN_KEY, algorithm=der.sequence(EC, der.sequence())),
        "explicit_curve",
    ),
    "PKCS#8 with a second parameter": (pkcs8(PLAIN_KEY, algorithm=der.sequence(EC, CURVE, der.null())), "der_trailing"),
    "PKCS#8 whose key is on P-256": (pkcs8(sec1(ONE, D, der.explicit(0, P256))), "curve"),
    "PKCS#8 of version 2": (pkcs8(PLAIN_KEY, version=2), "pkcs8_version"),
    "PKCS#8 with attributes": (pkcs8(PLAIN_KEY, behind=der.explicit(0)), "pkcs8_attributes"),
    "PKCS#8 with something behind": (pkcs8(PLAIN_KEY, behind=der.null()), "der_trailing"),
    "PKCS#8 of version 0 with a public key behind": (
        pkcs8(PLAIN_KEY, behind=der.tlv(0x81, b"\0\x04" + PUBLIC)),
        "der_trailing",
    ),
    "a byte behind the key": (private_to_pkcs8(PRIVATE, pem=False) + b"\0", "der_trailing"),
    "a length in a longer form": (b"\x30\x81" + private_to_pkcs8(PRIVATE, pem=False)[1:], "der_length"),
    "a certificate's label": (pem_encode("CERTIFICATE", PLAIN_KEY), "pem_label"),
    "an RSA key's label": (pem_encode("RSA PRIVATE KEY", PLAIN_KEY), "pem_label"),
    "two keys": (private_to_pkcs8(PRIVATE, pem=True) * 2, "pem_one_block"),
    "parameters alone": (pem_encode("SM2 PARAMETERS", CURVE), "pem_label"),
    "parameters of P-256 in front": (
        pem_encode("EC PARAMETERS", P256) + private_to_sec1(PRIVATE, PUBLIC, pem=True),
        "curve",
    ),
    "parameters spelt out in front": (
        pem_encode("EC PARAMETERS", der.sequence(ONE)) + private_to_sec1(PRIVATE, PUBLIC, pem=True),
        "explicit_curve",
    ),
    "parameters with something behind": (
        pem_encode("EC PARAMETERS", CURVE + der.null()) + private_to_sec1(PRIVATE, PUBLIC, pem=True),
        "der_trailing",
    ),
    "parameters behind the key": (
        private_to_sec1(PRIVATE, PUBLIC, pem=True) + pem_encode("EC PARAMETERS", CURVE),
        "pem_one_block",
    ),
    "a large file": (b"-" * (MAX_KEY_FILE_BYTES + 1), "too_large"),
}


@pytest.mark.parametrize(("data", "rule"), BAD_PRIVATE_FILES.values(), ids=BAD_PRIVATE_FILES.keys())
def test_a_private_key_file_is_refused_by_its_rule(libcrypto: Sm2Backend, data: bytes, rule: str) -> None:
    refused = refusal_of(data, libcrypto)
    assert (refused.field, refused.rule) == ("private", rule)


@pytest.mark.parametrize("private", [b"", bytes(32), (N - 1).to_bytes(32, "big"), PRIVATE + b"\0"])
def test_no_key_out_of_range_is_written(private: bytes) -> None:
    with pytest.raises(KeyRefused):
        private_to_pkcs8(private, pem=True)
    with pytest.raises(KeyRefused):
        private_to_sec1(private, None, pem=True)


def spki(point: bytes, *, algorithm: bytes = ALGORITHM, unused: int = 0) -> bytes:
    return der.sequence(algorithm, der.bit_string(point, unused))


NO_SQUARE = next(x for x in range(1, 100) if pow(x**3 + plain.A * x + plain.B, (P - 1) // 2, P) != 1)
BAD_PUBLIC_FILES = {
    "off the curve": (spki(b"\x04" + PUBLIC[:-1] + b"\x14"), "off_curve"),
    "x is p": (spki(b"\x04" + P.to_bytes(32, "big") + PUBLIC[32:]), "coordinate_range"),
    "zero": (spki(b"\x04" + bytes(64)), "off_curve"),
    "infinity": (spki(b"\0"), "point_form"),
    "no point": (spki(b""), "point_form"),
    "63 octets": (spki(b"\x04" + PUBLIC[1:]), "point_form"),
    "hybrid": (spki(b"\x07" + PUBLIC), "point_form"),
    "compressed with no y": (spki(b"\x02" + NO_SQUARE.to_bytes(32, "big")), "off_curve"),
    "compressed with x above p": (spki(b"\x02" + (P + GX % 5).to_bytes(32, "big")), "coordinate_range"),
    "unused bits": (spki(b"\x04" + PUBLIC[:-1] + b"\0", unused=3), "point_form"),
    "P-256": (spki(b"\x04" + PUBLIC, algorithm=der.sequence(EC, P256)), "curve"),
    "RSA": (spki(b"\x04" + PUBLIC, algorithm=der.sequence(der.oid("1.2.840.113549.1.1.1"), der.null())), "algorithm"),
    "spelt out": (spki(b"\x04" + PUBLIC, algorithm=der.sequence(EC, der.sequence(ONE))), "explicit_curve"),
    "something behind": (public_to_spki(PUBLIC, pem=False) + b"\0", "der_trailing"),
    "a private key": (private_to_pkcs8(PRIVATE, pem=False), "der_type"),
    "a private key in PEM": (private_to_pkcs8(PRIVATE, pem=True), "pem_label"),
    "empty": (b"", "der_truncated"),
}


@pytest.mark.parametrize(("data", "rule"), BAD_PUBLIC_FILES.values(), ids=BAD_PUBLIC_FILES.keys())
def test_a_public_key_file_is_refused_by_its_rule(data: bytes, rule: str) -> None:
    with pytest.raises(TrustError) as refused:
        read_public(data)
    assert (refused.value.field, refused.value.rule) == ("public", rule)


def test_the_old_encryption_of_openssl_is_refused_by_name(libcrypto: Sm2Backend, tmp_path: Path) -> None:
    key = new_key(tmp_path / "key.pem")
    written = openssl("ec", "-in", key, "-aes256", "-passout", "pass:abc")
    assert b"Proc-Type" in written
    refused = refusal_of(written, libcrypto, b"abc")
    assert (refused.field, refused.rule) == ("private", "pem_headers")


def test_openssl_keys_of_other_kinds_are_refused(libcrypto: Sm2Backend, tmp_path: Path) -> None:
    p256 = new_key(tmp_path / "p256.pem", curve="P-256")
    for made, rule in (
        (p256.read_bytes(), "curve"),
        (openssl("genpkey", "-algorithm", "ED25519"), "algorithm"),
        (openssl("ecparam", "-name", "SM2", "-param_enc", "explicit", "-genkey", "-noout"), "explicit_curve"),
    ):
        assert refusal_of(made, libcrypto).rule == rule
    with pytest.raises(KeyRefused) as refused:
        read_public(openssl("pkey", "-in", p256, "-pubout"))
    assert refused.value.rule == "curve"


def test_a_wrong_password_is_one_refusal_whatever_it_leads_to(libcrypto: Sm2Backend) -> None:
    data = sealed()
    seen = {
        (type(refused), refused.field, refused.rule)
        for refused in (refusal_of(data, libcrypto, f"wrong {number}".encode()) for number in range(600))
    }
    # About two of the 600 leave padding that looks right.
    assert seen == {(DecryptionFailed, "private", "password_or_damage")}


def test_a_missing_password_is_said(libcrypto: Sm2Backend) -> None:
    refused = refusal_of(sealed(), libcrypto)
    assert (refused.code, refused.field, refused.rule) == ("crypto.key_refused", "password", "missing")


@pytest.mark.parametrize("password", [b"", b"x" * 1025])
def test_an_empty_or_overlong_password_is_refused_both_ways(libcrypto: Sm2Backend, password: bytes) -> None:
    with pytest.raises(KeyRefused) as refused:
        sealed(password)
    assert refused.value.field == "password"
    assert refusal_of(sealed(), libcrypto, password).field == "password"


@pytest.mark.parametrize("iterations", [0, 1, MIN_WRITE_ITERATIONS - 1, MAX_ITERATIONS + 1])
def test_iterations_outside_the_bounds_are_not_written(iterations: int) -> None:
    with pytest.raises(KeyRefused):
        pbes2_encrypt(b"x", PASSWORD, prf=Prf.HMAC_SM3, iterations=iterations, random_bytes=os.urandom)


SALT = der.octet_string(bytes(16))
COST = der.integer(MIN_READ_ITERATIONS)
SHA256 = der.sequence(der.oid(Prf.HMAC_SHA256.value), der.null())
SM4_CBC = der.sequence(der.oid("1.2.156.10197.1.104.2"), der.octet_string(bytes(16)))
BODY = der.octet_string(bytes(16))
PBES2 = "1.2.840.113549.1.5.13"
PBKDF2 = "1.2.840.113549.1.5.12"


def envelope(
    *parameters: bytes, cipher: bytes = SM4_CBC, body: bytes = BODY, scheme: str = PBES2, kdf: str = PBKDF2
) -> bytes:
    derivation = der.sequence(der.oid(kdf), der.sequence(*parameters))
    return der.sequence(der.sequence(der.oid(scheme), der.sequence(derivation, cipher)), body)


BAD_ENVELOPES = {
    "another scheme": (envelope(SALT, COST, SHA256, scheme="1.2.840.113549.1.12.1.3"), KeyRefused, "encryption_scheme"),
    "another derivation": (envelope(SALT, COST, kdf="1.3.6.1.4.1.11591.4.11"), KeyRefused, "key_derivation"),
    "another PRF": (
        envelope(SALT, COST, der.sequence(der.oid("1.2.840.113549.2.8"), der.null())),
        KeyRefused,
        "key_derivation_prf",
    ),
    "a PRF without NULL": (
        envelope(SALT, COST, der.sequence(der.oid(Prf.HMAC_SM3.value))),
        EncodingRefused,
        "der_truncated",
    ),
    "the default PRF written out": (
        envelope(SALT, COST, der.sequence(der.oid("1.2.840.113549.2.7"), der.null())),
        EncodingRefused,
        "der_default",
    ),
    "one iteration": (envelope(SALT, der.integer(1), SHA256), KeyRefused, "iterations"),
    "no iteration": (envelope(SALT, der.integer(0), SHA256), KeyRefused, "iterations"),
    "negative iterations": (envelope(SALT, der.integer(-5000), SHA256), KeyRefused, "iterations"),
    "iterations for minutes": (envelope(SALT, der.integer(MAX_ITERATIONS + 1), SHA256), KeyRefused, "iterations"),
    "iterations for ages": (envelope(SALT, der.integer(2**400), SHA256), KeyRefused, "iterations"),
    "a short salt": (envelope(der.octet_string(b"1234567"), COST, SHA256), KeyRefused, "salt_length"),
    "a long salt": (envelope(der.octet_string(bytes(129)), COST, SHA256), KeyRefused, "salt_length"),
    "another key length": (envelope(SALT, COST, der.integer(32), SHA256), EncodingRefused, "key_length"),
    "DES": (
        envelope(SALT, COST, SHA256, cipher=der.sequence(der.oid("1.2.840.113549.3.7"), der.octet_string(bytes(8)))),
        KeyRefused,
        "encryption_cipher",
    ),
    "a short IV": (
        envelope(
            SALT, COST, SHA256, cipher=der.sequence(der.oid("1.2.156.10197.1.104.2"), der.octet_string(bytes(12)))
        ),
        EncodingRefused,
        "encryption_length",
    ),
    "no body": (envelope(SALT, COST, SHA256, body=der.octet_string(b"")), EncodingRefused, "encryption_length"),
    "half a block": (
        envelope(SALT, COST, SHA256, body=der.octet_string(bytes(24))),
        EncodingRefused,
        "encryption_length",
    ),
    "something behind": (envelope(SALT, COST, SHA256, der.null()), EncodingRefused, "der_trailing"),
    "a large body": (
        envelope(SALT, COST, SHA256, body=der.octet_string(bytes(4096))),
        EncodingRefused,
        "der_too_large",
    ),
}


@pytest.mark.parametrize(("data", "kind", "rule"), BAD_ENVELOPES.values(), ids=BAD_ENVELOPES.keys())
def test_an_envelope_is_refused_by_its_rule(
    libcrypto: Sm2Backend, data: bytes, kind: type[TrustError], rule: str
) -> None:
    refused = refusal_of(data, libcrypto, PASSWORD)
    assert (type(refused), refused.rule) == (kind, rule)


def test_the_other_object_identifier_of_hmac_sm3_opens_too() -> None:
    data = pbes2_encrypt(b"plain", PASSWORD, prf=Prf.HMAC_SM3, iterations=MIN_WRITE_ITERATIONS, random_bytes=os.urandom)
    ours, theirs = der.oid(Prf.HMAC_SM3.value), der.oid("1.2.156.10197.1.401.3.1")
    outer = der.read_der(data, field="x")
    algorithm = outer.sequence()
    algorithm.oid()
    derivation = algorithm.sequence()
    pbkdf2 = derivation.sequence()
    pbkdf2.oid()
    parameters = pbkdf2.sequence()
    salt, cost = parameters.element().encoded, parameters.element().encoded
    assert ours in parameters.element().encoded
    rewritten = envelope(
        salt, cost, der.sequence(theirs, der.null()), cipher=derivation.element().encoded, body=outer.element().encoded
    )
    assert pbes2_decrypt(rewritten, PASSWORD, field="x") == b"plain"


# Nothing but a refusal


SEEDS = (
    private_to_pkcs8(PRIVATE, pem=False, public=PUBLIC),
    private_to_pkcs8(PRIVATE, pem=True),
    private_to_sec1(PRIVATE, PUBLIC, pem=False),
    private_to_sec1(PRIVATE, PUBLIC, pem=True),
    envelope(SALT, COST, SHA256),
    public_to_spki(PUBLIC, pem=False),
    public_to_spki(PUBLIC, pem=True),
)


@settings(deadline=None, max_examples=400)
@given(st.sampled_from(SEEDS), st.data())
def test_a_mutated_file_holds_a_key_in_range_or_is_refused(seed: bytes, data: st.DataObject) -> None:
    changed = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(seed) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(changed[: data.draw(st.integers(0, len(seed)))] if data.draw(st.booleans()) else changed)
    backend = loaded()
    with suppress(TrustError):
        backend.public_of(read_private(cut, password=PASSWORD, backend=backend))
    with suppress(TrustError):
        backend.public_key(read_public(cut))


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=300))
def test_whatever_bytes_come_only_a_refusal_comes_out(data: bytes) -> None:
    backend = loaded()
    with pytest.raises(TrustError):
        read_private(data, password=PASSWORD, backend=backend)
    with pytest.raises(TrustError):
        read_public(data)
