"""Whatever JSON a platform sends, its metadata make a client within the policy or are refused as the standard says."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from crypto.errors import TrustError
from idp.clients.dynamic import read_registration
from idp.clients.model import Client, ClientOrigin
from idp.clients.names import skeleton
from idp.clients.registration_policy import POLICIES, STANDARD, TRIAL, RegistrationPolicy

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner), max_leaves=8
)
URLS = st.sampled_from(
    [
        "https://a.example/cb",
        "https://b.example/cb?x=1",
        "http://127.0.0.1/cb",
        "http://localhost:8080/",
        "cn.edu.app:/cb",
        "https://[::1/",
        "https://[",
        "javascript:alert(1)",
        "",
        "https://a.example/#x",
    ]
)
MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "redirect_uris": st.lists(URLS, max_size=3),
    "post_logout_redirect_uris": st.lists(URLS, max_size=2),
    "backchannel_logout_uri": URLS,
    "frontchannel_logout_uri": URLS,
    "sector_identifier_uri": URLS,
    "jwks_uri": URLS,
    "logo_uri": URLS,
    "policy_uri": URLS,
    "client_uri": URLS,
    "jwks": st.fixed_dictionaries(
        {"keys": st.lists(st.dictionaries(st.sampled_from(["kty", "crv", "x", "k", "d"]), SCALARS))}
    ),
    "grant_types": st.lists(st.sampled_from(["authorization_code", "refresh_token", "implicit", "client_credentials"])),
    "response_types": st.lists(st.sampled_from(["code", "token"])),
    "application_type": st.sampled_from(["web", "native", "other"]),
    "token_endpoint_auth_method": st.sampled_from(
        ["client_secret_basic", "none", "private_key_jwt", "tls_client_auth"]
    ),
    "token_endpoint_auth_signing_alg": st.sampled_from(["ES256", "PS256", "none"]),
    "id_token_signed_response_alg": st.sampled_from(["RS256", "ES256", "SGD_SM3_SM2", "none", "PS256"]),
    "subject_type": st.sampled_from(["pairwise", "public", "other"]),
    "scope": st.sampled_from(["openid", "profile edu", "openid  x", " "]),
    "client_name": st.text(max_size=70),
    "client_name#zh-CN": st.text(max_size=10),
    "default_max_age": st.integers(),
    "contacts": st.lists(st.text(max_size=20), max_size=2),
}
DOCUMENTS = st.fixed_dictionaries({}, optional={name: value | JSON for name, value in MEMBERS.items()})
ORDINARY = {"redirect_uris": ["https://a.example/cb"]}


def read(document: dict[str, Any], policy: RegistrationPolicy) -> Client | None:
    try:
        metadata, client = read_registration(
            document, policy, operator="教育数字认证", client_id="d-test", secret="s" * 43
        )
    except TrustError:
        return None
    assert set(metadata) <= {*MEMBERS, "require_auth_time"}
    return client


def holds(client: Client, policy: RegistrationPolicy) -> None:
    """Check what the policy promises of every client that came under it."""
    assert client.origin is ClientOrigin.DYNAMIC
    assert client.owner is None
    assert client.grant_types <= policy.grant_types
    assert client.token_endpoint_auth_method in policy.auth_methods
    assert client.subject_type in policy.subject_types
    assert client.scopes <= policy.scopes
    assert client.scopes_required == ("openid",)
    assert client.id_token_signed_response_alg in policy.algorithms
    assert (client.acr_minimum, client.scopes_client, client.resources) == (policy.acr_minimum, (), ())
    assert client.require_pkce or not (policy.pkce or client.public)
    assert client.require_pkce or client.require_nonce
    assert client.name_zh.isprintable()
    assert client.name_en.isprintable()
    assert (client.secret_hash is None) == (client.token_endpoint_auth_method.value in {"none", "private_key_jwt"})


@given(document=DOCUMENTS, policy=st.sampled_from(sorted(POLICIES.values(), key=lambda policy: policy.name)))
@example(document={"redirect_uris": ["https://[::1/"], "client_name": "x"}, policy=TRIAL)
@example(document={**ORDINARY, "sector_identifier_uri": "https://["}, policy=STANDARD)
@example(document={**ORDINARY, "client_uri": "https://["}, policy=STANDARD)
@example(document={**ORDINARY, "jwks": {"keys": [{"kty": []}]}}, policy=STANDARD)
@example(document={**ORDINARY, "scope": "\ud800"}, policy=STANDARD)
@example(document={**ORDINARY, "application_type": ["web"]}, policy=STANDARD)
@settings(max_examples=400, deadline=None)
def test_any_metadata_make_a_client_within_the_policy_or_are_refused(
    document: dict[str, Any], policy: RegistrationPolicy
) -> None:
    client = read(document, policy)
    if client is not None:
        holds(client, policy)


@given(document=DOCUMENTS)
@settings(max_examples=200, deadline=None)
def test_valid_redirect_uris_with_any_other_metadata_are_judged_without_a_fault(document: dict[str, Any]) -> None:
    assert read(dict(ORDINARY), STANDARD) is not None
    client = read({**document, **ORDINARY, "grant_types": ["authorization_code"], "response_types": ["code"]}, TRIAL)
    if client is not None:
        holds(client, TRIAL)


@given(name=st.text(max_size=40))
def test_a_skeleton_is_its_own_skeleton_and_blind_to_spaces_and_case(name: str) -> None:
    shape = skeleton(name)
    assert skeleton(f" {name}\u00b7") == shape
    assert skeleton(shape) == skeleton(skeleton(shape))
