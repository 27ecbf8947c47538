"""The log under every fault a seed can bring: nothing acknowledged is lost, nothing is there twice, one history (G15)."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

import pytest

from tests.ledger.simulation.model import PromiseBroken
from tests.ledger.simulation.run import STEPS, Outcome, keys_of_runs, simulate, template
from tests.ledger.simulation.world import World
from tests.scale import SOAK
from tests.soak import Count

ROOT = Path(__file__).parents[2]
SAMPLE_STEPS = 300
SAMPLE_FROM = 1
"""Not a seed of one long log (see `simulate`): those are for the soak."""


@pytest.fixture(scope="module")
def tables() -> Iterator[Path]:
    with template() as path:
        yield path


@pytest.mark.soak
def test_whatever_a_seed_brings_every_promise_of_the_log_holds(tables: Path) -> None:
    count = Count("G15", "simulation", f"0 broken promises in seeds of {STEPS} steps", 0, sample=20, full=10_000)
    if not SOAK:
        for trial in count.trials():
            simulate(SAMPLE_FROM + trial, SAMPLE_STEPS, keys_of_runs(), tables)
        return
    for outcome in _ahead(count.trials(), count.full, tables):
        for name, times in (*outcome.counts.items(), ("entries", outcome.acknowledged)):
            count.figures[name] = count.figures.get(name, 0) + times


def _ahead(trials: Iterator[int], full: int, tables: Path) -> Iterator[Outcome]:
    """Run the seeds of the trials in as many processes as there are processors, and answer in order."""
    workers = os.cpu_count() or 1
    context = multiprocessing.get_context("forkserver")
    waiting: deque[Future[Outcome]] = deque()
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        begun: int | None = None
        for trial in trials:
            begun = trial if begun is None else begun
            while begun < full and len(waiting) < 2 * workers:
                waiting.append(pool.submit(_one_seed, begun, tables))
                begun += 1
            yield waiting.popleft().result()


def _one_seed(seed: int, tables: Path) -> Outcome:
    return simulate(seed, STEPS, keys_of_runs(), tables)


def test_a_seed_runs_the_same_again_in_another_process(tables: Path) -> None:
    """What is printed of a failure is enough to see it again: nothing else decides, not even the order of a set."""
    outcome = simulate(7, 120, keys_of_runs(), tables)
    for hash_seed in ("1", "2"):
        again = subprocess.run(
            [sys.executable, "-m", "tests.ledger.simulation", "7", "120"],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert again.stdout.splitlines()[-1] == f"trace {outcome.digest}"


def test_a_broken_promise_names_the_seed_and_how_to_run_it_again(tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(world: World) -> None:
        world.model.acknowledged[max(world.model.acknowledged)] += 1

    monkeypatch.setattr(World, "finish", _after(forget, World.finish))
    with pytest.raises(PromiseBroken) as broken:
        simulate(3, 40, keys_of_runs(), tables)
    assert str(broken.value).endswith("log 0 of seed 3; again: python -m tests.ledger.simulation 3 40")
    assert "step 39" in str(broken.value)


def _after(first: Callable[[World], None], then: Callable[[World], None]) -> Callable[[World], None]:
    def both(world: World) -> None:
        first(world)
        then(world)

    return both
