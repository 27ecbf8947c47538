"""The list of sign-ins: what it says of each, and ending one, the others, all."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from idp.account.sign_ins import SHOWN_MAX
from idp.origin import Device, device_named
from tests.protocol.world import Browser, OpenWorld

Run = Callable[[Coroutine[Any, Any, None]], None]


async def cards(browser: Browser) -> list[str]:
    """Return the entries of the page, this browser's first."""
    return re.findall(r'<li class="card">.*?</li>\s*(?=<li class="card">|</ul>)', await _page(browser), re.DOTALL)


async def _page(browser: Browser) -> str:
    return (await browser.get("/account/sessions")).text


async def references(browser: Browser) -> list[str]:
    return re.findall(r'name="reference" value="([^"]+)"', await _page(browser))


def test_an_entry_says_device_network_times_factors_and_platforms(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            phone, laptop = world.browser(), world.browser()
            phone.http.headers["user-agent"] = "Mozilla/5.0 (Linux; Android 14) Chrome/120 MicroMessenger/8.0"
            laptop.http.headers["user-agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
            await world.tokens(phone)
            await world.tokens(phone, "library")
            world.clock.advance(1200)
            await phone.get("/account/sessions")
            await world.sign_in(laptop)
            mine, theirs = await cards(laptop)
            assert "当前设备" in mine
            assert "当前设备" not in theirs
            assert "Firefox（Linux）" in mine
            assert "密码" in mine
            assert "动态口令" not in mine
            assert "没有" in mine, "no platform yet"
            assert "微信（Android）" in theirs
            assert "学习平台、学习平台" in theirs
            assert re.findall(r'datetime="([^"]+)"', theirs) == ["2026-07-01T00:00:00Z", "2026-07-01T00:20:00Z"]

    run(story())


def test_a_sign_in_with_a_code_says_so(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened(second_factor_for_all=True) as world:
            browser = world.browser()
            await world.enrol(browser, await world.sign_in(browser))
            [mine] = await cards(browser)
            assert "密码、动态口令" in mine

    run(story())


def test_all_the_others_end_and_this_one_stays(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.add_person("wang", 2)
            here, phone, desk, stranger = (world.browser() for _ in range(4))
            for browser in (phone, desk, here):
                await world.sign_in(browser)
            await world.sign_in(stranger, "wang")
            tokens = await world.tokens(phone)
            answer = await here.post("/account/sessions/end-others", {"csrf": "f"})
            assert (answer.status, answer.location) == (303, "/account/sessions")
            assert [(await browser.get("/account/sessions")).status for browser in (here, phone, desk)] == [
                200,
                303,
                303,
            ]
            assert (await world.userinfo(tokens["access_token"])).status == 401
            assert (await stranger.get("/account/sessions")).status == 200, "another person's goes on"
            assert "idp.session.ended_others" in world.trail.actions()
            assert "end-others" not in await _page(here), "there are no others any more"

    run(story())


def test_ending_the_own_sign_in_takes_the_cookie_back(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.sign_in(browser)
            [reference] = await references(browser)
            answer = await browser.post("/account/sessions/end", {"csrf": "f", "reference": reference})
            assert answer.location == "/signed-out"
            assert browser.session_cookie is None

    run(story())


def test_a_long_list_is_cut_and_says_so(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.sign_in(browser)
            (session,) = await world.store.sessions_of(world.people["lin"], world.clock())
            for number in range(SHOWN_MAX + 2):
                other = replace(session, reference=f"other-{number}", created_at=session.created_at + 1)
                await world.store.open_session(other, bytes([number]) * 32)
            entries = await cards(browser)
            assert len(entries) == SHOWN_MAX
            assert "当前设备" in entries[0], "this browser's own is always there"
            assert "另有 3 个登录没有列出" in await _page(browser)

    run(story())


@pytest.mark.parametrize("page", ["sessions", "platforms", "password"])
def test_the_pages_lead_to_each_other(opened: OpenWorld, run: Run, page: str) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.sign_in(browser)
            text = (await browser.get(f"/account/{page}")).text
            for other in ("sessions", "platforms", "password"):
                mark = ' aria-current="page"' if other == page else ""
                assert f'<a href="/account/{other}"{mark}>' in text

    run(story())


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/120 Safari/537.36 Edg/120.0", "Edge（Windows）"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) CriOS/120.0 Safari/604.1", "Chrome（iPhone）"),
        ("Mozilla/5.0 (Linux; Android 14) Chrome/120 MicroMessenger/8.0 wxwork/4.1", "企业微信（Android）"),
        (
            "Mozilla/5.0 (Linux; Android 12; HarmonyOS) Chrome/114 HuaweiBrowser/15.0 Safari/537",
            "华为浏览器（HarmonyOS）",
        ),
        ("Mozilla/5.0 (X11; Linux x86_64) Chrome/120 MQQBrowser/13.0 Safari/537", "QQ 浏览器（Linux）"),
        ("curl/8.5.0", "无法识别的浏览器"),
        ("Something (Windows NT 10.0)", "Windows 上的浏览器"),
        ("<script>alert(1)</script> Firefox", "Firefox"),
    ],
)
def test_a_device_is_named_in_the_readers_words(opened: OpenWorld, run: Run, agent: str, words: str) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            browser.http.headers["user-agent"] = agent
            await world.sign_in(browser)
            [mine] = await cards(browser)
            assert f"<h2>{words} <span" in mine

    run(story())


def test_a_name_kept_of_a_device_is_taken_apart_only_into_words_of_ours() -> None:
    assert device_named("WeChat · Android") == Device("WeChat", "Android")
    assert device_named("? · Linux") == Device(None, "Linux")
    assert device_named("<b> · Linux") == Device(None, "Linux")
    assert device_named("") == Device(None, None)
