"""How many times a promise is tried: a seeded sample in `make test`, the full count in `make soak`."""

from __future__ import annotations

import os
import sys

SOAK = os.environ.get("SOAK_TESTS") == "1"


def trials(sample: int, *, full: int) -> int:
    """Return the sample, or under `make soak` the full count."""
    return full if SOAK else sample


def report(goal: str, *, target: str, actual: str, seed: int | str) -> None:
    """Print one line a goal under `make soak`, past pytest's capture."""
    if SOAK:
        print(
            f"GOAL {goal} target {target} actual {actual} seed {seed}", file=sys.__stdout__, flush=True
        )  # the soak's own output
