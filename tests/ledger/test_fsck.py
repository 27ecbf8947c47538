"""fsck re-derives everything: any one bit changed in any row it covers is found, on both databases."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.chain.file import FileAnchor
from adapters.sql.ledger_engine import LedgerDatabase
from adapters.sql.ledger_store import SqlLedgerStore
from ledger.anchoring import AnchorWorker
from ledger.fsck import FsckReport, fsck
from ledger.reader import LedgerReader
from ledger.store import StoredAnchor
from tests.ledger.conftest import NewSequencer, OpenLedger
from tests.ledger.parts import ORIGIN, Keys, entries
from tests.scale import trials
from tests.services.clock import StillClock

# The big count is kept in test_bits.py; here each column is bent on both databases.
FLIPS_A_COLUMN = trials(6, full=200)

# table, its key columns, the column that is bent
COLUMNS = [
    ("entry", ("position",), "body"),
    ("entry", ("position",), "idempotency_key"),
    ("tile", ("tree", "level", "position"), "data"),
    ("checkpoint", ("size",), "note"),
    ("checkpoint", ("size",), "keys_digest"),
    ("anchor", ("size", "chain"), "statement"),
    ("log", ("id",), "note"),
    ("log", ("id",), "keys_digest"),
]


@pytest.fixture
def database(
    open_ledger: OpenLedger, new_sequencer: NewSequencer, keys: Keys, clock: StillClock, tmp_path: Path
) -> LedgerDatabase:
    database = open_ledger()
    store = SqlLedgerStore(database, ORIGIN)
    sequencer = new_sequencer(store)
    sequencer.open()
    driver = FileAnchor(tmp_path / "anchors", witness=keys.witness, clock=clock)
    worker = AnchorWorker(store, LedgerReader(store, keys.identity), keys.identity, clock)
    for start, stop in ((0, 1), (1, 250), (250, 600), (600, 601)):
        sequencer.append(entries(start, stop))
        worker.step(driver)
        clock.advance(1)
    return database


def _check(database: LedgerDatabase, keys: Keys) -> FsckReport:
    return fsck(SqlLedgerStore(database, ORIGIN), keys.trust)


def test_a_whole_log_is_clean(database: LedgerDatabase, keys: Keys) -> None:
    report = _check(database, keys)
    assert report.clean
    assert (report.size, report.checkpoints, report.anchors) == (601, 5, 4)


@pytest.mark.soak
def test_any_one_bit_changed_in_any_row_is_found_and_named(database: LedgerDatabase, keys: Keys) -> None:
    chosen = random.Random(43)
    for table, key, column in COLUMNS:
        with database.reading() as statements:
            rows = statements.fetch(f"SELECT {column}, {', '.join(key)} FROM {table}")  # noqa: S608 - names of our own
        for _ in range(FLIPS_A_COLUMN):
            value, *place = chosen.choice(rows)
            where = " AND ".join(f"{name} = ${number}" for number, name in enumerate(key, 2))
            update = f"UPDATE {table} SET {column} = $1 WHERE {where}"  # noqa: S608 - names of our own
            with database.writing() as statements:
                assert statements.execute(update, _flipped(value, chosen), *place) == 1
            report = _check(database, keys)
            assert not report.clean, (table, column, place)
            with database.writing() as statements:
                statements.execute(update, value, *place)
    assert _check(database, keys).clean


def _flipped(value: Any, chosen: random.Random) -> Any:
    raw = value.encode() if isinstance(value, str) else value
    at = chosen.randrange(len(raw))
    # The lowest bits of a letter of base64url keep a text a text, which PostgreSQL insists on.
    bent = raw[:at] + bytes([raw[at] ^ (1 << chosen.randrange(3 if isinstance(value, str) else 8))]) + raw[at + 1 :]
    return bent.decode() if isinstance(value, str) else bent


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM entry WHERE position = 600",
        "DELETE FROM entry WHERE position = 17",
        "UPDATE entry SET position = 700 WHERE position = 600",
        "INSERT INTO entry (log, position, body, idempotency_key) VALUES (1, 601, 'x', 'y')",
        "DELETE FROM tile WHERE level = 1 AND tree = 'sm3'",
        "DELETE FROM tile WHERE level = 0 AND position = 0 AND tree = 'sha256'",
        "INSERT INTO tile (log, tree, level, position, data) VALUES (1, 'sm3', 0, 3, 'x')",
        "INSERT INTO tile (log, tree, level, position, data) VALUES (1, 'sm3', 7, 0, 'x')",
        "DELETE FROM checkpoint WHERE size = 601",
        "DELETE FROM checkpoint WHERE size = 250",
        "DELETE FROM checkpoint WHERE size = 0",
        "UPDATE tile SET tree = 'sm4' WHERE level = 1 AND tree = 'sm3'",
        "UPDATE checkpoint SET size = 251 WHERE size = 250",
        "UPDATE log SET size = 600",
        "UPDATE anchor SET size = 250 WHERE size = 1",
        "UPDATE anchor SET chain = 'evm:1' WHERE size = 250",
        "INSERT INTO anchor_outbox (log, chain, size, due_at) VALUES (1, 'file', 77, 0)",
    ],
)
def test_a_row_missing_moved_or_added_is_found(database: LedgerDatabase, keys: Keys, damage: str) -> None:
    if "SET size = 250 WHERE size = 1" in damage:
        with database.writing() as statements:
            statements.execute("DELETE FROM anchor WHERE size = 250")
    with database.writing() as statements:
        assert statements.execute(damage) == 1
    report = _check(database, keys)
    assert not report.clean
    assert all(finding.what and finding.where and finding.rule for finding in report.findings)


def test_two_entries_swapped_in_place_are_found(database: LedgerDatabase, keys: Keys) -> None:
    with database.writing() as statements:
        for old, new in ((5, 9000), (6, 5), (9000, 6)):
            assert statements.execute("UPDATE entry SET position = $1 WHERE position = $2", new, old) == 1
    assert not _check(database, keys).clean


def test_an_anchor_that_arrives_during_the_walk_is_no_finding(database: LedgerDatabase, keys: Keys) -> None:
    """The first walk sees an anchor whose checkpoint it had not noted; the log then stands still and is clean."""

    class Growing(SqlLedgerStore):
        hidden = 2  # looks before the walk meets the anchors' rows

        def scan_anchors(self) -> Iterator[StoredAnchor]:
            if self.hidden:
                self.hidden -= 1
                return iter(())
            return super().scan_anchors()

    report = fsck(Growing(database, ORIGIN), keys.trust)
    assert report.clean
    assert report.anchors == 4
