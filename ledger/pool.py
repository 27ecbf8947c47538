"""Group commit: many callers, one write. While one pool is being made durable, the next one gathers behind it.

So a lone caller never waits for company, and a crowd shares each flush of the disk. Used for the log's entries and for
the audit trail alike.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final, Generic, Protocol, TypeVar

from ledger.errors import LedgerError, LedgerUnavailable

# Items waiting beyond this are refused at once: a store that has fallen that far behind must not eat the memory.
MAX_WAITING: Final = 65_536

Item = TypeVar("Item")
Answer = TypeVar("Answer")
Heard_contra = TypeVar("Heard_contra", contravariant=True)


class _Hears(Protocol[Heard_contra]):
    """Who waits for an answer: a future, or one of several that share one."""

    def set_running_or_notify_cancel(self) -> bool: ...
    def set_result(self, result: Heard_contra, /) -> None: ...
    def set_exception(self, exception: BaseException, /) -> None: ...


class _Together(Generic[Answer]):
    """Several callers' answers, told when the last one is there. Only the committing thread writes to it."""

    def __init__(self, count: int) -> None:
        self.answers: Future[list[Answer | BaseException]] = Future()
        self._given: dict[int, Answer | BaseException] = {}
        self._count = count

    def give(self, place: int, answer: Answer | BaseException) -> None:
        self._given[place] = answer
        if len(self._given) == self._count:
            self.answers.set_result([self._given[place] for place in range(self._count)])


class _Share(Generic[Answer]):
    """One caller among several. It cannot be cancelled alone."""

    def __init__(self, together: _Together[Answer], place: int) -> None:
        self._together = together
        self._place = place

    def set_running_or_notify_cancel(self) -> bool:
        return True

    def set_result(self, result: Answer, /) -> None:
        self._together.give(self._place, result)

    def set_exception(self, exception: BaseException, /) -> None:
        self._together.give(self._place, exception)


class GroupCommit(Generic[Item, Answer]):
    """A thread that hands gathered requests to `commit` and each caller its own answer."""

    def __init__(
        self, commit: Callable[[Sequence[Sequence[Item]]], Sequence[Answer | LedgerError]], *, most: int, name: str
    ) -> None:
        """`commit` answers each request of a pool, or raises for all; a pool has at most `most` items."""
        self._commit = commit
        self._most = most
        self._waiting: deque[tuple[Sequence[Item], _Hears[Answer]]] = deque()
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
        answer: Future[Answer] = Future()
        self._queue([(items, answer)])
        return answer

    def submit_many(self, requests: Sequence[Sequence[Item]]) -> Future[list[Answer | BaseException]]:
        """Queue several callers' requests with one future for all: each one's answer, or what it met, in order.

        A future for each would wake the callers' thread once for each. Raises as `submit` does, for all of them.
        """
        together = _Together[Answer](len(requests))
        self._queue([(items, _Share(together, place)) for place, items in enumerate(requests)])
        return together.answers

    def _queue(self, requests: Sequence[tuple[Sequence[Item], _Hears[Answer]]]) -> None:
        if not all(1 <= len(items) <= self._most for items, _ in requests):
            raise LedgerUnavailable(field="items", rule="pool_size", most=self._most)
        count = sum(len(items) for items, _ in requests)
        with self._wake:
            if self._closed:
                raise LedgerUnavailable(rule="closed")
            if self._count + count > MAX_WAITING:
                raise LedgerUnavailable(rule="backlog")
            self._waiting += requests
            self._count += count
            self._wake.notify()

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

    def _gather(self) -> list[tuple[Sequence[Item], _Hears[Answer]]]:
        """Wait for work and take as many whole requests as a pool holds; empty once closed and drained."""
        with self._wake:
            while not self._waiting and not self._closed:
                self._wake.wait()
            pool: list[tuple[Sequence[Item], _Hears[Answer]]] = []
            room = self._most
            while self._waiting and len(self._waiting[0][0]) <= room:
                pool.append(self._waiting.popleft())
                room -= len(pool[-1][0])
            self._count -= self._most - room
            return pool
