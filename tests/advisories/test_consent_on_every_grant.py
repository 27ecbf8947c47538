"""Consent skipped by the way something is asked for: class 17 (CVE-2026-79652 by grant type, Keycloak #26100 by an empty scope
in a device flow), and what a client gets back when it is enabled again (CVE-2026-9705).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from idp.clients.model import ClientState
from tests.protocol.devices import GRANT, Device, connect, say, screen, type_code
from tests.protocol.world import SECRET, Answer, Browser, OpenWorld, World, authorization, basic, registration

ADVISORY_CLASSES: tuple[int, ...] = (17,)
SEEN_RED: dict[str, str] = {
    "test_whatever_is_asked_for_in_whatever_way_the_person_is_asked_first": (
        "idp/consent.py: a person without any consent was taken for one who had allowed everything"
    ),
    "test_a_device_is_asked_about_although_its_platform_was_allowed_before": (
        "idp/device/pages.py: a remembered consent answered for a new device"
    ),
    "test_keycloak_26100_a_device_without_a_scope_gets_no_code_at_all": (
        "idp/device/endpoint.py: the scopes of a device were not checked"
    ),
    "test_a_pseudonym_alone_is_given_to_no_device_unasked": (
        "idp/device/pages.py: a remembered consent answered for a new device"
    ),
}

Run = Callable[[Coroutine[Any, Any, None]], None]


async def _by_code(world: World, browser: Browser, scope: str) -> Answer:
    return await browser.follow(await world.authorize(browser, scope=scope))


async def _by_form(world: World, browser: Browser, scope: str) -> Answer:
    return await browser.follow(await world.authorize(browser, scope=scope, response_mode="form_post"))


async def _by_push(world: World, browser: Browser, scope: str) -> Answer:
    form = authorization(scope=scope)
    pushed = await world.browser().post("/par", form, authorization=basic("learning", SECRET))
    answer = await browser.get("/authorize", client_id="learning", request_uri=pushed.json()["request_uri"])
    return await browser.follow(answer)


async def _by_claims(world: World, browser: Browser, scope: str) -> Answer:
    claims = '{"userinfo":{"name":{"essential":true}}}'
    return await browser.follow(await world.authorize(browser, scope=scope, claims=claims))


async def _by_device(world: World, browser: Browser, scope: str) -> Answer:
    device = Device(world, "learning")
    assert (await device.ask(scope=scope)).status == 200
    return await say(browser, await type_code(browser, device.user_code), "yes")


WAYS: dict[str, Callable[[World, Browser, str], Awaitable[Answer]]] = {
    "code": _by_code,
    "form_post": _by_form,
    "pushed": _by_push,
    "claims": _by_claims,
    "device": _by_device,
}
ASKED = 'action="/signin/consent"'


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scope", ["openid", "openid profile", "openid profile edu offline_access"])
def test_whatever_is_asked_for_in_whatever_way_the_person_is_asked_first(
    opened: OpenWorld, run: Run, way: str, scope: str
) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(registration(grant_types=["authorization_code", "refresh_token", GRANT]))
            browser = world.browser()
            await world.sign_in(browser)
            page = await WAYS[way](world, browser, scope)
            assert ASKED in page.text, page.text or page.location
            consent = await world.store.consent(world.people["lin"], "learning")
            assert consent is None, "nothing is allowed by being asked about"
            assert "idp.authorize.code_issued" not in world.trail.actions()

    run(story())


@pytest.mark.parametrize("way", WAYS)
def test_what_was_withdrawn_is_asked_about_again_in_every_way(opened: OpenWorld, run: Run, way: str) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(registration(grant_types=["authorization_code", "refresh_token", GRANT]))
            browser = world.browser()
            await world.sign_in(browser)
            await world.code(browser)
            await browser.post("/account/platforms/withdraw", {"csrf": "form-token", "client_id": "learning"})
            assert ASKED in (await WAYS[way](world, browser, "openid profile")).text

    run(story())


def test_a_device_is_asked_about_although_its_platform_was_allowed_before(opened: OpenWorld, run: Run) -> None:
    """The remembered answer was about a platform; whose device this is nobody has said yet (RFC 8628 §5.4)."""

    async def story() -> None:
        async with opened() as world:
            await world.register(screen())
            browser = world.browser()
            await world.sign_in(browser)
            for _ in range(3):
                device = Device(world)
                await device.ask()
                page = await say(browser, await type_code(browser, device.user_code), "yes")
                assert ASKED in page.text
                assert await device.told() == "authorization_pending"
                await browser.allow(page)
                assert await device.told() == "tokens"

    run(story())


@pytest.mark.parametrize("scope", [None, "", " ", "phone_of_the_head", "offline_access"])
def test_keycloak_26100_a_device_without_a_scope_gets_no_code_at_all(
    opened: OpenWorld, run: Run, scope: str | None
) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(screen())
            answer = await Device(world).ask(scope=scope, other="x")
            assert (answer.status, answer.json()["error"]) == (400, "invalid_scope")

    run(story())


def test_a_pseudonym_alone_is_given_to_no_device_unasked(opened: OpenWorld, run: Run) -> None:
    """A platform that learns nothing of a person is not asked about at /authorize; a device is another matter."""

    async def story() -> None:
        async with opened() as world:
            await world.register(screen(scopes_required=["openid"], scopes_optional=[]))
            browser = world.browser()
            await world.sign_in(browser)
            device = Device(world)
            await device.ask(scope="openid")
            assert ASKED in (await say(browser, await type_code(browser, device.user_code), "yes")).text

    run(story())


def test_silence_is_no_consent(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.sign_in(browser)
            answer = await world.authorize(browser, prompt="none")
            assert answer.query["error"] == "consent_required"

    run(story())


def test_no_grant_gives_more_than_the_person_allowed(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(screen("learning-screen"))
            browser = world.browser()
            await world.sign_in(browser)
            page = await browser.follow(await world.authorize(browser, scope="openid profile edu"))
            code = (await browser.allow(page)).query["code"]
            tokens = (await world.redeem(code, scope="openid profile edu")).json()
            assert tokens["scope"] == "openid profile"
            wider = await world.refresh(tokens["refresh_token"], scope="openid profile edu")
            assert wider.json()["error"] == "invalid_scope"
            device = Device(world, "learning-screen")
            await device.ask(scope="openid profile edu")
            await connect(browser, device.user_code)
            assert (await device.poll(scope="openid profile edu")).json()["scope"] == "openid profile"

    run(story())


def test_a_client_that_is_enabled_again_gets_nothing_back(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(registration(grant_types=["authorization_code", "refresh_token", GRANT]))
            browser = world.browser()
            tokens = await world.tokens(browser)
            code = await world.code(browser)
            device = Device(world, "learning")
            await device.ask()
            for state in (ClientState.DISABLED, ClientState.ACTIVE):
                await world.store.set_client_state("learning", state, world.clock())
            assert (await world.userinfo(tokens["access_token"])).status == 401
            assert (await world.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
            # What nobody has redeemed is as good as before: the client proves again who it is, the person still allows it.
            assert (await world.redeem(code)).status == 200
            assert await device.told() == "authorization_pending"

    run(story())
