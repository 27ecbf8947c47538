from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jws import JWSRegistry

from crypto.encoding import b64u_decode, b64u_encode
from crypto.errors import AlgorithmRefused, EncodingRefused, SignatureInvalid, TokenRefused, TrustError
from crypto.jose import SIGNATURES
from crypto.jws import (
    REFUSED_HEADERS,
    check_times,
    sign_jws,
    sign_jwt,
    unverified_kid,
    verify_jws,
    verify_jwt,
)
from crypto.keys import SigningKey, native_private
from crypto.sm2 import SM2_DEFAULT_ID, Sm2Backend
from crypto.sm3 import hmac_sm3
from crypto.suites import Alg, Policy, Purpose, policy

Keys = Mapping[Alg, SigningKey]
ID_TOKEN = policy(Purpose.ID_TOKEN)
JOSE_PURPOSES = [purpose for purpose in Purpose if policy(purpose).accepted_typ]
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def signed_by_hand(key: SigningKey, header: Mapping[str, Any] | bytes, payload: bytes = b"{}") -> str:
    """Sign exactly this header: what a hostile or careless issuer could send."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    signing_input = f"{b64u_encode(raw)}.{b64u_encode(payload)}"
    return f"{signing_input}.{b64u_encode(key.sign(signing_input.encode()))}"


def header_for(key: SigningKey, **changes: object) -> dict[str, object]:
    header: dict[str, object] = {"alg": key.alg.value, "kid": key.kid, "typ": "JWT", **changes}
    return {name: value for name, value in header.items() if value is not ...}


@pytest.mark.parametrize("alg", list(Alg))
def test_a_token_verifies_to_what_was_signed(signing_keys: Keys, alg: Alg) -> None:
    key = signing_keys[alg]
    token = sign_jwt({"sub": "𠮷野", "n": 1}, key=key, policy=ID_TOKEN, header={"nonce": "x"})
    verified = verify_jwt(token, keys={key.kid: key.public}, policy=ID_TOKEN)
    assert verified.claims == {"sub": "𠮷野", "n": 1}
    assert verified.header == {"alg": alg.value, "kid": key.kid, "typ": "JWT", "nonce": "x"}
    assert verified.key is key.public
    assert unverified_kid(token, policy=ID_TOKEN) == key.kid


def test_the_sm2_signature_is_r_and_s_over_header_and_payload_with_z(signing_keys: Keys, gmssl: Sm2Backend) -> None:
    key = signing_keys[Alg.SGD_SM3_SM2]
    token = sign_jws(b"payload", key=key, policy=ID_TOKEN)
    signing_input, _, signature = token.rpartition(".")
    public = b64u_decode(key.public.jwk["x"]) + b64u_decode(key.public.jwk["y"])
    gmssl.verify(public, signing_input.encode("ascii"), b64u_decode(signature), SM2_DEFAULT_ID)


@pytest.mark.parametrize("alg", list(Alg))
def test_any_changed_character_of_a_token_is_refused(signing_keys: Keys, alg: Alg) -> None:
    key = signing_keys[alg]
    token = sign_jws(b'{"sub":"1"}', key=key, policy=ID_TOKEN)
    for at in {*range(0, len(token), 7), len(token) - 1, token.index(".") - 1, token.rindex(".") - 1}:
        if token[at] == ".":
            continue
        changed = token[:at] + ALPHABET[ALPHABET.index(token[at]) ^ 1] + token[at + 1 :]
        with pytest.raises(TrustError):
            verify_jws(changed, keys={key.kid: key.public}, policy=ID_TOKEN)


@pytest.mark.parametrize("alg", list(Alg))
def test_a_changed_unused_bit_in_the_last_character_of_a_segment_is_refused(signing_keys: Keys, alg: Alg) -> None:
    key = signing_keys[alg]
    for payload in (b"1", b"12"):
        segments = sign_jws(payload, key=key, policy=ID_TOKEN).split(".")
        for index, segment in enumerate(segments):
            if len(segment) % 4 == 0:
                continue
            changed = [*segments]
            changed[index] = segment[:-1] + ALPHABET[ALPHABET.index(segment[-1]) ^ 1]
            with pytest.raises(EncodingRefused):
                verify_jws(".".join(changed), keys={key.kid: key.public}, policy=ID_TOKEN)


@pytest.mark.parametrize("form", ["{0}=", " {0}", "{0}\n", "{0}.", ".{0}", "{0}.{0}", ""])
def test_what_is_not_three_plain_segments_is_refused(signing_keys: Keys, form: str) -> None:
    key = signing_keys[Alg.ES256]
    token = sign_jws(b"{}", key=key, policy=ID_TOKEN)
    with pytest.raises(TrustError):
        verify_jws(form.format(token), keys={key.kid: key.public}, policy=ID_TOKEN)


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "", "HS256", "HS512", "RS1", "ES384", "SM2", "GmSM2"])
def test_none_hmac_and_aliases_do_not_exist(signing_keys: Keys, name: str) -> None:
    key = signing_keys[Alg.SGD_SM3_SM2]
    unsigned = signed_by_hand(key, header_for(key, alg=name)).rpartition(".")[0]
    for signature in ("AA", b64u_encode(key.sign(unsigned.encode()))):
        with pytest.raises(AlgorithmRefused):
            verify_jws(f"{unsigned}.{signature}", keys={key.kid: key.public}, policy=ID_TOKEN)
    with pytest.raises(TokenRefused):
        verify_jws(f"{unsigned}.", keys={key.kid: key.public}, policy=ID_TOKEN)


@pytest.mark.parametrize("alg", list(Alg))
def test_a_public_key_is_never_an_hmac_secret(signing_keys: Keys, alg: Alg) -> None:
    import hmac

    key = signing_keys[alg]
    secrets = [json.dumps(dict(key.public.jwk)).encode(), b64u_decode(key.public.jwk.get("x") or key.public.jwk["n"])]
    if alg is not Alg.SGD_SM3_SM2:
        public = native_private(key).public_key()
        secrets += [
            public.public_bytes(form, PublicFormat.SubjectPublicKeyInfo) for form in (Encoding.PEM, Encoding.DER)
        ]
    for secret in secrets:
        for name in ("HS256", "SGD_SM3_HMAC"):
            signing_input = f"{b64u_encode(json.dumps(header_for(key, alg=name)).encode())}.e30"
            data = signing_input.encode()
            mac = hmac.digest(secret, data, "sha256") if name == "HS256" else hmac_sm3(secret, data)
            with pytest.raises(AlgorithmRefused):
                verify_jws(f"{signing_input}.{b64u_encode(mac)}", keys={key.kid: key.public}, policy=ID_TOKEN)


def test_the_table_underneath_knows_signatures_only() -> None:
    assert {alg: algorithm.name for alg, algorithm in SIGNATURES.items()} == {alg: alg.value for alg in Alg}
    assert not {"none", "HS256", "HS384", "HS512", "SGD_SM3_HMAC"} & {
        algorithm.name for algorithm in SIGNATURES.values()
    }
    assert Alg.SGD_SM3_SM2.value not in JWSRegistry.algorithms


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, float("nan"), float("inf"), b"bytes", "x" * 3000, {"deep": {"er": object()}}]
)
def test_a_header_that_is_no_json_or_too_long_is_never_written(signing_keys: Keys, value: object) -> None:
    with pytest.raises(TokenRefused) as refused:
        sign_jws(b"{}", key=signing_keys[Alg.ES256], policy=ID_TOKEN, header={"x": value})
    assert refused.value.field == "header"


def test_one_key_under_two_policies_writes_two_headers(signing_keys: Keys) -> None:
    key = signing_keys[Alg.ES256]
    kinds = [policy(purpose) for purpose in (Purpose.ID_TOKEN, Purpose.ACCESS_TOKEN, Purpose.ID_TOKEN)]
    segments = [sign_jws(b"{}", key=key, policy=rules).partition(".")[0] for rules in kinds]
    written = [json.loads(b64u_decode(segment))["typ"] for segment in segments]
    assert written == ["JWT", "at+jwt", "JWT"]


@pytest.mark.parametrize("claimed", list(Alg))
@pytest.mark.parametrize("actual", list(Alg))
def test_the_algorithm_is_the_keys_own(signing_keys: Keys, actual: Alg, claimed: Alg) -> None:
    key = signing_keys[actual]
    token = signed_by_hand(key, header_for(key, alg=claimed.value))
    if claimed is actual:
        verify_jws(token, keys={key.kid: key.public}, policy=ID_TOKEN)
        return
    with pytest.raises(AlgorithmRefused):
        verify_jws(token, keys={key.kid: key.public}, policy=ID_TOKEN)


@pytest.mark.parametrize("alg", list(Alg))
@pytest.mark.parametrize("purpose", list(Purpose))
def test_a_purpose_signs_and_verifies_with_its_own_algorithms_only(
    signing_keys: Keys, purpose: Purpose, alg: Alg
) -> None:
    key, rules = signing_keys[alg], policy(purpose)
    if alg in rules.algorithms and rules.accepted_typ:
        token = sign_jws(b"{}", key=key, policy=rules)
        assert verify_jws(token, keys={key.kid: key.public}, policy=rules).payload == b"{}"
        return
    with pytest.raises(AlgorithmRefused):
        sign_jws(b"{}", key=key, policy=rules)
    typ = next((typ for typ in rules.accepted_typ if typ is not None), ...)
    with pytest.raises(AlgorithmRefused):
        verify_jws(signed_by_hand(key, header_for(key, typ=typ)), keys={key.kid: key.public}, policy=rules)


@pytest.mark.parametrize("made_for", JOSE_PURPOSES)
@pytest.mark.parametrize("used_as", JOSE_PURPOSES)
def test_a_token_of_one_purpose_never_serves_another(signing_keys: Keys, made_for: Purpose, used_as: Purpose) -> None:
    key = signing_keys[Alg.SGD_SM3_SM2]
    token = sign_jws(b"{}", key=key, policy=policy(made_for))
    # Clients type their own tokens or do not; the two kinds are told apart by audience and endpoint, and an ID token
    # (typ JWT) is kept from passing for one by its issuer's key. Nothing else overlaps.
    clients = {Purpose.CLIENT_ASSERTION, Purpose.REQUEST_OBJECT}
    overlaps = used_as in clients and made_for in clients | {Purpose.ID_TOKEN}
    if made_for is used_as or overlaps:
        verify_jws(token, keys={key.kid: key.public}, policy=policy(used_as))
        return
    with pytest.raises(TokenRefused) as refused:
        verify_jws(token, keys={key.kid: key.public}, policy=policy(used_as))
    assert refused.value.field == "typ"


@pytest.mark.parametrize("typ", [..., None, 1, ["JWT"], "", "at+jwt", "JWTT", "application/JWT", "\uff2a\uff37\uff34"])
def test_the_type_is_required_and_exact(signing_keys: Keys, typ: object) -> None:
    key = signing_keys[Alg.ES256]
    with pytest.raises(TokenRefused):
        verify_jws(signed_by_hand(key, header_for(key, typ=typ)), keys={key.kid: key.public}, policy=ID_TOKEN)


def test_the_type_is_compared_without_regard_to_case(signing_keys: Keys) -> None:
    key = signing_keys[Alg.ES256]
    verify_jws(signed_by_hand(key, header_for(key, typ="jwt")), keys={key.kid: key.public}, policy=ID_TOKEN)


@pytest.mark.parametrize("name", sorted(REFUSED_HEADERS))
def test_headers_that_bring_a_key_or_another_meaning_are_refused(signing_keys: Keys, name: str) -> None:
    key = signing_keys[Alg.ES256]
    for value in (dict(key.public.jwk), "https://attacker.example/jwks", ["b64"], [], False, None):
        with pytest.raises(TokenRefused) as refused:
            verify_jws(
                signed_by_hand(key, header_for(key, **{name: value})), keys={key.kid: key.public}, policy=ID_TOKEN
            )
        assert refused.value.rule == "refused_header"
    with pytest.raises(TokenRefused):
        sign_jws(b"{}", key=key, policy=ID_TOKEN, header={name: "x"})


def test_a_key_in_the_token_is_never_used(signing_keys: Keys, libcrypto: Sm2Backend) -> None:
    from crypto.keys import generate_signing_key

    attacker, known = generate_signing_key(Alg.ES256, backend=libcrypto), signing_keys[Alg.ES256]
    token = signed_by_hand(attacker, header_for(known, jwk=dict(attacker.public.jwk)))
    with pytest.raises(TokenRefused):
        verify_jws(token, keys={known.kid: known.public}, policy=ID_TOKEN)
    with pytest.raises(SignatureInvalid):
        verify_jws(signed_by_hand(attacker, header_for(known)), keys={known.kid: known.public}, policy=ID_TOKEN)


@pytest.mark.parametrize("name", ["alg", "kid", "typ"])
def test_a_caller_cannot_set_the_facades_own_headers(signing_keys: Keys, name: str) -> None:
    with pytest.raises(TokenRefused):
        sign_jws(b"{}", key=signing_keys[Alg.ES256], policy=ID_TOKEN, header={name: "x"})


@pytest.mark.parametrize(
    "kid", [..., None, "", 1, ["a"], "x" * 257, "a\nb", "a\0b", "../../etc/passwd", "' OR 1=1 --", "unknown"]
)
def test_the_key_id_is_required_and_only_ever_looked_up(signing_keys: Keys, kid: object) -> None:
    key = signing_keys[Alg.ES256]
    with pytest.raises(TokenRefused):
        verify_jws(signed_by_hand(key, header_for(key, kid=kid)), keys={key.kid: key.public}, policy=ID_TOKEN)


def test_a_purpose_that_knows_its_key_may_do_without_a_key_id(signing_keys: Keys) -> None:
    key, rules = signing_keys[Alg.ES256], policy(Purpose.KEY_BINDING)
    token = signed_by_hand(key, header_for(key, kid=..., typ="kb+jwt"))
    assert verify_jws(token, keys=lambda _kid, _alg: key.public, policy=rules).key is key.public
    with pytest.raises(TokenRefused):
        verify_jws(token, keys={key.kid: key.public}, policy=rules)


def test_a_lookup_that_returns_another_key_is_caught(signing_keys: Keys) -> None:
    key, other = signing_keys[Alg.ES256], signing_keys[Alg.SGD_SM3_SM2]
    token = sign_jws(b"{}", key=key, policy=ID_TOKEN)
    with pytest.raises(AlgorithmRefused):
        verify_jws(token, keys=lambda _kid, _alg: other.public, policy=ID_TOKEN)
    with pytest.raises(TokenRefused):
        verify_jws(signed_by_hand(key, header_for(key, kid="x")), keys=lambda _kid, _alg: key.public, policy=ID_TOKEN)


@pytest.mark.parametrize(
    "header",
    [
        b'{"alg":"none","alg":"ES256","kid":"k","typ":"JWT"}',
        b'["alg"]',
        b"null",
        b"{",
        b'{"alg":"ES256","n":NaN}',
        b"\xff",
        b'{"alg":["ES256"],"kid":"k","typ":"JWT"}',
        b'{"alg":null,"kid":"k","typ":"JWT"}',
        b'{"kid":"k","typ":"JWT"}',
    ],
)
def test_a_header_with_two_meanings_or_none_is_refused(signing_keys: Keys, header: bytes) -> None:
    key = signing_keys[Alg.ES256]
    with pytest.raises(TrustError):
        verify_jws(signed_by_hand(key, header), keys={"k": key.public}, policy=ID_TOKEN)


@pytest.mark.parametrize("claims", [b"[]", b"null", b'{"a":1,"a":2}', b"", b"\xff", b'{"exp":NaN}'])
def test_claims_with_two_meanings_or_none_are_refused(signing_keys: Keys, claims: bytes) -> None:
    key = signing_keys[Alg.ES256]
    token = sign_jws(claims, key=key, policy=ID_TOKEN)
    with pytest.raises(EncodingRefused):
        verify_jwt(token, keys={key.kid: key.public}, policy=ID_TOKEN)


def test_sizes_are_bounded_before_anything_is_parsed(signing_keys: Keys) -> None:
    key = signing_keys[Alg.ES256]
    largest = b"x" * ID_TOKEN.max_payload_bytes
    token = sign_jws(largest, key=key, policy=ID_TOKEN)
    assert verify_jws(token, keys={key.kid: key.public}, policy=ID_TOKEN).payload == largest
    with pytest.raises(TokenRefused):
        sign_jws(largest + b"x", key=key, policy=ID_TOKEN)
    for oversized in (
        signed_by_hand(key, header_for(key), largest + b"x"),
        signed_by_hand(key, header_for(key, pad="x" * 4096)),
        sign_jws(b"{}", key=key, policy=ID_TOKEN).rpartition(".")[0] + "." + "A" * 4096,
        "A" * 10_000_000,
    ):
        with pytest.raises(TokenRefused) as refused:
            verify_jws(oversized, keys={key.kid: key.public}, policy=ID_TOKEN)
        assert refused.value.rule == "too_large"


@given(st.text(ALPHABET + ".", max_size=120) | st.text(max_size=60))
def test_arbitrary_text_is_refused_and_never_crashes(text: str) -> None:
    with pytest.raises(TrustError):
        verify_jws(text, keys={}, policy=ID_TOKEN)


def test_an_unsigned_detached_or_json_form_is_no_token(signing_keys: Keys) -> None:
    key = signing_keys[Alg.ES256]
    header, payload, signature = sign_jws(b"{}", key=key, policy=ID_TOKEN).split(".")
    flattened = json.dumps({"protected": header, "payload": payload, "signature": signature})
    for form in (f"{header}..{signature}", flattened, f"{header}.{payload}"):
        with pytest.raises(TrustError):
            verify_jws(form, keys={key.kid: key.public}, policy=ID_TOKEN)


def test_a_der_signature_is_not_a_jws_signature(signing_keys: Keys) -> None:
    from crypto.encoding import rs_to_der

    for alg in (Alg.SGD_SM3_SM2, Alg.ES256):
        key = signing_keys[alg]
        signing_input, _, signature = sign_jws(b"{}", key=key, policy=ID_TOKEN).rpartition(".")
        der = b64u_encode(rs_to_der(b64u_decode(signature)))
        with pytest.raises(SignatureInvalid):
            verify_jws(f"{signing_input}.{der}", keys={key.kid: key.public}, policy=ID_TOKEN)


def test_a_payload_in_another_base64_is_refused(signing_keys: Keys) -> None:
    key = signing_keys[Alg.ES256]
    header = b64u_encode(json.dumps(header_for(key)).encode())
    signing_input = f"{header}.{base64.b64encode(b'??>').decode()}"
    token = f"{signing_input}.{b64u_encode(key.sign(signing_input.encode()))}"
    with pytest.raises(EncodingRefused):
        verify_jws(token, keys={key.kid: key.public}, policy=ID_TOKEN)


@pytest.mark.parametrize(
    ("claims", "field", "rule"),
    [
        ({}, "exp", "missing"),
        ({"exp": None}, "exp", "numeric_date"),
        ({"exp": "2000"}, "exp", "numeric_date"),
        ({"exp": True}, "exp", "numeric_date"),
        ({"exp": float("nan")}, "exp", "numeric_date"),
        ({"exp": -1}, "exp", "numeric_date"),
        ({"exp": 2**53}, "exp", "numeric_date"),
        ({"exp": 995}, "exp", "expired"),
        ({"exp": 990}, "exp", "expired"),
        ({"exp": 2000, "nbf": 1006}, "nbf", "in_the_future"),
        ({"exp": 2000, "iat": 1006}, "iat", "in_the_future"),
        ({"exp": 2000, "iat": [1]}, "iat", "numeric_date"),
    ],
)
def test_times_that_do_not_hold_are_refused(claims: Mapping[str, object], field: str, rule: str) -> None:
    with pytest.raises(TokenRefused) as refused:
        check_times(claims, 1000, 5)
    assert (refused.value.field, refused.value.rule) == (field, rule)


@pytest.mark.parametrize("claims", [{"exp": 996}, {"exp": 1001.5, "nbf": 1005, "iat": 1005}, {"exp": 2000, "iat": 0}])
def test_times_that_hold_pass(claims: Mapping[str, object]) -> None:
    check_times(claims, 1000, 5)


def test_records_without_expiry_name_what_they_require() -> None:
    check_times({"iat": 1000}, 1000, 0, required=("iat",))
    with pytest.raises(TokenRefused):
        check_times({"exp": 2000}, 1000, 0, required=("iat", "exp"))


def test_a_policy_of_ones_own_is_honoured(signing_keys: Keys) -> None:
    key = signing_keys[Alg.EDDSA]
    narrow = Policy(Purpose.ID_TOKEN, frozenset({Alg.EDDSA}), "a+jwt", frozenset({"a+jwt"}), 4, kid_required=True)
    assert verify_jws(sign_jws(b"1234", key=key, policy=narrow), keys={key.kid: key.public}, policy=narrow).payload
    with pytest.raises(TokenRefused):
        sign_jws(b"12345", key=key, policy=narrow)
