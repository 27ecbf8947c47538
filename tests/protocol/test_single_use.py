"""Used once means once: sixteen at a time, at two processes, across a restart, on both deployments (G8, G9)."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from crypto.keys import SigningKey
from tests.protocol.fleet import Browser, Fleet, fleet_over
from tests.protocol.single_use import KINDS, USERNAMES, Stage, clients, robot_key, settle
from tests.scale import SOAK
from tests.soak import Count

Run = Callable[[Coroutine[Any, Any, None]], None]

SEED = 20_261_122
RESTARTED_EVERY = 1_000 if SOAK else 60
CHAIN = 50


@contextmanager
def _deployed(deployment: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Fleet, SigningKey]]:
    key, addresses = robot_key(), {}
    if deployment == "shared":
        addresses = {name: request.getfixturevalue(fixture) for name, fixture in _FIXTURES.items()}
    with fleet_over(folder, clients(key), USERNAMES, **addresses) as fleet:
        yield fleet, key


_FIXTURES = {"database_url": "postgres_url", "redis_url": "redis_url"}


@pytest.mark.soak
@pytest.mark.parametrize("deployment", ["shared", "embedded"])
def test_of_sixteen_uses_at_two_processes_exactly_one_succeeds(
    deployment: str, tmp_path: Path, request: pytest.FixtureRequest, run: Run
) -> None:
    """G8. Codes, refresh tokens, pushed requests, assertions, one-time passwords, questions: in turn, in a seeded order."""
    count = Count(
        "G8",
        f"single-use-{deployment}",
        f"1 success of 16 in each of 10,000 trials, {len(KINDS)} kinds in turn",
        SEED,
        sample=100,
        full=10_000,
    )

    async def story(fleet: Fleet, key: SigningKey) -> None:
        stage = Stage(fleet, key, random.Random(SEED), Browser(fleet))
        for trial in count.trials():
            stage.rng = random.Random(f"{SEED}:{trial}")
            kind = KINDS[trial % len(KINDS)]
            thing = await stage.made(kind)
            if trial % RESTARTED_EVERY == RESTARTED_EVERY // 2 and kind != "one-time password":
                await fleet.restart(1)
                tried = await stage.nothing_spent_comes_back()
                count.figures["restarts"] = count.figures.get("restarts", 0) + 1
                count.figures["replays after a restart"] = count.figures.get("replays after a restart", 0) + tried
            await stage.contested(thing)
        await stage.nothing_spent_comes_back()
        await fleet.hang_up()
        await settle()

    with _deployed(deployment, tmp_path, request) as (fleet, key):
        run(story(fleet, key))


@pytest.mark.soak
def test_a_replay_at_any_position_of_a_chain_kills_the_whole_family_on_both_processes(
    tmp_path: Path, request: pytest.FixtureRequest, run: Run
) -> None:
    """G9. Fifty refreshes, one of the spent tokens again; nothing of the family works afterwards, and no other is touched."""
    count = Count("G9", "refresh-replay", "family dead at once, others untouched", SEED, sample=3, full=CHAIN * 4)

    async def story(fleet: Fleet, key: SigningKey) -> None:
        stage = Stage(fleet, key, random.Random(SEED), Browser(fleet))

        async def tokens() -> dict[str, str]:
            answer = await fleet.ask(stage.member(), stage.redeeming((await stage.authorize()).query["code"]))
            issued: dict[str, str] = answer.json()
            return issued

        untouched = await tokens()
        for trial in count.trials():
            stage.rng = random.Random(f"{SEED}:{trial}")
            chain = [await tokens()]
            for _ in range(CHAIN):
                answer = await fleet.ask(stage.member(), stage.refreshing(chain[-1]["refresh_token"]))
                assert answer.status == 200, answer.body
                chain.append(answer.json())
            position = trial % CHAIN
            replay = await fleet.ask(stage.member(), stage.refreshing(chain[position]["refresh_token"]))
            assert replay.status == 400
            assert await stage.is_dead(chain[-1])
            for body in stage.rng.sample(chain, 5 if not SOAK else len(chain)):
                assert await stage.is_dead(body)
                count.figures["later tries"] = count.figures.get("later tries", 0) + 4
            answer = await fleet.ask(stage.member(), stage.refreshing(untouched["refresh_token"]))
            assert answer.status == 200
            untouched = answer.json()
        await fleet.hang_up()
        await settle()

    with _deployed("shared", tmp_path, request) as (fleet, key):
        run(story(fleet, key))
