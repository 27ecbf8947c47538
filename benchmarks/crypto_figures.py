"""One figure of the cryptography benchmark: a thing done so many times a second, beside a reference, against a target."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

Act = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure and what it is compared with. Without a target it is there to compare others with."""

    name: str
    ops_per_s: float
    reference: str
    reference_ops_per_s: float
    target_ops_per_s: float | None
    target_ratio: float | None

    @property
    def ratio(self) -> float:
        """How many times the reference."""
        return self.ops_per_s / self.reference_ops_per_s

    @property
    def met(self) -> bool | None:
        """Whether rate and ratio reach their targets; None where there is none."""
        if self.target_ops_per_s is None and self.target_ratio is None:
            return None
        return self.ops_per_s >= (self.target_ops_per_s or 0) and self.ratio >= (self.target_ratio or 0)

    def to_value(self) -> dict[str, str | float | bool | None]:
        """Return the figure as the JSON report has it."""
        return {
            "name": self.name,
            "ops_per_s": round(self.ops_per_s, 1),
            "reference": self.reference,
            "reference_ops_per_s": round(self.reference_ops_per_s, 1),
            "ratio": round(self.ratio, 3),
            "target_ops_per_s": self.target_ops_per_s,
            "target_ratio": self.target_ratio,
            "met": self.met,
        }

    def to_line(self) -> str:
        """Return the figure for a person."""
        verdict = {True: "met", False: "MISSED", None: ""}[self.met]
        target = "" if self.target_ops_per_s is None else f"target {self.target_ops_per_s:,.0f}"
        if self.target_ratio is not None:
            target += f" and {self.target_ratio} x" if target else f"target {self.target_ratio} x"
        return (
            f"{self.ops_per_s:>14,.0f} /s  {self.name:<46} {self.ratio:>8.2f} x {self.reference}"
            f" ({self.reference_ops_per_s:,.0f}/s)  {target}  {verdict}"
        )


@dataclass(frozen=True, slots=True)
class Part:
    """What is to be measured. An act does `per_act` operations each time it is called."""

    name: str
    act: Act
    reference: str
    peer: Act | Callable[[], float]
    per_act: int = 1
    per_peer: int = 1
    peer_is_rate: bool = False  # the peer measures itself and returns operations a second
    target_ops_per_s: float | None = None
    target_ratio: float | None = None

    def measure(self, *, rounds: int, round_s: float) -> Measured:
        """Measure both sides in turns; the best round of each counts."""
        best = best_peer = 0.0
        self.act()
        for _ in range(rounds):
            best = max(best, self.per_act * rate(self.act, round_s))
            if self.peer_is_rate:
                answer = self.peer()
                if not isinstance(answer, float):
                    raise TypeError(self.reference)
                best_peer = max(best_peer, answer)
            else:
                best_peer = max(best_peer, self.per_peer * rate(self.peer, round_s))
        return Measured(self.name, best, self.reference, best_peer, self.target_ops_per_s, self.target_ratio)


def rate(act: Act, seconds: float) -> float:
    """Return how often a second the act can be done, tried for about so long."""
    clock = time.perf_counter
    calls = 1
    while True:
        begun = clock()
        for _ in range(calls):
            act()
        took = clock() - begun
        if took >= seconds:
            return calls / took
        # Enough calls to fill the time, judged by what these took; the clock is not read in between.
        calls = max(calls * 2, int(calls * seconds / max(took, 1e-9)) + 1)
