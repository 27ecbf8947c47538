"""The authorization endpoint: what is shown, what is redirected, what is refused (RFC 6749 §4.1, RFC 9700, OIDC Core §3.1.2)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from idp.clients.model import ClientState
from tests.protocol.world import CHALLENGE, ISSUER, OpenWorld, authorization

Run = Callable[[Coroutine[Any, Any, None]], None]

REGISTERED = "https://learning.example/callback"
ATTACKS = [
    REGISTERED + "/",
    REGISTERED + "?",
    REGISTERED + "?a=b",
    REGISTERED + "#fragment",
    REGISTERED + "#",
    REGISTERED + "%2f",
    REGISTERED + "/../callback",
    REGISTERED + "/..;/x",
    REGISTERED + ";x",
    REGISTERED + "\\",
    REGISTERED + "@evil.example",
    REGISTERED + ".evil.example",
    REGISTERED.upper(),
    REGISTERED.replace("https", "HTTPS"),
    REGISTERED.replace("https", "http"),
    REGISTERED.replace("learning.example", "learning.example."),
    REGISTERED.replace("learning.example", "learning.example:443"),
    REGISTERED.replace("learning.example", "learning.example:8443"),
    REGISTERED.replace("learning.example", "LEARNING.example"),
    REGISTERED.replace("learning.example", "learning.example@evil.example"),
    REGISTERED.replace("learning.example", "evil.example@@learning.example"),
    REGISTERED.replace("learning.example", "user@learning.example"),
    REGISTERED.replace("learning.example", "evil.example#@learning.example"),
    REGISTERED.replace("learning.example", "evil.example\\@learning.example"),
    REGISTERED.replace("learning.example", "learning.example.evil.example"),
    REGISTERED.replace("learning.example", "xlearning.example"),
    REGISTERED.replace("learning.example", "sub.learning.example"),
    REGISTERED.replace("learning.example", "learning。example"),
    REGISTERED.replace("learning.example", "learning%2eexample"),
    REGISTERED.replace("learning.example", "learn\u0131ng.example"),
    REGISTERED.replace("/callback", "//callback"),
    REGISTERED.replace("/callback", "/%63allback"),
    REGISTERED.replace("/callback", "/callbac*"),
    REGISTERED.replace("/callback", "/.*"),
    REGISTERED[:-1],
    " " + REGISTERED,
    REGISTERED + " ",
    "https://library.example/callback",
    "https://evil.example/callback",
    "//learning.example/callback",
    "/callback",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)//" + REGISTERED,
    "data:text/html,x",
    "http://127.0.0.1/callback",
    "http://localhost:1/callback",
]


def test_no_other_redirect_uri_is_ever_redirected_to(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            for attack in ATTACKS:
                answer = await world.authorize(browser, redirect_uri=attack)
                assert answer.status == 400, attack
                assert "location" not in answer.headers
                assert answer.json()["shown"] in {"idp.oauth.request_shown", "idp.parameters_refused"}
            for control in ("\x00", "\r\nLocation: https://evil.example", "\x7f"):
                answer = await world.authorize(browser, redirect_uri=REGISTERED + control)
                assert answer.status == 400

    run(story())


@pytest.mark.parametrize(
    ("query", "field", "rule"),
    [
        ("", "client_id", "missing"),
        ("client_id=nobody&redirect_uri=https://learning.example/callback", "client_id", "unknown"),
        ("client_id=LEARNING&redirect_uri=https://learning.example/callback", "client_id", "unknown"),
        ("client_id=learning", "redirect_uri", "missing"),
        (
            "client_id=learning&client_id=library&redirect_uri=https://learning.example/callback",
            "client_id",
            "duplicate",
        ),
        (
            "client_id=learning&redirect_uri=https://learning.example/callback&redirect_uri=https://evil.example/",
            "redirect_uri",
            "duplicate",
        ),
    ],
)
def test_nothing_redirects_before_client_and_redirect_uri_are_proven(
    opened: OpenWorld, run: Run, query: str, field: str, rule: str
) -> None:
    async def story() -> None:
        async with opened() as world:
            answer = await world.browser().get(f"/authorize?{query}&response_type=code&scope=openid")
            assert answer.status == 400
            assert (answer.json()["field"], answer.json()["rule"]) == (field, rule)

    run(story())


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": "none"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"response_mode": "web_message"}, "invalid_request"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"request": "x.y.z"}, "request_not_supported"),
        ({"request_uri": "https://learning.example/r"}, "request_uri_not_supported"),
        ({"registration": "{}"}, "registration_not_supported"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": "s256"}, "invalid_request"),
        ({"code_challenge": "x" * 42}, "invalid_request"),
        ({"code_challenge": "x" * 44}, "invalid_request"),
        ({"code_challenge": CHALLENGE + "="}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "create"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"max_age": "1e3"}, "invalid_request"),
        ({"nonce": "n" * 513}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
        ({"prompt": "none", "id_token_hint": "x.y.z"}, "login_required"),
    ],
)
def test_other_refusals_go_back_with_state_and_issuer(
    opened: OpenWorld, run: Run, changes: dict[str, Any], error: str
) -> None:
    async def story() -> None:
        async with opened() as world:
            answer = await world.authorize(world.browser(), **changes)
            assert answer.status == 303
            assert answer.location.startswith(REGISTERED + "?")
            assert answer.query["error"] == error
            assert answer.query["state"] == "the-state"
            assert answer.query["iss"] == ISSUER
            assert "code" not in answer.query

    run(story())


def test_a_repeated_parameter_is_refused(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            base = "&".join(f"{name}={value}" for name, value in authorization().items()).replace(" ", "+")
            for name in ("state", "nonce", "scope", "code_challenge", "response_type", "prompt"):
                answer = await browser.get(f"/authorize?{base}&{name}=a&{name}=b")
                assert answer.query["error"] == "invalid_request"
                assert answer.query["error_description"] == f"{name}: duplicate"

    run(story())


def test_query_and_form_are_never_mixed(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            posted = await browser.post("/authorize", authorization())
            assert posted.location.startswith("/signin/step")
            mixed = await browser.post("/authorize?client_id=learning", authorization())
            assert mixed.status == 400

    run(story())


def test_unknown_scopes_and_parameters_are_ignored_and_unregistered_scopes_refused(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            answer = await world.authorize(browser, scope="openid something_else", extra="1", claims="{}")
            assert answer.location.startswith("/signin/step")
            await world.register(
                {
                    "client_id": "narrow",
                    "client_name": "n",
                    "redirect_uris": ["https://narrow.example/callback"],
                    "client_secret": "s" * 43,
                    "scope": "openid",
                }
            )
            answer = await world.authorize(browser, "narrow", scope="openid edu")
            assert answer.query["error"] == "invalid_scope"
            answer = await world.authorize(browser, "narrow", scope="openid offline_access")
            assert answer.location.startswith("/signin/step"), "offline_access is ignored where it is not registered"

    run(story())


def test_a_client_exempt_from_pkce_must_send_a_nonce(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            without = {"code_challenge": None, "code_challenge_method": None}
            answer = await world.authorize(browser, "exempt", **without, nonce=None)
            assert answer.query["error_description"] == "nonce: missing"
            assert (await world.authorize(browser, "exempt", **without)).location.startswith("/signin/step")

    run(story())


def test_prompt_login_asks_again_even_in_the_same_second(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.tokens(browser)
            before = browser.session_cookie
            page = await browser.follow(await world.authorize(browser, prompt="login"))
            assert "/signin/password" in page.text
            answer = await browser.password(page, "lin")
            assert "code" in answer.query
            assert browser.session_cookie != before

    run(story())


def test_prompt_login_cannot_be_met_by_coming_back_with_the_old_session(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.tokens(browser)
            page = await browser.follow(await world.authorize(browser, prompt="login"))
            again = await browser.get("/signin/step", t=page.hidden("t"))
            assert "/signin/password" in again.text

    run(story())


def test_max_age_asks_again_when_the_sign_in_is_older(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.tokens(browser)
            world.clock.advance(100)
            assert "code" in (await world.authorize(browser, max_age="100")).query
            assert (await world.authorize(browser, max_age="99")).location.startswith("/signin/step")
            silent = await world.authorize(browser, max_age="99", prompt="none")
            assert silent.query["error"] == "login_required"

    run(story())


def test_prompt_none_answers_what_is_missing(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.sign_in(browser)
            assert (await world.authorize(browser, prompt="none")).query["error"] == "consent_required"
            await world.code(browser)
            assert "code" in (await world.authorize(browser, prompt="none")).query
            stronger = await world.authorize(browser, prompt="none", acr_values="urn:edutrust:acr:2")
            assert stronger.query["error"] == "login_required"

    run(story())


def test_a_hint_naming_another_person_is_not_answered_for_the_one_at_hand(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.add_person("wang", 2)
            mine, other = world.browser(), world.browser()
            lin_token = (await world.tokens(mine))["id_token"]
            page = await other.follow(await world.authorize(other))
            await other.allow(await other.password(page, "wang"))
            assert "code" in (await world.authorize(other, prompt="none")).query
            hinted = await world.authorize(other, prompt="none", id_token_hint=lin_token)
            assert hinted.query["error"] == "login_required"
            assert "code" in (await world.authorize(mine, prompt="none", id_token_hint=lin_token)).query
            page = await other.follow(await world.authorize(other, id_token_hint=lin_token))
            answer = await other.password(page, "wang")
            assert answer.query["error"] == "login_required"

    run(story())


def test_saying_no_answers_access_denied(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            page = await browser.follow(await world.authorize(browser))
            consent = await browser.password(page, "lin")
            answer = await browser.post("/signin/cancel", {"t": consent.hidden("t"), "csrf": "form-token"})
            assert answer.query["error"] == "access_denied"
            assert (await browser.get("/signin/step", t=consent.hidden("t"))).status == 400

    run(story())


def test_a_client_disabled_in_the_middle_gets_no_code(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            page = await browser.follow(await world.authorize(browser))
            await world.store.set_client_state("learning", ClientState.DISABLED, world.clock())
            answer = await browser.password(page, "lin")
            assert answer.status in {400, 403}
            assert answer.json()["shown"] == "idp.login.client_refused"

    run(story())


def test_a_registered_query_is_kept_as_it_is(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            uri = "https://queried.example/cb?tenant=%E5%AD%A6&x=1"
            await world.register(
                {
                    "client_id": "queried",
                    "client_name": "q",
                    "redirect_uris": [uri],
                    "client_secret": "s" * 43,
                    "scope": "openid",
                }
            )
            answer = await world.authorize(world.browser(), "queried", redirect_uri=uri, prompt="none", scope="openid")
            assert answer.location.startswith(uri + "&error=login_required")

    run(story())
