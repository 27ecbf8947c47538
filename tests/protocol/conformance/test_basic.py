"""The Basic plan, and in the mode `form_post` the Form Post plan: OpenID Connect Core 1.0, one test a module.

A module of the suite that ends in REVIEW has a person look at a picture of a page; where one does, the test reads the
page instead.
"""

from __future__ import annotations

import json
import re
import time
from typing import Any

import jwt
import pytest

from crypto.encoding import b64u_encode
from idp.clients.members import RegistrationRefused
from idp.clients.registration import parse_client
from tests.protocol.conformance.live import Live, registrations
from tests.protocol.conformance.party import Party, Tokens
from tests.protocol.conformance.person import Callback, Page, Person

# OpenID Connect Core §5.4: what the scope `profile` may release.
PROFILE_CLAIMS = frozenset(
    [
        "name",
        "family_name",
        "given_name",
        "middle_name",
        "nickname",
        "preferred_username",
        "profile",
        "picture",
        "website",
        "gender",
        "birthdate",
        "zoneinfo",
        "locale",
        "updated_at",
    ]
)


def unsigned(claims: dict[str, object]) -> str:
    """Return an unsecured JWT (RFC 7519 §6)."""
    header, payload = (b64u_encode(json.dumps(part).encode()) for part in ({"alg": "none"}, claims))
    return f"{header}.{payload}."


def same_sign_in(first: Tokens, second: Tokens) -> None:
    """Check that two ID tokens tell of one person's one sign-in."""
    for claim in ("iss", "sub", "aud", "auth_time"):
        assert first.claims[claim] == second.claims[claim], claim


def test_oidcc_server(party: Party, person: Person) -> None:
    tokens = party.sign_in(person)
    assert party.userinfo(tokens)["sub"]


def test_oidcc_response_type_missing(party: Party, person: Person) -> None:
    asked = party.request(response_type=None)
    answer = party.ask(person, asked)
    if isinstance(answer, Callback):
        assert party.refusal(answer, asked) in {"unsupported_response_type", "invalid_request"}
    else:
        assert answer.status == 400
        assert "response_type" in answer.text


def test_oidcc_idtoken_signature(party: Party, person: Person) -> None:
    tokens = party.sign_in(person)  # verified by the published key that its `kid` names (§10.1)
    assert tokens.header["alg"] == "RS256"
    assert "RS256" in party.metadata["id_token_signing_alg_values_supported"]


def test_oidcc_idtoken_unsigned(party: Party, person: Person, live: Live) -> None:
    assert "none" not in party.metadata["id_token_signing_alg_values_supported"]
    with pytest.raises(RegistrationRefused):
        parse_client({**registrations(live.party.origin)[0], "id_token_signed_response_alg": "none"})
    assert party.sign_in(person).header["alg"] != "none"


def test_oidcc_userinfo_get(party: Party, person: Person) -> None:
    tokens = party.sign_in(person)
    headers = {"authorization": f"Bearer {tokens.access_token}"}
    party.claims(party.http.get(party.metadata["userinfo_endpoint"], headers=headers), tokens)


def test_oidcc_userinfo_post_header(party: Party, person: Person) -> None:
    tokens = party.sign_in(person)
    headers = {"authorization": f"Bearer {tokens.access_token}"}
    party.claims(party.http.post(party.metadata["userinfo_endpoint"], headers=headers), tokens)


def test_oidcc_userinfo_post_body(party: Party, person: Person) -> None:
    tokens = party.sign_in(person)
    form = {"access_token": tokens.access_token}
    party.claims(party.http.post(party.metadata["userinfo_endpoint"], data=form), tokens)


def test_oidcc_scope_profile(party: Party, person: Person) -> None:
    assert "profile" in party.metadata["scopes_supported"]
    claims = party.userinfo(party.sign_in(person, scope="openid profile"))
    promised = PROFILE_CLAIMS & set(party.metadata["claims_supported"])
    assert promised
    assert promised <= claims.keys()
    assert all(isinstance(claims[name], str) for name in promised - {"updated_at"})
    assert isinstance(claims["updated_at"], int)


def of_scope(party: Party, person: Person, *scopes: str) -> dict[str, Any]:
    """Ask for scopes; return what userinfo says, having checked that the ID token says none of it (§5.4)."""
    assert set(scopes) <= set(party.metadata["scopes_supported"])
    tokens = party.sign_in(person, scope=" ".join(("openid", *scopes)))
    claims = party.userinfo(tokens)
    assert set(claims) & set(tokens.claims) == {"sub"}
    return claims


def is_address(claims: dict[str, Any]) -> None:
    """Check the address claim (§5.1.1)."""
    address = claims["address"]
    assert set(address) <= {"formatted", "street_address", "locality", "region", "postal_code", "country"}
    assert all(isinstance(part, str) and part for part in address.values())
    assert address["formatted"]


def is_email(claims: dict[str, Any]) -> None:
    """Check the claims of the scope `email` (§5.1)."""
    assert re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", claims["email"])
    assert isinstance(claims["email_verified"], bool)


def is_phone(claims: dict[str, Any]) -> None:
    """Check the claims of the scope `phone` (§5.1: E.164 is recommended)."""
    assert re.fullmatch(r"\+[1-9][0-9]{6,14}", claims["phone_number"])
    assert isinstance(claims["phone_number_verified"], bool)


def test_oidcc_scope_email(party: Party, person: Person) -> None:
    claims = of_scope(party, person, "email")
    is_email(claims)
    assert set(claims) == {"sub", "email", "email_verified"}


def test_oidcc_scope_address(party: Party, person: Person) -> None:
    claims = of_scope(party, person, "address")
    is_address(claims)
    assert set(claims) == {"sub", "address"}


def test_oidcc_scope_phone(party: Party, person: Person) -> None:
    claims = of_scope(party, person, "phone")
    is_phone(claims)
    assert set(claims) == {"sub", "phone_number", "phone_number_verified"}


def test_oidcc_scope_all(party: Party, person: Person) -> None:
    claims = of_scope(party, person, "address", "email", "phone", "profile")
    is_address(claims)
    is_email(claims)
    is_phone(claims)
    assert PROFILE_CLAIMS & set(party.metadata["claims_supported"]) <= claims.keys()


def test_oidcc_ensure_request_without_nonce_succeeds_for_code_flow(party: Party, person: Person) -> None:
    tokens = party.sign_in(person, nonce=None)
    assert "nonce" not in tokens.claims
    party.userinfo(tokens)


def test_oidcc_alternate_happy_flow(party: Party, person: Person) -> None:
    asked = party.request(scope="profile openid")
    backwards = dict(reversed(asked.items()))
    tokens = party.redeem(party.code(party.ask(person, backwards), asked), asked)
    assert party.userinfo(tokens)["name"]


def test_oidcc_display_page(party: Party, person: Person) -> None:
    party.userinfo(party.sign_in(person, display="page"))


def test_oidcc_display_popup(party: Party, person: Person) -> None:
    party.userinfo(party.sign_in(person, display="popup"))


def test_oidcc_prompt_login(party: Party, person: Person) -> None:
    first = party.sign_in(person)
    time.sleep(1)  # auth_time counts whole seconds
    second = party.sign_in(person, prompt="login")
    assert person.signed_in == 2, "the person must be asked to sign in a second time"
    assert second.claims["sub"] == first.claims["sub"]
    assert second.claims["auth_time"] > first.claims["auth_time"]


def test_oidcc_prompt_none_not_logged_in(party: Party, person: Person) -> None:
    asked = party.request(prompt="none")
    error = party.refusal(party.ask(person, asked), asked)
    assert error in {"login_required", "interaction_required", "account_selection_required", "consent_required"}
    assert person.signed_in == 0


def test_oidcc_prompt_none_logged_in(party: Party, person: Person) -> None:
    first = party.sign_in(person)
    second = party.sign_in(person, prompt="none")
    assert person.signed_in == 1
    same_sign_in(first, second)


def test_oidcc_max_age_1(party: Party, person: Person) -> None:
    first = party.sign_in(person)
    time.sleep(2)  # as long as the suite waits
    second = party.sign_in(person, max_age="1")
    assert person.signed_in == 2, "the person must be asked to sign in a second time"
    assert second.claims["auth_time"] > first.claims["auth_time"]
    assert abs(time.time() - second.claims["auth_time"]) < 10


def test_oidcc_max_age_10000(party: Party, person: Person) -> None:
    first = party.sign_in(person, max_age="15000")
    assert isinstance(first.claims["auth_time"], int)
    second = party.sign_in(person, max_age="10000")
    assert person.signed_in == 1
    same_sign_in(first, second)


def test_oidcc_ensure_request_with_unknown_parameter_succeeds(party: Party, person: Person) -> None:
    party.userinfo(party.sign_in(person, extra="foobar"))


def test_oidcc_id_token_hint(party: Party, person: Person) -> None:
    first = party.sign_in(person)
    second = party.sign_in(person, prompt="none", id_token_hint=first.id_token)
    assert person.signed_in == 1
    same_sign_in(first, second)


def test_oidcc_login_hint(party: Party, person: Person) -> None:
    party.userinfo(party.sign_in(person, login_hint="buffy@localhost"))
    assert person.typed_for_them == "buffy@localhost"


def test_oidcc_ui_locales(party: Party, person: Person) -> None:
    party.userinfo(party.sign_in(person, ui_locales="se"))


def test_oidcc_claims_locales(party: Party, person: Person) -> None:
    party.userinfo(party.sign_in(person, claims_locales="se"))


def test_oidcc_ensure_request_with_acr_values_succeeds(party: Party, live: Live, mode: str) -> None:
    values = party.metadata["acr_values_supported"]
    tokens = party.sign_in(Person(live, f"two-factors-{mode.removesuffix('_post')}"), acr_values=" ".join(values))
    assert tokens.claims["acr"] in values


def test_oidcc_ensure_registered_redirect_uri(party: Party, person: Person) -> None:
    asked = party.request(redirect_uri=f"{party.redirect_uri}/unregistered")
    page = party.ask(person, asked)
    assert isinstance(page, Page), "an address that is not registered is never redirected to"
    assert page.status == 400
    assert "redirect_uri" in page.text
    assert person.signed_in == 0


def test_oidcc_ensure_post_request_succeeds(party: Party, person: Person) -> None:
    asked = party.request()
    answer = person.send(party.metadata["authorization_endpoint"], asked)
    party.userinfo(party.redeem(party.code(answer, asked), asked))


def test_oidcc_server_client_secret_post(live: Live, mode: str, person: Person) -> None:
    party = Party(live, "conformance-post", mode=mode)
    assert "client_secret_post" in party.metadata["token_endpoint_auth_methods_supported"]
    party.userinfo(party.sign_in(person))


def test_oidcc_request_uri_unsigned_supported_correctly_or_rejected_as_unsupported(
    party: Party, person: Person, live: Live
) -> None:
    live.party.drain()
    asked = party.request(request_uri=f"{live.party.origin}/request-object")
    assert party.refusal(party.ask(person, asked), asked) == "request_uri_not_supported"
    assert party.metadata["request_uri_parameter_supported"] is False
    assert live.party.drain() == [], "an address of the request is never fetched"


def test_oidcc_unsigned_request_object_supported_correctly_or_rejected_as_unsupported(
    party: Party, person: Person
) -> None:
    asked = party.request()
    asked = {**asked, "request": unsigned(dict(asked))}
    assert party.refusal(party.ask(person, asked), asked) == "request_not_supported"
    assert party.metadata["request_parameter_supported"] is False


def test_oidcc_claims_essential(party: Party, person: Person) -> None:
    assert party.metadata["claims_parameter_supported"] is True
    tokens = party.sign_in(person, claims=json.dumps({"userinfo": {"name": {"essential": True}}}))
    assert party.userinfo(tokens)["name"]
    assert "name" not in tokens.claims, "the suite warns of a claim that comes where it was not asked for"


def test_oidcc_ensure_request_object_with_redirect_uri(party: Party, person: Person, live: Live) -> None:
    asked = party.request()
    # The address beside the object is not registered: nothing may be redirected, so the refusal is shown.
    outside = {**asked, "request": unsigned(dict(asked)), "redirect_uri": f"{live.party.origin}/unregistered"}
    page = party.ask(person, outside)
    assert isinstance(page, Page)
    assert page.status == 400
    inside = {**asked, "request": unsigned({**asked, "redirect_uri": f"{live.party.origin}/unregistered"})}
    assert party.refusal(party.ask(person, inside), asked) == "request_not_supported"


def test_oidcc_refresh_token(party: Party, live: Live, mode: str) -> None:
    assert "refresh_token" in party.metadata["grant_types_supported"]
    latest = []
    for one in (party, Party(live, "conformance-two", mode=mode)):
        first = one.sign_in(Person(live), scope="openid offline_access", prompt="consent")
        token = first.body["refresh_token"]
        assert all(" " <= character <= "~" for character in token)  # RFC 6749 §A.17
        answer = one.token({"grant_type": "refresh_token", "refresh_token": token})
        # §12.2: the ID token of a refresh need not hold the nonce; where it does, it is the first one's.
        nonce = first.claims["nonce"] if "nonce" in first.claims and _has_nonce(answer.json()["id_token"]) else None
        second = one.tokens(answer, nonce=nonce)
        same_sign_in(first, second)
        assert second.claims["iat"] >= first.claims["iat"]
        assert second.access_token != first.access_token
        one.userinfo(second)
        latest.append(second.body["refresh_token"])
    stolen = party.token({"grant_type": "refresh_token", "refresh_token": latest[1]})
    assert stolen.status_code == 400
    assert stolen.json()["error"] == "invalid_grant"


def _has_nonce(id_token: str) -> bool:
    return "nonce" in jwt.decode(id_token, options={"verify_signature": False})


def test_oidcc_ensure_request_with_valid_pkce_succeeds(party: Party, person: Person) -> None:
    # RFC 7636, appendix B: the verifier and its challenge.
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    asked = party.request(code_challenge="E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", code_challenge_method="S256")
    code = party.code(party.ask(person, asked), asked)
    party.userinfo(party.redeem(code, asked, code_verifier=verifier))
