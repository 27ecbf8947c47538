"""What the log's writer does, and what makes it refuse; what the chains alarm about."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from adapters.observe import metrics
from adapters.observe.counting import Histogram, Reading
from crypto.errors import TrustError
from ledger.errors import CheckpointRefused, ClockWentBack, IntegrityBroken

POOL_BOUNDS: Final = (1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0)  # the last one is a full pool
POOL_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
CONTRADICTIONS: Final = (CheckpointRefused, ClockWentBack, IntegrityBroken)

Item = TypeVar("Item")
Outcomes = TypeVar("Outcomes")


class LedgerMeter:
    """Measures the log's writer, and remembers what makes it refuse and what the chains alarm about."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._entries = Histogram(POOL_BOUNDS)
        self._seconds = Histogram(POOL_BOUNDS_S)
        self.refuses = False
        self.alarms: set[str] = set()

    def measuring(
        self, commit: Callable[[Sequence[Sequence[Item]]], Outcomes]
    ) -> Callable[[Sequence[Sequence[Item]]], Outcomes]:
        """Return the commit of a pool, measured. For one thread."""

        def measured(requests: Sequence[Sequence[Item]]) -> Outcomes:
            begun = self._monotonic()
            try:
                outcomes = commit(requests)
            except TrustError as error:
                self.refused(error)
                raise
            self.refuses = False
            self._seconds.add(self._monotonic() - begun)
            self._entries.add(sum(map(len, requests)))
            return outcomes

        return measured

    def refused(self, error: TrustError) -> None:
        """Say what kept the writer from signing: a database that does not answer, or a lost race, contradicts nothing."""
        self.refuses = self.refuses or isinstance(error, CONTRADICTIONS)

    def anchored(self, chain: str) -> None:
        """Say that the chain gave evidence: whatever it contradicted is settled."""
        self.alarms.discard(chain)

    def alarmed(self, chain: str) -> None:
        """Say that the chain contradicts the log, or its nodes each other."""
        self.alarms.add(chain)

    def read(self) -> Iterator[Reading]:
        """Return what this process has appended."""
        yield Reading(metrics.LEDGER_POOL, (), self._entries.read())
        yield Reading(metrics.LEDGER_POOL_SECONDS, (), self._seconds.read())
