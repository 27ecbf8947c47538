"""Counting and timing: one figure, and a figure beside its peer."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

# Two things that share the machine with others are compared in turns this long, not one after the other.
SLICE_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Figure:
    """So many a second; `reference` names a peer measured in the same run, if there is one."""

    name: str
    per_s: float
    reference: str | None = None
    reference_per_s: float | None = None

    def to_value(self) -> dict[str, str | float]:
        """Return the figure as the JSON report has it."""
        value: dict[str, str | float] = {"name": self.name, "per_s": round(self.per_s, 1)}
        if self.reference is not None and self.reference_per_s is not None:
            value["reference"] = self.reference
            value["reference_per_s"] = round(self.reference_per_s, 1)
            value["ratio"] = round(self.per_s / self.reference_per_s, 3)
        return value


class Tally:
    """How many were done in how many seconds."""

    def __init__(self) -> None:
        self.done = 0
        self.seconds = 0.0

    @property
    def per_s(self) -> float:
        """The rate so far."""
        return self.done / self.seconds

    def run(self, act: Callable[[], object], seconds: float) -> None:
        """Call `act` again and again for so long."""
        begun = time.perf_counter()
        end = begun + seconds
        while time.perf_counter() < end:
            act()
            self.done += 1
        self.seconds += time.perf_counter() - begun

    async def run_async(self, act: Callable[[], Awaitable[object]], seconds: float) -> None:
        """Await `act` again and again for so long."""
        begun = time.perf_counter()
        end = begun + seconds
        while time.perf_counter() < end:
            await act()
            self.done += 1
        self.seconds += time.perf_counter() - begun


def beside(
    name: str, act: Callable[[], object], *, reference: str, peer: Callable[[], object], seconds: float
) -> Figure:
    """Measure an act and its peer in turns, `seconds` each."""
    ours, theirs = Tally(), Tally()
    for tally, one in ((ours, act), (theirs, peer)):
        tally.run(one, SLICE_S / 4)  # caches warm, lazy work done; not counted
        tally.done, tally.seconds = 0, 0.0
    while theirs.seconds < seconds:
        ours.run(act, SLICE_S)
        theirs.run(peer, SLICE_S)
    return Figure(name, ours.per_s, reference, theirs.per_s)
