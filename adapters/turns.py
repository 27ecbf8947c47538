"""Requests of one turn of the event loop, handed to a group commit together and answered together.

A thousand callers at once would otherwise wake the event loop a thousand times for one commit. Used for the log's entries
and for the audit trail alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Generic, TypeVar

from ledger.errors import LedgerError
from ledger.pool import GroupCommit

MAX_REQUESTS_A_TURN: Final = 4096

Item = TypeVar("Item")
Answer = TypeVar("Answer")
Waiting = tuple[Sequence[Item], "asyncio.Future[Answer]"]


class Turns(Generic[Item, Answer]):
    """Gathers the requests of a turn. For one event loop at a time."""

    def __init__(self, pool: GroupCommit[Item, Answer]) -> None:
        self._pool = pool
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[Waiting[Item, Answer]] = []

    async def request(self, items: Sequence[Item]) -> Answer:
        """Hand over 1 to a pool of items; return their answer once it is durable. Raises what the commit refuses them by.

        A caller that goes away undoes nothing: its items are written all the same.
        """
        loop = asyncio.get_running_loop()
        if not self._waiting or self._loop is not loop or len(self._waiting) == MAX_REQUESTS_A_TURN:
            self._loop, self._waiting = loop, []
            loop.call_soon(self._hand_over, loop, self._waiting)
        waiter: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((items, waiter))
        return await waiter

    def _hand_over(self, loop: asyncio.AbstractEventLoop, turn: list[Waiting[Item, Answer]]) -> None:
        if self._waiting is turn:
            self._waiting = []
        try:
            answers = self._pool.submit([items for items, _ in turn])
        except LedgerError as refused:
            if len(turn) == 1:
                _answer(turn, [refused])
                return
            for one in turn:  # not all of them have room, or one of them is none: each is taken or refused for itself
                self._hand_over(loop, [one])
            return
        asyncio.wrap_future(answers, loop=loop).add_done_callback(lambda done: _answer(turn, done.result()))


def _answer(turn: Sequence[Waiting[Item, Answer]], answers: Sequence[Answer | BaseException]) -> None:
    for (_, waiter), answer in zip(turn, answers, strict=True):
        if waiter.done():
            continue
        if isinstance(answer, BaseException):
            waiter.set_exception(answer)
        else:
            waiter.set_result(answer)
