"""Plain integers that one event after another adds to, read when somebody asks.

Nothing here waits, locks or allocates where it counts. Each is written by one thread, and its table is made at the start
from what is known then: a scrape reads whole numbers at any moment, and no caller can make a table longer.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from adapters.observe.metrics import Metric


class Distribution(NamedTuple):
    """A histogram as of now: (upper bound, how many up to it), the last bound `+Inf`; and the sum of all."""

    buckets: Sequence[tuple[str, int]]
    total: float


class Reading(NamedTuple):
    """One value of a metric; `labels` in the metric's order."""

    metric: Metric
    labels: tuple[str, ...]
    value: float | Distribution


class Histogram:
    """Counts values by upper bound."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def read(self) -> Distribution:
        """Return what was counted."""
        names = [*(repr(bound) for bound in self._bounds), "+Inf"]
        return Distribution(list(zip(names, accumulate(self.counts), strict=True)), self.total)


class Counter:
    """Counts by label values known beforehand; any others count as the last of them."""

    __slots__ = ("_counts", "_metric", "_rest")

    def __init__(self, metric: Metric, known: Sequence[tuple[str, ...]]) -> None:
        self._metric = metric
        self._counts = dict.fromkeys(known, 0)
        self._rest = known[-1] if known else ()

    def add(self, *labels: str) -> None:
        """Count one."""
        counts = self._counts
        counts[labels if labels in counts else self._rest] += 1

    def read(self) -> Iterator[Reading]:
        """Return every count, the zeros too: a rate needs the value before the first event."""
        for labels, count in self._counts.items():
            yield Reading(self._metric, labels, count)
