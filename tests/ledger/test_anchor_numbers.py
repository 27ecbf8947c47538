"""Anchors that were kept before they were numbered get their numbers, and are missed like any other."""

from __future__ import annotations

from adapters.sql.ledger_open import open_ledger_database
from adapters.sql.ledger_store import SqlLedgerStore
from adapters.sql.migrate import target_of, upgrade
from ledger.fsck_anchors import check_numbers
from ledger.store import AnchorNumber, StoredAnchor
from tests.ledger.parts import ORIGIN

ANCHORS = ((1, 5, "file"), (1, 9, "file"), (1, 9, "evm:1"), (2, 3, "file"), (1, 12, "file"))


def test_anchors_of_an_older_version_are_numbered_by_size(database_url: str) -> None:
    upgrade("ledger", target_of("ledger", database_url), "ledger_0002")
    database = open_ledger_database(database_url)
    try:
        with database.writing() as statements:
            log = "INSERT INTO log (id, origin, size, note, keys_digest) VALUES ($1, $2, 12, $3, $3)"
            statements.execute(log, 1, ORIGIN, b"x")
            statements.execute(log, 2, "another", b"x")
            anchor = "INSERT INTO anchor (log, size, chain, statement) VALUES ($1, $2, $3, 'x')"
            statements.execute_many(anchor, ANCHORS)
    finally:
        database.close()
    upgrade("ledger", target_of("ledger", database_url))
    database = open_ledger_database(database_url)
    found: list[tuple[str, str, str]] = []
    try:
        store = SqlLedgerStore(database, ORIGIN)
        assert dict(store.anchor_counts()) == {"evm:1": 1, "file": 3}
        store.settle_anchor(StoredAnchor(11, "file", "x"))
        numbers = [AnchorNumber("file", number, size) for number, size in ((1, 5), (2, 9), (3, 12), (4, 11))]
        assert list(store.scan_anchor_numbers()) == [AnchorNumber("evm:1", 1, 9), *numbers]
        check_numbers(store, lambda *finding: found.append(finding))
        assert found == []
        with database.writing() as statements:
            statements.execute("DELETE FROM anchor WHERE log = 1 AND size = 9")
        check_numbers(store, lambda *finding: found.append(finding))
        assert sorted(found) == [("anchor", "evm:1 number 1", "present"), ("anchor", "file number 2", "present")]
    finally:
        database.close()
