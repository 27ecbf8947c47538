"""Two processes that anchor through PostgreSQL at the same moment: the rows they both need are locked, not only read.

On SQLite whoever writes has the whole file, so that nothing of this can happen there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from adapters.sql.ledger_anchors import SqlAnchorTransactions
from adapters.sql.ledger_engine import LedgerDatabase
from adapters.sql.ledger_store import SqlLedgerStore
from ledger.anchoring_transactions import AnchorTransaction, Fees, TransactionState
from ledger.errors import AnchorPending
from ledger.fsck_anchors import check_numbers
from ledger.store import StoredAnchor
from tests.conftest import Dialect
from tests.ledger.conftest import NewSequencer, OpenLedger
from tests.ledger.parts import ORIGIN, entries
from tests.services.clock import StillClock

CHAIN, KEY = "evm:1337", "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


@pytest.fixture
def dialect() -> Dialect:
    return "postgresql"


@pytest.fixture
def first(open_ledger: OpenLedger) -> LedgerDatabase:
    return open_ledger()


@pytest.fixture
def second(open_ledger: OpenLedger) -> LedgerDatabase:
    return open_ledger()


def _beside(first: LedgerDatabase, written: Sequence[str], work: Callable[[], object]) -> Future[object]:
    """Let the second process do its work when the first has written and not committed yet; it commits once waited for."""
    with ThreadPoolExecutor(1) as second, first.writing() as statements:
        for sql in written:
            statements.execute(sql)
        done = second.submit(work)
        while not _waits(first) and not done.done():
            time.sleep(0.01)
    return done


def _waits(database: LedgerDatabase) -> bool:
    sql = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with database.reading() as statements:
        return bool(statements.fetch(sql))


def test_of_two_who_keep_evidence_of_a_chain_at_once_each_gives_its_own_number(
    first: LedgerDatabase, second: LedgerDatabase, new_sequencer: NewSequencer
) -> None:
    store = SqlLedgerStore(first, ORIGIN)
    new_sequencer(store).open()
    store.settle_anchor(StoredAnchor(0, "file", "x"))
    other = SqlLedgerStore(second, ORIGIN)
    settled = (
        "UPDATE anchor_count SET anchors = 2 WHERE chain = 'file'",
        "INSERT INTO anchor (log, size, chain, statement, number) SELECT id, 5, 'file', 'x', 2 FROM log",
    )
    _beside(first, settled, lambda: other.settle_anchor(StoredAnchor(9, "file", "x"))).result()
    assert dict(store.anchor_counts()) == {"file": 3}
    assert [(one.number, one.size) for one in store.scan_anchor_numbers()] == [(1, 0), (2, 5), (3, 9)]
    found: list[tuple[str, str, str]] = []
    check_numbers(store, lambda *finding: found.append(finding))
    assert found == []


def test_a_checkpoint_that_another_is_taking_is_not_taken_twice(
    first: LedgerDatabase, second: LedgerDatabase, new_sequencer: NewSequencer, clock: StillClock
) -> None:
    store, other = SqlLedgerStore(first, ORIGIN), SqlLedgerStore(second, ORIGIN)
    sequencer = new_sequencer(store)
    sequencer.open()
    sequencer.append(entries(0, 1))
    assert [job.chain for job in store.pending_anchors()] == ["file"]
    taken = f"UPDATE anchor_outbox SET leased_until = {clock() + 60}"  # noqa: S608 - a number of our own
    assert _beside(first, [taken], lambda: other.take_anchor_job("file", clock(), 60)).result() is None
    assert other.take_anchor_job("file", clock() + 60, 60) is not None


def test_a_worker_whose_lease_is_being_taken_over_prepares_nothing(
    first: LedgerDatabase, second: LedgerDatabase
) -> None:
    mine, others = SqlAnchorTransactions(second), SqlAnchorTransactions(first)
    lease = mine.lease_key(CHAIN, KEY, 1000, 60)
    assert lease is not None
    transaction = AnchorTransaction(
        nonce=0,
        hash="0x" + "00" * 32,
        raw=b"raw",
        origin=ORIGIN,
        size=5,
        root_sha256=bytes(32),
        root_sm3=bytes(32),
        fees=Fees(2, 1),
        state=TransactionState.PREPARED,
        sent_at=100,
        block=None,
        block_hash=None,
    )
    taken_over = "UPDATE anchor_key SET leased_until = 2000, fence = fence + 1"
    with pytest.raises(AnchorPending) as refused:
        _beside(first, [taken_over], lambda: mine.prepare(lease, transaction)).result()
    assert refused.value.rule == "lease"
    assert others.latest(CHAIN, KEY, 10) == []
