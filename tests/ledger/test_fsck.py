"""fsck re-derives everything: any one bit changed in any row it covers is found, on both databases."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.chain.file import FileAnchor
from adapters.publication import LogFolder
from adapters.sql.ledger_engine import LedgerDatabase
from adapters.sql.ledger_open import open_ledger_database
from adapters.sql.ledger_sqlite import SqliteLedgerDatabase
from adapters.sql.ledger_store import SqlLedgerStore
from ledger.anchoring import AnchorWorker
from ledger.fsck import Finding, FsckReport, fsck
from ledger.fsck_anchors import check_published_anchors
from ledger.fsck_keys import check_keys
from ledger.reader import LedgerReader
from ledger.store import StoredAnchor
from tests.ledger.conftest import NewSequencer, OpenLedger
from tests.ledger.parts import ORIGIN, Keys, entries
from tests.ledger.published import fill, publisher_of
from tests.scale import trials
from tests.services.clock import StillClock
from tests.services.tables import make_tables

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

# Values no writer ever put there: SQLite keeps in a column whatever a damaged row says it is.
DAMAGE = [
    ("anchor", "chain", "CAST(x'66696cff' AS TEXT)", ("anchor", "fil\\xff 250")),
    ("anchor", "statement", "CAST(x'ff' AS TEXT)", ("anchor", "file 250")),
    ("anchor", "statement", "CAST(statement AS BLOB)", ("anchor", "file 250")),
    ("anchor", "statement", "7", ("anchor", "file 250")),
    ("anchor", "size", "'many'", ("anchor", "file -1")),
    ("anchor", "number", "'many'", ("anchor", "file 250")),
    ("anchor_count", "anchors", "1.5", ("anchor", "file 250")),
    ("checkpoint", "note", "7", ("checkpoint", "250")),
    ("checkpoint", "note", "CAST(note AS TEXT)", ("checkpoint", "250")),
    ("checkpoint", "keys_digest", "7", ("entry", "up to 250")),
    ("checkpoint", "size", "'many'", ("checkpoint", "-1")),
    ("entry", "body", "CAST(body AS TEXT)", ("entry", "300")),
    ("entry", "body", "x''", ("entry", "300")),
    ("entry", "body", "zeroblob(65536)", ("entry", "300")),
    ("entry", "idempotency_key", "7", ("entry", "300")),
    ("entry", "idempotency_key", "x'00'", ("entry", "300")),
    ("log", "note", "'x'", ("head", "601")),
    ("log", "size", "'many'", ("head", "601")),
    ("tile", "tree", "CAST(x'ff' AS TEXT)", ("tile", "\\xff level 0 index 0")),
    ("tile", "position", "'many'", ("tile", "sha256 level 0 index -1")),
    ("tile", "data", "'x'", ("tile", "sha256 level 0 index 0")),
    ("anchor_outbox", "chain", "CAST(x'ff' AS TEXT)", ("outbox", "\\xff 77")),
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
        "DELETE FROM anchor WHERE size = 1",
        "DELETE FROM anchor WHERE size = 250",
        "DELETE FROM anchor WHERE size = 601",
        "DELETE FROM anchor_count",
        "UPDATE anchor_count SET chain = 'evm:1'",
        "UPDATE anchor_count SET anchors = 3",
        "UPDATE anchor SET number = 3 WHERE size = 601",
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


def test_an_anchor_taken_away_leaves_a_gap_that_is_named(database: LedgerDatabase, keys: Keys) -> None:
    with database.writing() as statements:
        assert statements.execute("DELETE FROM anchor WHERE size IN (250, 600)") == 2
    assert _check(database, keys).findings == (Finding("anchor", "file numbers 2 to 3", "present"),)
    with database.writing() as statements:
        assert statements.execute("DELETE FROM anchor") == 2
    assert _check(database, keys).findings == (Finding("anchor", "file numbers 1 to 4", "present"),)


def test_the_same_evidence_twice_is_one_anchor(database: LedgerDatabase, keys: Keys) -> None:
    store = SqlLedgerStore(database, ORIGIN)
    for _ in range(2):
        for anchor in store.anchors(9, None):
            store.settle_anchor(anchor)
    assert dict(store.anchor_counts()) == {"file": 4}
    assert _check(database, keys).clean


def test_a_published_anchor_that_has_no_row_any_more_is_found(
    database: LedgerDatabase, keys: Keys, tmp_path: Path
) -> None:
    store, folder = SqlLedgerStore(database, ORIGIN), LogFolder(tmp_path / "log")
    publisher_of(store, folder.root, keys).catch_up()
    found: list[tuple[str, str, str]] = []

    def look() -> list[tuple[str, str, str]]:
        found.clear()
        check_published_anchors(store, folder, lambda *finding: found.append(finding))
        return found

    assert look() == []
    with database.writing() as statements:
        # A thorough hand: the row is gone, and the numbers tell nothing.
        statements.execute("DELETE FROM anchor WHERE size = 601")
        statements.execute("UPDATE anchor_count SET anchors = 3")
        statements.execute("UPDATE anchor SET statement = 'x' WHERE size = 1")
    assert sorted(look()) == [("anchor", "file 1", "published"), ("anchor", "file 601", "present")]


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


@pytest.fixture
def on_sqlite(keys: Keys, clock: StillClock, new_sequencer: NewSequencer, tmp_path: Path) -> Iterator[LedgerDatabase]:
    """Make the same small log on SQLite, whose rows hold whatever they say they hold."""
    make_tables(f"sqlite:///{tmp_path}", "ledger")
    database = open_ledger_database(f"sqlite:///{tmp_path}")
    store = SqlLedgerStore(database, ORIGIN)
    fill(store, new_sequencer(store), keys, clock, (1, 250, 601))
    yield database
    database.close()


@pytest.mark.parametrize(("table", "column", "value", "place"), DAMAGE)
def test_a_value_that_is_none_of_its_columns_is_a_finding_that_names_its_row(
    on_sqlite: LedgerDatabase, keys: Keys, table: str, column: str, value: str, place: tuple[str, str]
) -> None:
    with on_sqlite.writing() as statements:
        statements.execute("INSERT INTO anchor_outbox (log, chain, size, due_at) VALUES (1, 'file', 77, 0)")
        sql = f"UPDATE {table} SET {column} = {value} WHERE {_ROWS[table]}"  # noqa: S608 - names of our own
        assert statements.execute(sql) == 1
    findings = _check(on_sqlite, keys).findings
    assert place in {(finding.what, finding.where) for finding in findings}


_ROWS = {
    "anchor": "size = 250",
    "anchor_count": "chain = 'file'",
    "anchor_outbox": "size = 77",
    "checkpoint": "size = 250",
    "entry": "position = 300",
    "log": "id = 1",
    "tile": "tree = 'sha256' AND level = 0 AND position = 0",
}


def test_an_index_of_keys_that_lost_one_is_found_by_looking_each_up(
    on_sqlite: LedgerDatabase, keys: Keys, tmp_path: Path
) -> None:
    on_sqlite.close()
    file = next(tmp_path.glob("ledger*.sqlite3"))
    whole, key = file.read_bytes(), entries(300, 301)[0].idempotency_key
    assert _deeply(tmp_path, keys) == (True, [], [])
    # The key stands in its row, in the index, and perhaps in pages that SQLite has let go of.
    bent = [at for at in range(len(whole)) if whole.startswith(key, at)]
    seen = []
    for at in bent:
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        seen.append(_deeply(tmp_path, keys))
    [(lines, found)] = [(lines, found) for clean, lines, found in seen if clean and lines]
    assert found == [("idempotency_key", "300", "index")]
    assert any("index" in line for line in lines)


def _deeply(folder: Path, keys: Keys) -> tuple[bool, list[str], list[tuple[str, str, str]]]:
    """Return whether the walk is clean, what SQLite says, and what looking up every key finds."""
    found: list[tuple[str, str, str]] = []
    database = open_ledger_database(f"sqlite:///{folder}")
    try:
        assert isinstance(database, SqliteLedgerDatabase)
        check_keys(SqlLedgerStore(database, ORIGIN), 601, lambda *finding: found.append(finding))
        return _check(database, keys).clean, database.damage(), found
    finally:
        database.close()
