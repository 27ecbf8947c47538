"""The RP-Initiated Logout plan: OpenID Connect RP-Initiated Logout 1.0, one test a module."""

from __future__ import annotations

import json
import secrets

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from crypto.encoding import b64u_encode
from tests.protocol.conformance.party import Party
from tests.protocol.conformance.person import Callback, Page, Person

CONFIRM_PATH = "/end-session/confirm"
SIGNED_OUT = 'href="/signin"'  # the page that says it is done offers to sign in again


def stays(answer: Callback | Page) -> Page:
    """Check that the browser was not sent back to the platform."""
    assert isinstance(answer, Page), answer
    assert answer.status in {200, 400}
    return answer


def refused(answer: Callback | Page) -> None:
    """Check that an error is shown, with its code for the developer."""
    page = stays(answer)
    assert page.status == 400
    assert "idp.logout.refused" in page.text


def confirmed(person: Person, answer: Callback | Page) -> Callback | Page:
    """Say yes where the provider asks (§3), and return what follows."""
    page = stays(answer)
    (question,) = [form for form in page.forms if form.action == CONFIRM_PATH]
    return person.press(question, answer="yes")


def test_oidcc_rp_initiated_logout_discovery_endpoint_verification(platform: Party) -> None:
    assert platform.metadata["end_session_endpoint"].startswith(f"{platform.live.issuer}/")


def test_oidcc_rp_initiated_logout(platform: Party, person: Person) -> None:
    tokens, state = platform.sign_in(person), secrets.token_urlsafe(10)
    answer = platform.sign_out(
        person, id_token_hint=tokens.id_token, post_logout_redirect_uri=platform.signed_out_uri, state=state
    )
    assert answer == Callback(platform.signed_out_uri, "query", {"state": state})
    assert not platform.is_signed_in(person)


def test_oidcc_rp_initiated_logout_bad_post_logout_redirect_uri(platform: Party, person: Person) -> None:
    tokens = platform.sign_in(person)
    refused(
        platform.sign_out(
            person,
            id_token_hint=tokens.id_token,
            post_logout_redirect_uri=f"{platform.live.party.origin}/unregistered",
            state="s",
        )
    )


def test_oidcc_rp_initiated_logout_modified_id_token_hint(platform: Party, person: Person) -> None:
    tokens = platform.sign_in(person)
    header = b64u_encode(json.dumps({"alg": "none"}).encode())
    modified = f"{header}.{tokens.id_token.split('.')[1]}."
    refused(
        platform.sign_out(person, id_token_hint=modified, post_logout_redirect_uri=platform.signed_out_uri, state="s")
    )


def test_oidcc_rp_initiated_logout_no_id_token_hint(platform: Party, person: Person) -> None:
    platform.sign_in(person)
    stays(platform.sign_out(person, post_logout_redirect_uri=platform.signed_out_uri, state="s"))


def test_oidcc_rp_initiated_logout_no_params(platform: Party, person: Person) -> None:
    platform.sign_in(person)
    done = stays(confirmed(person, platform.sign_out(person)))
    assert SIGNED_OUT in done.text
    assert not platform.is_signed_in(person)


def test_oidcc_rp_initiated_logout_no_post_logout_redirect_uri(platform: Party, person: Person) -> None:
    tokens = platform.sign_in(person)
    done = stays(platform.sign_out(person, id_token_hint=tokens.id_token, state="s"))
    assert SIGNED_OUT in done.text
    assert not platform.is_signed_in(person)


def test_oidcc_rp_initiated_logout_no_state(platform: Party, person: Person) -> None:
    tokens = platform.sign_in(person)
    answer = platform.sign_out(person, id_token_hint=tokens.id_token, post_logout_redirect_uri=platform.signed_out_uri)
    assert answer == Callback(platform.signed_out_uri, "query", {})
    assert not platform.is_signed_in(person)


def test_oidcc_rp_initiated_logout_only_state(platform: Party, person: Person) -> None:
    platform.sign_in(person)
    done = stays(confirmed(person, platform.sign_out(person, state="s")))
    assert SIGNED_OUT in done.text
    assert not platform.is_signed_in(person)


def test_oidcc_rp_initiated_logout_query_added_to_post_logout_redirect_uri(platform: Party, person: Person) -> None:
    tokens = platform.sign_in(person)
    refused(
        platform.sign_out(
            person,
            id_token_hint=tokens.id_token,
            post_logout_redirect_uri=f"{platform.signed_out_uri}?foo=bar",
            state="s",
        )
    )


def test_oidcc_rp_initiated_logout_bad_id_token_hint(platform: Party, person: Person) -> None:
    tokens = platform.sign_in(person)
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    forged = jwt.encode(tokens.claims, stranger, "RS256", headers={"kid": tokens.header["kid"]})
    refused(
        platform.sign_out(person, id_token_hint=forged, post_logout_redirect_uri=platform.signed_out_uri, state="s")
    )
