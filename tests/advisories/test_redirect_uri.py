"""Redirect addresses that nearly are the registered one, and addresses that are programs.

Keycloak #48430 and CVE-2024-8883 (wildcards and prefixes), CVE-2026-7504 (`@@` splits), CVE-2026-3872 (`..;/`), fosite
GHSA-rfq3-w54c-f9q5 (a query added on loopback), authentik CVE-2024-52289 (a registered address read as a pattern),
CVE-2026-9086 (`javascript:` in any case).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from crypto.errors import TrustError
from idp.clients.registration import parse_clients
from tests.protocol.world import SECRET, OpenWorld, World, authorization, basic, registration

ADVISORY_CLASSES: tuple[int, ...] = (1, 2)
SEEN_RED: dict[str, str] = {
    "test_only_the_registered_address_is_ever_redirected_to": "idp/authorize/checks.py: the redirect address compared by its beginning",
    "test_a_registered_address_is_no_pattern": "idp/authorize/checks.py: registered addresses matched as regular expressions",
    "test_a_native_clients_loopback_address_takes_no_more_than_was_registered": "idp/authorize/checks.py: the query of an address left out of the comparison",
    "test_a_sign_out_goes_to_the_registered_address_alone": "idp/logout/endpoint.py: the address after a sign-out compared by its beginning",
    "test_an_address_that_is_a_program_is_not_registered": "idp/clients/redirect_uris.py: the scheme of an address not looked at",
}

Run = Callable[[Coroutine[Any, Any, None]], None]

# What is parsed is parsed before any database is asked: one of them is enough.
pytestmark = pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)

REGISTERED = "https://learning.example/callback"
NEARLY = (
    *(
        REGISTERED + tail
        for tail in ("/", "?", "#", "?a=b", "#a", "/x", "%20", ";x=1", "/..", "/../callback", "%2f", "2", " ")
    ),
    *("https://learning.example", "https://learning.example/", "https://learning.example/Callback", REGISTERED.upper()),
    *("HTTPS://learning.example/callback", "https://LEARNING.example/callback", "http://learning.example/callback"),
    *(
        "https://learning.example:443/callback",
        "https://learning.example:/callback",
        "https://learning.example./callback",
    ),
    *(
        "https://learning.example//callback",
        "https://learning.example/./callback",
        "https://learning.example/%63allback",
    ),
    *(
        "https://learning.example/x/..;/callback",
        "https://learning.example/x/%2e%2e/callback",
        "https:/learning.example/callback",
    ),
    *("https://learning.example\\@evil.example/callback", "https://evil.example\\.learning.example/callback"),
    *(
        "https://evil@learning.example/callback",
        "https://learning.example@evil.example/callback",
        "https:learning.example/callback",
    ),
    *("https://learning.example@@evil.example/callback", "https://learning.example:x@evil.example/callback"),
    *(
        "https://learning.example.evil.example/callback",
        "https://evil-learning.example/callback",
        "https://learningXexample/callback",
    ),
    *("https://learning。example/callback", "https://learning．example/callback", "https://learnıng.example/callback"),
    *(
        "https://xn--learnng-rfb.example/callback",
        "//learning.example/callback",
        "learning.example/callback",
        "/callback",
    ),
    *(
        "https://library.example/callback",
        "https://*.example/callback",
        "*",
        "https://learning.example/*",
        "urn:ietf:wg:oauth:2.0:oob",
    ),
    *(
        "javascript:alert(1)//https://learning.example/callback",
        "data:text/html,x",
        "https://learning.example/callback,https://evil.example",
    ),
)


def test_only_the_registered_address_is_ever_redirected_to(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            for uri in NEARLY:
                await not_redirected(world, uri)

    async def not_redirected(world: World, uri: str) -> None:
        browser = world.browser()
        for more in (
            {},
            {"prompt": "none"},
            {"response_type": "x"},
            {"response_mode": "form_post", "prompt": "none"},
        ):
            answer = await world.authorize(browser, redirect_uri=uri, **more)
            assert answer.status == 400, uri
            assert "location" not in answer.headers, uri
            assert "<form" not in answer.text, uri
        pushed = await browser.post("/par", authorization(redirect_uri=uri), authorization=basic("learning", SECRET))
        assert pushed.status == 400
        assert "request_uri" not in pushed.json()

    run(story())


def test_a_registered_address_is_no_pattern(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(registration("dotted", redirect_uris=["https://a.b.example/cb(.+)?x=$"]))
            for uri in (
                "https://a.b.example/cbzz?x=",
                "https://aXb.example/cb(.+)?x=$",
                "https://a.b.example/cb(.+)?x=$1",
            ):
                answer = await world.authorize(world.browser(), "dotted", redirect_uri=uri)
                assert answer.status == 400
            code = await world.code(world.browser(), "dotted", redirect_uri="https://a.b.example/cb(.+)?x=$")
            assert code

    run(story())


def test_a_native_clients_loopback_address_takes_no_more_than_was_registered(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(
                registration(
                    "desktop",
                    token_endpoint_auth_method="none",
                    client_secret=None,
                    redirect_uris=["http://127.0.0.1:7777/cb"],
                )
            )
            for uri in (
                "http://127.0.0.1:7777/cb?x=https://evil.example",
                "http://127.0.0.1:7777/cb/../evil",
                "http://127.0.0.1@evil.example:7777/cb",
                "http://127.0.0.1.evil.example:7777/cb",
                "http://localhost:7777/cb",
                "http://[::1]:7777/cb",
                "http://2130706433:7777/cb",
                "https://127.0.0.1:7777/cb",
            ):
                answer = await world.authorize(world.browser(), "desktop", redirect_uri=uri)
                assert answer.status == 400
                assert "location" not in answer.headers

    run(story())


def test_a_sign_out_goes_to_the_registered_address_alone(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            hint = (await world.tokens(browser))["id_token"]
            for uri in NEARLY:
                elsewhere = uri.replace("/callback", "/bye")
                for parameters in ({"id_token_hint": hint}, {"client_id": "learning"}, {}):
                    answer = await browser.get("/end-session", post_logout_redirect_uri=elsewhere, **parameters)
                    assert answer.status == 400, uri
                    assert "location" not in answer.headers, uri

    run(story())


PROGRAMS = (
    *(
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\tscript:alert(1)",
        " javascript:alert(1)",
        "javascript://x.example/%0aalert(1)",
    ),
    *(
        "data:text/html,<script>alert(1)</script>",
        "DATA:text/html;base64,PHA+",
        "vbscript:x",
        "file:///etc/passwd",
        "blob:https://x/1",
    ),
    *(
        "about:blank",
        "view-source:https://x.example/",
        "com.example.app:javascript",
        "ws://x.example/",
        "ftp://x.example/",
        "filesystem:x",
    ),
)


@pytest.mark.parametrize(
    "member", ["redirect_uris", "post_logout_redirect_uris", "backchannel_logout_uri", "client_uri"]
)
@pytest.mark.parametrize("uri", PROGRAMS)
@pytest.mark.parametrize("public", [False, True])
def test_an_address_that_is_a_program_is_not_registered(dialect: str, member: str, uri: str, public: bool) -> None:
    value: object = [uri] if member.endswith("s") else uri
    changes: dict[str, Any] = {member: value}
    if public:
        changes |= {"token_endpoint_auth_method": "none", "client_secret": None}
    with pytest.raises(TrustError):
        parse_clients(json.dumps([registration("x-client", **changes)]).encode())
