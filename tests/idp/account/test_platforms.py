"""The list of platforms: each scope, and taking it back, one or all, so that tokens die at once."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from idp.scopes import OPENID
from tests.protocol.world import SECRET, Browser, OpenWorld, World, basic

Run = Callable[[Coroutine[Any, Any, None]], None]


async def active(world: World, token: str, client_id: str) -> bool:
    """Ask the introspection endpoint (RFC 7662) as the client itself."""
    answer = await world.browser().post("/introspect", {"token": token}, authorization=basic(client_id, SECRET))
    assert answer.status == 200
    found: bool = answer.json()["active"]
    return found


async def untick(browser: Browser, client_id: str, scope: str) -> None:
    answer = await browser.post("/account/platforms/untick", {"csrf": "f", "client_id": client_id, "scope": scope})
    assert (answer.status, answer.location) == (303, "/account/platforms")


def test_an_optional_scope_is_taken_back_alone_and_its_tokens_die_at_once(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            with_edu = await world.tokens(browser, scope="openid profile edu")
            without = await world.tokens(browser, scope="openid profile")
            page = (await browser.get("/account/platforms")).text
            assert page.count('name="scope"') == 1
            assert 'name="scope" value="edu"' in page
            await untick(browser, "learning", "edu")
            assert (await world.userinfo(with_edu["access_token"])).status == 401
            assert not await active(world, with_edu["access_token"], "learning")
            assert (await world.refresh(with_edu["refresh_token"])).status == 400
            assert (await world.userinfo(without["access_token"])).status == 200, "it never carried that scope"
            assert 'name="scope"' not in (await browser.get("/account/platforms")).text
            assert "idp.consent.scope_withdrawn" in world.trail.actions()
            # The next sign-in is not asked again, and gets what is left.
            answer = await world.redeem((await world.authorize(browser, scope="openid profile edu")).query["code"])
            assert set(answer.json()["scope"].split()) == {"openid", "profile"}

    run(story())


@pytest.mark.parametrize("scope", [OPENID, "profile", "nothing", "", "edu"])
def test_a_required_or_unknown_scope_cannot_be_taken_back_alone(opened: OpenWorld, run: Run, scope: str) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            tokens = await world.tokens(browser, "exempt", scope="openid profile")
            before = await world.store.consents_of(world.people["lin"])
            client_id = "library" if scope == "edu" else "exempt"  # of a platform never allowed
            await untick(browser, client_id, scope)
            assert await world.store.consents_of(world.people["lin"]) == before
            assert (await world.userinfo(tokens["access_token"])).status == 200
            assert "idp.consent.scope_withdrawn" not in world.trail.actions()

    run(story())


def test_taking_back_the_access_while_away_ends_the_platforms_work(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            tokens = await world.tokens(browser, scope="openid profile offline_access")
            await untick(browser, "learning", "offline_access")
            assert (await world.refresh(tokens["refresh_token"])).status == 400

    run(story())


def test_nobody_takes_back_what_another_person_allowed(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.add_person("wang", 2)
            mine, other = world.browser(), world.browser()
            tokens = await world.tokens(mine, scope="openid profile edu")
            await world.sign_in(other, "wang")
            await untick(other, "learning", "edu")
            await other.post("/account/platforms/withdraw", {"csrf": "f", "client_id": "learning"})
            assert (await world.userinfo(tokens["access_token"])).status == 200

    run(story())


def test_withdrawing_kills_jwt_access_tokens_opaque_ones_and_refresh_tokens(opened: OpenWorld, run: Run) -> None:
    """`national` has JWT access tokens (RFC 9068): whoever introspects one hears at once that it is dead."""

    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            for client_id in ("learning", "national"):
                tokens = await world.tokens(browser, client_id, scope="openid profile")
                assert await active(world, tokens["access_token"], client_id)
                await browser.post("/account/platforms/withdraw", {"csrf": "f", "client_id": client_id})
                assert not await active(world, tokens["access_token"], client_id)
                assert not await active(world, tokens["refresh_token"], client_id)
                assert (await world.userinfo(tokens["access_token"])).status == 401
                assert (await world.refresh(tokens["refresh_token"], client_id)).status == 400

    run(story())


def test_the_page_says_when_a_platform_last_got_tokens(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            tokens = await world.tokens(browser)
            world.clock.advance(600)
            await world.refresh(tokens["refresh_token"])
            page = (await browser.get("/account/platforms")).text
            assert 'datetime="2026-07-01T00:00:00Z"' in page, "allowed"
            assert 'datetime="2026-07-01T00:10:00Z"' in page, "used"

    run(story())


def test_each_scope_says_when_it_was_allowed(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser, start = world.browser(), world.clock()
            page = await browser.password(await browser.follow(await world.authorize(browser)), "lin")
            await browser.allow(page)
            world.clock.advance(600)
            page = await browser.follow(await world.authorize(browser, scope="openid profile edu"))
            await browser.allow(page, "edu")
            (consent,) = await world.store.consents_of(world.people["lin"])
            assert consent.since == {"openid": start, "profile": start, "edu": start + 600}
            text = (await browser.get("/account/platforms")).text
            assert text.count('datetime="2026-07-01T00:10:00Z"') == 2, "the last answer, and the scope added by it"
            await untick(browser, "learning", "edu")
            (consent,) = await world.store.consents_of(world.people["lin"])
            assert consent.since == {"openid": start, "profile": start}

    run(story())


def test_a_scope_left_unticked_when_asked_again_is_taken_back_with_its_tokens(opened: OpenWorld, run: Run) -> None:
    """GHSA-895x-rfqp-jh5c: a scope is taken away and the tokens that carry it live on."""

    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            with_edu = await world.tokens(browser, scope="openid profile edu")
            without = await world.tokens(browser, scope="openid profile")
            page = await browser.follow(await world.authorize(browser, scope="openid profile edu", prompt="consent"))
            await browser.allow(page)
            assert (await world.refresh(with_edu["refresh_token"])).status == 400
            assert (await world.userinfo(with_edu["access_token"])).status == 401
            assert (await world.userinfo(without["access_token"])).status == 200

    run(story())
