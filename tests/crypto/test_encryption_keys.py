from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OKPKey

from crypto.encoding import b64u_decode, b64u_encode
from crypto.encryption_keys import (
    AGREEMENT,
    SHARED,
    SharedKey,
    decryption_key_from_bytes,
    decryption_key_from_jwk,
    encryption_jwks_document,
    export_decryption_key,
    generate_decryption_key,
    parse_encryption_jwks,
    recipient_from_jwk,
    shared_key,
    shared_key_from_jwk,
)
from crypto.errors import KeyRefused, TrustError
from crypto.jwe import decrypt_jwe, encrypt_jwe
from crypto.jwe_content import CEK_BYTES
from crypto.jwk import ThumbprintHash, thumbprint, thumbprint_sm3, thumbprint_uri, with_sm2_curve
from crypto.keys import generate_signing_key, jwks_document, parse_jwks, public_from_jwk
from crypto.sm2_curve import N, P
from crypto.suites import Alg, Enc, KeyAlg
from tests.crypto.jwe_forging import ANY_PAIR, KEY_PAIRS, backend, decryption_key

SM2, RSA, ECDH = KeyAlg.SGD_SM2_3, KeyAlg.RSA_OAEP_256, KeyAlg.ECDH_ES
X25519 = {"kty": "OKP", "crv": "X25519", "x": b64u_encode(bytes((9,)) + bytes(31))}


def changed(made_for: KeyAlg, /, **members: object) -> dict[str, Any]:
    jwk: dict[str, Any] = {**decryption_key(made_for).public.jwk, **members}
    return {name: value for name, value in jwk.items() if value is not ...}


def private(made_for: KeyAlg, /, **members: object) -> dict[str, Any]:
    jwk: dict[str, Any] = {**decryption_key(made_for).private_jwk, **members}
    return {name: value for name, value in jwk.items() if value is not ...}


def number(value: int, size: int = 32) -> str:
    return b64u_encode(value.to_bytes(size, "big"))


def x_of(alg: KeyAlg) -> bytes:
    return b64u_decode(decryption_key(alg).public.jwk["x"])


@pytest.mark.parametrize("alg", KEY_PAIRS)
def test_a_key_survives_export_and_import(alg: KeyAlg) -> None:
    key = decryption_key(alg)
    again = decryption_key_from_bytes(export_decryption_key(key), backend=backend())
    assert again.public == key.public
    assert dict(again.private_jwk) == dict(key.private_jwk)
    assert (key.public.jwk["use"], key.public.jwk["alg"]) == ("enc", alg.value)


@pytest.mark.parametrize("alg", KEY_PAIRS)
def test_no_secret_shows_in_a_repr(alg: KeyAlg) -> None:
    key = decryption_key(alg)
    shown = repr(key) + str(key)
    assert all(value not in shown for name, value in key.private_jwk.items() if name not in key.public.jwk)
    assert not {"d", "p", "q", "dp", "dq", "qi"} & key.public.jwk.keys()
    secret = shared_key(bytes(range(16)), kid="k", alg=KeyAlg.A128KW, enc=None)
    assert repr(secret.secret) not in repr(secret)


@pytest.mark.parametrize(
    ("made", "size"),
    [
        (ECKey.generate_key("P-256"), 32),
        (ECKey.generate_key("P-384"), 48),
        (ECKey.generate_key("P-521"), 66),
        (OKPKey.generate_key("X25519"), 32),
    ],
    ids=lambda value: value.curve_name if isinstance(value, (ECKey, OKPKey)) else str(value),
)
def test_agreement_is_on_every_curve_of_the_standard(made: ECKey | OKPKey, size: int) -> None:
    jwk = made.as_dict(private=True)
    key = decryption_key_from_jwk(jwk, alg=ECDH, backend=backend())
    assert len(b64u_decode(key.public.jwk["x"])) == size
    assert key.kid == thumbprint(jwk)
    token = encrypt_jwe(b"x", key=key.public, enc=Enc.A256GCM, policy=ANY_PAIR, random_bytes=os.urandom)
    assert decrypt_jwe(token, keys={key.kid: key}, policy=ANY_PAIR).plaintext == b"x"


NAMES = ("sm2p256v1", "SM2-P-256", "SM2")


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_the_sm2_curve_is_read_and_one_is_kept(name: str) -> None:
    key = decryption_key(SM2)
    assert recipient_from_jwk(changed(SM2, crv=name), alg=SM2, backend=backend()) == key.public
    assert decryption_key_from_jwk(private(SM2, crv=name), alg=SM2, backend=backend()).public == key.public


@pytest.mark.parametrize("name", ["sm2p256v1", "SM2-P-256"])
def test_a_deployment_chooses_the_name_it_writes_and_reads_it_back(name: str) -> None:
    reader, signer = decryption_key(SM2).public, generate_signing_key(Alg.SGD_SM3_SM2, backend=backend()).public
    interop = generate_signing_key(Alg.ES256, backend=backend()).public
    written = encryption_jwks_document([reader], sm2_curve=name)
    assert written["keys"][0]["crv"] == name
    assert parse_encryption_jwks(written, alg=SM2, backend=backend()) == (reader,)
    signing = jwks_document([signer, interop], sm2_curve=name)
    assert [member["crv"] for member in signing["keys"]] == [name, "P-256"]
    assert parse_jwks(signing, alg=Alg.SGD_SM3_SM2) == (signer,)


@pytest.mark.parametrize("name", ["SM2", "P-256", "", "sm2p256V1"])
def test_no_other_name_is_ever_written(name: str) -> None:
    with pytest.raises(KeyRefused):
        encryption_jwks_document([decryption_key(SM2).public], sm2_curve=name)
    with pytest.raises(KeyRefused):
        with_sm2_curve(decryption_key(SM2).public.jwk, name)
    with pytest.raises(KeyRefused):
        thumbprint(decryption_key(SM2).public.jwk, sm2_curve=name)


def test_a_thumbprint_is_of_the_required_members_in_order() -> None:
    import hashlib

    jwk = decryption_key(SM2).public.jwk
    data = f'{{"crv":"sm2p256v1","kty":"EC","x":"{jwk["x"]}","y":"{jwk["y"]}"}}'.encode()
    other = data.replace(b"sm2p256v1", b"SM2-P-256")
    for name in NAMES:
        read = {**jwk, "crv": name}
        assert thumbprint(read) == b64u_encode(hashlib.sha256(data).digest())
        assert thumbprint_sm3(read) == b64u_encode(hashlib.new("sm3", data).digest())
        assert thumbprint(read, sm2_curve="SM2-P-256") == b64u_encode(hashlib.sha256(other).digest())
        assert thumbprint_sm3(read, sm2_curve="SM2-P-256") == b64u_encode(hashlib.new("sm3", other).digest())


def test_the_thumbprint_uri_of_rfc_9278() -> None:
    # RFC 7638 §3.1's key, RFC 9278 §5's form.
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3okn"
        "jhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qM"
        "QvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJz"
        "KnqDKgw"
    )
    jwk = {"kty": "RSA", "n": modulus, "e": "AQAB"}
    uri = thumbprint_uri(jwk, hash_name=ThumbprintHash.SHA256)
    assert uri == "urn:ietf:params:oauth:jwk-thumbprint:sha-256:NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    assert thumbprint_uri(jwk, hash_name=ThumbprintHash.SM3) == (
        f"urn:ietf:params:oauth:jwk-thumbprint:sm3:{thumbprint_sm3(jwk)}"
    )


def test_a_secret_has_no_thumbprint() -> None:
    for hash_name in ThumbprintHash:
        with pytest.raises(KeyRefused):
            thumbprint({"kty": "oct", "k": "AAAA"}, hash_name=hash_name)


Make = Callable[[], dict[str, Any]]
# How the public JWK was made, for which algorithm, and what is refused about it.
CASES: list[tuple[str, KeyAlg, Make]] = [
    ("a private member d", SM2, lambda: private(SM2)),
    ("an RSA prime p", RSA, lambda: changed(RSA, p="AQAB")),
    ("a symmetric member k", SM2, lambda: changed(SM2, k="AAAA")),
    ("use: sig", SM2, lambda: changed(SM2, use="sig")),
    ("use: null", SM2, lambda: changed(SM2, use=None)),
    ("use: ENC", SM2, lambda: changed(SM2, use="ENC")),
    ("a list of uses", SM2, lambda: changed(SM2, use=["enc"])),
    ("alg of the signature", SM2, lambda: changed(SM2, alg="SGD_SM3_SM2")),
    ("alg of another encryption", SM2, lambda: changed(SM2, alg="ECDH-ES")),
    ("alg: RSA1_5", RSA, lambda: changed(RSA, alg="RSA1_5")),
    ("alg: RSA-OAEP", RSA, lambda: changed(RSA, alg="RSA-OAEP")),
    ("alg: null", RSA, lambda: changed(RSA, alg=None)),
    ("key_ops: verify", SM2, lambda: changed(SM2, key_ops=["verify"])),
    ("key_ops: encrypt and sign", SM2, lambda: changed(SM2, key_ops=["encrypt", "sign"])),
    ("key_ops: decrypt in a public key", SM2, lambda: changed(SM2, key_ops=["decrypt"])),
    ("key_ops is a text", SM2, lambda: changed(SM2, key_ops="encrypt")),
    ("key_ops of numbers", SM2, lambda: changed(SM2, key_ops=[1])),
    ("kid empty", SM2, lambda: changed(SM2, kid="")),
    ("kid a number", SM2, lambda: changed(SM2, kid=1)),
    ("kid of 257 characters", SM2, lambda: changed(SM2, kid="x" * 257)),
    ("kid with a line break", SM2, lambda: changed(SM2, kid="a\n")),
    ("kty: oct", SM2, lambda: changed(SM2, kty="oct")),
    ("kty: RSA with a curve", SM2, lambda: changed(SM2, kty="RSA")),
    ("kty: OKP with SM2's curve", SM2, lambda: changed(SM2, kty="OKP")),
    ("no kty", SM2, lambda: changed(SM2, kty=...)),
    ("kty is a list", SM2, lambda: changed(SM2, kty=["EC"])),
    ("no crv", SM2, lambda: changed(SM2, crv=...)),
    ("crv: P-256 for SM2", SM2, lambda: changed(SM2, crv="P-256")),
    ("crv in other letters", SM2, lambda: changed(SM2, crv="SM2P256V1")),
    ("crv: secp256k1", SM2, lambda: changed(SM2, crv="secp256k1")),
    ("crv is a list", ECDH, lambda: changed(ECDH, crv=["P-256"])),
    ("crv: sm2p256v1 for ECDH-ES", ECDH, lambda: changed(ECDH, crv="sm2p256v1")),
    ("crv: Ed25519 for ECDH-ES", ECDH, lambda: {**X25519, "crv": "Ed25519"}),
    ("crv: X448", ECDH, lambda: {**X25519, "crv": "X448"}),
    ("EC with crv X25519", ECDH, lambda: {**X25519, "kty": "EC"}),
    ("OKP with crv P-256", ECDH, lambda: changed(ECDH, kty="OKP")),
    ("X25519 key of 31 bytes", ECDH, lambda: {**X25519, "x": b64u_encode(bytes(31))}),
    ("X25519 for RSA", RSA, lambda: dict(X25519)),
    ("no x", SM2, lambda: changed(SM2, x=...)),
    ("no y", SM2, lambda: changed(SM2, y=...)),
    ("x a number", SM2, lambda: changed(SM2, x=1)),
    ("x empty", SM2, lambda: changed(SM2, x="")),
    ("x of 31 bytes", SM2, lambda: changed(SM2, x=b64u_encode(x_of(SM2)[1:]))),
    ("x of 33 bytes, a zero in front", SM2, lambda: changed(SM2, x=b64u_encode(b"\0" + x_of(SM2)))),
    ("x with padding", SM2, lambda: changed(SM2, x=b64u_encode(x_of(SM2)) + "=")),
    ("x with an unused bit set", SM2, lambda: changed(SM2, x="A" * 42 + "B")),
    ("x in standard base64", SM2, lambda: changed(SM2, x="+" * 43)),
    ("x of a megabyte", SM2, lambda: changed(SM2, x="A" * 1_000_000)),
    ("x + p", SM2, lambda: changed(SM2, x=number((int.from_bytes(x_of(SM2), "big") + P) % 2**256))),
    ("x = p", SM2, lambda: changed(SM2, x=number(P))),
    ("(0, 0), which stands for infinity", SM2, lambda: changed(SM2, x=number(0), y=number(0))),
    ("x and y swapped", SM2, lambda: changed(SM2, x=changed(SM2)["y"], y=changed(SM2)["x"])),
    ("y of another point", SM2, lambda: changed(SM2, y=number(int.from_bytes(b64u_decode(changed(SM2)["y"]), "big") ^ 1))),
    ("a P-256 point under SM2's name", SM2, lambda: changed(ECDH, crv="sm2p256v1", alg="SGD_SM2_3")),
    ("an SM2 point under P-256's name", ECDH, lambda: changed(SM2, crv="P-256", alg="ECDH-ES")),
    ("a P-256 point under P-384's name", ECDH, lambda: changed(ECDH, crv="P-384")),
    ("a P-256 point off the curve", ECDH, lambda: changed(ECDH, x=changed(ECDH)["y"], y=changed(ECDH)["x"])),
    ("RSA of 1024 bits", RSA, lambda: changed(RSA, n=b64u_encode(b"\xff" * 128))),
    ("RSA of 2047 bits", RSA, lambda: changed(RSA, n=b64u_encode(b"\x7f" + b"\xff" * 255))),
    ("RSA of 8200 bits", RSA, lambda: changed(RSA, n=b64u_encode(b"\xff" * 1025))),
    ("RSA with an even modulus", RSA, lambda: changed(RSA, n=b64u_encode(b"\xff" * 255 + b"\xfe"))),
    ("RSA with a zero in front of n", RSA, lambda: changed(RSA, n=b64u_encode(b"\0" + b64u_decode(changed(RSA)["n"])))),
    ("RSA with e = 1", RSA, lambda: changed(RSA, e="AQ")),
    ("RSA with e = 3", RSA, lambda: changed(RSA, e="Aw")),
    ("RSA with e = 65538", RSA, lambda: changed(RSA, e="AQAC")),
    ("RSA with e beyond 32 bits", RSA, lambda: changed(RSA, e=b64u_encode((2**40 + 1).to_bytes(6, "big")))),
    ("RSA with 00 in front of e", RSA, lambda: changed(RSA, e="AAEAAQ")),
    ("RSA without n", RSA, lambda: changed(RSA, n=...)),
    ("nothing", SM2, dict),
]  # fmt: skip


@pytest.mark.parametrize(("alg", "make"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_nothing_is_encrypted_to_it(alg: KeyAlg, make: Make) -> None:
    jwk = make()
    with pytest.raises(TrustError):
        recipient_from_jwk(jwk, alg=alg, backend=backend())


def test_there_are_enough_of_them() -> None:
    assert len({how for how, _, _ in CASES}) == len(CASES) >= 60


PRIVATE_CASES: list[tuple[str, KeyAlg, Make]] = [
    ("no d", SM2, lambda: private(SM2, d=...)),
    ("d = 0", SM2, lambda: private(SM2, d=number(0))),
    ("d = n − 1, for which 1 + d has no inverse", SM2, lambda: private(SM2, d=number(N - 1))),
    ("d = n", SM2, lambda: private(SM2, d=number(N))),
    ("d + 1: of another public key", SM2, lambda: private(SM2, d=number(int.from_bytes(b64u_decode(private(SM2)["d"]), "big") - 1))),
    ("d of 31 bytes", SM2, lambda: private(SM2, d=b64u_encode(bytes(30) + b"\x01"))),
    ("d of 33 bytes", SM2, lambda: private(SM2, d=b64u_encode(b"\0" + b64u_decode(private(SM2)["d"])))),
    ("d with padding", SM2, lambda: private(SM2, d=private(SM2)["d"] + "=")),
    ("d a number", SM2, lambda: private(SM2, d=5)),
    ("d of a megabyte", SM2, lambda: private(SM2, d="A" * 1_000_000)),
    ("d of another P-256 key", ECDH, lambda: private(ECDH, d=number(12345))),
    ("d of 31 bytes for P-256", ECDH, lambda: private(ECDH, d=b64u_encode(bytes(30) + b"\x07"))),
    ("d = 0 for P-256", ECDH, lambda: private(ECDH, d=number(0))),
    ("use: sig", SM2, lambda: private(SM2, use="sig")),
    ("key_ops: sign", SM2, lambda: private(SM2, key_ops=["sign"])),
    ("key_ops: encrypt in a private key", SM2, lambda: private(SM2, key_ops=["encrypt"])),
    ("RSA without p", RSA, lambda: private(RSA, p=...)),
    ("RSA with p and q of nothing", RSA, lambda: private(RSA, p="Aw", q="BQ")),
    ("RSA with another d", RSA, lambda: private(RSA, d="AQAB")),
    ("RSA with n of another key", RSA, lambda: private(RSA, n=b64u_encode(b"\xff" * 256))),
    ("RSA with another e", RSA, lambda: private(RSA, e=b64u_encode((65539).to_bytes(3, "big")))),
    ("X25519 with a d of 31 bytes", ECDH, lambda: {**X25519, "d": b64u_encode(bytes(31))}),
    ("X25519 with a d that is not x's", ECDH, lambda: {**X25519, "d": b64u_encode(bytes(32))}),
    ("no members", SM2, dict),
]  # fmt: skip


@pytest.mark.parametrize(("alg", "make"), [case[1:] for case in PRIVATE_CASES], ids=[case[0] for case in PRIVATE_CASES])
def test_nothing_is_opened_with_it(alg: KeyAlg, make: Make) -> None:
    jwk = make()
    with pytest.raises(TrustError):
        decryption_key_from_jwk(jwk, alg=alg, backend=backend())


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b'{"alg":"dir","k":"AA","kty":"oct"}', b'{"alg":"SGD_SM2_3","kty":"EC"}', b'{"alg":[]}']
)
def test_what_is_no_private_key_is_refused(data: bytes) -> None:
    with pytest.raises(TrustError):
        decryption_key_from_bytes(data, backend=backend())


@pytest.mark.parametrize("alg", KEY_PAIRS)
@pytest.mark.parametrize("wanted", KEY_PAIRS)
def test_a_key_serves_its_own_algorithm_only(alg: KeyAlg, wanted: KeyAlg) -> None:
    jwk = changed(alg)
    if wanted is alg:
        assert recipient_from_jwk(jwk, alg=wanted, backend=backend()) == decryption_key(alg).public
        return
    with pytest.raises(KeyRefused):
        recipient_from_jwk(jwk, alg=wanted, backend=backend())
    jwk["alg"] = wanted.value
    if {alg, wanted} <= AGREEMENT:
        assert recipient_from_jwk(jwk, alg=wanted, backend=backend()).alg is wanted
        return
    with pytest.raises(KeyRefused):
        recipient_from_jwk(jwk, alg=wanted, backend=backend())


def test_a_key_for_signatures_never_encrypts_and_the_other_way_round() -> None:
    signer = generate_signing_key(Alg.SGD_SM3_SM2, backend=backend())
    with pytest.raises(KeyRefused):
        recipient_from_jwk(dict(signer.public.jwk), alg=SM2, backend=backend())
    with pytest.raises(KeyRefused):
        public_from_jwk(dict(decryption_key(SM2).public.jwk), alg=Alg.SGD_SM3_SM2)
    both = {"keys": [dict(signer.public.jwk), dict(decryption_key(SM2).public.jwk)]}
    assert [key.kid for key in parse_jwks(both, alg=Alg.SGD_SM3_SM2)] == [signer.kid]
    assert [key.kid for key in parse_encryption_jwks(both, alg=SM2, backend=backend())] == [decryption_key(SM2).kid]


def test_a_set_yields_the_keys_of_the_algorithm_asked_for() -> None:
    document = encryption_jwks_document(decryption_key(alg).public for alg in KEY_PAIRS)
    strangers: list[dict[str, Any]] = [
        {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA", "kid": "k1"},
        {"kty": "AKP", "alg": "ML-KEM-768", "pub": "AA", "kid": "future"},
    ]
    text = json.dumps({"keys": [*document["keys"], *strangers]})
    for alg in KEY_PAIRS:
        found = parse_encryption_jwks(text, alg=alg, backend=backend())
        assert [key.kid for key in found] == [decryption_key(alg).kid]


def test_a_set_with_a_bad_member_is_refused_whole() -> None:
    good = changed(SM2)
    for bad in (
        {"kty": "oct", "k": "AAAA", "kid": "s"},
        private(ECDH),
        good,
        changed(SM2, x="AA", kid="other"),
        changed(RSA, n=b64u_encode(b"\xff" * 128), kid="weak"),
        changed(SM2, kid=...),
        "text",
        None,
    ):
        members = [good, bad, bad] if isinstance(bad, dict) and "kid" not in bad else [good, bad]
        with pytest.raises(TrustError):
            parse_encryption_jwks({"keys": members}, alg=SM2, backend=backend())
    shapes: list[Any] = [{}, {"keys": {}}, {"keys": [good] * 65}, b"[]", b" " * 70_000, '{"keys":[],"keys":[]}', "x"]
    for shape in shapes:
        with pytest.raises(TrustError):
            parse_encryption_jwks(shape, alg=SM2, backend=backend())
    key = decryption_key(SM2).public
    with pytest.raises(KeyRefused):
        encryption_jwks_document([key, key])


MEMBERS = st.sampled_from(["kty", "crv", "x", "y", "d", "n", "e", "k", "use", "alg", "key_ops", "kid", "p", "other"])
VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=50) | st.lists(st.text(max_size=8), max_size=2) | st.sampled_from(
    ["EC", "RSA", "OKP", "oct", "P-256", "sm2p256v1", "X25519", "enc", "sig", "AQAB", "A" * 43, "SGD_SM2_3", "ECDH-ES"]
)  # fmt: skip


@given(st.dictionaries(MEMBERS, VALUES), st.sampled_from(KEY_PAIRS))
def test_no_jwk_crashes_the_reader(members: dict[str, object], alg: KeyAlg) -> None:
    for jwk in (members, {**decryption_key(alg).public.jwk, **members}, {**decryption_key(alg).private_jwk, **members}):
        for read in (recipient_from_jwk, decryption_key_from_jwk):
            try:
                read(jwk, alg=alg, backend=backend())
            except TrustError:
                continue
            assert jwk["kty"] == decryption_key(alg).public.jwk["kty"]


def test_a_shared_key_has_exactly_its_algorithms_length() -> None:
    for enc in Enc:
        key = shared_key(bytes(CEK_BYTES[enc]), kid="k", alg=KeyAlg.DIR, enc=enc)
        assert (key.alg, key.enc) == (KeyAlg.DIR, enc)
        for size in (0, CEK_BYTES[enc] - 1, CEK_BYTES[enc] + 1):
            with pytest.raises(KeyRefused):
                shared_key(bytes(size), kid="k", alg=KeyAlg.DIR, enc=enc)
    for alg, size in ((KeyAlg.A128KW, 16), (KeyAlg.A256KW, 32)):
        assert shared_key(bytes(size), kid="k", alg=alg, enc=None).alg is alg
        with pytest.raises(KeyRefused):
            shared_key(bytes(size - 1), kid="k", alg=alg, enc=None)
        with pytest.raises(KeyRefused):
            shared_key(bytes(size), kid="k", alg=alg, enc=Enc.A128GCM)
    for alg in (*KEY_PAIRS, KeyAlg.DIR):
        with pytest.raises(KeyRefused):
            shared_key(bytes(16), kid="k", alg=alg, enc=None)
    for kid in ("", "x" * 257, "a\n"):
        with pytest.raises(KeyRefused):
            shared_key(bytes(16), kid=kid, alg=KeyAlg.A128KW, enc=None)
    assert {KeyAlg.DIR, KeyAlg.A128KW, KeyAlg.A256KW} == SHARED


OCT = {"kty": "oct", "k": b64u_encode(bytes(16)), "kid": "k"}


@pytest.mark.parametrize(
    "members", [{}, {"alg": "dir"}, {"alg": "SGD_SM4_GCM"}, {"use": "enc"}, {"key_ops": ["encrypt", "decrypt"]}]
)
def test_a_direct_key_may_name_either_algorithm(members: dict[str, object]) -> None:
    read = shared_key_from_jwk({**OCT, **members}, alg=KeyAlg.DIR, enc=Enc.SGD_SM4_GCM)
    assert isinstance(read, SharedKey)
    assert read.secret == bytes(16)


@pytest.mark.parametrize(
    "members",
    [
        {"kty": "EC"}, {"kty": None}, {"alg": "A128GCM"}, {"alg": None}, {"alg": []}, {"alg": "A128KW"}, {"use": "sig"}, {"k": None},
        {"k": "AA"}, {"k": b64u_encode(bytes(17))}, {"k": OCT["k"] + "="}, {"k": "A" * 1000}, {"kid": None}, {"kid": ""},
        {"key_ops": ["sign"]}, {"key_ops": {}},
    ],
)  # fmt: skip
def test_an_unfit_shared_key_is_refused(members: dict[str, object]) -> None:
    with pytest.raises(TrustError):
        shared_key_from_jwk({**OCT, **members}, alg=KeyAlg.DIR, enc=Enc.SGD_SM4_GCM)


def test_a_generated_pair_is_never_the_same() -> None:
    first, second = (generate_decryption_key(SM2, backend=backend()) for _ in range(2))
    assert first.kid != second.kid
