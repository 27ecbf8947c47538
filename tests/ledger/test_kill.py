"""Processes killed while they write: nothing acknowledged is lost, nothing is there twice, the log is whole at once."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.sql.ledger_open import open_ledger_database
from adapters.sql.ledger_store import SqlLedgerStore
from adapters.sql.migrate import target_of, upgrade
from crypto.keys import export_private
from ledger.checkpoint import LogIdentity
from ledger.fsck import fsck
from ledger.receipt import LogTrust
from tests.ledger.parts import ORIGIN, Keys, entry
from tests.scale import trials

ROOT = Path(__file__).resolve().parents[2]
WRITERS = 2
ROUNDS = trials(3, full=1_000)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}"
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.mark.soak
def test_killed_at_random_moments_the_log_loses_and_doubles_nothing(url: str, keys: Keys) -> None:
    upgrade("ledger", target_of("ledger", url))
    chosen = random.Random(13)
    acknowledged: dict[int, int] = {}
    for round_number in range(ROUNDS):
        arguments = [sys.executable, "-m", "tests.ledger.writer_process", url, export_private(keys.sm2).hex()]
        writers = [
            subprocess.Popen(
                [*arguments, str(round_number * WRITERS + writer)], cwd=ROOT, stdout=subprocess.PIPE, text=True
            )
            for writer in range(WRITERS)
        ]
        for writer in writers:
            assert writer.stdout is not None
            lines = chosen.randrange(5, 60)
            said = [writer.stdout.readline() for _ in range(lines)]
            writer.kill()
            said += writer.stdout.read().splitlines(keepends=True)
            writer.stdout.close()
            writer.wait()
            acknowledged |= {int(line.split()[0]): int(line.split()[1]) for line in said if line.endswith("\n")}
    database = open_ledger_database(url)
    try:
        store = SqlLedgerStore(database, ORIGIN)
        identity = LogIdentity(ORIGIN, keys.sm2.public, None)
        report = fsck(store, LogTrust({ORIGIN: identity}, {}))
        assert report.findings == ()
        assert len(acknowledged) >= 5 * WRITERS * ROUNDS
        held = store.entries_at(sorted(acknowledged.values()))
        assert all(held[index] == entry(number) for number, index in acknowledged.items())
        assert len(set(acknowledged.values())) == len(acknowledged)
    finally:
        database.close()
