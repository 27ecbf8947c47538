"""A refresh token used again: by a thief, in one second, at once, against revocation, after its consent is gone.

CVE-2026-1035 (a race), Keycloak #50999 (the same second) and #51312 (refresh against revoke), GHSA-895x-rfqp-jh5c (the scope
withdrawn). Two processes and a restart (CVE-2026-9802) are tried in tests/protocol/test_single_use.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from idp.clients.model import ClientState
from tests.protocol.world import SECRET, OpenWorld, basic, registration

ADVISORY_CLASSES: tuple[int, ...] = (8,)
SEEN_RED: dict[str, str] = {
    "test_a_replay_at_any_position_kills_the_family_and_no_other": "idp/token/endpoint.py: a replayed refresh token refused, its family left alive",
    "test_another_client_can_neither_use_nor_kill_it": "idp/token/core.py: a refresh token taken from whichever client brings it",
}

Run = Callable[[Coroutine[Any, Any, None]], None]

CHAIN = 6


@pytest.mark.parametrize("position", [0, CHAIN // 2, CHAIN - 1])
@pytest.mark.parametrize("seconds", [0, 1], ids=["within one second", "a second apart"])
def test_a_replay_at_any_position_kills_the_family_and_no_other(
    opened: OpenWorld, run: Run, position: int, seconds: int
) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            other = await world.tokens(browser)
            chain = [await world.tokens(browser)]
            for _ in range(CHAIN):
                world.clock.advance(seconds)
                chain.append((await world.refresh(chain[-1]["refresh_token"])).json())
            assert (await world.refresh(chain[position]["refresh_token"])).json()["error"] == "invalid_grant"
            for body in chain:
                assert (await world.refresh(body["refresh_token"])).status == 400
                assert (await world.userinfo(body["access_token"])).status == 401
            assert (await world.refresh(other["refresh_token"])).status == 200

    run(story())


def test_of_two_at_once_one_wins_and_the_family_is_dead(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            for _ in range(10):
                token = (await world.tokens(browser))["refresh_token"]
                answers = await asyncio.gather(world.refresh(token), world.refresh(token))
                assert sorted(answer.status for answer in answers) == [200, 400]
                winner = next(answer.json() for answer in answers if answer.status == 200)
                assert (await world.refresh(winner["refresh_token"])).status == 400
                assert (await world.userinfo(winner["access_token"])).status == 401

    run(story())


def test_a_refresh_that_meets_a_revocation_leaves_nothing_alive(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            for _ in range(10):
                token = (await world.tokens(browser))["refresh_token"]
                revoke = browser.post("/revoke", {"token": token}, authorization=basic("learning", SECRET))
                answer, _ = await asyncio.gather(world.refresh(token), revoke)
                if answer.status == 200:
                    assert (await world.refresh(answer.json()["refresh_token"])).status == 400
                    assert (await world.userinfo(answer.json()["access_token"])).status == 401
                assert (await world.refresh(token)).status == 400

    run(story())


def test_another_client_can_neither_use_nor_kill_it(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            body = await world.tokens(world.browser())
            spent = body["refresh_token"]
            body = (await world.refresh(spent)).json()
            for thief in ("library", "national", "native", "exempt"):
                for token in (spent, body["refresh_token"]):
                    assert (await world.refresh(token, thief)).json()["error"] == "invalid_grant"
            assert (await world.refresh(body["refresh_token"])).status == 200

    run(story())


def test_what_was_not_allowed_comes_by_no_refresh(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            body = await world.tokens(world.browser())
            for wider in ("openid profile edu", "openid offline_access", "edu", "openid openid edu"):
                refused = await world.refresh(body["refresh_token"], scope=wider)
                assert refused.json()["error"] == "invalid_scope", wider
            assert (await world.refresh(body["refresh_token"])).json()["scope"] == "openid profile"

    run(story())


@pytest.mark.parametrize("scope", ["openid profile", "openid profile offline_access"])
def test_withdrawn_consent_ends_it_offline_or_not(opened: OpenWorld, run: Run, scope: str) -> None:
    async def story() -> None:
        async with opened() as world:
            body = await world.tokens(world.browser(), scope=scope)
            await world.store.withdraw_consent(world.people["lin"], "learning", world.clock())
            assert (await world.refresh(body["refresh_token"])).status == 400
            assert (await world.userinfo(body["access_token"])).status == 401

    run(story())


@pytest.mark.parametrize("change", ["the grant taken from the client", "the client suspended", "another client method"])
def test_a_client_that_may_no_longer_refresh_does_not(opened: OpenWorld, run: Run, change: str) -> None:
    async def story() -> None:
        async with opened() as world:
            token = (await world.tokens(world.browser(), scope="openid offline_access"))["refresh_token"]
            if change == "the client suspended":
                await world.store.set_client_state("learning", ClientState.DISABLED, world.clock())
            elif change == "another client method":
                await world.register(registration(token_endpoint_auth_method="client_secret_post"))
            else:
                await world.register(registration(grant_types=["authorization_code"]))
            assert (await world.refresh(token)).status in {400, 401}

    run(story())


def test_a_token_nobody_made_opens_nothing_and_kills_nothing(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            body = await world.tokens(world.browser())
            token = body["refresh_token"]
            altered = [token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :] for at in range(len(token))]
            for forged in [
                *altered,
                token + "A",
                token[:-1],
                "",
                "*",
                "' OR 1=1 --",
                body["access_token"],
                body["id_token"],
            ]:
                assert (await world.refresh(forged)).status == 400
            assert (await world.refresh(token)).status == 200

    run(story())
