"""Session fixation and swap (CVE-2026-7507, CVE-2025-12390, CVE-2024-7341; Hydra issue 770: consent in another's session).

Nothing a browser brought before an authentication is the session after it, and nothing begun in one session ends in
another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from idp.session.cookies import new_secret
from tests.protocol.world import PASSWORD, SESSION_COOKIE, Browser, OpenWorld, World

ADVISORY_CLASSES: tuple[int, ...] = (20,)

SEEN_RED: dict[str, str] = {
    "test_a_cookie_planted_before_sign_in_is_not_the_session_after_it": (
        "idp/session/sign_in.py: the cookie the browser brought was kept"
    ),
    "test_a_session_planted_by_its_owner_does_not_become_the_victims": (
        "idp/session/sign_in.py: another person's session in this browser was not ended"
    ),
    "test_the_cookie_is_fresh_at_sign_in_step_up_a_new_sign_in_and_a_new_password": (
        "idp/session/sign_in.py: the cookie the browser brought was kept"
    ),
    "test_consent_begun_in_one_session_is_not_given_in_another": (
        "idp/login/dispatch.py: the session of the sign-in was not compared with the browser's"
    ),
    "test_a_sign_in_begun_in_one_browser_does_not_go_on_in_another": (
        "idp/login/flow.py: the browser was not compared with the one the sign-in began in"
    ),
}

Run = Callable[[Coroutine[Any, Any, None]], None]


def wearing(world: World, secret: str | None) -> Browser:
    """Return a fresh browser with this session cookie."""
    browser = world.browser()
    if secret is not None:
        browser.http.cookies.set(SESSION_COOKIE, secret, domain="id.example.edu.cn")
    return browser


async def is_signed_in(world: World, secret: str | None) -> bool:
    return (await wearing(world, secret).get("/account/sessions")).status == 200


def test_a_cookie_planted_before_sign_in_is_not_the_session_after_it(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            planted = new_secret(lambda count: b"\x07" * count)
            victim = wearing(world, planted)
            await world.sign_in(victim)
            assert victim.session_cookie != planted
            assert not await is_signed_in(world, planted)

    run(story())


def test_a_session_planted_by_its_owner_does_not_become_the_victims(opened: OpenWorld, run: Run) -> None:
    """The attacker signs in, plants the cookie, and waits for the victim to sign in over it."""

    async def story() -> None:
        async with opened() as world:
            await world.add_person("wang", 2)
            attacker = world.browser()
            await world.sign_in(attacker, "wang")
            planted = attacker.session_cookie
            victim = wearing(world, planted)
            page = await victim.follow(await victim.get("/signin?return=/account/sessions&fresh=yes"))
            await victim.password(page, "lin")
            assert victim.session_cookie != planted
            assert not await is_signed_in(world, planted), "the attacker's own session has ended, too"
            (session,) = await world.store.sessions_of(world.people["lin"], world.clock())
            assert await world.store.sessions_of(world.people["wang"], world.clock()) == ()
            assert session.person == world.people["lin"]

    run(story())


def test_the_cookie_is_fresh_at_sign_in_step_up_a_new_sign_in_and_a_new_password(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            worn: list[str | None] = [None]

            async def turned() -> None:
                assert browser.session_cookie not in worn
                for old in worn[1:]:
                    assert not await is_signed_in(world, old)
                assert await is_signed_in(world, browser.session_cookie)
                worn.append(browser.session_cookie)

            await world.sign_in(browser)
            await turned()
            page = await browser.follow(await browser.get("/signin?acr=2"))
            await world.enrol(browser, await browser.password(page, "lin"))
            await turned()
            world.clock.advance(60)
            page = await browser.follow(await world.authorize(browser, prompt="login"))
            await browser.password(page, "lin")
            await turned()
            await browser.post("/signout", {"csrf": "f"})
            assert browser.session_cookie is None
            for old in worn[1:]:
                assert not await is_signed_in(world, old), "after sign-out none of them opens anything"

    run(story())


def test_a_new_password_leaves_no_cookie_of_before(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser, other = world.browser(), world.browser()
            await world.sign_in(browser)
            await world.sign_in(other)
            before = [browser.session_cookie, other.session_cookie]
            new = "three old umbrellas"
            form = {"csrf": "f", "old_password": PASSWORD, "new_password": new, "new_password_again": new}
            assert (await browser.post("/account/password", form)).status == 303
            for secret in before:
                assert not await is_signed_in(world, secret)
            assert await is_signed_in(world, browser.session_cookie)

    run(story())


def test_consent_begun_in_one_session_is_not_given_in_another(opened: OpenWorld, run: Run) -> None:
    """Hydra #770: the session is swapped while the consent page stands open; the yes counts for nobody."""

    async def story() -> None:
        async with opened() as world:
            await world.add_person("wang", 2)
            other = world.browser()
            await world.sign_in(other, "wang")
            browser = world.browser()
            page = await browser.password(await browser.follow(await world.authorize(browser)), "lin")
            assert "/signin/consent" in page.text
            browser.http.cookies.delete(SESSION_COOKIE)
            browser.http.cookies.set(SESSION_COOKIE, other.session_cookie or "", domain="id.example.edu.cn")
            form = {"t": page.hidden("t"), "csrf": "form-token", "scope_edu": "yes"}
            answer = await browser.post("/signin/consent", form)
            assert answer.status == 400
            assert answer.json()["shown"] == "idp.login.transaction_refused"
            for person in ("lin", "wang"):
                assert await world.store.consents_of(world.people[person]) == ()
            assert "idp.consent.given" not in world.trail.actions()

    run(story())


@pytest.mark.parametrize("path", ["password", "consent", "cancel", "totp", "enrol", "account"])
def test_a_sign_in_begun_in_one_browser_does_not_go_on_in_another(opened: OpenWorld, run: Run, path: str) -> None:
    """Whoever sends a victim a link into a sign-in of their own finds it refused there."""

    async def story() -> None:
        async with opened() as world:
            attacker, victim = world.browser(), world.browser()
            await world.sign_in(victim)
            page = await attacker.follow(await world.authorize(attacker))
            handle = page.hidden("t")
            shown = await victim.get("/signin/step", t=handle)
            form = {
                "t": handle,
                "csrf": "f",
                "username": "lin",
                "password": PASSWORD,
                "choice": "continue",
                "code": "1",
            }
            posted = await victim.post(f"/signin/{path}", form)
            for answer in (shown, posted):
                assert answer.status == 400
                assert answer.json() == {"shown": "idp.login.transaction_refused", "field": None, "rule": "browser"}

    run(story())


def test_of_two_tabs_with_one_sign_in_one_opens_a_session(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            page = await browser.follow(await browser.get("/signin"))
            form = {"t": page.hidden("t"), "csrf": "f", "username": "lin", "password": PASSWORD}
            answers = await asyncio.gather(*(browser.post("/signin/password", form) for _ in range(4)))
            assert sorted(answer.status for answer in answers) == [303, 400, 400, 400]
            assert len(await world.store.sessions_of(world.people["lin"], world.clock())) == 1

    run(story())
