from __future__ import annotations

import hmac
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws as joserfc_jws
from joserfc.jwk import OctKey

from crypto.encoding import b64u_decode, b64u_encode
from crypto.errors import (
    AlgorithmRefused,
    EncodingRefused,
    KeyRefused,
    SignatureInvalid,
    TokenRefused,
    TrustError,
)
from crypto.jws import sign_jws, verify_jws
from crypto.jws_form import REFUSED_HEADERS
from crypto.keys import SigningKey, native_private, parse_jwks
from crypto.mac import (
    MAX_MAC_KEY_BYTES,
    MacKey,
    generate_mac_key,
    mac_jws,
    mac_jwt,
    mac_key,
    mac_key_from_jwk,
    mac_key_jwk,
    parse_mac_jwks,
    verify_mac_jws,
    verify_mac_jwt,
)
from crypto.sm3 import hmac_sm3
from crypto.suites import Alg, MacAlg, MacPolicy, Policy, Purpose, policy

SECRET = bytes(range(32))
RULES = MacPolicy(
    Purpose.CLIENT_ASSERTION, frozenset(MacAlg), None, frozenset({None, "JWT"}), 1 << 16, kid_required=True
)
SM3 = MacAlg.SGD_SM3_HMAC
Keys = Mapping[Alg, SigningKey]


def key_for(alg: MacAlg = SM3, secret: bytes = SECRET, kid: str = "client") -> MacKey:
    return mac_key(secret, kid=kid, alg=alg)


def by_hand(
    header: Mapping[str, Any] | bytes,
    payload: bytes = b"{}",
    *,
    tag: Callable[[bytes], bytes] = lambda data: hmac_sm3(SECRET, data),
) -> str:
    """MAC exactly this header: what a hostile or careless sender could make."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    signing_input = f"{b64u_encode(raw)}.{b64u_encode(payload)}"
    return f"{signing_input}.{b64u_encode(tag(signing_input.encode()))}"


def saying(**members: object) -> str:
    header: dict[str, object] = {"alg": "SGD_SM3_HMAC", "kid": "client", **members}
    return by_hand({name: value for name, value in header.items() if value is not ...})


@pytest.mark.parametrize("alg", list(MacAlg))
def test_a_token_verifies_to_what_was_said(alg: MacAlg) -> None:
    key = key_for(alg)
    token = mac_jwt({"sub": "𠮷", "n": 1}, key=key, policy=RULES, header={"x": "y"})
    verified = verify_mac_jwt(token, keys={key.kid: key}, policy=RULES)
    assert verified.claims == {"sub": "𠮷", "n": 1}
    assert verified.header == {"alg": alg.value, "kid": "client", "x": "y"}
    assert verified.key is key


def test_the_tag_is_the_whole_hmac_sm3_of_header_and_payload() -> None:
    signing_input, _, tag = mac_jws(b"payload", key=key_for(), policy=RULES).rpartition(".")
    other = HMAC(SECRET, hashes.SM3())
    other.update(signing_input.encode())
    assert b64u_decode(tag) == other.finalize()
    assert len(b64u_decode(tag)) == 32


def test_joserfc_agrees_on_hs256_both_ways() -> None:
    key = key_for(MacAlg.HS256)
    theirs = OctKey.import_key(SECRET)
    token = mac_jws(b"payload", key=key, policy=RULES)
    assert joserfc_jws.deserialize_compact(token, theirs, algorithms=["HS256"]).payload == b"payload"
    made = joserfc_jws.serialize_compact({"alg": "HS256", "kid": "client"}, b"payload", theirs, algorithms=["HS256"])
    assert verify_mac_jws(made, keys={"client": key}, policy=RULES).payload == b"payload"


@given(st.binary(max_size=300), st.binary(min_size=32, max_size=MAX_MAC_KEY_BYTES), st.sampled_from(MacAlg))
def test_any_payload_under_any_key_verifies_and_under_another_does_not(
    payload: bytes, secret: bytes, alg: MacAlg
) -> None:
    key = MacKey("k", alg, secret)
    token = mac_jws(payload, key=key, policy=RULES)
    assert verify_mac_jws(token, keys={"k": key}, policy=RULES).payload == payload
    other = MacKey("k", alg, secret[:-1] + bytes((secret[-1] ^ 1,)))
    with pytest.raises(SignatureInvalid):
        verify_mac_jws(token, keys={"k": other}, policy=RULES)


@given(st.data())
def test_any_changed_byte_of_any_part_is_refused(data: st.DataObject) -> None:
    parts = [b64u_decode(part) for part in mac_jws(b'{"sub":"1"}', key=key_for(), policy=RULES).split(".")]
    which = data.draw(st.integers(0, 2))
    at = data.draw(st.integers(0, len(parts[which]) - 1))
    flipped = parts[which][at] ^ data.draw(st.integers(1, 255))
    parts[which] = parts[which][:at] + bytes((flipped,)) + parts[which][at + 1 :]
    with pytest.raises(TrustError):
        verify_mac_jws(".".join(map(b64u_encode, parts)), keys={"client": key_for()}, policy=RULES)


@given(st.text("ABCDEFGHabcdefgh0123456789-_.", max_size=120) | st.text(max_size=60))
def test_arbitrary_text_is_refused_and_never_crashes(text: str) -> None:
    with pytest.raises(TrustError):
        verify_mac_jws(text, keys=lambda _kid, _alg: key_for(), policy=RULES)


FORM, WRONG, ENCODING, ALGORITHM = TokenRefused, SignatureInvalid, EncodingRefused, AlgorithmRefused
HEADER = {"alg": "SGD_SM3_HMAC", "kid": "client"}
CASES: list[tuple[str, type[TrustError], Callable[[], str]]] = [
    ("SM3 of key and input, not HMAC", WRONG, lambda: by_hand(HEADER, tag=lambda data: hmac.digest(b"", SECRET + data, "sm3"))),
    ("HMAC-SHA-256 under the name of HMAC-SM3", WRONG, lambda: by_hand(HEADER, tag=lambda data: hmac.digest(SECRET, data, "sha256"))),
    ("HMAC-SM3 under the name HS256", ALGORITHM, lambda: saying(alg="HS256")),
    ("the tag of the payload alone", WRONG, lambda: by_hand(HEADER, tag=lambda data: hmac_sm3(SECRET, data.partition(b".")[2]))),
    ("the tag of header and payload decoded", WRONG, lambda: by_hand(HEADER, tag=lambda _data: hmac_sm3(SECRET, json.dumps(HEADER).encode() + b".{}"))),
    ("the tag under an empty key", WRONG, lambda: by_hand(HEADER, tag=lambda data: hmac_sm3(b"", data))),
    ("the tag under 32 zeros", WRONG, lambda: by_hand(HEADER, tag=lambda data: hmac_sm3(bytes(32), data))),
    ("the tag under the key without its last byte", WRONG, lambda: by_hand(HEADER, tag=lambda data: hmac_sm3(SECRET[:-1], data))),
    ("the tag under the key with a zero behind it, doubled", WRONG, lambda: by_hand(HEADER, tag=lambda data: hmac_sm3(SECRET * 2, data))),
    ("the tag cut to 31 bytes", WRONG, lambda: by_hand(HEADER, tag=lambda data: hmac_sm3(SECRET, data)[:31])),
    ("the tag cut to 16 bytes", WRONG, lambda: by_hand(HEADER, tag=lambda data: hmac_sm3(SECRET, data)[:16])),
    ("the tag cut to one byte", WRONG, lambda: by_hand(HEADER, tag=lambda data: hmac_sm3(SECRET, data)[:1])),
    ("the tag with a byte behind it", WRONG, lambda: by_hand(HEADER, tag=lambda data: hmac_sm3(SECRET, data) + b"\0")),
    ("the tag twice", WRONG, lambda: by_hand(HEADER, tag=lambda data: hmac_sm3(SECRET, data) * 2)),
    ("the tag reversed", WRONG, lambda: by_hand(HEADER, tag=lambda data: hmac_sm3(SECRET, data)[::-1])),
    ("the tag in hexadecimal", WRONG, lambda: by_hand(HEADER, tag=lambda data: hmac_sm3(SECRET, data).hex().encode())),
    ("a tag of zeros", WRONG, lambda: by_hand(HEADER, tag=lambda _data: bytes(32))),
    ("a tag of another token", WRONG, lambda: saying().rpartition(".")[0] + "." + saying(x=1).rpartition(".")[2]),
    ("no tag", FORM, lambda: saying().rpartition(".")[0] + "."),
    ("no tag and no dot", FORM, lambda: saying().rpartition(".")[0]),
    ("a fourth part", FORM, lambda: saying() + ".AA"),
    ("a detached payload", WRONG, lambda: "..".join(saying().split(".")[::2])),
    ("padding behind the tag", ENCODING, lambda: saying() + "="),
    ("a line break behind the tag", ENCODING, lambda: saying() + "\n"),
    ("an unused bit set in the tag", ENCODING, lambda: saying()[:-1] + "B"),
    ("standard base64 in the payload", ENCODING, lambda: ".".join((saying().split(".")[0], "++//", saying().split(".")[2]))),
    ("alg none with the right tag", ALGORITHM, lambda: saying(alg="none")),
    ("alg none in capitals", ALGORITHM, lambda: saying(alg="NONE")),
    ("no alg", ALGORITHM, lambda: saying(alg=...)),
    ("alg null", ALGORITHM, lambda: saying(alg=None)),
    ("alg is a list", ALGORITHM, lambda: saying(alg=["SGD_SM3_HMAC"])),
    ("alg in lower case", ALGORITHM, lambda: saying(alg="sgd_sm3_hmac")),
    ("alg HSM3, a name in the wild", ALGORITHM, lambda: saying(alg="HSM3")),
    ("alg HS384", ALGORITHM, lambda: saying(alg="HS384")),
    ("alg of a signature", ALGORITHM, lambda: saying(alg="SGD_SM3_SM2")),
    ("alg ES256", ALGORITHM, lambda: saying(alg="ES256")),
    ("no kid", FORM, lambda: saying(kid=...)),
    ("kid null", FORM, lambda: saying(kid=None)),
    ("kid empty", FORM, lambda: saying(kid="")),
    ("kid of nobody", FORM, lambda: saying(kid="other")),
    ("kid that is a path", FORM, lambda: saying(kid="../../dev/null")),
    ("kid with a NUL", FORM, lambda: saying(kid="client\0")),
    ("kid of 257 characters", FORM, lambda: saying(kid="x" * 257)),
    ("typ of an access token", FORM, lambda: saying(typ="at+jwt")),
    ("typ null", FORM, lambda: saying(typ=None)),
    ("typ in full-width letters", FORM, lambda: saying(typ="\uff2a\uff37\uff34")),
    *((f"{name} in the header", FORM, lambda name=name: saying(**{name: "x"})) for name in sorted(REFUSED_HEADERS)),
    ("crit empty", FORM, lambda: saying(crit=[])),
    ("b64 false", FORM, lambda: saying(b64=False)),
    ("alg twice", ENCODING, lambda: by_hand(b'{"alg":"none","alg":"SGD_SM3_HMAC","kid":"client"}')),
    ("a header that is a list", ENCODING, lambda: by_hand(b"[]")),
    ("a header that is no JSON", ENCODING, lambda: by_hand(b"{")),
    ("a header that is no UTF-8", ENCODING, lambda: by_hand(b"\xff")),
    ("a header of 3,000 characters", FORM, lambda: saying(pad="x" * 3000)),
    ("a payload one byte too long", FORM, lambda: by_hand(HEADER, bytes(RULES.max_payload_bytes + 1))),
    ("ten million characters", FORM, lambda: "A" * 10_000_000),
    ("nothing", FORM, lambda: ""),
]  # fmt: skip


@pytest.mark.parametrize(("refusal", "make"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_it_does_not_verify(refusal: type[TrustError], make: Callable[[], str]) -> None:
    with pytest.raises(TrustError) as refused:
        verify_mac_jws(make(), keys={"client": key_for()}, policy=RULES)
    assert type(refused.value) is refusal, str(refused.value)


def test_there_are_enough_of_them_and_the_same_token_without_a_fault_verifies() -> None:
    assert len({how for how, _, _ in CASES}) == len(CASES) >= 60
    assert verify_mac_jws(saying(), keys={"client": key_for()}, policy=RULES).payload == b"{}"
    assert verify_mac_jws(saying(typ="jwt"), keys={"client": key_for()}, policy=RULES).payload == b"{}"


@pytest.mark.parametrize(
    ("secret", "rule"),
    [
        (b"", "mac_key_too_short"),
        (b"x", "mac_key_too_short"),
        (bytes(31), "mac_key_too_short"),
        (bytes(MAX_MAC_KEY_BYTES + 1), "mac_key_too_long"),
        (b"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE", "public_key_as_secret"),
        (b"\n-----BEGIN CERTIFICATE-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE", "public_key_as_secret"),
        (b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==", "public_key_as_secret"),
        (b'{"crv":"P-256","kty":"EC","x":"AAAAAAAAAAAAAAAAA"}', "public_key_as_secret"),
    ],
)
def test_an_unfit_secret_is_refused(secret: bytes, rule: str) -> None:
    for alg in MacAlg:
        with pytest.raises(KeyRefused) as refused:
            mac_key(secret, kid="k", alg=alg)
        assert (refused.value.field, refused.value.rule) == ("k", rule)


@pytest.mark.parametrize("kid", ["", "x" * 257, "a\nb"])
def test_an_unfit_key_id_is_refused(kid: str) -> None:
    with pytest.raises(KeyRefused):
        mac_key(SECRET, kid=kid, alg=SM3)


def test_a_secret_of_exactly_the_hashs_length_is_enough_and_shows_nowhere() -> None:
    key = generate_mac_key(kid="k", alg=SM3, random_bytes=os.urandom)
    assert len(key.secret) == 32
    shown = repr(key) + str(key)
    assert b64u_encode(key.secret) not in shown
    assert repr(key.secret) not in shown
    with pytest.raises(KeyRefused):
        generate_mac_key(kid="k", alg=SM3, random_bytes=lambda _count: b"short")


def test_a_key_survives_export_and_import() -> None:
    key = key_for()
    again = mac_key_from_jwk(mac_key_jwk(key), alg=SM3)
    assert (again, again.secret) == (key, SECRET)
    assert mac_key_jwk(key)["use"] == "sig"


JWK = {"kty": "oct", "k": b64u_encode(SECRET), "kid": "client", "alg": "SGD_SM3_HMAC", "use": "sig"}


@pytest.mark.parametrize(
    "members",
    [
        {"kty": "EC"},
        {"kty": ...},
        {"alg": "HS256"},
        {"alg": "HS512"},
        {"alg": "A256KW"},
        {"alg": None},
        {"use": "enc"},
        {"use": None},
        {"key_ops": []},
        {"key_ops": ["sign"]},
        {"key_ops": ["verify", "encrypt"]},
        {"key_ops": "verify"},
        {"k": ...},
        {"k": ""},
        {"k": 1},
        {"k": b64u_encode(bytes(31))},
        {"k": b64u_encode(SECRET) + "="},
        {"k": b64u_encode(SECRET)[:-1] + "B"},
        {"k": "A" * 5000},
        {"kid": ...},
        {"kid": ""},
        {"kid": 7},
        {"kid": "a\rb"},
    ],
)
def test_an_unfit_jwk_is_refused(members: dict[str, object]) -> None:
    jwk = {name: value for name, value in {**JWK, **members}.items() if value is not ...}
    with pytest.raises(TrustError):
        mac_key_from_jwk(jwk, alg=SM3)


def test_a_secret_set_and_a_public_set_do_not_mix(signing_keys: Keys) -> None:
    public = dict(signing_keys[Alg.ES256].public.jwk)
    assert [key.kid for key in parse_mac_jwks({"keys": [JWK]}, alg=SM3)] == ["client"]
    assert parse_mac_jwks({"keys": [JWK]}, alg=MacAlg.HS256) == ()
    assert parse_mac_jwks({"keys": [{**JWK, "use": "enc"}]}, alg=SM3) == ()
    for bad in ([JWK, public], [public], [JWK, JWK], [JWK, {**JWK, "alg": "HS512"}], [JWK, None], [{**JWK, "k": "AA"}]):
        with pytest.raises(KeyRefused):
            parse_mac_jwks({"keys": bad}, alg=SM3)
        with pytest.raises(KeyRefused):
            parse_mac_jwks(json.dumps({"keys": bad}), alg=SM3)
    with pytest.raises(KeyRefused):
        parse_jwks({"keys": [public, JWK]}, alg=Alg.ES256)


def test_a_mac_key_never_signs_and_a_public_key_never_checks_a_mac(signing_keys: Keys) -> None:
    signer, key, rules = signing_keys[Alg.SGD_SM3_SM2], key_for(), policy(Purpose.ID_TOKEN)
    token = mac_jws(b"{}", key=key_for(kid=signer.kid), policy=RULES)
    signed = sign_jws(b"{}", key=signer, policy=rules)
    mixed: Any = {signer.kid: signer.public, key.kid: key}
    typed = Policy(Purpose.ID_TOKEN, frozenset(Alg), None, frozenset({None, "JWT"}), 1 << 16, kid_required=True)
    with pytest.raises(AlgorithmRefused):
        verify_jws(token, keys=mixed, policy=typed)
    with pytest.raises(AlgorithmRefused):
        verify_mac_jws(signed, keys=mixed, policy=RULES)
    # The algorithm is right, the key found under the kid is of the other kind.
    with pytest.raises(AlgorithmRefused):
        verify_mac_jws(token, keys=mixed, policy=RULES)
    swapped: Any = {signer.kid: key_for(kid=signer.kid)}
    with pytest.raises(AlgorithmRefused):
        verify_jws(signed, keys=swapped, policy=rules)


@pytest.mark.parametrize("alg", [alg for alg in Alg if alg is not Alg.SGD_SM3_SM2])
def test_no_form_of_a_public_key_becomes_a_secret(signing_keys: Keys, alg: Alg) -> None:
    public = native_private(signing_keys[alg]).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for text in (pem, json.dumps(dict(signing_keys[alg].public.jwk)).encode()):
        with pytest.raises(KeyRefused):
            mac_key(text, kid="k", alg=MacAlg.HS256)


def test_a_policy_names_its_macs_and_takes_no_other() -> None:
    national = MacPolicy(Purpose.CLIENT_ASSERTION, frozenset({SM3}), None, frozenset({None}), 100, kid_required=False)
    token = mac_jws(b"{}", key=key_for(), policy=national)
    assert verify_mac_jws(token, keys={"client": key_for()}, policy=national).payload == b"{}"
    other = mac_jws(b"{}", key=key_for(MacAlg.HS256), policy=RULES)
    with pytest.raises(AlgorithmRefused):
        verify_mac_jws(other, keys={"client": key_for(MacAlg.HS256)}, policy=national)
    with pytest.raises(AlgorithmRefused):
        mac_jws(b"{}", key=key_for(MacAlg.HS256), policy=national)
    nothing = MacPolicy(Purpose.COLUMN, frozenset(MacAlg), None, frozenset(), 100, kid_required=True)
    with pytest.raises(AlgorithmRefused):
        mac_jws(b"{}", key=key_for(), policy=nothing)
    with pytest.raises(TokenRefused):
        mac_jws(bytes(101), key=key_for(), policy=national)


def test_a_purpose_that_knows_its_key_may_do_without_a_key_id() -> None:
    rules = MacPolicy(Purpose.CLIENT_ASSERTION, frozenset({SM3}), None, frozenset({None}), 100, kid_required=False)
    token = saying(kid=...)
    assert verify_mac_jws(token, keys=lambda _kid, _alg: key_for(), policy=rules).key.kid == "client"
    with pytest.raises(TokenRefused):
        verify_mac_jws(token, keys={"client": key_for()}, policy=rules)
    with pytest.raises(TokenRefused):
        verify_mac_jws(saying(kid="x"), keys=lambda _kid, _alg: key_for(), policy=rules)
    with pytest.raises(AlgorithmRefused):
        verify_mac_jws(token, keys=lambda _kid, _alg: key_for(MacAlg.HS256), policy=rules)


@pytest.mark.parametrize("claims", [b"[]", b"null", b'{"a":1,"a":2}', b"", b"\xff"])
def test_claims_with_two_meanings_or_none_are_refused(claims: bytes) -> None:
    with pytest.raises(EncodingRefused):
        verify_mac_jwt(by_hand(HEADER, claims), keys={"client": key_for()}, policy=RULES)
