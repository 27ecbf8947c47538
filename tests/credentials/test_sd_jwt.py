"""SD-JWT as RFC 9901 says: published vectors, an independent implementation both ways, and every refusal."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jwcrypto.jwk import JWK  # type: ignore[import-untyped]  # its types are not published
from sd_jwt.common import SDObj
from sd_jwt.holder import SDJWTHolder
from sd_jwt.issuer import SDJWTIssuer
from sd_jwt.verifier import SDJWTVerifier

from credentials.errors import KeyBindingRefused, SdJwtRefused
from credentials.formats import sd_jwt
from credentials.formats.disclosures import Disclosable, Path, make_disclosure
from credentials.formats.key_binding import ExpectedBinding, KeyBinding, bind, verify_key_binding
from credentials.public_keys import key_of_jwk
from crypto.encoding import b64u_decode, b64u_encode
from crypto.errors import TrustError
from crypto.jws import sign_jws
from crypto.keys import SigningKey, generate_signing_key, signing_key_from_jwk
from crypto.sm3 import sm3
from crypto.suites import Alg, Policy, Purpose, policy
from tests.credentials.world import BACKEND
from tests.vectors_dir import shared

ANY_TYPE = replace(
    policy(Purpose.CREDENTIAL),
    accepted_typ=frozenset({"example+sd-jwt", "vc+sd-jwt", "dc+sd-jwt", "jwt", "custom-sd-jwt", None}),
    kid_required=False,
)
CREDENTIAL = policy(Purpose.CREDENTIAL)
BINDING = policy(Purpose.KEY_BINDING)
NO_CLAIMS: frozenset[str] = frozenset()
UNICODE = st.characters(exclude_categories=["Cs"])
SM2_KEY = generate_signing_key(Alg.SGD_SM3_SM2, backend=BACKEND)
ES256_KEY = generate_signing_key(Alg.ES256, backend=BACKEND)
HOLDER_KEY = generate_signing_key(Alg.SGD_SM3_SM2, backend=BACKEND)


def verified(credential: sd_jwt.SdJwt, key: SigningKey = SM2_KEY, rules: Policy = CREDENTIAL) -> dict[str, Any]:
    keys = {key.kid: key.public}
    return sd_jwt.verify(credential, keys=keys, policy=rules, required_claims=NO_CLAIMS).claims


def issued(claims: Mapping[str, Any], key: SigningKey = SM2_KEY, hash_name: str = "sm3") -> sd_jwt.SdJwt:
    return sd_jwt.issue(
        claims, key=key, policy=CREDENTIAL, hash_name=hash_name, random_bytes=secrets.token_bytes, decoys=1, header={}
    )


def signed(payload: Mapping[str, Any], *disclosures: str) -> sd_jwt.SdJwt:
    """Make a credential of a dishonest or mistaken issuer: whatever the payload and disclosures."""
    jwt = sign_jws(json.dumps(payload).encode(), key=SM2_KEY, policy=CREDENTIAL)
    return sd_jwt.parse("~".join([jwt, *disclosures, ""]))


def disclosure(*content: Any) -> str:
    return b64u_encode(json.dumps(content).encode())


def digest(encoded: str) -> str:
    return b64u_encode(sm3(encoded.encode()))


def refused(call: Callable[[], object]) -> str | None:
    with pytest.raises(SdJwtRefused) as caught:
        call()
    return caught.value.rule


# Published vectors


def test_the_four_credentials_of_the_rfc_verify_to_the_published_payloads() -> None:
    document = json.loads(shared("vectors/sd-jwt-rfc9901/rfc9901_appendix_a.json").read_text())
    issuer = key_of_jwk(document["issuer_jwk_public"])
    for vector in document["vectors"]:
        parsed = sd_jwt.parse(vector["input"])
        assert str(parsed) == vector["input"]
        found = sd_jwt.verify(parsed, keys=lambda _k, _a: issuer, policy=ANY_TYPE, required_claims=NO_CLAIMS)
        assert found.claims == vector["expected"], vector["name"]


def test_the_rfcs_presentation_with_key_binding_verifies() -> None:
    document = json.loads(shared("vectors/sd-jwt-rfc9901/rfc9901_appendix_a.json").read_text())
    parsed = sd_jwt.parse(document["vectors"][3]["input"])
    payload = parsed.unverified_payload()
    made = verify_key_binding(parsed, payload, policy=BINDING, now=2_000_000_000, expected=None)
    assert (made.audience, made.nonce) == ("https://verifier.example.org", "1234567890")
    other = sd_jwt.SdJwt(parsed.issuer_jwt, parsed.disclosures[1:], parsed.key_binding)
    with pytest.raises(KeyBindingRefused):
        verify_key_binding(other, payload, policy=BINDING, now=2_000_000_000, expected=None)


# The cases of another implementation, through it and through ours


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # untyped, see the import
    pass


def _sd(loader: _Loader, node: yaml.nodes.Node) -> SDObj:
    if isinstance(node, yaml.MappingNode):
        return SDObj(loader.construct_mapping(node, deep=True))
    if isinstance(node, yaml.SequenceNode):
        return SDObj(loader.construct_sequence(node, deep=True))
    assert isinstance(node, yaml.ScalarNode)
    implicit = yaml.ScalarNode(loader.resolve(yaml.ScalarNode, node.value, (True, False)), node.value)
    return SDObj(loader.construct_object(implicit))


_Loader.add_constructor("!sd", _sd)


def cases() -> list[str]:
    from tests.vectors_dir import SHARED

    return sorted(str(p.relative_to(SHARED)) for p in SHARED.glob("vectors/sd-jwt-python/*/*/specification.yml"))


def marked(value: Any) -> Any:
    """Return the oracle's markers as ours."""
    if isinstance(value, dict):
        return {
            (k.value if isinstance(k, SDObj) else k): Disclosable(marked(v)) if isinstance(k, SDObj) else marked(v)
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [Disclosable(marked(v.value)) if isinstance(v, SDObj) else marked(v) for v in value]
    return value


def chooser(wanted: Any) -> Callable[[Path], bool]:
    """Return the oracle's tree of wanted claims as a choice by path."""

    def chosen(path: Path) -> bool:
        here = wanted
        for step in path:
            if isinstance(here, dict):
                here = here.get(step)
            elif isinstance(here, list) and isinstance(step, int) and step < len(here):
                here = here[step]
            else:
                return False
        return bool(here) if isinstance(path[-1], str) else here not in (None, False)

    return chosen


SUPPORTED = [case for case in cases() if "json_serialization" not in case]


@pytest.mark.parametrize("case", SUPPORTED or ["vectors/sd-jwt-python"])
def test_our_presentations_and_the_oracles_verify_with_each_other(case: str) -> None:
    specification = yaml.load(shared(case).read_text(), Loader=_Loader)  # noqa: S506 -- a SafeLoader with one tag more
    wanted = specification["holder_disclosed_claims"]
    oracle_key = JWK.from_json(json.dumps(dict(ES256_KEY.private_jwk)))
    # Theirs, verified by ours.
    theirs = SDJWTIssuer(specification["user_claims"], oracle_key, sign_alg="ES256")
    holder = SDJWTHolder(theirs.sd_jwt_issuance)
    holder.create_presentation(wanted)
    # The test cases say what must come out; the examples have only the other implementation's word for it.
    theirs_of_theirs = SDJWTVerifier(holder.sd_jwt_presentation, lambda _issuer, _header: oracle_key)
    expected = specification.get("expect_verified_user_claims", theirs_of_theirs.get_verified_payload())
    found = sd_jwt.verify(
        sd_jwt.parse(holder.sd_jwt_presentation),
        keys=lambda _k, _a: ES256_KEY.public,
        policy=ANY_TYPE,
        required_claims=NO_CLAIMS,
    )
    assert found.claims == expected
    # Ours, verified by theirs.
    ours = issued(marked(specification["user_claims"]), ES256_KEY, "sha-256").subset(chooser(wanted))
    verifier = SDJWTVerifier(str(ours), lambda _issuer, _header: oracle_key)
    assert verifier.get_verified_payload() == expected
    assert verified(ours, ES256_KEY) == expected


# What an issuer makes


def test_both_hashes_and_both_algorithms_carry_the_same_claims() -> None:
    claims = {"vct": "t", "name": Disclosable("𠮷"), "list": [Disclosable(1), 2], "deep": {"a": Disclosable({"b": 3})}}
    opened = {"vct": "t", "name": "𠮷", "list": [1, 2], "deep": {"a": {"b": 3}}}
    for key, hash_name in ((SM2_KEY, "sm3"), (ES256_KEY, "sha-256")):
        made = issued(claims, key, hash_name)
        assert verified(made, key) == opened
        assert made.unverified_payload()["_sd_alg"] == hash_name


def test_salts_have_128_bits_and_no_two_disclosures_share_one() -> None:
    made = issued({str(n): Disclosable(n) for n in range(50)})
    salts = [json.loads(b64u_decode(one.encoded))[0] for one in made.disclosures]
    assert len(set(salts)) == 50
    assert all(len(b64u_decode(salt)) == 16 for salt in salts)


def test_what_is_not_disclosed_leaves_no_trace() -> None:
    made = issued({"name": Disclosable("李明"), "major": Disclosable("软件工程"), "list": [Disclosable("x"), "y"]})
    shown = made.subset(lambda path: path == ("major",))
    assert verified(shown) == {"major": "软件工程", "list": ["y"]}
    assert "李明" not in str(shown.unverified_payload())


def test_a_nested_disclosure_is_not_given_without_the_one_it_stands_in() -> None:
    made = issued({"outer": Disclosable({"inner": Disclosable(1)})})
    assert verified(made.subset(lambda path: path == ("outer", "inner"))) == {}
    assert verified(made.subset(lambda path: path == ("outer",))) == {"outer": {}}


@pytest.mark.parametrize("name", sorted(sd_jwt.NEVER_DISCLOSABLE))
def test_claims_a_verifier_needs_are_never_disclosable(name: str) -> None:
    assert refused(lambda: issued({name: Disclosable("x")})) == "never_disclosable"
    hidden = disclosure("c2FsdA", name, "x")
    assert refused(lambda: verified(signed({"_sd_alg": "sm3", "_sd": [digest(hidden)]}, hidden))) == "never_disclosable"


@pytest.mark.parametrize("name", ["_sd", "_sd_alg", "..."])
def test_an_issuer_never_uses_the_reserved_names(name: str) -> None:
    assert refused(lambda: issued({name: 1})) == "name"


# What a verifier refuses


def test_missing_validity_claims_are_refused_also_when_disclosed() -> None:
    made = issued({"iss": "i", "level": Disclosable("bachelor")})
    keys = {SM2_KEY.kid: SM2_KEY.public}
    for name in ("exp", "level"):
        with pytest.raises(SdJwtRefused) as caught:
            sd_jwt.verify(made, keys=keys, policy=CREDENTIAL, required_claims=frozenset({name}))
        assert (caught.value.rule, caught.value.field) == ("missing", name)


@pytest.mark.parametrize("value", ["sha-1", "md5", "SHA-256", "", 256, None])
def test_unknown_hash_algorithms_are_refused(value: object) -> None:
    assert refused(lambda: verified(signed({"_sd_alg": value}))) == "sd_alg"


def test_a_switched_hash_makes_every_disclosure_unreferenced() -> None:
    one = disclosure("c2FsdA", "name", "x")
    made = signed({"_sd_alg": "sha-256", "_sd": [digest(one)]}, one)
    assert refused(lambda: verified(made)) == "unreferenced"


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ([], "elements"),
        (["s"], "elements"),
        (["s", "n", "v", "more"], "elements"),
        ({"s": 1}, "elements"),
        ("text", "elements"),
        ([1, "n", "v"], "salt"),
        (["s", 1, "v"], "name"),
        (["s", "_sd", "v"], "name"),
        (["s", "...", "v"], "name"),
    ],
)
def test_malformed_disclosures_are_refused(content: Any, rule: str) -> None:
    one = b64u_encode(json.dumps(content).encode())
    assert refused(lambda: signed({"_sd_alg": "sm3", "_sd": [digest(one)]}, one)) == rule


@pytest.mark.parametrize(
    "text", ['["s","n",{"a":1,"a":2}]', '["s","n",NaN]', '["s","n","\\ud800"]', "[", '["s","n",1] ']
)
def test_disclosures_with_two_meanings_are_refused(text: str) -> None:
    one = b64u_encode(text.encode())
    if text.endswith("] "):  # white space is JSON; the digest is over the text as it stands
        assert verified(signed({"_sd_alg": "sm3", "_sd": [digest(one)]}, one)) == {"n": 1}
    else:
        assert refused(lambda: signed({"_sd_alg": "sm3", "_sd": [digest(one)]}, one)) == "encoding"


def _payload(**members: Any) -> dict[str, Any]:
    return {"_sd_alg": "sm3", **members}


NAME = disclosure("c2FsdA", "name", "x")
OTHER = disclosure("c2FsdB", "other", "y")
ELEMENT = disclosure("c2FsdC", "element")
ALG = disclosure("c2FsdD", "_sd_alg", "sha-256")
OUTER = disclosure("c2FsdE", "outer", {"_sd": [digest(NAME)]})
BAD: list[tuple[str, dict[str, Any], list[str]]] = [
    ("name_present", _payload(name="mine", _sd=[digest(NAME)]), [NAME]),
    ("name_present", _payload(_sd=[digest(ALG)]), [ALG]),
    ("digest_twice", _payload(_sd=[digest(NAME), digest(NAME)]), [NAME]),
    ("digest_twice", _payload(_sd=["a" * 43, "a" * 43]), []),
    ("digest_twice", _payload(_sd=[digest(NAME)], deep={"_sd": [digest(NAME)]}), [NAME]),
    ("digest_twice", _payload(_sd=[digest(NAME), digest(OUTER)]), [NAME, OUTER]),
    ("disclosure_twice", _payload(_sd=[digest(NAME)]), [NAME, NAME]),
    ("unreferenced", _payload(_sd=[digest(NAME)]), [NAME, OTHER]),
    ("unreferenced", _payload(_sd=[digest(OUTER)]), [NAME]),
    ("elements", _payload(_sd=[digest(ELEMENT)]), [ELEMENT]),
    ("elements", _payload(list=[{"...": digest(NAME)}]), [NAME]),
    ("placeholder", _payload(list=[{"...": digest(ELEMENT), "more": 1}]), [ELEMENT]),
    ("placeholder", _payload(deep={"...": digest(ELEMENT)}), []),
    ("digest", _payload(list=[{"...": 5}]), []),
    ("digest", _payload(_sd="text"), []),
    ("digest", _payload(_sd=[1]), []),
    ("nested", _payload(deep={"_sd_alg": "sm3"}), []),
]


@pytest.mark.parametrize(("rule", "payload", "given_"), BAD, ids=[f"{n}-{b[0]}" for n, b in enumerate(BAD)])
def test_payloads_and_disclosures_that_break_section_7_are_refused(
    rule: str, payload: dict[str, Any], given_: list[str]
) -> None:
    assert refused(lambda: verified(signed(payload, *given_))) == rule


def test_depth_and_number_of_disclosures_are_bounded() -> None:
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    assert refused(lambda: verified(signed({"deep": deep}))) == "depth"
    many = [disclosure("s", str(n), n) for n in range(513)]
    assert refused(lambda: verified(signed(_payload(_sd=[digest(d) for d in many]), *many))) == "too_many"


@pytest.mark.parametrize(
    "text", ["", "~", "a.b.c", "a.b~", "a.b.c~~", "a.b.c~d", "a.b.c~ ~", "a.b.c~é~", "a.b.c~d~e.f"]
)
def test_texts_that_are_no_compact_sd_jwt_are_refused(text: str) -> None:
    assert refused(lambda: sd_jwt.parse(text)) == "form"


def test_alg_none_and_keys_named_by_the_token_are_refused() -> None:
    body = b64u_encode(b"{}")
    for header in ({"alg": "none", "typ": "dc+sd-jwt"}, {"alg": "None", "typ": "dc+sd-jwt", "kid": SM2_KEY.kid}):
        made = sd_jwt.parse(f"{b64u_encode(json.dumps(header).encode())}.{body}.AA~")
        with pytest.raises(TrustError):
            verified(made)


def test_a_changed_unused_bit_of_the_last_character_is_refused() -> None:
    made = str(issued({"name": Disclosable("x")}))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for part in made.rstrip("~").split("~"):
        if len(part.rpartition(".")[2]) % 4 in {2, 3}:
            other = part[:-1] + alphabet[alphabet.index(part[-1]) ^ 1]
            with pytest.raises(TrustError):
                verified(sd_jwt.parse(made.replace(part, other)))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_changed_character_is_refused(data: st.DataObject) -> None:
    made = str(MUTATED)
    position = data.draw(st.integers(0, len(made) - 1))
    sign = data.draw(st.characters(max_codepoint=0x7F))
    changed = made[:position] + sign + made[position + 1 :]
    if changed != made:
        with pytest.raises(TrustError):
            verified(sd_jwt.parse(changed))


MUTATED = issued({"iss": "i", "name": Disclosable("李明"), "list": [Disclosable("x")]})


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.text(UNICODE, min_size=1, max_size=8).filter(
            lambda n: n not in {"_sd", "_sd_alg", "..."} | sd_jwt.NEVER_DISCLOSABLE
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(UNICODE),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=5,
        ),
        max_size=6,
    ),
    st.sampled_from(["sm3", "sha-256"]),
)
def test_what_is_concealed_is_revealed_unchanged(claims: dict[str, Any], hash_name: str) -> None:
    made = issued({name: Disclosable(value) for name, value in claims.items()}, ES256_KEY, hash_name)
    assert verified(sd_jwt.parse(str(made)), ES256_KEY) == claims


# Key binding


NOW = 1_782_864_000
CNF = {"cnf": {"jwk": {n: HOLDER_KEY.public.jwk[n] for n in ("kty", "crv", "x", "y")}}}


def bound(key: SigningKey = HOLDER_KEY, **changes: Any) -> sd_jwt.SdJwt:
    binding = KeyBinding(changes.get("aud", "https://v"), changes.get("nonce", "n1"), changes.get("iat", NOW))
    made = issued({**CNF, "name": Disclosable("x"), "major": Disclosable("y")})
    return bind(made.subset(lambda path: path[0] == "name"), key=key, policy=BINDING, binding=binding)


def binding_rule(made: sd_jwt.SdJwt, expected: ExpectedBinding | None) -> str | None:
    with pytest.raises(KeyBindingRefused) as caught:
        verify_key_binding(made, made.unverified_payload(), policy=BINDING, now=NOW, expected=expected)
    return caught.value.rule


EXPECTED = ExpectedBinding("https://v", "n1", NOW - 10)


def test_a_holder_binds_a_presentation_to_audience_nonce_and_time() -> None:
    made = sd_jwt.parse(str(bound()))
    found = verify_key_binding(made, made.unverified_payload(), policy=BINDING, now=NOW, expected=EXPECTED)
    assert found == KeyBinding("https://v", "n1", NOW)
    assert verified(made) == {**CNF, "name": "x"}


def test_a_missing_stale_future_or_foreign_binding_is_refused() -> None:
    assert binding_rule(issued(CNF), EXPECTED) == "missing"
    assert binding_rule(bound(iat=NOW - 100), EXPECTED) == "stale"
    assert binding_rule(bound(iat=NOW + 1000), None) == "future"
    assert binding_rule(bound(aud="https://other"), EXPECTED) == "audience"
    assert binding_rule(bound(nonce="n2"), EXPECTED) == "nonce"
    assert binding_rule(bound(SM2_KEY), EXPECTED) == "signature"
    assert binding_rule(sd_jwt.SdJwt(issued({}).issuer_jwt, (), bound().key_binding), EXPECTED) == "cnf"


def test_a_binding_covers_exactly_the_disclosures_presented() -> None:
    made = bound()
    fewer = sd_jwt.SdJwt(made.issuer_jwt, (), made.key_binding)
    assert binding_rule(fewer, None) == "sd_hash"


@pytest.mark.parametrize(
    "change", [{"aud": ["https://v"]}, {"iat": True}, {"iat": "1"}, {"nonce": 1}, {"sd_hash": None}]
)
def test_a_binding_with_malformed_claims_is_refused(change: dict[str, Any]) -> None:
    made = bound()
    assert made.key_binding is not None
    claims = json.loads(b64u_decode(made.key_binding.split(".")[1])) | change
    token = sign_jws(json.dumps(claims).encode(), key=HOLDER_KEY, policy=BINDING)
    rule = binding_rule(sd_jwt.SdJwt(made.issuer_jwt, made.disclosures, token), EXPECTED)
    assert rule in {"claims", "sd_hash"}


def test_a_token_of_another_type_is_no_key_binding() -> None:
    made = bound()
    assert made.key_binding is not None
    claims = b64u_decode(made.key_binding.split(".")[1])
    token = sign_jws(claims, key=HOLDER_KEY, policy=CREDENTIAL)
    assert binding_rule(sd_jwt.SdJwt(made.issuer_jwt, made.disclosures, token), EXPECTED) == "signature"


def test_the_digest_is_over_the_text_of_the_disclosure() -> None:
    """RFC 9901 section 4.2.3: the published digest of the published disclosure."""
    encoded = "WyI2cU1RdlJMNWhhaiIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0"
    found = b64u_encode(hashlib.sha256(encoded.encode()).digest())
    from credentials.formats.disclosures import HASHES, parse_disclosure

    assert parse_disclosure(encoded).value == "Möbius"
    assert parse_disclosure(encoded).digest(HASHES["sha-256"]) == found
    assert make_disclosure(b"\0" * 16, None, "x").name is None
    assert signing_key_from_jwk(dict(SM2_KEY.private_jwk), alg=Alg.SGD_SM3_SM2, backend=BACKEND).kid == SM2_KEY.kid
