"""The change of password: for the old one, and with the end of every other sign-in."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from idp.login.lockout import FAILURES_MAX
from tests.protocol.world import PASSWORD, Answer, Browser, OpenWorld

Run = Callable[[Coroutine[Any, Any, None]], None]
NEW = "three old umbrellas"


async def change(browser: Browser, old: str = PASSWORD, new: str = NEW, again: str | None = None) -> Answer:
    form = {
        "csrf": "f",
        "old_password": old,
        "new_password": new,
        "new_password_again": new if again is None else again,
    }
    return await browser.post("/account/password", form)


def test_a_changed_password_ends_every_other_sign_in_and_every_token(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            here, phone = world.browser(), world.browser()
            away = await world.tokens(phone, scope="openid profile offline_access")
            await world.sign_in(here)
            before = here.session_cookie
            answer = await change(here)
            assert (answer.status, answer.location) == (303, "/account/password?done=yes")
            page = await here.follow(answer)
            assert "密码已经修改" in page.text
            assert page.headers["cache-control"] == "no-store"
            assert here.session_cookie != before, "a fresh cookie"
            assert (await phone.get("/account/sessions")).status == 303
            assert (await world.refresh(away["refresh_token"])).status == 400
            assert (await world.userinfo(away["access_token"])).status == 401
            old, new = world.browser(), world.browser()
            assert (await world.sign_in(old)).status == 422, "the old password is none any more"
            entry = await new.follow(await new.get("/signin"))
            await new.password(entry, "lin", NEW)
            assert (await new.get("/account/sessions")).status == 200
            assert "idp.password.changed" in world.trail.actions()
            assert not any(word in str(event) for event in world.trail.events for word in (NEW, PASSWORD))

    run(story())


@pytest.mark.parametrize(
    ("old", "new", "again", "says"),
    [
        ("wrong", NEW, None, "现在的密码不正确"),
        ("", NEW, None, "现在的密码不正确"),
        (PASSWORD, "too short", None, "至少要 15 个字符"),
        (PASSWORD, "password12345678", None, "太容易被猜到"),
        (PASSWORD, PASSWORD, None, "相同"),
        (PASSWORD, NEW, "three old umbrella", "不一致"),
        (PASSWORD, "", None, "太短"),
    ],
)
def test_what_breaks_a_rule_changes_nothing(
    opened: OpenWorld, run: Run, old: str, new: str, again: str | None, says: str
) -> None:
    async def story() -> None:
        async with opened() as world:
            browser, other = world.browser(), world.browser()
            await world.sign_in(browser)
            answer = await change(browser, old, new, again)
            assert answer.status == 422
            assert says in answer.text
            for typed in (new, old):
                assert not typed or f'value="{typed}"' not in answer.text, "a password is never shown again"
            assert (await world.sign_in(other)).status != 422, "the password is what it was"
            assert (await browser.get("/account/sessions")).status == 200

    run(story())


def test_the_old_password_is_guessed_no_more_often_than_at_sign_in(opened: OpenWorld, run: Run) -> None:
    """One counter for both doors (CVE-2026-9798: a lock-out passed by another path)."""

    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.sign_in(browser)
            for _ in range(FAILURES_MAX):
                assert (await change(browser, old="wrong")).status == 422
                world.clock.advance(60)
            assert (await change(browser)).status == 422, "the right one comes too late"
            assert (await world.sign_in(world.browser())).status == 422, "at the other door too"

    run(story())


def test_a_person_with_a_second_factor_shows_it_first(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            strong, weak = world.browser(), world.browser()
            page = await strong.follow(await strong.get("/signin?acr=2"))
            await world.enrol(strong, await strong.password(page, "lin"))
            await world.sign_in(weak)
            for answer in (await weak.get("/account/password"), await change(weak)):
                assert answer.location == "/signin?return=/account/password&acr=2"
            assert (await strong.get("/account/password")).status == 200
            assert (await change(strong)).status == 303

    run(story())


def test_where_a_second_factor_is_always_asked_a_shorter_one_will_do(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened(second_factor_for_all=True) as world:
            browser = world.browser()
            await world.enrol(browser, await world.sign_in(browser))
            assert "8 个字符" in (await browser.get("/account/password")).text
            assert (await change(browser, new="k7#mq2z")).status == 422
            assert (await change(browser, new="k7#mq2zv")).status == 303

    run(story())


def test_without_a_sign_in_the_page_asks_for_one(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            for answer in (await world.browser().get("/account/password"), await change(world.browser())):
                assert answer.location == "/signin?return=/account/password"

    run(story())
