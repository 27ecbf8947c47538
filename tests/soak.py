"""Long counts that go on where they stopped: each goal keeps its progress in `var/soak`, by commit and seed.

A goal's loop is `for trial in counted(...)`: under `make test` the first few trials of the fixed seed, under `make soak`
all of them, from the one after the last that was kept. A trial draws everything from `random.Random(f"{seed}:{trial}")`,
so one number says which to try again.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.scale import SOAK, report

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "var" / "soak"
KEPT_EVERY = 50
"""Trials lost at the most when a soak is broken off."""


def commit() -> str:
    """Return what is being tested: the commit, and whether files differ from it."""
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return said.stdout.strip() or "unknown"


@dataclass
class Count:
    """The trials of one goal. `figures` are kept with the progress; the caller adds to them."""

    goal: str
    name: str
    target: str
    seed: int
    sample: int
    full: int
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Where the progress stands."""
        return FOLDER / f"{self.goal}-{self.name}.json"

    def trials(self) -> Iterator[int]:
        """Yield the numbers of the trials still to do; each is done when the next is asked for."""
        if not SOAK:
            yield from range(self.sample)
            return
        tested = commit()
        begin = self._resume(tested)
        for trial in range(begin, self.full):
            yield trial
            if (trial + 1) % KEPT_EVERY == 0 or trial + 1 == self.full:
                self._keep(tested, trial + 1)
        figures = "".join(f", {name} {value:g}" for name, value in sorted(self.figures.items()))
        report(self.goal, target=self.target, actual=f"{self.full} trials, {self.name}: held{figures}", seed=self.seed)

    def _resume(self, tested: str) -> int:
        try:
            kept = json.loads(self.path.read_text("utf-8"))
        except (OSError, ValueError):
            return 0
        # Other code, or another seed: what was counted then says nothing of now.
        if (kept["commit"], kept["seed"], kept["full"]) != (tested, self.seed, self.full):
            return 0
        self.figures.update(kept["figures"])
        done: int = kept["done"]
        return done

    def _keep(self, tested: str, done: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = {
            "goal": self.goal,
            "name": self.name,
            "target": self.target,
            "commit": tested,
            "seed": self.seed,
            "full": self.full,
            "done": done,
            "figures": self.figures,
        }
        half = self.path.with_suffix(".part")
        half.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
        os.replace(half, self.path)  # noqa: PTH105  # the atomic rename is the point
