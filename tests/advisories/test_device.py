"""The device grant turned against its person: class 15 (CVE-2026-88770 is its lock-out, see test_lockout), class 18 (guessing
user codes, RFC 8628 §5.1), class 20 (the session exchanged between the page and the answer), class 22 (approval by GET).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from idp.device.codes import ALPHABET, UserCodeKeys
from idp.device.guesses import SLOWED_TRIES_MAX, TRIES_MAX, WRONG_CODES_MAX
from idp.transient import TransientKind
from tests.protocol.devices import Device, connect, say, screen, to_consent, type_code
from tests.protocol.world import Browser, OpenWorld, World

ADVISORY_CLASSES: tuple[int, ...] = (15, 18, 20, 22)
SEEN_RED: dict[str, str] = {
    "test_of_codes_guessed_at_once_from_two_browsers_of_one_person_ten_are_looked_up": (
        "idp/device/guesses.py: a count was written without comparing; idp/device/pages.py: tries were not counted"
    ),
    "test_codes_that_work_count_as_tries_too": "idp/device/pages.py: tries were not counted",
    "test_who_guesses_cannot_stop_the_others": (
        "idp/device/guesses.py: past the limit of everybody nobody had a try left"
    ),
    "test_a_session_exchanged_after_the_page_is_not_the_one_that_answers": (
        "idp/device/pages.py: the session that answered was not compared with the one the page was shown to"
    ),
    "test_no_address_approves_by_being_opened": "idp/device/pages.py: the answer was taken from an address by GET",
    "test_whoever_reads_the_store_finds_no_code_that_opens_anything": (
        "idp/device/requests.py: the user code stood in its entry"
    ),
}

Run = Callable[[Coroutine[Any, Any, None]], None]
WAITING = "authorization_pending"
STEP_KEYS = UserCodeKeys(b"step key of the tests, 32 bytes.")
GRANTS = ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"]


@asynccontextmanager
async def _opened(opened: OpenWorld) -> AsyncIterator[tuple[World, Browser, Device]]:
    async with opened() as world:
        await world.register(screen())
        browser, device = world.browser(), Device(world)
        await world.sign_in(browser)
        await device.ask()
        yield world, browser, device


def _guess(number: int) -> str:
    """Return a code that is not out, another one for each number."""
    letters = ""
    for _ in range(8):
        number, place = divmod(number, len(ALPHABET))
        letters += ALPHABET[place]
    return letters


def test_of_codes_guessed_at_once_from_two_browsers_of_one_person_ten_are_looked_up(
    opened: OpenWorld, run: Run
) -> None:
    async def story() -> None:
        async with _opened(opened) as (world, browser, device):
            other = world.browser()
            await world.sign_in(other)
            guesses = (type_code((browser, other)[n % 2], _guess(n)) for n in range(24))
            statuses = [answer.status for answer in await asyncio.gather(*guesses)]
            assert (statuses.count(422), statuses.count(429)) == (TRIES_MAX, 24 - TRIES_MAX)
            right = await type_code(browser, device.user_code)
            assert right.status == 429, "the right one is not told from a wrong one either"
            assert int(right.headers["retry-after"]) == 600
            assert "教室大屏" not in right.text
            world.clock.advance(600)
            fresh = Device(world)
            await fresh.ask()
            assert (await type_code(browser, fresh.user_code)).status == 200

    run(story())


def test_codes_that_work_count_as_tries_too(opened: OpenWorld, run: Run) -> None:
    """Else a guesser would tell right from wrong by his allowance."""

    async def story() -> None:
        async with _opened(opened) as (_, browser, device):
            statuses = [(await type_code(browser, device.user_code)).status for _ in range(TRIES_MAX + 1)]
            assert statuses == [200] * TRIES_MAX + [429]

    run(story())


def test_what_cannot_be_a_code_costs_no_try(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with _opened(opened) as (_, browser, device):
            for typed in ("WDJB", "12345678", "", "x" * 500, "<script>") * 4:
                assert (await type_code(browser, typed)).status == 422
            assert (await type_code(browser, device.user_code)).status == 200

    run(story())


def test_who_guesses_cannot_stop_the_others(opened: OpenWorld, run: Run) -> None:
    """GHSA-cq42-vhv7-xr7p: a limit of everybody together must not be a switch that turns everybody off."""

    async def story() -> None:
        async with _opened(opened) as (world, browser, device):
            # A thousand wrong codes less ten, of others: their count stands where the provider looks for it.
            everybody, others = STEP_KEYS.of_tries("everybody"), str(WRONG_CODES_MAX - TRIES_MAX).encode()
            assert await world.transient.put_under(TransientKind.USER_CODE_TRIES, everybody, others, lifetime_s=600)
            guesser = world.browser()
            await world.add_person("guesser", 91)
            await world.sign_in(guesser, "guesser")
            guesses = (type_code(guesser, _guess(n)) for n in range(TRIES_MAX))
            assert {answer.status for answer in await asyncio.gather(*guesses)} == {422}
            late = world.browser()
            await world.add_person("late", 90)
            await world.sign_in(late, "late")
            statuses = [(await type_code(late, _guess(n))).status for n in range(4)]
            assert statuses == [422] * SLOWED_TRIES_MAX + [429] * 2, "guessing is dearer now"
            await connect(browser, device.user_code)
            assert await device.told() == "tokens", "and who has a code is not shut out"

    run(story())


def test_no_address_approves_by_being_opened(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with _opened(opened) as (_, browser, device):
            page = await type_code(browser, device.user_code)
            handle = page.hidden("t")
            for path in ("/device", "/device/answer", "/device/done"):
                await browser.get(path, user_code=device.user_code, answer="yes", t=handle)
            consent = await say(browser, page, "yes")
            for path in ("/signin/consent", "/signin/step", "/device/done"):
                await browser.get(path, t=consent.hidden("t"), answer="yes")
            assert await device.told() == WAITING

    run(story())


def test_a_session_exchanged_after_the_page_is_not_the_one_that_answers(opened: OpenWorld, run: Run) -> None:
    """Hydra #770: whoever sits down next must not find a yes half given in the name of the one before."""

    async def story() -> None:
        async with _opened(opened) as (world, browser, device):
            await world.add_person("wang", 2)
            page = await type_code(browser, device.user_code)
            await browser.post("/signout", {"csrf": "form-token"})
            await world.sign_in(browser, "wang")
            assert (await say(browser, page, "yes")).status == 400
            consent = await to_consent(browser, device.user_code)
            await browser.post("/signout", {"csrf": "form-token"})
            await world.sign_in(browser, "lin")
            assert (await browser.allow(consent)).status == 400
            assert await device.told() == WAITING

    run(story())


def test_a_consent_page_of_another_browser_approves_nothing(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with _opened(opened) as (world, browser, device):
            consent = await to_consent(browser, device.user_code)
            victim = world.browser()
            await world.sign_in(victim)
            assert (await victim.allow(consent)).status == 400
            assert await device.told() == WAITING

    run(story())


def test_whoever_reads_the_store_finds_no_code_that_opens_anything(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with _opened(opened) as (world, browser, device):
            await connect(browser, device.user_code)
            rows = await world.db.fetch("SELECT handle_hash, payload FROM transient_entry")
            held = b"".join(bytes(row[name]) for row in rows for name in ("handle_hash", "payload"))
            assert device.device_code[4:].encode() not in held
            bare = device.user_code.replace("-", "")
            assert bare.encode() not in held
            assert device.user_code.encode() not in held

    run(story())


@pytest.mark.parametrize("grant", ["authorization_code", "refresh_token"])
def test_a_device_code_is_no_other_grant_and_no_other_grant_is_a_device_code(
    opened: OpenWorld, run: Run, grant: str
) -> None:
    async def story() -> None:
        async with _opened(opened) as (world, browser, _):
            await world.register(screen("both", grant_types=GRANTS, redirect_uris=["https://both.example/callback"]))
            both = Device(world, "both")
            await both.ask()
            await connect(browser, both.user_code)
            name = "code" if grant == "authorization_code" else "refresh_token"
            form = {"grant_type": grant, name: both.device_code, "redirect_uri": "https://both.example/callback"}
            assert (await both.post("/token", {**form, "code_verifier": "v" * 64})).json()["error"] == "invalid_grant"
            code = await world.code(browser, "both")
            for other in (code, both.user_code, both.user_code.replace("-", "")):
                assert await both.told(device_code=other) == "invalid_grant"
            assert await both.told() == "tokens"

    run(story())
