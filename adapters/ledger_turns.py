"""Appends of one turn of the event loop, handed to the writing thread together and answered together.

A thousand callers at once would otherwise wake the event loop a thousand times for one commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from ledger.entry import Entry, Sequenced
from ledger.errors import LedgerError
from ledger.pool import GroupCommit

MAX_REQUESTS_A_TURN: Final = 4096


class _Turn:
    __slots__ = ("loop", "requests", "waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.requests: list[Sequence[Entry]] = []
        self.waiting: list[asyncio.Future[list[Sequenced]]] = []

    def answer(self, answers: Sequence[list[Sequenced] | BaseException]) -> None:
        for waiter, answer in zip(self.waiting, answers, strict=True):
            if waiter.done():  # its caller went away; the entries are written all the same, and their keys find them
                continue
            if isinstance(answer, BaseException):
                waiter.set_exception(answer)
            else:
                waiter.set_result(answer)


class TurnAppends:
    """Gathers the requests of a turn. For one event loop at a time."""

    def __init__(self, pool: GroupCommit[Entry, list[Sequenced]]) -> None:
        self._pool = pool
        self._turn: _Turn | None = None

    async def append(self, entries: Sequence[Entry]) -> list[Sequenced]:
        """Append 1 to a pool of entries; return their places. Raises what `Sequencer.commit` refuses them by."""
        loop = asyncio.get_running_loop()
        turn = self._turn
        if turn is None or turn.loop is not loop or len(turn.requests) == MAX_REQUESTS_A_TURN:
            self._turn = turn = _Turn(loop)
            loop.call_soon(self._hand_over, turn)
        waiter: asyncio.Future[list[Sequenced]] = loop.create_future()
        turn.requests.append(entries)
        turn.waiting.append(waiter)
        return await waiter

    def _hand_over_alone(
        self, entries: Sequence[Entry], waiter: asyncio.Future[list[Sequenced]], loop: asyncio.AbstractEventLoop
    ) -> None:
        turn = _Turn(loop)
        turn.waiting.append(waiter)
        try:
            answer = self._pool.submit_many([entries])
        except LedgerError as refused:
            turn.answer([refused])
            return
        asyncio.wrap_future(answer, loop=loop).add_done_callback(lambda done: turn.answer(done.result()))

    def _hand_over(self, turn: _Turn) -> None:
        if self._turn is turn:
            self._turn = None
        try:
            answers = self._pool.submit_many(turn.requests)
        except LedgerError:
            # Not all of them have room, or one of them is none: each is taken or refused for itself.
            for entries, waiter in zip(turn.requests, turn.waiting, strict=True):
                self._hand_over_alone(entries, waiter, turn.loop)
            return
        asyncio.wrap_future(answers, loop=turn.loop).add_done_callback(lambda done: turn.answer(done.result()))
