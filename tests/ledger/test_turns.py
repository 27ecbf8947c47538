"""Callers of one turn of the event loop share one hand-over, and nothing else: each hears its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from adapters.turns import Turns
from ledger import pool as pools
from ledger.entry import Entry, Sequenced
from ledger.errors import CheckpointConflict, IdempotencyConflict, LedgerError, LedgerUnavailable
from ledger.pool import GroupCommit
from tests.ledger.parts import entry

Run = Callable[[Coroutine[Any, Any, None]], None]
Outcomes = list[list[Sequenced] | LedgerError]


class Committing:
    """Gives places in order; refuses odd keys; remembers how often it was called."""

    def __init__(self) -> None:
        self.pools: list[int] = []
        self.size = 0
        self.failure: Exception | None = None

    def __call__(self, requests: Sequence[Sequence[Entry]]) -> Outcomes:
        self.pools.append(len(requests))
        if self.failure is not None:
            raise self.failure
        outcomes: Outcomes = []
        for request in requests:
            if request[0].body.startswith(b"taken"):
                outcomes.append(IdempotencyConflict(field="idempotency_key", rule="same_body"))
                continue
            outcomes.append([Sequenced(self.size + at, duplicate=False) for at in range(len(request))])
            self.size += len(request)
        return outcomes


def _opened(
    committing: Committing, *, most: int = 64
) -> tuple[GroupCommit[Entry, list[Sequenced]], Turns[Entry, list[Sequenced]]]:
    pool: GroupCommit[Entry, list[Sequenced]] = GroupCommit(committing, most=most, name="turns")
    return pool, Turns(pool)


def test_each_caller_hears_its_own_answer_from_one_pool(run: Run) -> None:
    committing = Committing()
    pool, turns = _opened(committing)

    async def story() -> None:
        waiting = [
            turns.request([Entry(b"taken", entry(at).idempotency_key)] if at % 5 == 0 else [entry(at)] * (at % 3 + 1))
            for at in range(20)
        ]
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        expected = 0
        for at, answer in enumerate(answers):
            if at % 5 == 0:
                assert isinstance(answer, IdempotencyConflict)
                continue
            assert not isinstance(answer, BaseException)
            assert [place.index for place in answer] == list(range(expected, expected + at % 3 + 1))
            expected += at % 3 + 1
        assert committing.pools == [20]

    pool.start()
    run(story())
    pool.close()


def test_more_than_a_pool_holds_is_answered_when_the_last_is_there(run: Run) -> None:
    committing = Committing()
    pool, turns = _opened(committing, most=8)

    async def story() -> None:
        answers = await asyncio.gather(*(turns.request([entry(at), entry(at + 1)]) for at in range(21)))
        assert [place.index for answer in answers for place in answer] == list(range(42))
        assert len(committing.pools) == 6

    pool.start()
    run(story())
    pool.close()


def test_a_failure_of_the_pool_is_everybodys_and_the_next_pool_goes_on(run: Run) -> None:
    committing = Committing()
    pool, turns = _opened(committing)

    async def story() -> None:
        committing.failure = CheckpointConflict(field="head", rule="expected")
        answers = await asyncio.gather(*(turns.request([entry(at)]) for at in range(3)), return_exceptions=True)
        assert [type(answer) for answer in answers] == [CheckpointConflict] * 3
        committing.failure = None
        assert await turns.request([entry(9)]) == [Sequenced(0, duplicate=False)]

    pool.start()
    run(story())
    pool.close()


def test_where_not_all_have_room_those_that_have_are_taken(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "MAX_WAITING", 5)
    committing = Committing()
    pool, turns = _opened(committing)

    async def story() -> None:
        waiting = asyncio.gather(
            *(turns.request([entry(at), entry(at + 1)]) for at in range(4)), return_exceptions=True
        )
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        pool.start()  # only now: what waits has filled the room
        answers = await waiting
        assert [isinstance(answer, list) for answer in answers] == [True, True, False, False]
        assert all(isinstance(answer, LedgerUnavailable) and answer.rule == "backlog" for answer in answers[2:])

    run(story())
    pool.close()


def test_a_closed_pool_refuses_and_a_caller_that_went_away_keeps_nobody_waiting(run: Run) -> None:
    committing = Committing()
    pool, turns = _opened(committing)

    async def story() -> None:
        leaving = asyncio.create_task(turns.request([entry(1)]))
        staying = asyncio.create_task(turns.request([entry(2)]))
        await asyncio.sleep(0)
        leaving.cancel()
        pool.start()
        assert await staying == [Sequenced(1, duplicate=False)]
        assert leaving.cancelled()
        await asyncio.to_thread(pool.close)
        with pytest.raises(LedgerUnavailable):
            await turns.request([entry(3)])

    run(story())
