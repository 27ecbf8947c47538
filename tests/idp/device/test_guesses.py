"""Limits on guessing user codes, on every back end that keeps the counts (RFC 8628 §5.1)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from idp.device.codes import UserCodeKeys
from idp.device.guesses import SLOWED_TRIES_MAX, TRIES_MAX, WINDOW_S, WRONG_CODES_MAX, Guesses, TooManyTries
from idp.transient import TransientKind, TransientStore
from tests.idp.token.transient_stores import OpenStore, both, redis_store, sql_store
from tests.services.clock import StillClock

Run = Callable[[Coroutine[Any, Any, None]], None]
KEYS = UserCodeKeys(b"k" * 32)


@pytest.fixture(params=["sqlite", "postgresql", "redis", "redis before sqlite"])
def opened(request: pytest.FixtureRequest, tmp_path: Path, clock: StillClock) -> OpenStore:
    """Return `opened()`: an async context manager giving the empty store of this back end."""
    match request.param:
        case "sqlite":
            return lambda: sql_store(f"sqlite:///{tmp_path}", clock)
        case "postgresql":
            url: str = request.getfixturevalue("postgres_url")
            return lambda: sql_store(url, clock)
        case "redis":
            redis: str = request.getfixturevalue("redis_url")
            return lambda: redis_store(redis, clock)
        case _:
            server: str = request.getfixturevalue("redis_url")
            return lambda: both(server, tmp_path, clock)


async def _allowed(guesses: Guesses, person: str, tries: int) -> int:
    """Return how many of so many tries at once are allowed."""

    async def allowed() -> bool:
        try:
            await guesses.spend(person)
        except TooManyTries:
            return False
        return True

    return sum(await asyncio.gather(*(allowed() for _ in range(tries))))


async def _set_wrong_codes(store: TransientStore, count: int) -> None:
    secret = KEYS.of_tries("everybody")
    assert await store.put_under(TransientKind.USER_CODE_TRIES, secret, str(count).encode(), lifetime_s=WINDOW_S)


def test_ten_tries_of_a_person_in_ten_minutes_however_they_come(opened: OpenStore, clock: StillClock, run: Run) -> None:
    async def story() -> None:
        async with opened() as here:
            guesses = Guesses(here.store, KEYS)
            assert await _allowed(guesses, "1", 24) == TRIES_MAX == 10
            assert await _allowed(guesses, "1", 3) == 0
            assert await _allowed(guesses, "2", 3) == 3, "another person's tries are another count"
            clock.advance(WINDOW_S)
            assert await _allowed(guesses, "1", 1) == 1

    run(story())


def test_past_so_many_wrong_codes_everybody_is_slowed_and_nobody_shut_out(opened: OpenStore, run: Run) -> None:
    async def story() -> None:
        async with opened() as here:
            guesses = Guesses(here.store, KEYS)
            await _set_wrong_codes(here.store, WRONG_CODES_MAX - 1)
            assert await _allowed(guesses, "1", 4) == 4
            await guesses.wrong()
            assert await _allowed(guesses, "1", 4) == 0
            assert await _allowed(guesses, "2", 4) == SLOWED_TRIES_MAX == 2

    run(story())
