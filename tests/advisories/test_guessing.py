"""Passwords and one-time codes guessed past the limit: class 18, by many requests at once, by spellings of one name, from many
networks, by one entrance after another; Keycloak #46164 (one count for two factors); GHSA-cq42-vhv7-xr7p (the limit turned
into a way to shut somebody out). User codes of devices: test_device.

The count is of the account and lies in the database, so no number of networks, browsers or processes multiplies it. After ten
failures in a row a password counts no longer until it is set anew: whoever knows a name can bring that about, which is the
price of the limit (NIST SP 800-63B §5.2.2); what he cannot do is end a sign-in that exists, or a platform's tokens.
"""

from __future__ import annotations

import asyncio
import base64
import random
import re
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest

from idp.login.lockout import FAILURES_MAX
from idp.model import AuthenticatorKind
from tests.protocol.world import ISSUER, PASSWORD, Answer, Browser, OpenWorld, World

ADVISORY_CLASSES: tuple[int, ...] = (18,)
SEEN_RED: dict[str, str] = {
    "test_guesses_at_once_from_many_networks_in_many_spellings_are_one_count": (
        "adapters/sql/idp_accounts.py: a try was counted but no delay held it up"
    ),
    "test_one_entrance_after_another_is_one_count": (
        "adapters/sql/idp_accounts.py: a try was counted but no delay held it up"
    ),
    "test_the_page_that_changes_a_password_is_no_side_entrance": (
        "idp/account/password.py: the old password was compared without the count"
    ),
    "test_keycloak_46164_a_right_password_gives_no_new_tries_at_the_one_time_code": (
        "idp/login/password.py: a right password cleared the failures of the second factor"
    ),
}

Run = Callable[[Coroutine[Any, Any, None]], None]
SEED = 18
SPELLINGS = ("lin", "LIN", " Lin ", "ｌｉｎ", "ＬＩＮ", "lin\u3000", "\u00a0lin")
AT_ONCE = 4
"""Three failures are free, the fourth starts the delay: more are not looked at in one instant."""


async def _failures(world: World, kind: AuthenticatorKind) -> int:
    row = await world.db.fetch_one(
        "SELECT failures FROM authenticator WHERE person = $1 AND kind = $2", world.people["lin"], kind.value
    )
    return 0 if row is None else int(row["failures"])


async def _guess(browser: Browser, page: Answer, username: str, password: str) -> int:
    form = {"t": page.hidden("t"), "csrf": "f", "username": username, "password": password}
    return (await browser.post("/signin/password", form)).status


async def _page(browser: Browser) -> Answer:
    return await browser.follow(await browser.get("/signin"))


def _from(world: World, network: int) -> Browser:
    browser = world.browser()
    transport = httpx.ASGITransport(app=world.app, client=(f"10.{network}.7.1", 4711))
    browser.http = httpx.AsyncClient(transport=transport, base_url=ISSUER, follow_redirects=False)
    return browser


def test_guesses_at_once_from_many_networks_in_many_spellings_are_one_count(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            shuffled = random.Random(SEED)
            browsers = [_from(world, network) for network in range(12)]
            pages = await asyncio.gather(*map(_page, browsers))
            tries = [
                (browser, page, shuffled.choice(SPELLINGS), f"wrong {n}")
                for browser, page in zip(browsers, pages, strict=True)
                for n in range(4)
            ]
            shuffled.shuffle(tries)
            assert set(await asyncio.gather(*(_guess(*each) for each in tries))) == {422}
            assert await _failures(world, AuthenticatorKind.PASSWORD) == AT_ONCE
            assert await _guess(browsers[0], pages[0], "lin", PASSWORD) == 422, "and now the right one is too soon"
            world.clock.advance(2)
            assert await _guess(browsers[0], pages[0], "ＬＩＮ", PASSWORD) == 303

    run(story())


async def _entrances(world: World) -> list[tuple[Browser, Answer]]:
    """Return the password page as every entrance leads to it."""
    entrances = []
    for address, parameters in (
        ("/signin", {}),
        ("/signin", {"return": "/account/sessions", "acr": "2"}),
        ("/device", {}),
        ("/account/sessions", {}),
    ):
        browser = world.browser()
        entrances.append((browser, await browser.follow(await browser.get(address, **parameters))))
    for client_id in ("learning", "library"):
        browser = world.browser()
        entrances.append((browser, await browser.follow(await world.authorize(browser, client_id))))
    return entrances


def test_one_entrance_after_another_is_one_count(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            entrances = await _entrances(world)
            for browser, page in entrances * 2:
                assert await _guess(browser, page, "lin", "wrong") == 422
            assert await _failures(world, AuthenticatorKind.PASSWORD) == AT_ONCE
            for browser, page in entrances:
                assert await _guess(browser, page, "lin", PASSWORD) == 422

    run(story())


def test_the_page_that_changes_a_password_is_no_side_entrance(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.sign_in(browser)
            new = {"new_password": "n" * 20, "new_password_again": "n" * 20, "csrf": "f"}
            for n in range(8):
                answer = await browser.post("/account/password", {"old_password": f"wrong {n}", **new})
                assert answer.status == 422
            assert await _failures(world, AuthenticatorKind.PASSWORD) == AT_ONCE
            assert (await browser.post("/account/password", {"old_password": PASSWORD, **new})).status == 422
            other = world.browser()
            assert await _guess(other, await _page(other), "lin", PASSWORD) == 422

    run(story())


@pytest.mark.parametrize("grant", ["password", "implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer"])
def test_no_grant_takes_a_password(opened: OpenWorld, run: Run, grant: str) -> None:
    async def story() -> None:
        async with opened() as world:
            answer = await world.token({"grant_type": grant, "username": "lin", "password": PASSWORD})
            assert answer.json()["error"] == "unsupported_grant_type"
            assert await _failures(world, AuthenticatorKind.PASSWORD) == 0

    run(story())


def test_keycloak_46164_a_right_password_gives_no_new_tries_at_the_one_time_code(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened(second_factor_for_all=True) as world:
            browser = world.browser()
            page = await browser.password(await _page(browser), "lin")
            shown = re.search(r'id="totp-seed">([A-Z2-7 ]+)<', page.text)
            assert shown is not None
            seed = base64.b32decode(shown[1].replace(" ", ""))
            await world.enrol(browser, page)
            world.clock.advance(60)
            for n in range(6):
                other = world.browser()
                asked = await other.password(await _page(other), "lin")
                assert "/signin/totp" in asked.text, "wrong codes do not lock the password"
                form = {"t": asked.hidden("t"), "csrf": "f", "code": f"{n:06d}"}
                assert (await other.post("/signin/totp", form)).status == 422
            assert await _failures(world, AuthenticatorKind.TOTP) == AT_ONCE
            assert await _failures(world, AuthenticatorKind.PASSWORD) == 0
            form = {"t": asked.hidden("t"), "csrf": "f", "code": world.code_of(seed)}
            assert (await other.post("/signin/totp", form)).status == 422, "too soon, though right"

    run(story())


def test_who_guesses_ends_no_sign_in_and_no_token(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            tokens = await world.tokens(browser)
            for _ in range(FAILURES_MAX):
                world.clock.advance(60)
                await world.store.reserve_attempt(world.people["lin"], AuthenticatorKind.PASSWORD, world.clock())
            guesser = world.browser()
            assert await _guess(guesser, await _page(guesser), "lin", PASSWORD) == 422
            assert (await browser.get("/account/sessions")).status == 200
            assert (await world.refresh(tokens["refresh_token"])).status == 200
            assert "code" in (await world.authorize(browser)).query

    run(story())
