"""The Front-Channel Logout plan: OpenID Connect Front-Channel Logout 1.0, one test a module."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from tests.protocol.conformance.live import Live
from tests.protocol.conformance.party import Party
from tests.protocol.conformance.person import Callback, Person


def test_oidcc_frontchannel_logout_discovery_endpoint_verification(platform: Party) -> None:
    assert platform.metadata["frontchannel_logout_supported"] is True
    assert platform.metadata["frontchannel_logout_session_supported"] is True
    assert platform.metadata["end_session_endpoint"].startswith("https://")


def test_oidcc_frontchannel_rp_initiated_logout(live: Live, person: Person) -> None:
    platform = Party(live, "conformance-front")
    tokens = platform.sign_in(person)
    live.party.drain()
    answer = platform.sign_out(
        person, id_token_hint=tokens.id_token, post_logout_redirect_uri=platform.signed_out_uri, state="s"
    )
    assert answer == Callback(platform.signed_out_uri, "query", {"state": "s"})
    [call] = [each for each in live.party.drain() if each.path.startswith("/frontchannel")]
    assert call.method == "GET"
    query = parse_qs(urlsplit(call.path).query, strict_parsing=True)
    assert query == {"of": ["the platform"], "iss": [live.issuer], "sid": [tokens.claims["sid"]]}
    assert not platform.is_signed_in(person)
