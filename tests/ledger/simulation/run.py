"""One seed, run; a broken promise says how to run it again."""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from adapters.sql.migrate import target_of, upgrade
from crypto.sm2 import BACKENDS, select_backend
from tests.ledger.parts import Keys, make_keys
from tests.ledger.simulation.model import PromiseBroken
from tests.ledger.simulation.world import World

STEPS = 2_000
LOG_STEPS = 400
"""fsck walks the whole log after every restart: many short logs try more than one long one in the same time."""
# Memory, where the machine has a folder in it: nothing here is meant to outlive the run, and thousands of flushes would only wait.
_MEMORY = Path("/dev/shm")  # noqa: S108 - below it each run makes a folder of its own


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did: the digest of its trace, the entries acknowledged, how often each thing happened."""

    digest: str
    acknowledged: int
    counts: Counter[str]


def simulate(seed: int, steps: int, keys: Keys, template: Path) -> Outcome:
    """Run one seed: log after log of `LOG_STEPS` steps, every tenth seed one long log.

    Raises PromiseBroken naming the seed, the last lines of the trace and the command to run it again.
    """
    digest, acknowledged, counts = hashlib.sha256(), 0, Counter[str]()
    each = steps if seed % 10 == 0 else LOG_STEPS
    for number, begin in enumerate(range(0, steps, each)):
        try:
            world = _one_log(f"ledger:{seed}:{number}", min(each, steps - begin), keys, template)
        except PromiseBroken as broken:
            again = f"python -m tests.ledger.simulation {seed} {steps}"
            raise PromiseBroken(f"{broken}\nlog {number} of seed {seed}; again: {again}") from broken
        digest.update(world.digest.digest())
        acknowledged += len(world.model.acknowledged)
        counts.update(world.counts)
        for writer in world.writers:
            counts.update({f"fault {kind}": count for kind, count in writer.fate.counts.items()})
    return Outcome(digest.hexdigest(), acknowledged, counts)


def _one_log(seed: str, steps: int, keys: Keys, template: Path) -> World:
    with folder() as where:
        world = World(seed, folder=where, template=template, keys=keys)
        try:
            world.begin()
            for number in range(steps):
                world.step(number)
            world.finish()
        except Exception as error:
            trace = "\n".join(world.lines)
            raise PromiseBroken(f"{trace}\n{error!r}") from error
        finally:
            world.close()
    return world


@contextmanager
def folder() -> Iterator[Path]:
    """Make a folder in memory, and take it away again."""
    with tempfile.TemporaryDirectory(prefix="simulated-", dir=_MEMORY if _MEMORY.is_dir() else None) as made:
        yield Path(made)


@contextmanager
def template() -> Iterator[Path]:
    """Make a database with the ledger's tables, to be copied for each seed."""
    with folder() as made:
        url = f"sqlite:///{made}"
        upgrade("ledger", target_of("ledger", url))
        (path,) = made.glob("*.sqlite3")
        yield path


@cache
def keys_of_runs() -> Keys:
    """Return keys for all runs of this process; no decision depends on them."""
    select_backend(BACKENDS)
    return make_keys()
