"""Registration: what is refused is refused with its field and rule; nothing unknown passes."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from crypto.errors import TrustError
from idp.clients.members import RegistrationRefused
from idp.clients.model import AccessTokenFormat, ClientState, SubjectType
from idp.clients.redirect_uris import UriRefused, check_redirect_uri, check_web_uri
from idp.clients.registration import parse_client, parse_clients
from idp.clients.secrets import ClientSecretRefused, hash_client_secret, new_client_secret, secret_matches
from idp.subject import SubjectIdentifiers
from tests.protocol.world import OpenWorld, registration

Run = Callable[[Coroutine[Any, Any, None]], None]

BAD_URIS = [
    "",
    "https://",
    "https:///x",
    "http://learning.example/cb",
    "http://10.0.0.1/cb",
    "https://*.example/cb",
    "https://a.example/*",
    "https://a.example/cb#x",
    "https://a.example/cb#",
    "https://user@a.example/cb",
    "https://user:pw@a.example/cb",
    "https://a.example:/cb",
    "https://a.example:99999/cb",
    "https://A.example/cb",
    "https://a.example./cb",
    "https://-a.example/cb",
    "https://a_b.example/cb",
    "https://学校.example/cb",
    "https://a.example/学",
    "https://a.example\\@evil.example/cb",
    "https://a.example/../cb",
    "https://a.example/x/..;/cb",
    "https://a.example/%2e%2e/cb",
    "https://a.example/ cb",
    "https://a.example/cb\n",
    "HTTPS://a.example/cb",
    "https:/a.example/cb",
    "https:a.example",
    "//a.example/cb",
    "/cb",
    "javascript:alert(1)",
    "JAVASCRIPT:alert(1)",
    "java.script:alert(1)",
    "data:text/html,x",
    "vbscript:x",
    "file:///etc/passwd",
    "ftp://a.example/x",
    "https://a.example/" + "x" * 2048,
    "https://[::1/cb",
]


@pytest.mark.parametrize("uri", BAD_URIS)
def test_a_uri_that_could_mean_something_else_is_not_registered(uri: str) -> None:
    with pytest.raises(UriRefused):
        check_web_uri(uri, field="redirect_uris")
    for field in ("redirect_uris", "post_logout_redirect_uris"):
        with pytest.raises(TrustError):
            parse_client(registration(**{field: [uri]}))
    for field in ("backchannel_logout_uri", "client_uri"):
        with pytest.raises(TrustError):
            parse_client(registration(**{field: uri}))


@pytest.mark.parametrize(
    "uri",
    [
        "https://a.example/cb",
        "https://a.example:8443/cb?x=%2Fy",
        "http://127.0.0.1:8081/cb",
        "http://[::1]:8081/cb",
        "http://localhost/cb",
    ],
)
def test_ordinary_uris_are_registered(uri: str) -> None:
    assert check_web_uri(uri, field="redirect_uris") == uri


def test_private_use_schemes_are_for_public_clients_and_look_like_reversed_domains() -> None:
    assert check_redirect_uri("cn.edu.app:/cb", public=True, field="f") == "cn.edu.app:/cb"
    for uri, public in (
        ("cn.edu.app:/cb", False),
        ("app:/cb", True),
        ("javascript:/cb", True),
        ("cn.edu.app:cb", True),
        ("cn.edu.app:/cb#x", True),
    ):
        with pytest.raises(UriRefused):
            check_redirect_uri(uri, public=public, field="f")


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"client_id": "Learning"}, "client_id", "form"),
        ({"client_id": "ab"}, "client_id", "form"),
        ({"client_id": "1999999999999999"}, "client_id", "form"),
        ({"client_id": "x" * 41}, "client_id", "form"),
        ({"client_id": 5}, "client_id", "text"),
        ({"redirect_uri": "https://a.example"}, "redirect_uri", "unknown_member"),
        ({"redirect_uris": []}, "redirect_uris", "missing"),
        ({"redirect_uris": "https://a.example"}, "redirect_uris", "array"),
        ({"redirect_uris": ["https://a.example"] * 2}, "redirect_uris", "array"),
        ({"redirect_uris": [f"https://a.example/{n}" for n in range(21)]}, "redirect_uris", "array"),
        ({"redirect_uris": ["https://a.example/", "https://b.example/"]}, "sector_identifier", "several_hosts"),
        ({"sector_identifier": "https://a.example"}, "sector_identifier", "form"),
        ({"client_secret": None}, "client_secret", "missing"),
        ({"token_endpoint_auth_method": "none"}, "client_secret", "not_for_public"),
        ({"token_endpoint_auth_method": "client_secret_jwt"}, "token_endpoint_auth_method", "unknown_value"),
        (
            {"token_endpoint_auth_method": "none", "client_secret": None, "require_pkce": False},
            "require_pkce",
            "required_for_public",
        ),
        ({"require_pkce": "no"}, "require_pkce", "boolean"),
        ({"id_token_signed_response_alg": "none"}, "id_token_signed_response_alg", "unknown_value"),
        ({"id_token_signed_response_alg": "HS256"}, "id_token_signed_response_alg", "unknown_value"),
        ({"grant_types": ["implicit"]}, "grant_types", "unknown_value"),
        ({"grant_types": ["refresh_token"]}, "grant_types", "authorization_code"),
        ({"scopes_required": ["openid", "admin"]}, "scope", "unknown_value"),
        ({"scopes_required": ["openid", "edu"], "scopes_optional": ["edu"]}, "scope", "duplicate"),
        ({"name_zh": "学习\u202e平台"}, "name_zh", "name"),
        ({"name_en": " Learning"}, "name_en", "name"),
        ({"name_en": "x" * 61}, "name_en", "name"),
        ({"filing": {"owner": "x"}}, "filing", "object"),
        ({"filing": {"icp_number": 5}}, "icp_number", "text"),
        ({"jwks": {"keys": "x"}}, "jwks", "array"),
        ({"jwks": {"keys": [1]}}, "jwks", "object"),
        ({"acr_minimum": "3"}, "acr_minimum", "unknown_value"),
    ],
)
def test_a_registration_is_refused_by_field_and_rule(changes: dict[str, Any], field: str, rule: str) -> None:
    with pytest.raises(RegistrationRefused) as refused:
        parse_client(registration(**changes))
    assert (refused.value.field, refused.value.rule) == (field, rule)


def test_documents_that_are_no_list_of_clients_are_refused() -> None:
    for document in (b"{}", b"[1]", b"[", b'[{"client_id": "a", "client_id": "b"}]'):
        with pytest.raises(TrustError):
            parse_clients(document)
    with pytest.raises(RegistrationRefused):
        parse_clients(json.dumps([registration(), registration()]).encode())


@pytest.mark.parametrize("secret", ["short", "s" * 42, "s" * 129, "s" * 42 + "!", "密" * 43])
def test_a_secret_without_256_bits_is_refused(secret: str) -> None:
    with pytest.raises(ClientSecretRefused):
        hash_client_secret(secret)


def test_secrets_match_only_themselves() -> None:
    secret = new_client_secret(lambda size: bytes(range(size)))
    stored = hash_client_secret(secret)
    assert secret_matches(stored, secret)
    assert not secret_matches(stored, secret[:-1] + "x")
    assert not secret_matches(None, secret)
    assert not secret_matches(stored, "")


def test_subjects_are_pairwise_by_sector() -> None:
    subjects = SubjectIdentifiers(b"k" * 32)
    one = parse_client(registration("one", sector_identifier="shared.example"))
    two = parse_client(registration("two", sector_identifier="shared.example"))
    three = parse_client(registration("three"))
    public = parse_client(registration("open", subject_type=SubjectType.PUBLIC.value))
    assert subjects.sub("1", one) == subjects.sub("1", two)
    assert len({subjects.sub("1", client) for client in (one, three, public)}) == 3
    assert subjects.sub("1", one) != subjects.sub("2", one)
    assert subjects.sid("s", "one") != subjects.sid("s", "two")
    assert SubjectIdentifiers(b"l" * 32).sub("1", one) != subjects.sub("1", one)
    with pytest.raises(ValueError, match="32 bytes"):
        SubjectIdentifiers(b"k" * 31)


def test_what_is_stored_comes_back_the_same_and_re_registering_keeps_the_state(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            document = registration(
                "full",
                subject_type="public",
                access_token_format="jwt",
                acr_minimum="urn:edutrust:acr:2",
                client_uri="https://full.example/",
                filing={"operator": "某大学", "icp_number": "京ICP备12345678号"},
            )
            await world.register(document)
            parsed = parse_client(document)
            assert await world.client("full") == parsed
            assert parsed.access_token_format is AccessTokenFormat.JWT
            assert parsed.filing.operator == "某大学"
            await world.store.set_client_state("full", ClientState.DISABLED, world.clock())
            await world.register(document)
            assert (await world.client("full")).state is ClientState.DISABLED
            for nobody in ("", "full\x00", "FULL", "学", "full' --"):
                assert await world.store.client(nobody) is None

    run(story())
