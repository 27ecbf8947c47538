"""The log's word is kept to the bit: one bit changed anywhere is found, every proof of a large log verifies (G16)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import pytest

from adapters.chain.file import FileAnchor
from adapters.sql.ledger_engine import LedgerDatabase
from adapters.sql.ledger_open import open_ledger_database
from adapters.sql.ledger_store import SqlLedgerStore
from crypto.errors import TrustError
from ledger.anchoring import AnchorWorker
from ledger.checkpoint import verify_checkpoint
from ledger.errors import CheckpointConflict, LedgerError
from ledger.fsck import fsck
from ledger.merkle import HashAlg, leaf_hash, verify_consistency, verify_inclusion
from ledger.reader import LedgerReader
from ledger.receipt import Receipt, verify_receipt
from ledger.sequencer import MAX_POOL_ENTRIES, Sequencer
from tests.ledger.parts import ORIGIN, Keys, entries
from tests.ledger.simulation.run import folder
from tests.scale import report, trials
from tests.services.clock import StillClock
from tests.services.tables import make_tables
from tests.soak import Count

SEED = 16
# Pools that end inside a tile, at its end and beyond it.
POOLS = ((0, 1), (1, 250), (250, 256), (256, 600), (600, 601), (601, 700))
ENTRIES = trials(5_000, full=1_000_000)

# Every column fsck answers for: the table, its key, the column. Text is bent as the bytes it is stored in.
COLUMNS = (
    ("entry", ("position",), "body"),
    ("entry", ("position",), "idempotency_key"),
    ("entry", ("position",), "position"),
    ("entry", ("position",), "log"),
    ("tile", ("tree", "level", "position"), "data"),
    ("tile", ("tree", "level", "position"), "tree"),
    ("tile", ("tree", "level", "position"), "level"),
    ("tile", ("tree", "level", "position"), "position"),
    ("tile", ("tree", "level", "position"), "log"),
    ("checkpoint", ("size",), "note"),
    ("checkpoint", ("size",), "keys_digest"),
    ("checkpoint", ("size",), "size"),
    ("checkpoint", ("size",), "log"),
    ("anchor", ("size", "chain"), "statement"),
    ("anchor", ("size", "chain"), "size"),
    ("anchor", ("size", "chain"), "chain"),
    ("log", ("id",), "note"),
    ("log", ("id",), "keys_digest"),
    ("log", ("id",), "size"),
    ("log", ("id",), "origin"),
)
# A receipt is tried as often as all the columns together.
RECEIPT = ("receipt", (), "bytes")


@dataclass
class Log:
    """A small log with everything in it, and receipts of some of its entries."""

    database: LedgerDatabase
    keys: Keys
    receipts: list[bytes]
    indices: list[int]

    def clean(self) -> bool:
        """Tell whether the whole walk finds nothing; a store that cannot even be read is not clean."""
        try:
            return fsck(SqlLedgerStore(self.database, ORIGIN), self.keys.trust).clean
        except LedgerError:
            return False


@contextmanager
def _opened() -> Iterator[LedgerDatabase]:
    with folder() as where:
        make_tables(f"sqlite:///{where}", "ledger")
        database = open_ledger_database(f"sqlite:///{where}")
        try:
            yield database
        finally:
            database.close()


def _sequencer(store: SqlLedgerStore, keys: Keys, clock: StillClock) -> Sequencer:
    made = Sequencer(
        store,
        identity=keys.identity,
        sm2_key=keys.sm2,
        ed25519_key=keys.ed25519,
        clock=clock,
        anchor_chains=["file"],
    )
    made.open()
    return made


@pytest.fixture(scope="module")
def log(keys: Keys) -> Iterator[Log]:
    clock = StillClock(1_782_864_000)
    with _opened() as database, folder() as anchors:
        store = SqlLedgerStore(database, ORIGIN)
        sequencer, reader = _sequencer(store, keys, clock), LedgerReader(store, keys.identity)
        worker = AnchorWorker(store, reader, keys.identity, clock)
        driver = FileAnchor(anchors, witness=keys.witness, clock=clock)
        for start, stop in POOLS:
            sequencer.append(entries(start, stop))
            clock.advance(1)
            if stop < POOLS[-1][1]:  # the last is not anchored yet
                worker.step(driver)
        indices = [0, 1, 255, 256, 599, 600, 650, 699]
        yield Log(database, keys, [one.to_json() for one in reader.receipts(indices)], indices)


@pytest.mark.soak
def test_any_one_bit_changed_anywhere_is_found(log: Log) -> None:
    """Each change is followed by the whole walk of `fsck`, or by the receipt's whole verification: no shortcut is taken."""
    count = Count("G16", "bits", "found, every time", SEED, sample=2_000, full=100_000)
    assert log.clean()
    for trial in count.trials():
        rng = random.Random(f"{SEED}:{trial}")
        table, key, column = rng.choice(COLUMNS) if trial % 2 else RECEIPT
        if (table, key, column) == RECEIPT:
            _bend_a_receipt(log, rng)
        else:
            _bend_a_row(log, rng, table, key, column)
        count.figures[f"{table}.{column}"] = count.figures.get(f"{table}.{column}", 0) + 1
    assert log.clean()


def _bend_a_receipt(log: Log, rng: random.Random) -> None:
    whole = rng.choice(log.receipts)
    at, bit = rng.randrange(len(whole)), rng.randrange(8)
    bent = whole[:at] + bytes([whole[at] ^ (1 << bit)]) + whole[at + 1 :]
    with pytest.raises(TrustError):
        verify_receipt(Receipt.parse(bent), trust=log.keys.trust)


def _bend_a_row(log: Log, rng: random.Random, table: str, key: tuple[str, ...], column: str) -> None:
    """Flip one bit of one value in place, walk the log, put the row back as it was."""
    with log.database.reading() as statements:
        rows = statements.fetch(f"SELECT {column}, {', '.join(key)} FROM {table}")  # noqa: S608 - names of our own
    value, *place = rng.choice(rows)
    bent, stored = _bent(value, rng), "CAST($1 AS TEXT)" if isinstance(value, str) else "$1"
    moved = [bent if name == column else one for name, one in zip(key, place, strict=True)]
    try:
        _put(log, table, key, column, stored, bent, place)
    except CheckpointConflict:
        return  # the place it would have moved to is taken, and the table itself refuses
    assert not log.clean(), (table, column, place, value, bent)
    back = [name if name != column or not isinstance(value, str) else f"CAST({name} AS BLOB)" for name in key]
    _put(log, table, tuple(back), column, "$1", value, moved)


def _put(
    log: Log, table: str, key: tuple[str, ...], column: str, stored: str, value: object, place: list[object]
) -> None:
    where = " AND ".join(f"{name} = ${number}" for number, name in enumerate(key, 2))
    with log.database.writing() as statements:
        sql = f"UPDATE {table} SET {column} = {stored} WHERE {where}"  # noqa: S608 - names of our own
        assert statements.execute(sql, value, *place) == 1


def _bent(value: object, rng: random.Random) -> object:
    """Return the value with one bit another: of its bytes, or of the 64 of a number."""
    if isinstance(value, int):
        bits = (value ^ (1 << rng.randrange(64))) & ((1 << 64) - 1)
        return bits - (1 << 64) if bits >> 63 else bits
    assert isinstance(value, bytes | str)
    raw = value.encode() if isinstance(value, str) else value
    at = rng.randrange(len(raw))
    return raw[:at] + bytes([raw[at] ^ (1 << rng.randrange(8))]) + raw[at + 1 :]


@pytest.mark.soak
def test_every_proof_of_a_large_log_verifies(keys: Keys, clock: StillClock) -> None:
    """Inclusion of every entry in both trees of the last checkpoint, consistency of every checkpoint with the next one."""
    with _opened() as database:
        store = SqlLedgerStore(database, ORIGIN)
        sequencer = _sequencer(store, keys, clock)
        for start in range(0, ENTRIES, MAX_POOL_ENTRIES):
            sequencer.append(entries(start, min(start + MAX_POOL_ENTRIES, ENTRIES)))
            clock.advance(1)
        reader = LedgerReader(store, keys.identity)
        head = verify_checkpoint(reader.head().note, log=keys.identity)
        assert head.size == ENTRIES
        for start in range(0, ENTRIES, MAX_POOL_ENTRIES):
            indices = range(start, min(start + MAX_POOL_ENTRIES, ENTRIES))
            for receipt in reader.receipts(indices):
                verify_receipt_paths(receipt, head.size, head.root_sm3, head.root_sha256)
        checkpoints = [verify_checkpoint(one.note, log=keys.identity) for one in store.scan_checkpoints()]
        for old, new in pairwise(checkpoints[1:]):
            for alg in HashAlg:
                proof = reader.consistency(alg, old.size, new.size)
                verify_consistency(
                    alg,
                    old_size=old.size,
                    new_size=new.size,
                    old_root=old.root(alg),
                    new_root=new.root(alg),
                    proof=proof,
                )
        assert fsck(store, keys.trust).clean
    report("G16", target="1,000,000 entries: all proofs verify", actual=f"{ENTRIES} entries: all verify", seed="none")


def verify_receipt_paths(receipt: Receipt, size: int, root_sm3: bytes, root_sha256: bytes) -> None:
    """Verify both paths of a receipt against a checkpoint verified once."""
    for alg, path, root in (
        (HashAlg.SM3, receipt.path_sm3, root_sm3),
        (HashAlg.SHA256, receipt.path_sha256, root_sha256),
    ):
        leaf = leaf_hash(alg, receipt.body)
        verify_inclusion(alg, index=receipt.leaf_index, size=size, leaf=leaf, path=path, root=root)
