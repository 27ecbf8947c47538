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


class GroupCommit(Generic[Item, Answer]):
    """A thread that hands gathered requests to `commit` and each caller its own answer."""

    def __init__(
        self, commit: Callable[[Sequence[Sequence[Item]]], Sequence[Answer | LedgerError]], *, most: int, name: str
    ) -> None:
        """`commit` answers each request of a pool, or raises for all; a pool has at most `most` items."""
        self._commit = commit
        self._most = most
        self._waiting: deque[tuple[Sequence[Item], Future[Answer]]] = deque()
        self._count = 0
        self._closed = False
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

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

    def submit(self, items: Sequence[Item]) -> Future[Answer]:
        """Queue a request of 1 to `most` items; the future holds its answer once that is durable.

        Raises LedgerUnavailable (rule `closed` or `backlog`); then nothing of it will be written.
        """
        if not 1 <= len(items) <= self._most:
            raise LedgerUnavailable(field="items", rule="pool_size", most=self._most)
        answer: Future[Answer] = Future()
        with self._wake:
            if self._closed:
                raise LedgerUnavailable(rule="closed")
            if self._count + len(items) > MAX_WAITING:
                raise LedgerUnavailable(rule="backlog")
            self._waiting.append((items, answer))
            self._count += len(items)
            self._wake.notify()
        return answer

    def _run(self) -> None:
        while pool := self._gather():
            taken = [(items, answer) for items, answer in pool if answer.set_running_or_notify_cancel()]
            if not taken:
                continue
            try:
                outcomes = self._commit([items for items, _ in taken])
            except Exception as error:  # noqa: BLE001 - whatever it is, every caller of the pool must hear of it
                for _, answer in taken:
                    answer.set_exception(error)
                continue
            for (_, answer), outcome in zip(taken, outcomes, strict=True):
                if isinstance(outcome, LedgerError):
                    answer.set_exception(outcome)
                else:
                    answer.set_result(outcome)

    def _gather(self) -> list[tuple[Sequence[Item], Future[Answer]]]:
        """Wait for work and take as many whole requests as a pool holds; empty once closed and drained."""
        with self._wake:
            while not self._waiting and not self._closed:
                self._wake.wait()
            pool: list[tuple[Sequence[Item], Future[Answer]]] = []
            room = self._most
            while self._waiting and len(self._waiting[0][0]) <= room:
                pool.append(self._waiting.popleft())
                room -= len(pool[-1][0])
            self._count -= self._most - room
            return pool
