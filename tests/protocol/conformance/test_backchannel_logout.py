"""The Back-Channel Logout plan: OpenID Connect Back-Channel Logout 1.0, one test a module."""

from __future__ import annotations

import time
from urllib.parse import parse_qs

import jwt

from tests.protocol.conformance.party import CLOCK_SKEW_S, Party
from tests.protocol.conformance.person import Callback, Person

EVENT = "http://schemas.openid.net/event/backchannel-logout"
LIFETIME_S_MAX = 120  # §2.4 recommends at most two minutes
WAIT_S = 30


def test_oidcc_backchannel_logout_discovery_endpoint_verification(platform: Party) -> None:
    assert platform.metadata["backchannel_logout_supported"] is True
    assert platform.metadata["backchannel_logout_session_supported"] is True
    assert platform.metadata["end_session_endpoint"].startswith("https://")


def test_oidcc_backchannel_rp_initiated_logout(platform: Party, person: Person) -> None:
    server = platform.live.party
    tokens = platform.sign_in(person)
    server.drain()
    answer = platform.sign_out(
        person, id_token_hint=tokens.id_token, post_logout_redirect_uri=platform.signed_out_uri, state="s"
    )
    assert answer == Callback(platform.signed_out_uri, "query", {"state": "s"})

    for _ in range(WAIT_S):
        call = server.received.get(timeout=WAIT_S)
        (token,) = parse_qs(call.body)["logout_token"]
        claims = _validated(platform, token)
        if claims["sid"] == tokens.claims["sid"]:  # others may be told late of the sign-outs of tests before
            break
    assert (call.method, call.path) == ("POST", "/backchannel")
    assert call.media_type == "application/x-www-form-urlencoded"
    assert claims["sub"] == tokens.claims["sub"]
    assert not platform.is_signed_in(person)


def _validated(platform: Party, token: str) -> dict[str, object]:
    """Validate a logout token as §2.6 says."""
    header = jwt.get_unverified_header(token)
    assert header["alg"] == "RS256"
    assert header["typ"] == "logout+jwt"
    claims: dict[str, object] = jwt.decode(
        token,
        platform.keys[header["kid"]],
        ["RS256"],
        audience=platform.client_id,
        issuer=platform.live.issuer,
        leeway=CLOCK_SKEW_S,
        options={"require": ["iss", "aud", "iat", "exp", "jti", "events"]},
    )
    assert claims["events"] == {EVENT: {}}
    assert "nonce" not in claims
    assert isinstance(claims["exp"], int)
    assert claims["exp"] <= time.time() + LIFETIME_S_MAX + CLOCK_SKEW_S
    return claims
