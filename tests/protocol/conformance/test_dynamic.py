"""The Dynamic plan: the relying party registers itself (OpenID Connect Dynamic Client Registration 1.0), one test a module.

Every module registers a client of its own with an initial access token, as the suite does when it is given one.
"""

from __future__ import annotations

import json
import time
from typing import Any

import jwt
import pytest

from adapters.cli import main
from crypto.encoding import b64u_encode
from tests.protocol.conformance import test_config
from tests.protocol.conformance.live import Deployed, Live
from tests.protocol.conformance.party import Party
from tests.protocol.conformance.person import Page, Person
from tests.protocol.conformance.registered import RegisteredParty, Registrar, config_of, given_token

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 40
WATCHED_S = 20
"""A running service looks for turned keys every two seconds."""


@pytest.fixture
def registrar(live: Live) -> Registrar:
    assert isinstance(live, Deployed)
    return Registrar(live, given_token(live))


def sign_in_page(party: RegisteredParty) -> str:
    """Open the authorization endpoint in a fresh browser; return the page it shows."""
    browser = party.live.client(accept="text/html")
    browser.follow_redirects = True
    page = browser.get(party.metadata["authorization_endpoint"], params=party.request())
    assert page.status_code == 200
    assert "/signin/password" in page.text
    return page.text


def unsigned(claims: dict[str, Any]) -> str:
    """Return an unsecured JWT (RFC 7519 §6)."""
    header, payload = (b64u_encode(json.dumps(part).encode()) for part in ({"alg": "none"}, claims))
    return f"{header}.{payload}."


def test_oidcc_idtoken_rs256(registrar: Registrar, person: Person) -> None:
    party = registrar.register(id_token_signed_response_alg="RS256")
    assert party.sign_in(person).header["alg"] == "RS256"


def test_oidcc_idtoken_unsigned(registrar: Registrar) -> None:
    party = registrar.register()
    assert "none" not in party.metadata["id_token_signing_alg_values_supported"]
    answer = registrar.post(redirect_uris=[party.redirect_uri], id_token_signed_response_alg="none")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client_metadata")


def test_oidcc_userinfo_rs256(registrar: Registrar, person: Person) -> None:
    party = registrar.register(userinfo_signed_response_alg="RS256")
    tokens = party.sign_in(person)
    headers = {"authorization": f"Bearer {tokens.access_token}"}
    answer = party.http.get(party.metadata["userinfo_endpoint"], headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].partition(";")[0] == "application/jwt"
    header = jwt.get_unverified_header(answer.text)
    assert header["alg"] == "RS256"
    key, issuer = party.keys[header["kid"]], party.live.issuer
    claims = jwt.decode(answer.text, key, ["RS256"], audience=party.client_id, issuer=issuer)
    assert claims["sub"] == tokens.claims["sub"]


def test_oidcc_ensure_redirect_uri_in_authorization_request(registrar: Registrar, person: Person) -> None:
    origin = registrar.live.web.origin
    party = registrar.register(redirect_uris=[f"{origin}/callback", f"{origin}/other"])
    page = party.ask(person, party.request(redirect_uri=None))
    assert isinstance(page, Page)
    assert page.status == 400
    assert "redirect_uri" in page.text


def test_oidcc_redirect_uri_query_ok(registrar: Registrar, person: Person) -> None:
    uri = f"{registrar.live.web.origin}/callback?foo=bar"
    party = registrar.register(redirect_uris=[uri])
    answer = party.ask(person, party.request())
    assert not isinstance(answer, Page)
    assert answer.parameters.pop("foo") == "bar"
    assert "code" in answer.parameters


def test_oidcc_redirect_uri_query_mismatch(registrar: Registrar, person: Person) -> None:
    origin = registrar.live.web.origin
    party = registrar.register(redirect_uris=[f"{origin}/callback?foo=bar"])
    page = party.ask(person, party.request(redirect_uri=f"{origin}/callback?foo=baz"))
    assert isinstance(page, Page)
    assert page.status == 400


def test_oidcc_redirect_uri_query_added(registrar: Registrar, person: Person) -> None:
    party = registrar.register()
    page = party.ask(person, party.request(redirect_uri=f"{party.redirect_uri}?foo=bar"))
    assert isinstance(page, Page)
    assert page.status == 400


def test_oidcc_redirect_uri_regfrag(registrar: Registrar) -> None:
    answer = registrar.post(redirect_uris=[f"{registrar.live.web.origin}/callback#foobar"])
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_redirect_uri")


def test_oidcc_discovery_endpoint_verification(platform: Party) -> None:
    test_config.test_oidcc_discovery_endpoint_verification(platform)
    assert platform.metadata["registration_endpoint"].startswith("https://")


def test_oidcc_server(registrar: Registrar, person: Person) -> None:
    party = registrar.register()
    party.userinfo(party.sign_in(person))


def test_oidcc_registration_logo_uri(registrar: Registrar) -> None:
    web = registrar.live.web
    web.documents["/logo.png"] = ("image/png", PNG)
    party = registrar.register(logo_uri=f"{web.origin}/logo.png")
    picture = f"/logos/{party.client_id}"
    assert f'<img src="{picture}"' in sign_in_page(party)
    assert party.http.get(party.live.issuer + picture).content == PNG


def test_oidcc_registration_policy_uri(registrar: Registrar) -> None:
    uri = f"{registrar.live.web.origin}/policy"
    assert f'href="{uri}"' in sign_in_page(registrar.register(policy_uri=uri))


def test_oidcc_registration_tos_uri(registrar: Registrar) -> None:
    uri = f"{registrar.live.web.origin}/terms"
    assert f'href="{uri}"' in sign_in_page(registrar.register(tos_uri=uri))


def keyed(registrar: Registrar, path: str) -> RegisteredParty:
    """Register a client that authenticates by keys at an address."""
    party = registrar.register(
        jwks_uri=f"{registrar.live.web.origin}{path}",
        token_endpoint_auth_method="private_key_jwt",
        token_endpoint_auth_signing_alg="RS256",
    )
    assert "client_secret" not in party.body
    party.key = party.publish_key(path)
    return party


def test_oidcc_registration_jwks_uri(registrar: Registrar, person: Person) -> None:
    keyed(registrar, "/jwks-registered").sign_in(person)


def test_oidcc_registration_sector_uri(registrar: Registrar, person: Person) -> None:
    web = registrar.live.web
    web.documents["/sector.json"] = ("application/json", json.dumps([f"{web.origin}/callback"]).encode())
    one, two = (registrar.register(sector_identifier_uri=f"{web.origin}/sector.json") for _ in range(2))
    assert one.sign_in(person).claims["sub"] == two.sign_in(person).claims["sub"]


def test_oidcc_registration_sector_bad(registrar: Registrar) -> None:
    web = registrar.live.web
    web.documents["/sector-bad.json"] = ("application/json", json.dumps([f"{web.origin}/elsewhere"]).encode())
    uri = f"{web.origin}/sector-bad.json"
    answer = registrar.post(redirect_uris=[f"{web.origin}/callback"], sector_identifier_uri=uri)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client_metadata")


def test_oidcc_server_rotate_keys(registrar: Registrar, person: Person, capsys: pytest.CaptureFixture[str]) -> None:
    party = registrar.register()
    uri = party.metadata["jwks_uri"]
    before = {key["kid"] for key in party.http.get(uri).json()["keys"]}
    signing = ["--owner", "idp", "--alg", "RS256"]
    assert main(["keys", "rotate", *config_of(party.deployed), "signing", *signing]) == 0, capsys.readouterr()
    deadline = time.monotonic() + WATCHED_S
    while (after := {key["kid"] for key in party.http.get(uri).json()["keys"]}) == before:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert before < after, "the old key stays in the set beside the new one"
    party.sign_in(person)


def test_oidcc_refresh_token_rp_key_rotation(registrar: Registrar, person: Person) -> None:
    path = "/jwks-rotated"
    party = keyed(registrar, path)
    first = party.sign_in(person, scope="openid offline_access", prompt="consent")
    party.key = party.publish_key(path)
    answer = party.token({"grant_type": "refresh_token", "refresh_token": first.body["refresh_token"]})
    assert answer.status_code == 200, answer.text
    assert answer.json()["access_token"] != first.access_token


def test_oidcc_ensure_request_object_with_redirect_uri(registrar: Registrar, person: Person) -> None:
    party = registrar.register()
    asked = party.request()
    outside = {**asked, "request": unsigned(dict(asked)), "redirect_uri": f"{party.redirect_uri}/unregistered"}
    page = party.ask(person, outside)
    assert isinstance(page, Page), "nothing is redirected to an address that is not registered"
    assert page.status == 400
    inside = {**asked, "request": unsigned({**asked, "redirect_uri": f"{party.redirect_uri}/unregistered"})}
    assert party.refusal(party.ask(person, inside), asked) == "request_not_supported"


def test_oidcc_refresh_token(registrar: Registrar, live: Live) -> None:
    one, two = registrar.register(), registrar.register()
    grants = []
    for party in (one, two):
        first = party.sign_in(Person(live), scope="openid offline_access", prompt="consent")
        form = {"grant_type": "refresh_token", "refresh_token": first.body["refresh_token"]}
        answer = party.token(form)
        assert answer.status_code == 200, answer.text
        assert answer.json()["access_token"] != first.access_token
        grants.append({**form, "refresh_token": answer.json()["refresh_token"]})
    stolen = one.token(grants[1])  # bound to the client it was given to
    assert (stolen.status_code, stolen.json()["error"]) == (400, "invalid_grant")


def test_oidcc_ensure_client_assertion_with_iss_aud_succeeds(registrar: Registrar, person: Person) -> None:
    party = keyed(registrar, "/jwks-audience")
    asked = party.request()
    code = party.code(party.ask(person, asked), asked)
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": asked["redirect_uri"]}
    body = {**form, **party.assertion(party.live.issuer)}
    party.tokens(party.http.post(party.metadata["token_endpoint"], data=body), nonce=asked["nonce"])
