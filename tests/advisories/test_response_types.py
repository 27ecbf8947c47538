"""Flows that are not offered, asked for by every door (CVE-2026-7571: re-enabled by a restart; CVE-2026-9792: the password grant)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.protocol.world import PASSWORD, SECRET, Browser, OpenWorld, World, authorization, basic, registration

ADVISORY_CLASSES: tuple[int, ...] = (4,)
SEEN_RED: dict[str, str] = {
    "test_nothing_but_a_code_is_answered": "idp/authorize/checks.py: any response type containing `code` accepted",
    "test_a_client_uses_no_grant_it_is_not_registered_for": "idp/token/core.py: the client's registered grants not looked at",
}

Run = Callable[[Coroutine[Any, Any, None]], None]

# What is parsed is parsed before any database is asked: one of them is enough.
pytestmark = pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)

RESPONSE_TYPES = (
    *(
        "token",
        "id_token",
        "none",
        "code token",
        "code id_token",
        "id_token token",
        "code id_token token",
        "token code",
    ),
    *("CODE", "code code", " code", "code ", "code,token", "code\u00a0token", "cod", "device", "null", '["code"]'),
)
RESPONSE_MODES = (
    "fragment",
    "query.jwt",
    "form_post.jwt",
    "fragment.jwt",
    "jwt",
    "web_message",
    "cookie",
    "QUERY",
    "query fragment",
)
GRANTS = (
    "password",
    "implicit",
    "PASSWORD",
    "password authorization_code",
    "http://auth0.com/oauth/grant-type/password-realm",
)


def test_nothing_but_a_code_is_answered(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.tokens(browser)
            for response_type in RESPONSE_TYPES:
                await nothing_given(world, browser, response_type)

    async def nothing_given(world: World, browser: Browser, response_type: str) -> None:
        for more in ({}, {"response_mode": "fragment"}, {"response_mode": "form_post"}):
            answer = await world.authorize(browser, response_type=response_type, **more)
            assert answer.status in {200, 303}
            text = answer.text + answer.headers.get("location", "")
            assert "access_token" not in text
            assert "id_token=" not in text
            assert "code=" not in text
            assert not urlsplit(answer.headers.get("location", "")).fragment
        pushed = authorization(response_type=response_type)
        assert (await browser.post("/par", pushed, authorization=basic("learning", SECRET))).status == 400

    run(story())


def test_a_mode_that_is_not_offered_is_an_error_in_the_query(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.tokens(browser)
            for mode in RESPONSE_MODES:
                answer = await world.authorize(browser, response_mode=mode)
                assert answer.query["error"] == "invalid_request", mode
                assert not urlsplit(answer.location).fragment

    run(story())


def test_what_was_asked_for_does_not_change_during_the_sign_in(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            page = await browser.follow(await world.authorize(browser))
            forged = {"response_type": "token", "response_mode": "fragment", "redirect_uri": "https://evil.example/"}
            forged |= {"client_id": "library", "scope": "openid edu", "continuation": "{}"}
            handle = page.hidden("t")
            page = await browser.get("/signin/step", t=handle, **forged)
            form = {"t": handle, "csrf": "form-token", "username": "lin", "password": PASSWORD}
            page = await browser.follow(await browser.post("/signin/password", {**forged, **form}))
            form = {"t": handle, "csrf": "form-token"}
            answer = await browser.follow(await browser.post("/signin/consent", {**forged, **form}))
            assert answer.location.startswith("https://learning.example/callback?code=")
            body = (await world.redeem(answer.query["code"])).json()
            assert body["scope"] == "openid profile"

    run(story())


def test_a_password_is_never_taken_at_the_token_endpoint(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            before = len(world.trail.events)
            for grant in GRANTS:
                form = {"grant_type": grant, "username": "lin", "password": PASSWORD, "scope": "openid"}
                for client_id in ("learning", "native", "exempt"):
                    answer = await world.token(form, client_id)
                    assert answer.json()["error"] == "unsupported_grant_type", grant
            tried = [event.action for event in world.trail.events[before:]]
            assert not [action for action in tried if action.startswith("idp.login")], (
                "the password was not even looked at"
            )

    run(story())


@pytest.mark.parametrize("grant", ["client_credentials", "refresh_token", "authorization_code"])
def test_a_client_uses_no_grant_it_is_not_registered_for(opened: OpenWorld, run: Run, grant: str) -> None:
    async def story() -> None:
        async with opened() as world:
            others = [known for known in ("authorization_code", "client_credentials") if known != grant]
            changes: dict[str, Any] = {"grant_types": others, "scopes_client": ["roster.read"]}
            if grant == "authorization_code":
                changes |= {"redirect_uris": None, "post_logout_redirect_uris": None, "backchannel_logout_uri": None}
                changes |= {"scopes_required": None, "scopes_optional": None, "id_token_signed_response_alg": None}
            if grant == "client_credentials":
                changes |= {"scopes_client": None}
            await world.register(registration("narrow", **changes))
            code = await world.code(world.browser())
            refresh = (await world.tokens(world.browser()))["refresh_token"]
            form = {"grant_type": grant, "code": code, "refresh_token": refresh, "scope": "roster.read"}
            answer = await world.token({**form, "redirect_uri": "https://learning.example/callback"}, "narrow")
            assert answer.json()["error"] == "unauthorized_client"

    run(story())


def test_discovery_offers_none_of_it(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            document = (await world.browser().get("/.well-known/openid-configuration")).json()
            assert document["response_types_supported"] == ["code"]
            assert set(document["response_modes_supported"]) == {"query", "form_post"}
            assert not {"password", "implicit"} & set(document["grant_types_supported"])

    run(story())
