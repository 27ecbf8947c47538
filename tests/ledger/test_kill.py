"""Processes killed while they write: nothing acknowledged is lost, nothing is there twice, the log is whole at once (G13)."""

from __future__ import annotations

import random
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from adapters.sql.ledger_open import open_ledger_database
from adapters.sql.ledger_store import SqlLedgerStore
from ledger.checkpoint import LogIdentity
from ledger.fsck import fsck
from ledger.receipt import LogTrust
from tests.ledger.parts import ORIGIN, Keys, entry
from tests.ledger.writer_process import Writers, writers
from tests.services.tables import make_tables
from tests.soak import Count

WRITERS = 4
SEED = 13
ROUNDS_A_LOG = 25
"""After so many rounds a new log begins: each round walks the whole log."""
PATIENCE_S = 60


@dataclass
class Log:
    """One log, and what any of its writers was told."""

    origin: str
    acknowledged: dict[int, int] = field(default_factory=dict)


@pytest.mark.soak
def test_killed_at_random_moments_the_log_loses_and_doubles_nothing(
    database_url: str, keys: Keys, tmp_path: Path
) -> None:
    make_tables(database_url, "ledger")
    dialect = "sqlite" if database_url.startswith("sqlite") else "postgresql"
    count = Count("G13", f"kill-{dialect}", "0 lost, 0 doubled, fsck clean after each", SEED, sample=8, full=1_000)
    log, told = Log(ORIGIN), 0
    with writers(keys.sm2) as forking:
        for trial in count.trials():
            if trial % ROUNDS_A_LOG == 0 or log.origin == ORIGIN:
                log = Log(f"{ORIGIN}/{trial}")
            ready = _round(forking, database_url, log, trial, tmp_path)
            told += len(log.acknowledged)
            count.figures["seconds until the first entry, at most"] = max(
                [count.figures.get("seconds until the first entry, at most", 0.0), *ready]
            )
            _require_whole(database_url, log, keys)
    assert told > 0


def _round(forking: Writers, url: str, log: Log, trial: int, folder: Path) -> list[float]:
    """Start the writers, kill them one after the other, take down what they were told; return how long each took to be ready."""
    rng = random.Random(f"{SEED}:{trial}")
    files = [folder / f"{trial}-{number}" for number in range(WRITERS)]
    base = 1 + trial * (WRITERS + 1)
    pids = [forking.start(url, log.origin, base + 1 + number, base, file) for number, file in enumerate(files)]
    if rng.random() < 0.75:
        # Otherwise the first of them may end while it still starts.
        _wait_for_any(files)
    rng.shuffle(pids)
    for pid in pids:
        time.sleep(rng.uniform(0, 0.06))
        assert forking.kill(pid) == -signal.SIGKILL, "a writer ended by itself"
    ready: list[float] = []
    for file in files:
        said = file.read_text("ascii") if file.exists() else ""
        for line in said.splitlines():
            what, value = line.split()
            if what == "ready":
                ready.append(float(value))
            else:
                # What several writers brought has one place, whoever was told.
                assert log.acknowledged.setdefault(int(what), int(value)) == int(value)
    return ready


def _wait_for_any(files: list[Path]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not any(file.exists() and file.stat().st_size for file in files):
        assert time.monotonic() < deadline, "no writer had anything acknowledged"
        time.sleep(0.002)


def _require_whole(url: str, log: Log, keys: Keys) -> None:
    """Open the log as the next process does; walk it."""
    database = open_ledger_database(url)
    try:
        store = SqlLedgerStore(database, log.origin)
        if store.head() is None:
            assert not log.acknowledged
            return
        report = fsck(store, LogTrust({log.origin: LogIdentity(log.origin, keys.sm2.public, None)}, {}))
        assert report.findings == ()
        held = store.entries(0, report.size)
        there = dict(enumerate(held))
        assert not [number for number, index in log.acknowledged.items() if there.get(index) != entry(number)]
        assert len({one.body for one in held}) == len(held)
        assert len(set(log.acknowledged.values())) == len(log.acknowledged)
    finally:
        database.close()
