"""Figures of the OpenID Connect benchmark: what one operation cost each side, and whether the target was met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

P99_MS_MAX: Final = 10.0
"""At 16 connections, for each request."""
WORKER_MB_MAX: Final = 120.0
"""Proportional set size of a worker."""
TWO_WORKERS_MIN: Final = 1.8
"""Times the rate of one."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure must reach: so many a second, and so many times its reference. None: no target of that kind."""

    per_s: float | None = None
    ratio: float | None = None


TARGETS: Final[Mapping[str, Target]] = {
    "discovery": Target(per_s=25_000),
    "jwks": Target(per_s=25_000),
    "client_credentials": Target(per_s=6_000),
    "introspection": Target(per_s=7_000),
    "userinfo": Target(per_s=10_000),
    "refresh": Target(per_s=3_000),
    "code_flow": Target(ratio=1.5),
    "code_flow_sm2": Target(ratio=0.9),
}


@dataclass(frozen=True, slots=True)
class Slice:
    """One measured slice. `cpu_us` is the server's CPU time for one operation, in microseconds."""

    per_s: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    foreign: float
    """The share of the server's core that others used meanwhile, the kernel's work for the network among them."""
    errors: Sequence[str]


@dataclass(frozen=True, slots=True)
class Cost:
    """The best slice of several; what else runs on a machine slows single slices and never speeds one up."""

    best: Slice
    cpu_us: float
    errors: Sequence[str]

    @classmethod
    def of(cls, slices: Sequence[Slice]) -> Cost:
        """Choose the fastest slice, and the least CPU time."""
        errors = [error for one in slices for error in one.errors]
        return cls(max(slices, key=lambda one: one.per_s), min(one.cpu_us for one in slices), errors)

    @property
    def per_core_s(self) -> float:
        """Operations in a second of the server's CPU time: what a core of its own would give."""
        return 1e6 / self.cpu_us if self.cpu_us else 0.0

    def to_value(self) -> dict[str, Any]:
        """Return the cost as the JSON report has it."""
        return {
            "per_s": round(self.best.per_s, 1),
            "cpu_us": round(self.cpu_us, 1),
            "per_core_s": round(self.per_core_s, 1),
            "p50_ms": round(self.best.p50_ms, 3),
            "p99_ms": round(self.best.p99_ms, 3),
            "foreign": round(self.best.foreign, 3),
            "errors": len(self.errors),
            **({"first_error": self.errors[0]} if self.errors else {}),
        }


@dataclass(frozen=True, slots=True)
class Figure:
    """An endpoint or flow: ours, and what it is compared with (`reference`), measured in turns."""

    name: str
    ours: Cost
    reference: str
    theirs: Cost | None

    @property
    def ratio(self) -> float | None:
        """Times the reference's rate."""
        return (
            None if self.theirs is None or not self.theirs.best.per_s else self.ours.best.per_s / self.theirs.best.per_s
        )

    @property
    def cpu_ratio(self) -> float | None:
        """Times the reference's rate for the same CPU time: the ratio that a busy machine does not blur."""
        return None if self.theirs is None or not self.ours.cpu_us else self.theirs.cpu_us / self.ours.cpu_us

    def met(self, *, by_cpu: bool) -> bool:
        """Say whether rate, ratio and latency reach the target, without an error on either side."""
        target = TARGETS[self.name]
        rate, ratio = (self.ours.per_core_s, self.cpu_ratio) if by_cpu else (self.ours.best.per_s, self.ratio)
        return (
            not self.ours.errors
            and (self.theirs is None or not self.theirs.errors)
            and (target.per_s is None or rate >= target.per_s)
            and (target.ratio is None or (ratio or 0.0) >= target.ratio)
            and (by_cpu or self.ours.best.p99_ms <= P99_MS_MAX)
        )

    def to_value(self) -> dict[str, Any]:
        """Return the figure as the JSON report has it."""
        target = TARGETS[self.name]
        return {
            "name": self.name,
            "ours": self.ours.to_value(),
            "reference": self.reference,
            "theirs": None if self.theirs is None else self.theirs.to_value(),
            "ratio": _rounded(self.ratio),
            "cpu_ratio": _rounded(self.cpu_ratio),
            "target_per_s": target.per_s,
            "target_ratio": target.ratio,
            "target_p99_ms": P99_MS_MAX,
            "met": self.met(by_cpu=False),
            "met_by_cpu": self.met(by_cpu=True),
        }

    def to_line(self) -> str:
        """Return the figure as one line for a reader."""
        parts = [f"{self.name:<19}{_line(self.ours)}"]
        if self.theirs is not None:
            ratios = f"×{self.ratio or 0.0:.2f} (CPU ×{self.cpu_ratio or 0.0:.2f})"
            parts.append(f"| {self.reference} {_line(self.theirs)} | {ratios}")
        parts.append("met" if self.met(by_cpu=False) else "met by CPU" if self.met(by_cpu=True) else "NOT MET")
        errors = [*self.ours.errors, *(self.theirs.errors if self.theirs else ())]
        return " ".join(parts) + "".join(f"\n    {error}" for error in errors[:3])


@dataclass(frozen=True, slots=True)
class Scaling:
    """One worker against two, each with load of its own."""

    name: str
    one_per_s: float
    two_per_s: float
    one_cpu_us: float
    two_cpu_us: float
    errors: Sequence[str]

    @property
    def ratio(self) -> float:
        """Times the rate of one worker."""
        return self.two_per_s / self.one_per_s

    @property
    def cpu_ratio(self) -> float:
        """The same from CPU time alone: what two undisturbed cores would give."""
        return 2 * self.one_cpu_us / self.two_cpu_us

    def to_value(self) -> dict[str, Any]:
        """Return the figure as the JSON report has it."""
        return {
            "name": self.name,
            "one_worker_per_s": round(self.one_per_s, 1),
            "two_workers_per_s": round(self.two_per_s, 1),
            "one_worker_cpu_us": round(self.one_cpu_us, 1),
            "two_workers_cpu_us": round(self.two_cpu_us, 1),
            "ratio": _rounded(self.ratio),
            "cpu_ratio": _rounded(self.cpu_ratio),
            "target_ratio": TWO_WORKERS_MIN,
            "errors": len(self.errors),
            **({"first_error": self.errors[0]} if self.errors else {}),
            "met": not self.errors and self.ratio >= TWO_WORKERS_MIN,
            "met_by_cpu": not self.errors and self.cpu_ratio >= TWO_WORKERS_MIN,
        }

    def to_line(self) -> str:
        """Return the figure as one line for a reader."""
        value = self.to_value()
        verdict = "met" if value["met"] else "met by CPU" if value["met_by_cpu"] else "NOT MET"
        return (
            f"{self.name:<19}one worker {self.one_per_s:,.0f}/s, two {self.two_per_s:,.0f}/s "
            f"×{self.ratio:.2f} (CPU ×{self.cpu_ratio:.2f}) {verdict}" + "".join(f"\n    {e}" for e in self.errors[:3])
        )


def _line(cost: Cost) -> str:
    return (
        f"{cost.best.per_s:>8,.0f}/s {cost.cpu_us:>7.1f} µs CPU  p50 {cost.best.p50_ms:>6.2f}"
        f"  p99 {cost.best.p99_ms:>6.2f} ms  others {cost.best.foreign:.2f}"
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
