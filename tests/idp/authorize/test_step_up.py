"""How surely and how recently: `acr_values`, `max_age`, a registration's defaults, step-up (RFC 9470, OIDC Core §3.1.2.1)."""

from __future__ import annotations

import base64
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from crypto.jws import verify_jwt
from crypto.suites import Purpose, policy
from tests.protocol.world import SECRET, Answer, Browser, OpenWorld, World, basic, claims_of, registration

Run = Callable[[Coroutine[Any, Any, None]], None]

ONE, TWO = "urn:edutrust:acr:1", "urn:edutrust:acr:2"
UNKNOWN = "urn:example:gold"
LOGIN = "login_required"


async def enrol(world: World, browser: Browser, page: Answer) -> Answer:
    """Enrol a phone on the page that shows its picture; return what comes after."""
    seed = page.text.partition('id="totp-seed">')[2].partition("<")[0].replace(" ", "")
    world.seeds["lin"] = base64.b32decode(seed + "=" * (-len(seed) % 8))
    form = {"t": page.hidden("t"), "csrf": "form-token", "code": world.code_of(world.seeds["lin"])}
    return await browser.follow(await browser.post("/signin/enrol", form))


async def silently(world: World, browser: Browser, client_id: str = "learning", **changes: Any) -> str:
    """Ask with `prompt=none`; return the error, or `code`."""
    query = (await world.authorize(browser, client_id, prompt="none", **changes)).query
    return query.get("error", "code")


@pytest.mark.parametrize(
    ("acr_values", "answer"),
    [
        (TWO, LOGIN),
        (f"{TWO} {ONE}", LOGIN),
        (f"{ONE} {TWO}", "code"),
        (f"{UNKNOWN} {ONE} {TWO}", "code"),
        (f"{UNKNOWN} {TWO} {ONE}", LOGIN),
        (UNKNOWN, "code"),
        ("1 2", "code"),
    ],
)
def test_acr_values_are_in_order_of_preference_and_voluntary(
    opened: OpenWorld, run: Run, acr_values: str, answer: str
) -> None:
    """OpenID Connect Core §3.1.2.1: the first class known here is what is asked for; one unknown is no error."""

    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.code(browser)
            assert await silently(world, browser, acr_values=acr_values) == answer

    run(story())


def test_a_registrations_default_acr_values_hold_until_the_request_says_otherwise(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.code(browser)
            await world.register(
                registration("learning", default_acr_values=[TWO, ONE]),
                registration("library", default_acr_values=[ONE, TWO], scopes_optional=["edu"]),
            )
            assert await silently(world, browser) == LOGIN
            assert await silently(world, browser, acr_values=ONE) == "code"
            assert await silently(world, browser, acr_values=UNKNOWN) == "code", "overridden, though by nothing of ours"
            claims = f'{{"id_token": {{"acr": {{"value": "{ONE}"}}}}}}'
            assert await silently(world, browser, claims=claims) == "code"
            assert await silently(world, browser, "library") == "consent_required"

    run(story())


def test_a_registrations_default_max_age_holds_until_the_request_says_otherwise(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.code(browser)
            await world.register(registration("learning", default_max_age=100))
            world.clock.advance(100)
            assert await silently(world, browser) == "code"
            world.clock.advance(1)
            assert await silently(world, browser) == LOGIN
            assert await silently(world, browser, max_age="200") == "code"
            assert await silently(world, browser, max_age="50") == LOGIN

    run(story())


def test_max_age_of_nought_asks_again_even_in_the_second_of_the_sign_in(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.code(browser)
            assert await silently(world, browser, max_age="0") == LOGIN
            page = await browser.follow(await world.authorize(browser, max_age="0"))
            assert "/signin/password" in page.text
            assert "code" in (await browser.password(page, "lin")).query
            await world.register(registration("learning", default_max_age=0))
            assert await silently(world, browser) == LOGIN

    run(story())


@pytest.mark.parametrize("token_format", ["opaque", "jwt"])
def test_a_step_up_gives_a_token_that_says_the_new_class_and_time(
    opened: OpenWorld, run: Run, token_format: str
) -> None:
    """RFC 9470 §4 to §6: after `insufficient_user_authentication` the platform asks with acr_values and max_age."""

    async def said(world: World, token: str) -> tuple[object, object]:
        headers = {"authorization": basic("learning", SECRET)}
        told = (await world.browser().post("/introspect", {"token": token}, **headers)).json()
        if token_format == "jwt":
            claims = verify_jwt(token, keys=world.keys.verifiers(), policy=policy(Purpose.ACCESS_TOKEN)).claims
            assert (claims["acr"], claims["auth_time"]) == (told["acr"], told["auth_time"])
        return told["acr"], told["auth_time"]

    async def story() -> None:
        async with opened() as world:
            await world.register(registration("learning", access_token_format=token_format))
            browser = world.browser()
            begun = world.clock()
            first = await world.tokens(browser)
            assert await said(world, first["access_token"]) == (ONE, begun)
            world.clock.advance(60)
            page = await browser.follow(await world.authorize(browser, acr_values=TWO, max_age="30"))
            done = await enrol(world, browser, await browser.password(page, "lin"))
            second = (await world.redeem(done.query["code"])).json()
            assert await said(world, second["access_token"]) == (TWO, begun + 60)
            assert claims_of(second["id_token"])["acr"] == TWO
            assert await said(world, first["access_token"]) == (ONE, begun), "an older token does not grow stronger"
            # A refresh is no sign-in: it says the time and class of the family's.
            world.clock.advance(60)
            refreshed = (await world.refresh(second["refresh_token"])).json()
            assert await said(world, refreshed["access_token"]) == (TWO, begun + 60)

    run(story())


def test_a_platforms_own_minimum_cannot_be_talked_down(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.code(browser)
            await world.register(registration("learning", acr_minimum=TWO, default_acr_values=[ONE]))
            assert await silently(world, browser) == LOGIN
            assert await silently(world, browser, acr_values=ONE) == LOGIN

    run(story())
