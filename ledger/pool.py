"""Group commit: many callers, one write. While one pool is being made durable, the next one gathers behind it.

So a lone caller never waits for company, and a crowd shares each flush of the disk. Used for the log's entries and for
the audit trail alike.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final, Generic, TypeVar

from ledger.errors import LedgerError, LedgerUnavailable

# Items waiting beyond this are refused at once: a store that has fallen that far behind must not eat the memory.
MAX_WAITING: Final = 65_536

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class _Together(Generic[Answer]):
    """Several callers' answers, told when the last one is there. Only the committing thread writes to it."""

    def __init__(self, count: int) -> None:
        self.answers: Future[list[Answer | BaseException]] = Future()
        self.answers.set_running_or_notify_cancel()  # from now on nobody can cancel it
        self._given: dict[int, Answer | BaseException] = {}
        self._count = count

    def give(self, place: int, answer: Answer | BaseException) -> None:
        self._given[place] = answer
        if len(self._given) == self._count:
            self.answers.set_result([self._given[place] for place in range(self._count)])


class GroupCommit(Generic[Item, Answer]):
    """A thread that hands gathered requests to `commit` and each caller its own answer."""

    def __init__(
        self, commit: Callable[[Sequence[Sequence[Item]]], Sequence[Answer | LedgerError]], *, most: int, name: str
    ) -> None:
        """`commit` answers each request of a pool, or raises for all; a pool has at most `most` items."""
        self._commit = commit
        self._most = most
        self._waiting: deque[tuple[Sequence[Item], _Together[Answer], int]] = deque()
        self._count = 0
        self._closed = False
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def waiting(self) -> int:
        """How many items wait for their pool."""
        return self._count

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Finish what waits, refuse what comes after, and end the thread."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        if self._thread.ident is not None:
            self._thread.join()

    def submit(self, requests: Sequence[Sequence[Item]]) -> Future[list[Answer | BaseException]]:
        """Queue callers' requests of 1 to `most` items; the future holds each one's answer, or what it met, once durable.

        One future for all: one for each would wake the callers' thread once for each. Raises LedgerUnavailable (rule
        `pool_size`, `closed` or `backlog`); then nothing of any of them will be written.
        """
        if not all(1 <= len(items) <= self._most for items in requests):
            raise LedgerUnavailable(field="items", rule="pool_size", most=self._most)
        together = _Together[Answer](len(requests))
        count = sum(len(items) for items in requests)
        with self._wake:
            if self._closed:
                raise LedgerUnavailable(rule="closed")
            if self._count + count > MAX_WAITING:
                raise LedgerUnavailable(rule="backlog")
            self._waiting += [(items, together, place) for place, items in enumerate(requests)]
            self._count += count
            self._wake.notify()
        return together.answers

    def _run(self) -> None:
        while pool := self._gather():
            outcomes: Sequence[Answer | BaseException]
            try:
                outcomes = self._commit([items for items, _, _ in pool])
            except Exception as error:  # noqa: BLE001 - whatever it is, every caller of the pool must hear of it
                outcomes = [error for _ in pool]
            for (_, together, place), outcome in zip(pool, outcomes, strict=True):
                together.give(place, outcome)

    def _gather(self) -> list[tuple[Sequence[Item], _Together[Answer], int]]:
        """Wait for work and take as many whole requests as a pool holds; empty once closed and drained."""
        with self._wake:
            while not self._waiting and not self._closed:
                self._wake.wait()
            pool: list[tuple[Sequence[Item], _Together[Answer], int]] = []
            room = self._most
            while self._waiting and len(self._waiting[0][0]) <= room:
                pool.append(self._waiting.popleft())
                room -= len(pool[-1][0])
            self._count -= self._most - room
            return pool
