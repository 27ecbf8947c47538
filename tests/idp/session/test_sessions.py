"""Sessions: limits, strict cookies, the person's own lists."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from starlette.requests import HTTPConnection

from idp.model import AccountState, Acr
from idp.origin import device_of, place_of
from tests.protocol.world import SESSION_COOKIE, Browser, OpenWorld, World

Run = Callable[[Coroutine[Any, Any, None]], None]


def _connection(cookie: str | None, client: tuple[str, int] | None = None, agent: str = "") -> HTTPConnection:
    headers = [(b"user-agent", agent.encode("latin-1"))]
    if cookie is not None:
        headers.append((b"cookie", cookie.encode("latin-1")))
    return HTTPConnection({"type": "http", "headers": headers, "client": client})


async def _actor(world: World, cookie: str | None) -> object:
    return await world.provider.actors.resolve_actor(_connection(cookie))


def test_a_malformed_cookie_is_nobody(opened: OpenWorld, run: Run) -> None:
    """CVE-2026-25748: a malformed cookie must deny, not pass through."""

    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.sign_in(browser)
            good = browser.session_cookie
            assert good is not None
            actor = await _actor(world, f"{SESSION_COOKIE}={good}")
            assert actor is not None
            for bad in (
                None,
                "",
                SESSION_COOKIE,
                f"{SESSION_COOKIE}=",
                f"{SESSION_COOKIE}={good}=",
                f"{SESSION_COOKIE}={good[:-1]}",
                f"{SESSION_COOKIE}={good}x",
                f'{SESSION_COOKIE}="{good}"',
                f"{SESSION_COOKIE}={good.swapcase()}",
                f"{SESSION_COOKIE}=%00",
                f"{SESSION_COOKIE}=\xff\xfe",
                f"{SESSION_COOKIE}=' OR 1=1 --",
                f"{SESSION_COOKIE.lower()}={good}",
                f"edutrust-session={good}",
                f"{SESSION_COOKIE}={good}; {SESSION_COOKIE}={'x' * 43}",
                f"{SESSION_COOKIE}={'x' * 43}; {SESSION_COOKIE}={good}",
                f"{SESSION_COOKIE}={'x' * 100_000}",
            ):
                assert await _actor(world, bad) is None, bad

    run(story())


def test_a_session_idles_out_and_ends_absolutely(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.sign_in(browser)
            for _ in range(24):
                world.clock.advance(1799)
                assert (await browser.get("/account/sessions")).status == 200
            world.clock.advance(24)
            assert (await browser.get("/account/sessions")).status == 303, "twelve hours are over"
            await world.sign_in(browser)
            world.clock.advance(1800)
            assert (await browser.get("/account/sessions")).status == 303

    run(story())


def test_an_account_not_active_has_no_actor(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.sign_in(browser)
            cookie = f"{SESSION_COOKIE}={browser.session_cookie}"
            assert await _actor(world, cookie) is not None
            await world.store.set_account_state(world.people["lin"], AccountState.LOCKED, world.clock())
            assert await _actor(world, cookie) is None
            await world.store.set_account_state(world.people["lin"], AccountState.ACTIVE, world.clock())
            assert await _actor(world, cookie) is None, "what a lock has ended stays ended"

    run(story())


async def _references(browser: Browser) -> list[str]:
    import re

    return re.findall(r'name="reference" value="([^"]+)"', (await browser.get("/account/sessions")).text)


def test_the_person_sees_and_ends_sign_ins(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.add_person("wang", 2)
            phone, laptop, other = world.browser(), world.browser(), world.browser()
            await world.sign_in(phone)
            await world.sign_in(other, "wang")
            await world.sign_in(laptop)
            assert "Firefox · Linux" not in (await other.get("/")).text
            listed = await _references(laptop)
            assert len(listed) == 2
            page = await laptop.get("/account/sessions")
            assert page.headers["cache-control"] == "no-store"
            assert "当前设备" in page.text
            [mine] = [ref for ref in listed if ref in page.text.split("当前设备")[1].split("</li>")[0]]
            [theirs] = await _references(other)
            await laptop.post("/account/sessions/end", {"csrf": "f", "reference": theirs})
            assert (await other.get("/account/sessions")).status == 200, "another person's session is as if unknown"
            [phone_reference] = [ref for ref in listed if ref != mine]
            await laptop.post("/account/sessions/end", {"csrf": "f", "reference": phone_reference})
            assert (await phone.get("/account/sessions")).status == 303
            assert (await laptop.get("/account/sessions")).status == 200

    run(story())


def test_ending_everything_kills_offline_tokens_too(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            phone, laptop = world.browser(), world.browser()
            await world.sign_in(phone)
            body = await world.tokens(laptop, scope="openid offline_access")
            answer = await laptop.post("/account/sessions/end-all", {"csrf": "f"})
            assert answer.location == "/signed-out"
            assert (await laptop.get("/signed-out")).status == 200
            assert (await phone.get("/account/sessions")).status == 303
            assert (await world.userinfo(body["access_token"])).status == 401
            assert (await world.refresh(body["refresh_token"])).status == 400

    run(story())


def test_withdrawing_a_consent_kills_the_platforms_tokens_at_once(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            learning = await world.tokens(browser, scope="openid profile edu offline_access")
            library = await world.tokens(browser, "library")
            page = await browser.get("/account/platforms")
            assert "学校与身份" in page.text
            assert page.text.count('action="/account/platforms/withdraw"') == 2
            answer = await browser.post("/account/platforms/withdraw", {"csrf": "f", "client_id": "learning"})
            assert answer.location == "/account/platforms"
            assert (await world.userinfo(learning["access_token"])).status == 401
            assert (await world.refresh(learning["refresh_token"])).status == 400
            assert (await world.userinfo(library["access_token"])).status == 200
            assert "/signin/consent" in (await browser.follow(await world.authorize(browser))).text
            await browser.post("/account/platforms/withdraw", {"csrf": "f", "client_id": "library"})
            assert "您还没有允许任何平台" in (await browser.get("/account/platforms")).text

    run(story())


@pytest.mark.parametrize("path", ["/account/sessions", "/account/platforms"])
def test_the_account_pages_ask_to_sign_in_first(opened: OpenWorld, run: Run, path: str) -> None:
    async def story() -> None:
        async with opened() as world:
            assert (await world.browser().get(path)).location == f"/signin?return={path}"
            for action in ("sessions/end", "sessions/end-all", "platforms/withdraw"):
                answer = await world.browser().post(f"/account/{action}", {"csrf": "f"})
                assert answer.location.startswith("/signin?return=/account/")

    run(story())


def test_assurance_is_compared_by_rank() -> None:
    assert Acr.TWO.reaches(Acr.ONE)
    assert Acr.ONE.reaches(Acr.ONE)
    assert not Acr.ONE.reaches(Acr.TWO)


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1::/48"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("testclient", "?"),
    ],
)
def test_only_the_network_of_an_address_is_kept(address: str, place: str) -> None:
    assert place_of(_connection(None, (address, 1))) == place
    assert place_of(_connection(None)) == "?"


def test_the_device_is_named_in_words_of_ours() -> None:
    wechat = "Mozilla/5.0 (Linux; Android 14) Chrome/120 MicroMessenger/8.0"
    assert device_of(_connection(None, agent=wechat)) == "WeChat · Android"
    assert device_of(_connection(None, agent="<script>alert(1)</script>")) == "? · ?"
