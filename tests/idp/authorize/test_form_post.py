"""OAuth 2.0 Form Post Response Mode: the answer is a page whose form posts it to the proven redirect URI."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from adapters.http.headers import SecurityHeaders
from tests.idp.authorize.form_page import handed_over
from tests.protocol.world import ISSUER, Browser, OpenWorld

Run = Callable[[Coroutine[Any, Any, None]], None]

CALLBACK = "https://learning.example/callback"
NASTY = "\"><script>alert(1)</script>'&amp;</form><form action=//evil.example>"


def test_the_code_comes_in_a_form_that_posts_to_the_redirect_uri(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            page = await browser.follow(await world.authorize(browser, response_mode="form_post"))
            consent = await browser.password(page, "lin")
            action, fields = handed_over(await browser.allow(consent))
            assert action == CALLBACK
            assert set(fields) == {"code", "state", "iss"}
            assert (fields["state"], fields["iss"]) == ("the-state", ISSUER)
            assert (await world.redeem(fields["code"])).status == 200
            # with the session and the consent at hand, at once
            again = await world.authorize(browser, response_mode="form_post", state=None)
            assert set(handed_over(again)[1]) == {"code", "iss"}

    run(story())


def test_an_error_comes_in_the_same_form(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            action, fields = handed_over(await world.authorize(browser, response_mode="form_post", prompt="none"))
            assert action == CALLBACK
            assert fields == {
                "error": "login_required",
                "error_description": "prompt_none",
                "state": "the-state",
                "iss": ISSUER,
            }
            page = await browser.follow(await world.authorize(browser, response_mode="form_post"))
            consent = await browser.password(page, "lin")
            form = {"t": consent.hidden("t"), "csrf": "form-token"}
            assert handed_over(await browser.post("/signin/cancel", form))[1]["error"] == "access_denied"

    run(story())


def test_values_are_escaped_and_the_person_can_send_the_form_without_scripts(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            page = await world.authorize(world.browser(), response_mode="form_post", prompt="none", state=NASTY)
            assert handed_over(page)[1]["state"] == NASTY
            assert "<script>" not in page.text
            assert "evil.example>" not in page.text
            visible = page.text.partition("<noscript>")[2].partition("</noscript>")[0]
            assert '<button class="primary" type="submit">继续</button>' in visible
            # no inline script: the policy of every page holds here too
            assert 'src="/static/continue.js"' in page.text
            assert page.text.count("<script") == 1

    run(story())


def test_no_cache_keeps_the_page_and_its_policy_lets_the_form_lead_to_the_platform_only(
    opened: OpenWorld, run: Run
) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = Browser(SecurityHeaders(world.app, https=True))
            page = await world.authorize(browser, response_mode="form_post", prompt="none")
            handed_over(page)
            assert page.headers["cache-control"] == "no-store"
            assert page.headers["referrer-policy"] == "no-referrer"
            directives = page.headers["content-security-policy"].split("; ")
            assert "form-action https://learning.example" in directives
            assert "script-src 'self'" in directives
            assert "frame-ancestors 'none'" in directives
            # the next page of the same service names the platform no more
            policy = (await browser.get("/signin")).headers["content-security-policy"]
            assert "form-action 'self';" in policy

    run(story())


@pytest.mark.parametrize(
    "mode", ["fragment", "query.jwt", "form_post.jwt", "FORM_POST", "web_message", "form_post query"]
)
def test_other_response_modes_are_refused_in_the_query(opened: OpenWorld, run: Run, mode: str) -> None:
    async def story() -> None:
        async with opened() as world:
            answer = await world.authorize(world.browser(), response_mode=mode)
            assert answer.location.startswith(CALLBACK + "?")
            assert answer.query["error"] == "invalid_request"
            assert answer.query["error_description"] == "response_mode: unsupported"

    run(story())


def test_query_is_the_default_and_may_be_named(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            for mode in (None, "", "query"):
                answer = await world.authorize(world.browser(), response_mode=mode, prompt="none")
                assert answer.query["error"] == "login_required"
            served = (await world.browser().get("/.well-known/openid-configuration")).json()
            assert served["response_modes_supported"] == ["query", "form_post"]

    run(story())


def test_a_mode_sent_twice_is_answered_in_the_query(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            doubled = await browser.http.get(
                "/authorize",
                params=[
                    ("client_id", "learning"),
                    ("redirect_uri", CALLBACK),
                    ("response_mode", "form_post"),
                    ("response_mode", "query"),
                ],
            )
            assert doubled.headers["location"].startswith(CALLBACK + "?error=invalid_request")

    run(story())


def test_a_private_use_scheme_takes_no_form(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            uri = "cn.example.app:/callback"
            await world.register(
                {
                    "client_id": "phone",
                    "client_name": "p",
                    "redirect_uris": [uri],
                    "token_endpoint_auth_method": "none",
                    "scope": "openid",
                }
            )
            answer = await world.authorize(
                world.browser(), "phone", redirect_uri=uri, scope="openid", response_mode="form_post"
            )
            assert answer.location.startswith(uri + "?error=invalid_request")

    run(story())
