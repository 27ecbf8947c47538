"""`prompt=select_account`: the session at hand or another account, chosen by the person (OpenID Connect Core §3.1.2.1)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from tests.protocol.world import Answer, Browser, OpenWorld, World, claims_of

Run = Callable[[Coroutine[Any, Any, None]], None]

TWO = "urn:edutrust:acr:2"
CHOICE = 'action="/signin/account"'
PASSWORD = 'action="/signin/password"'


async def ask(world: World, browser: Browser, **changes: Any) -> Answer:
    return await browser.follow(await world.authorize(browser, **{"prompt": "select_account", **changes}))


async def choose(browser: Browser, page: Answer, choice: str, **changes: str) -> Answer:
    form = {"t": page.hidden("t"), "csrf": "form-token", "session": page.hidden("session"), "choice": choice, **changes}
    return await browser.follow(await browser.post("/signin/account", form))


def primary(page: Answer) -> str:
    return page.text.partition(CHOICE)[2].partition('class="primary"')[2].partition("</button>")[0]


def test_the_person_goes_on_with_the_session_at_hand(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            sub = claims_of((await world.tokens(browser))["id_token"])["sub"]
            before = browser.session_cookie
            page = await ask(world, browser)
            assert CHOICE in page.text
            assert PASSWORD not in page.text
            assert "张" in page.text, "the account is named"
            assert page.headers["cache-control"] == "no-store"
            answer = await choose(browser, page, "continue")
            assert claims_of((await world.redeem(answer.query["code"])).json()["id_token"])["sub"] == sub
            assert browser.session_cookie == before

    run(story())


def test_the_person_takes_another_account_and_signs_in_anew(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.add_person("wang", 2)
            browser = world.browser()
            sub = claims_of((await world.tokens(browser))["id_token"])["sub"]
            page = await choose(browser, await ask(world, browser, login_hint="lin"), "other")
            assert PASSWORD in page.text
            assert 'value="lin"' not in page.text, "the hint was of the account just put aside"
            again = await browser.get("/signin/step", t=page.hidden("t"))
            assert PASSWORD in again.text, "the old session does not come back"
            answer = await browser.allow(await browser.password(page, "wang"))
            assert claims_of((await world.redeem(answer.query["code"])).json()["id_token"])["sub"] != sub

    run(story())


def test_without_a_session_there_is_nothing_to_choose(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            page = await ask(world, browser, login_hint="lin")
            assert PASSWORD in page.text
            assert 'value="lin"' in page.text
            assert "code" in (await browser.allow(await browser.password(page, "lin"))).query

    run(story())


def test_nobody_who_signed_in_before_is_listed(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.add_person("wang", 2)
            browser = world.browser()
            await world.sign_in(browser)
            await browser.post("/signout", {"csrf": "form-token"})
            await world.sign_in(browser, "wang")
            page = await ask(world, browser)
            assert page.text.count('name="choice"') == 2
            assert "lin" not in page.text.partition("<form")[2].replace("link", "").replace("inline", "")

    run(story())


def test_the_hint_decides_which_choice_stands_out(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.tokens(browser)
            for hint in ("", "lin", "LIN", "ｌｉｎ"):
                assert "continue" in primary(await ask(world, browser, login_hint=hint))
            page = await ask(world, browser, login_hint="wang")
            assert "other" in primary(page)
            assert "wang" in primary(page)
            page = await choose(browser, page, "other")
            assert 'value="wang"' in page.text
            page = await ask(world, browser, login_hint="wang — call 400 for your prize")
            assert "other" in primary(page)
            assert "prize" not in page.text, "a platform's sentence does not stand on our button"

    run(story())


def test_a_yes_to_a_session_that_has_been_replaced_is_asked_again(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.add_person("wang", 2)
            browser = world.browser()
            await world.tokens(browser)
            page = await ask(world, browser)
            await browser.post("/signout", {"csrf": "form-token"})
            await world.sign_in(browser, "wang")
            again = await choose(browser, page, "continue")
            assert CHOICE in again.text, "it was lin's session that was shown; wang has not said yes"
            assert again.hidden("session") != page.hidden("session")

    run(story())


def test_a_session_put_in_place_after_the_yes_is_asked_about(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.add_person("wang", 2)
            browser = world.browser()
            await world.tokens(browser)
            page = await ask(world, browser)
            form = {"t": page.hidden("t"), "csrf": "f", "session": page.hidden("session"), "choice": "continue"}
            step = await browser.post("/signin/account", form)
            await browser.post("/signout", {"csrf": "form-token"})
            await world.sign_in(browser, "wang")
            assert CHOICE in (await browser.follow(step)).text

    run(story())


def test_a_choice_that_is_none_is_asked_again(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.tokens(browser)
            page = await ask(world, browser)
            assert CHOICE in (await choose(browser, page, "")).text
            assert CHOICE in (await choose(browser, page, "continue", session="")).text

    run(story())


def test_going_on_does_not_stand_for_what_else_is_missing(opened: OpenWorld, run: Run) -> None:
    """The choice says who, not how surely: consent and the second factor are asked all the same."""

    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.sign_in(browser)
            consent = await choose(browser, await ask(world, browser), "continue")
            assert "/signin/consent" in consent.text
            stronger = await choose(browser, await ask(world, browser, acr_values=TWO), "continue")
            assert PASSWORD in stronger.text, "no phone enrolled: one is added only after the password"

    run(story())


def test_a_sign_in_too_old_or_to_be_made_anew_leads_to_the_password(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.tokens(browser)
            assert PASSWORD in (await ask(world, browser, prompt="select_account login")).text
            world.clock.advance(100)
            assert PASSWORD in (await ask(world, browser, max_age="50")).text

    run(story())


def test_it_cannot_be_asked_for_silently(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            answer = await world.authorize(world.browser(), prompt="none select_account")
            assert answer.query["error"] == "invalid_request"

    run(story())
