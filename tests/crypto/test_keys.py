from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from hypothesis import given
from hypothesis import strategies as st

from crypto.encoding import b64u_decode, b64u_encode
from crypto.errors import KeyRefused, SignatureInvalid, TrustError
from crypto.keys import (
    SigningKey,
    export_private,
    generate_signing_key,
    jwks_document,
    native_private,
    natural_alg,
    parse_jwks,
    public_from_jwk,
    signing_key_from_bytes,
    signing_key_from_jwk,
    thumbprint,
    verification_backend,
)
from crypto.rsa_strength import check_rsa
from crypto.sm2 import Sm2Backend
from crypto.sm2_gmssl import GmsslBackend, Sm2SigningRefused
from crypto.suites import Alg

Keys = Mapping[Alg, SigningKey]


def changed(key: SigningKey, **members: object) -> dict[str, Any]:
    jwk: dict[str, Any] = {**key.public.jwk, **members}
    return {name: value for name, value in jwk.items() if value is not ...}


@pytest.mark.parametrize("alg", list(Alg))
def test_a_key_survives_export_and_import(signing_keys: Keys, libcrypto: Sm2Backend, alg: Alg) -> None:
    key = signing_keys[alg]
    again = signing_key_from_bytes(export_private(key), backend=libcrypto)
    assert again.public == key.public
    key.public.verify(b"data", again.sign(b"data"))


@pytest.mark.parametrize("alg", list(Alg))
def test_no_secret_shows_in_a_repr(signing_keys: Keys, alg: Alg) -> None:
    key = signing_keys[alg]
    shown = repr(key) + str(key) + f"{key}"
    assert all(value not in shown for name, value in key.private_jwk.items() if name not in key.public.jwk)
    assert not {"d", "p", "q", "dp", "dq", "qi"} & key.public.jwk.keys()


@pytest.mark.parametrize("alg", list(Alg))
def test_a_changed_byte_or_signature_is_refused(signing_keys: Keys, alg: Alg) -> None:
    key = signing_keys[alg]
    signature = key.sign(b"data")
    for data, bad in ((b"dat", signature), (b"data", signature[:-1]), (b"data", b""), (b"data", bytes(len(signature)))):
        with pytest.raises(SignatureInvalid):
            key.public.verify(data, bad)


def test_the_key_id_is_the_rfc_7638_thumbprint() -> None:
    # RFC 7638 §3.1
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3okn"
        "jhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qM"
        "QvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJz"
        "KnqDKgw"
    )
    jwk = {"kty": "RSA", "n": modulus, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}
    assert thumbprint(jwk) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    assert public_from_jwk(jwk, alg=Alg.RS256).kid == "2011-04-29"
    assert public_from_jwk({**jwk, "kid": None}, alg=Alg.RS256).kid == thumbprint(jwk)


@pytest.mark.parametrize("name", ["sm2p256v1", "SM2-P-256", "SM2"])
def test_every_name_of_the_sm2_curve_is_read_and_one_is_written(signing_keys: Keys, name: str) -> None:
    key = signing_keys[Alg.SGD_SM3_SM2]
    read = public_from_jwk(changed(key, crv=name), alg=Alg.SGD_SM3_SM2)
    assert read.jwk["crv"] == "sm2p256v1"
    assert thumbprint(changed(key, crv=name)) == key.kid
    assert natural_alg(changed(key, crv=name, alg=...)) is Alg.SGD_SM3_SM2


@pytest.mark.parametrize("alg", list(Alg))
@pytest.mark.parametrize("wanted", list(Alg))
def test_a_key_serves_its_own_algorithm_only(signing_keys: Keys, alg: Alg, wanted: Alg) -> None:
    jwk = dict(signing_keys[alg].public.jwk)
    if wanted is alg:
        assert public_from_jwk(jwk, alg=wanted) == signing_keys[alg].public
        return
    with pytest.raises(KeyRefused):
        public_from_jwk(jwk, alg=wanted)
    jwk["alg"] = wanted.value
    if {alg, wanted} == {Alg.RS256, Alg.PS256}:
        assert public_from_jwk(jwk, alg=wanted).alg is wanted
        return
    with pytest.raises(KeyRefused):
        public_from_jwk(jwk, alg=wanted)


@pytest.mark.parametrize(
    "members",
    [
        {"d": "AA"},
        {"k": "AA"},
        {"use": "enc"},
        {"use": None},
        {"key_ops": ["sign"]},
        {"key_ops": ["verify", "encrypt"]},
        {"key_ops": "verify"},
        {"key_ops": []},
        {"kid": ""},
        {"kid": 1},
        {"kid": "x" * 257},
        {"kid": "a\nb"},
        {"kty": "oct"},
        {"kty": "RSA"},
        {"kty": ...},
        {"crv": "P-256"},
        {"crv": "P-384"},
        {"crv": "secp256k1"},
        {"crv": ...},
        {"x": ...},
        {"x": 1},
        {"x": ""},
        {"x": "AA"},
        {"y": "A" * 43},
        {"y": ...},
    ],
)
def test_an_unfit_sm2_key_is_refused(signing_keys: Keys, members: dict[str, object]) -> None:
    with pytest.raises(TrustError):
        public_from_jwk(changed(signing_keys[Alg.SGD_SM3_SM2], **members), alg=Alg.SGD_SM3_SM2)


def test_coordinates_keep_their_leading_zeros_and_their_one_encoding(signing_keys: Keys) -> None:
    key = signing_keys[Alg.ES256]
    x = b64u_decode(key.public.jwk["x"])
    unused = key.public.jwk["x"][:-1] + chr(ord(key.public.jwk["x"][-1]) + 1)
    for text in (b64u_encode(b"\0" + x), b64u_encode(x[:-1]), key.public.jwk["x"] + "=", unused):
        with pytest.raises(TrustError):
            public_from_jwk(changed(key, x=text), alg=Alg.ES256)


def test_points_off_the_curve_are_refused(signing_keys: Keys) -> None:
    for alg in (Alg.ES256, Alg.SGD_SM3_SM2):
        key = signing_keys[alg]
        for members in (
            {"x": key.public.jwk["y"], "y": key.public.jwk["x"]},
            {"x": b64u_encode(bytes(32)), "y": b64u_encode(bytes(32))},
            {"x": b64u_encode(b"\xff" * 32)},
        ):
            with pytest.raises(KeyRefused):
                public_from_jwk(changed(key, **members), alg=alg)
    other = signing_keys[Alg.SGD_SM3_SM2].public.jwk
    with pytest.raises(KeyRefused):
        public_from_jwk(changed(signing_keys[Alg.ES256], x=other["x"], y=other["y"]), alg=Alg.ES256)


def rsa_jwk(bits: int) -> dict[str, Any]:
    numbers = rsa.generate_private_key(65537, bits).public_key().public_numbers()
    return {"kty": "RSA", "n": b64u_encode(numbers.n.to_bytes(bits // 8, "big")), "e": "AQAB", "kid": "r"}


@pytest.mark.parametrize("bits", [1024, 1536])
def test_short_rsa_keys_are_refused_without_a_warning_being_enough(bits: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jwk = rsa_jwk(bits)
        with pytest.raises(KeyRefused) as refused:
            public_from_jwk(jwk, alg=Alg.RS256)
    assert refused.value.rule == "rsa_too_short"


@pytest.mark.parametrize("e", [1, 2, 3, 17, 65536, 65538, 2**32 + 1])
def test_odd_rsa_exponents_of_fips_186_only(signing_keys: Keys, e: int) -> None:
    encoded = b64u_encode(e.to_bytes((e.bit_length() + 7) // 8, "big"))
    with pytest.raises(KeyRefused):
        public_from_jwk(changed(signing_keys[Alg.RS256], e=encoded), alg=Alg.RS256)


def test_rsa_numbers_have_no_leading_zeros_and_no_even_or_endless_modulus(signing_keys: Keys) -> None:
    key = signing_keys[Alg.RS256]
    n = b64u_decode(key.public.jwk["n"])
    for modulus in (b"\0" + n, n[:-1] + bytes((n[-1] & 0xFE,)), b"\xff" * 1025, b"\xff" * 100_000, b"\0"):
        with pytest.raises(KeyRefused):
            public_from_jwk(changed(key, n=b64u_encode(modulus)), alg=Alg.RS256)
    with pytest.raises(KeyRefused):
        public_from_jwk(changed(key, e="AAEAAQ"), alg=Alg.RS256)


def primorial(count: int) -> int:
    product, candidate, found = 1, 2, 0
    while found < count:
        if all(candidate % divisor for divisor in range(2, int(candidate**0.5) + 1)):
            product, found = product * candidate, found + 1
        candidate += 1
    return product


# The product the flawed generator used for keys of 2048 bits (Nemec et al., CCS 2017, table 1).
ROCA_M = primorial(126)
EXPONENTS = st.integers(0, 2**60)
FACTORS = st.integers(2**60, 2**61)


@given(FACTORS, EXPONENTS, FACTORS, EXPONENTS)
def test_every_modulus_of_the_roca_form_is_refused(k: int, a: int, m: int, b: int) -> None:
    # Primality plays no part in the fingerprint, so the factors need not be prime.
    modulus = (k * ROCA_M + pow(65537, a, ROCA_M)) * (m * ROCA_M + pow(65537, b, ROCA_M))
    with pytest.raises(KeyRefused) as refused:
        check_rsa(modulus, 65537)
    assert refused.value.rule == "rsa_roca"


def test_private_and_public_halves_must_belong_together(signing_keys: Keys, libcrypto: Sm2Backend) -> None:
    for alg in (Alg.SGD_SM3_SM2, Alg.ES256, Alg.EDDSA):
        key, other = signing_keys[alg], generate_signing_key(alg, backend=libcrypto)
        mixed = {**other.private_jwk, **key.public.jwk}
        with pytest.raises(KeyRefused):
            signing_key_from_jwk(mixed, alg=alg, backend=libcrypto)
    rsa_key = signing_keys[Alg.RS256]
    mixed = {**rsa_key.private_jwk, "n": signing_keys[Alg.PS256].public.jwk["n"]}
    with pytest.raises(KeyRefused):
        signing_key_from_jwk(mixed, alg=Alg.RS256, backend=libcrypto)


@pytest.mark.parametrize(
    "data", [b"", b"{}", b'{"alg":"HS256","k":"AA","kty":"oct"}', b'{"alg":"ES256","kty":"EC"}', b"[]"]
)
def test_what_is_no_private_key_is_refused(libcrypto: Sm2Backend, data: bytes) -> None:
    with pytest.raises(TrustError):
        signing_key_from_bytes(data, backend=libcrypto)


def test_a_private_key_without_its_private_member_is_refused(signing_keys: Keys, libcrypto: Sm2Backend) -> None:
    for alg in Alg:
        with pytest.raises(KeyRefused):
            signing_key_from_jwk(signing_keys[alg].public.jwk, alg=alg, backend=libcrypto)


def test_the_pure_python_backend_takes_no_private_key_in_production(signing_keys: Keys) -> None:
    production = GmsslBackend(random_bytes=None)
    exported = export_private(signing_keys[Alg.SGD_SM3_SM2])
    with pytest.raises(Sm2SigningRefused):
        signing_key_from_bytes(exported, backend=production)
    with pytest.raises(Sm2SigningRefused):
        generate_signing_key(Alg.SGD_SM3_SM2, backend=production)
    signature = signing_keys[Alg.SGD_SM3_SM2].sign(b"data")
    public_from_jwk(signing_keys[Alg.SGD_SM3_SM2].public.jwk, alg=Alg.SGD_SM3_SM2, backend=production).verify(
        b"data", signature
    )


def test_pkcs8_is_for_interop_keys(signing_keys: Keys) -> None:
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    native = load_der_private_key(signing_keys[Alg.ES256].pkcs8(), None)
    assert isinstance(native, EllipticCurvePrivateKey)
    x = native.public_key().public_numbers().x
    assert b64u_encode(x.to_bytes(32, "big")) == signing_keys[Alg.ES256].public.jwk["x"]
    with pytest.raises(KeyRefused):
        signing_keys[Alg.SGD_SM3_SM2].pkcs8()
    with pytest.raises(KeyRefused):
        native_private(signing_keys[Alg.SGD_SM3_SM2])


def test_a_set_yields_the_keys_of_the_algorithm_asked_for(signing_keys: Keys) -> None:
    document = jwks_document(key.public for key in signing_keys.values())
    strangers: list[dict[str, Any]] = [
        {"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA", "kid": "p521"},
        {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA", "kid": "future"},
        {"kty": "OKP", "crv": "X25519", "x": "AA", "kid": "exchange"},
        {**signing_keys[Alg.ES256].public.jwk, "use": "enc", "kid": "encryption"},
    ]
    text = json.dumps({"keys": [*document["keys"], *strangers], "more": 1})
    for alg in Alg:
        assert [key.kid for key in parse_jwks(text, alg=alg)] == [signing_keys[alg].kid]


def test_a_set_with_a_bad_member_is_refused_whole(signing_keys: Keys) -> None:
    good = dict(signing_keys[Alg.ES256].public.jwk)
    for bad in (
        {"kty": "oct", "k": "AAAA", "kid": "s"},
        {"kty": "oct", "kid": "s"},
        dict(signing_keys[Alg.EDDSA].private_jwk),
        good,
        {**good, "x": "AA", "kid": "other"},
        {**rsa_jwk(1024)},
        "text",
        None,
    ):
        with pytest.raises(TrustError):
            parse_jwks({"keys": [good, bad]}, alg=Alg.ES256)
    shapes: list[Any] = [{}, {"keys": {}}, {"keys": [good] * 65}, b"[]", b" " * 70_000, '{"keys":[],"keys":[]}']
    for shape in shapes:
        with pytest.raises(TrustError):
            parse_jwks(shape, alg=Alg.ES256)


def test_keys_passed_over_may_not_share_a_key_id_either(signing_keys: Keys) -> None:
    good = dict(signing_keys[Alg.ES256].public.jwk)
    stranger = {"kty": "OKP", "crv": "X25519", "x": "AA", "kid": "twice"}
    assert len(parse_jwks({"keys": [good, stranger]}, alg=Alg.ES256)) == 1
    with pytest.raises(KeyRefused) as refused:
        parse_jwks({"keys": [good, stranger, {**stranger, "crv": "X448"}]}, alg=Alg.ES256)
    assert refused.value.rule == "duplicate"


def test_two_nameless_copies_of_one_key_are_a_duplicate(signing_keys: Keys) -> None:
    nameless = changed(signing_keys[Alg.ES256], kid=...)
    with pytest.raises(KeyRefused):
        parse_jwks({"keys": [nameless, nameless]}, alg=Alg.ES256)


def test_a_document_with_a_duplicate_key_id_is_never_published(signing_keys: Keys) -> None:
    key = signing_keys[Alg.ES256].public
    with pytest.raises(KeyRefused):
        jwks_document([key, key])


def test_a_key_without_an_algorithm_has_the_one_its_curve_serves(signing_keys: Keys) -> None:
    for alg in (Alg.SGD_SM3_SM2, Alg.ES256, Alg.EDDSA):
        assert natural_alg(changed(signing_keys[alg], alg=...)) is alg
    for jwk in (changed(signing_keys[Alg.RS256], alg=...), {"kty": "EC", "crv": "P-384"}, {"alg": "none"}, {}):
        with pytest.raises(KeyRefused):
            natural_alg(jwk)


@pytest.mark.parametrize(
    "jwk", [{}, {"kty": "oct", "k": "AA"}, {"kty": "EC", "crv": "P-256"}, {"kty": "RSA", "n": 1, "e": 2}]
)
def test_what_has_no_thumbprint_is_refused(jwk: dict[str, object]) -> None:
    with pytest.raises(KeyRefused):
        thumbprint(jwk)


MEMBERS = st.sampled_from(["kty", "crv", "x", "y", "d", "n", "e", "k", "use", "alg", "key_ops", "kid", "p", "other"])
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=50)
    | st.lists(st.text(max_size=8), max_size=2)
    | st.dictionaries(st.text(max_size=3), st.integers(), max_size=1)
    | st.sampled_from(["EC", "RSA", "OKP", "oct", "P-256", "sm2p256v1", "Ed25519", "enc", "sig", "AQAB", "A" * 43])
)


@given(st.dictionaries(MEMBERS, VALUES), st.sampled_from(Alg))
def test_no_jwk_crashes_the_reader(
    signing_keys: Keys, libcrypto: Sm2Backend, members: dict[str, object], alg: Alg
) -> None:
    readers: tuple[Callable[[Mapping[str, Any]], object], ...] = (
        partial(public_from_jwk, alg=alg),
        partial(signing_key_from_jwk, alg=alg, backend=libcrypto),
        lambda jwk: parse_jwks({"keys": [jwk]}, alg=alg),
        natural_alg,
        thumbprint,
    )
    for jwk in (members, {**signing_keys[alg].public.jwk, **members}, {**signing_keys[alg].private_jwk, **members}):
        for read in readers:
            try:
                read(jwk)
            except TrustError:
                continue


@pytest.mark.parametrize("alg", [Alg.SGD_SM3_SM2, Alg.ES256, Alg.EDDSA])
def test_a_private_scalar_has_its_full_length(signing_keys: Keys, libcrypto: Sm2Backend, alg: Alg) -> None:
    d = b64u_decode(signing_keys[alg].private_jwk["d"])
    for other in (d[1:], b"\0" + d, b""):
        with pytest.raises(TrustError):
            signing_key_from_jwk({**signing_keys[alg].private_jwk, "d": b64u_encode(other)}, alg=alg, backend=libcrypto)


def test_the_backend_for_verification_is_loaded_once() -> None:
    assert verification_backend() is verification_backend()
