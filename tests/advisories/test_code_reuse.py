"""An authorization code used again, at once, by another client, or made up (CVE-2026-16089, CVE-2026-4282; RFC 6749 §4.1.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from tests.protocol.world import SECRET, VERIFIER, OpenWorld, basic

ADVISORY_CLASSES: tuple[int, ...] = (7,)
SEEN_RED: dict[str, str] = {
    "test_a_second_use_is_refused_and_kills_what_the_first_one_got": "idp/token/endpoint.py: the code read instead of taken",
    "test_of_two_at_once_one_wins_and_what_it_got_is_dead": "idp/token/endpoint.py: the loser of a race revokes nothing",
    "test_another_clients_attempt_takes_nothing_and_revokes_nothing": "idp/token/core.py: a code taken from whichever client brings it",
}

Run = Callable[[Coroutine[Any, Any, None]], None]


def test_a_second_use_is_refused_and_kills_what_the_first_one_got(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            untouched = await world.tokens(browser)
            code = await world.code(browser)
            first = (await world.redeem(code)).json()
            refreshed = (await world.refresh(first["refresh_token"])).json()
            world.clock.advance(1)
            second = await world.redeem(code)
            assert (second.status, second.json()["error"]) == (400, "invalid_grant")
            for body in (first, refreshed):
                assert (await world.userinfo(body["access_token"])).status == 401
                assert (await world.refresh(body["refresh_token"])).status == 400
            assert (await world.userinfo(untouched["access_token"])).status == 200, "another sign-in's tokens live on"
            assert "code_replayed" in {event.result for event in world.trail.events}

    run(story())


def test_a_second_use_is_recognised_long_after_the_code_has_ended(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            code = await world.code(world.browser())
            body = (await world.redeem(code)).json()
            world.clock.advance(10 * 60)
            await world.provider.housekeeping()
            assert (await world.userinfo(body["access_token"])).status in {200, 401}
            assert (await world.redeem(code)).status == 400
            assert (await world.refresh(body["refresh_token"])).status == 400

    run(story())


def test_of_two_at_once_one_wins_and_what_it_got_is_dead(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            for _ in range(10):
                code = await world.code(browser)
                answers = await asyncio.gather(world.redeem(code), world.redeem(code))
                assert sorted(answer.status for answer in answers) == [200, 400]
                winner = next(answer.json() for answer in answers if answer.status == 200)
                assert (await world.userinfo(winner["access_token"])).status == 401
                assert (await world.refresh(winner["refresh_token"])).status == 400

    run(story())


def test_another_clients_attempt_takes_nothing_and_revokes_nothing(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            code = await world.code(world.browser())
            for thief in ("library", "national", "native", "exempt"):
                for address in (f"https://{thief}.example/callback", "https://learning.example/callback"):
                    answer = await world.redeem(code, thief, redirect_uri=address)
                    assert answer.json()["error"] == "invalid_grant"
            mixed = {
                "grant_type": "authorization_code",
                "code": code,
                "code_verifier": VERIFIER,
                "client_id": "library",
            }
            answer = await world.token(
                {**mixed, "redirect_uri": "https://learning.example/callback"},
                authorization=basic("learning", SECRET),
            )
            assert answer.status == 400
            body = (await world.redeem(code)).json()
            for thief in ("library", "national"):
                await world.redeem(code, thief, redirect_uri="https://learning.example/callback")
            assert (await world.userinfo(body["access_token"])).status == 200, "a stranger's replay revokes nothing"

    run(story())


def test_a_code_nobody_made_opens_nothing(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            code = await world.code(world.browser())
            forged = [
                *(code[:at] + ("A" if code[at] != "A" else "B") + code[at + 1 :] for at in range(len(code))),
                *(
                    code + "A",
                    code[:-1],
                    code[4:],
                    code.upper(),
                    "rac_" + code[4:],
                    "slt_" + code[4:],
                    f" {code}",
                    f"{code}\n",
                ),
                *("", "sac_", "sac_" + "A" * 43, "null", "*", "%", "' OR 1=1 --", "sac_" + "\u0410" * 43),
            ]
            for other in forged:
                answer = await world.redeem(other)
                assert answer.status == 400, other
                assert "access_token" not in answer.text
            assert (await world.redeem(code)).status == 200

    run(story())
