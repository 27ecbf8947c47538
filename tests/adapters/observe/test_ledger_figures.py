"""The few statements behind the log's figures, on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from adapters.sql.ledger_anchors import SqlAnchorTransactions
from adapters.sql.ledger_engine import LedgerDatabase
from adapters.sql.ledger_figures import ANCHORS_LOOKED_AT, SqlLedgerFigures, WatchedChain
from adapters.sql.ledger_open import open_ledger_database
from adapters.sql.ledger_store import SqlLedgerStore
from ledger.anchoring_transactions import AnchorTransaction, Fees, TransactionState
from ledger.entry import Entry
from ledger.errors import LedgerUnavailable
from ledger.sequencer import Sequencer
from ledger.store import LedgerStore, StoredAnchor
from tests.ledger.parts import ORIGIN, make_keys
from tests.services.clock import StillClock
from tests.services.tables import make_tables

CHAINS = [WatchedChain("file", None), WatchedChain("evm:7", "0xkey")]
NewSequencer = Callable[[LedgerStore], Sequencer]


@pytest.fixture
def database(database_url: str) -> Iterator[LedgerDatabase]:
    make_tables(database_url, "ledger")
    opened = open_ledger_database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def new_sequencer(clock: StillClock) -> NewSequencer:
    keys = make_keys()
    return lambda log: Sequencer(
        log,
        identity=keys.identity,
        sm2_key=keys.sm2,
        ed25519_key=keys.ed25519,
        clock=clock,
        anchor_chains=["file"],
    )


def transaction(nonce: int, state: TransactionState, sent_at: int) -> AnchorTransaction:
    return AnchorTransaction(
        nonce, f"0x{nonce}", b"raw", ORIGIN, 1, bytes(32), bytes(32), Fees(1, 1), state, sent_at, None, None
    )


def test_a_log_that_is_not_there_is_no_figure(database: LedgerDatabase) -> None:
    with pytest.raises(LedgerUnavailable):
        SqlLedgerFigures(database, ORIGIN, CHAINS).read()


def test_figures_of_a_log_that_grows(
    database: LedgerDatabase,
    new_sequencer: NewSequencer,
    clock: StillClock,
) -> None:
    log = SqlLedgerStore(database, ORIGIN)
    sequencer = new_sequencer(log)
    sequencer.open()
    figures = SqlLedgerFigures(database, ORIGIN, CHAINS)
    for number in range(4):
        sequencer.append([Entry(b"entry", bytes([number]) * 32)])
    read = figures.read()
    head = log.head()
    assert head is not None
    assert (read.size, read.note) == (4, head.note)
    first = log.checkpoint(1)
    assert first is not None
    assert read.chains["file"].waiting == first.note
    assert read.chains["file"].newest is None
    assert read.chains["evm:7"].waiting is None  # nothing was queued for it

    job = log.take_anchor_job("file", clock(), 60)
    assert job is not None
    log.postpone_anchor(job, "ledger.anchor_refused", clock() + 2)
    read = figures.read()
    assert (read.chains["file"].attempts, read.chains["file"].error) == (1, "ledger.anchor_refused")

    log.settle_anchor(StoredAnchor(3, "file", "three"))
    log.settle_anchor(StoredAnchor(2, "evm:7", "two"))
    read = figures.read()
    assert (read.chains["file"].newest, read.chains["evm:7"].newest) == ((3, "three"), (2, "two"))
    last = log.checkpoint(4)
    assert last is not None
    assert read.chains["file"].waiting == last.note


def test_a_chain_s_newest_anchor_is_kept_in_mind_behind_many_of_another(
    database: LedgerDatabase,
    new_sequencer: NewSequencer,
) -> None:
    log = SqlLedgerStore(database, ORIGIN)
    new_sequencer(log).open()
    figures = SqlLedgerFigures(database, ORIGIN, CHAINS)
    with database.writing() as statements:
        row = "INSERT INTO anchor (log, size, chain, statement) VALUES (1, $1, $2, 's')"
        statements.execute(row, 1, "evm:7")
        seen = figures
        many = [(size, "file") for size in range(2, 2 + ANCHORS_LOOKED_AT)]
        statements.execute_many(row, many[:-1])
    assert seen.read().chains["evm:7"].newest == (1, "s")
    with database.writing() as statements:
        statements.execute_many(row, many[-1:])
    assert seen.read().chains["evm:7"].newest == (1, "s")
    # One that begins now does not walk the whole table for it.
    assert SqlLedgerFigures(database, ORIGIN, CHAINS).read().chains["evm:7"].newest is None


def test_transactions_under_way_are_those_that_are_not_settled(
    database: LedgerDatabase,
    new_sequencer: NewSequencer,
    clock: StillClock,
) -> None:
    log = SqlLedgerStore(database, ORIGIN)
    new_sequencer(log).open()
    transactions = SqlAnchorTransactions(database)
    figures = SqlLedgerFigures(database, ORIGIN, CHAINS)
    lease = transactions.lease_key("evm:7", "0xkey", clock(), 60)
    assert lease is not None
    transactions.prepare(lease, transaction(0, TransactionState.PREPARED, clock()))
    transactions.close_nonce(lease, 0, "0x0", TransactionState.FINAL)
    assert figures.read().chains["evm:7"].sent_at == ()
    clock.advance(10)
    stuck = transaction(1, TransactionState.PREPARED, clock())
    transactions.prepare(lease, stuck)
    transactions.mark_sent(lease, stuck, clock())
    clock.advance(10)
    read = figures.read()
    assert read.chains["evm:7"].sent_at == (clock() - 10,)
    assert read.chains["file"].sent_at == ()
    transactions.mark_mined(lease, stuck, 5, "0xb")
    assert figures.read().chains["evm:7"].sent_at == (clock() - 10,)
    transactions.close_nonce(lease, 1, "0x1", TransactionState.FINAL)
    assert figures.read().chains["evm:7"].sent_at == ()
