"""One writer, pools, idempotency, verify before sign, and every crash point, on SQLite and PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from adapters.sql.ledger_engine import LedgerDatabase, Statements
from adapters.sql.ledger_store import POSITIONS, SqlLedgerStore
from ledger.checkpoint import Checkpoint, verify_checkpoint
from ledger.entry import Entry, Sequenced
from ledger.errors import (
    CheckpointConflict,
    ClockWentBack,
    EntryRefused,
    IdempotencyConflict,
    IntegrityBroken,
    LedgerUnavailable,
)
from ledger.fsck import fsck
from ledger.merkle import HashAlg
from ledger.pool import MAX_WAITING, GroupCommit
from ledger.sequencer import MAX_POOL_ENTRIES, Sequencer
from ledger.store import StoredCheckpoint
from ledger.tiles import Tile
from tests.ledger.conftest import NewSequencer, OpenLedger
from tests.ledger.parts import ORIGIN, Keys, entries, entry, naive_root
from tests.ledger.published import anchor
from tests.services.clock import StillClock


def _clean(store: SqlLedgerStore, keys: Keys) -> int:
    report = fsck(store, keys.trust)
    assert report.findings == ()
    return report.size


def _head(store: SqlLedgerStore, keys: Keys) -> Checkpoint:
    stored = store.head()
    assert stored is not None
    return verify_checkpoint(stored.note, log=keys.identity)


def test_a_new_log_begins_with_a_signed_checkpoint_of_the_empty_tree(
    store: SqlLedgerStore, new_sequencer: NewSequencer, keys: Keys
) -> None:
    checkpoint = new_sequencer(store).open()
    assert (checkpoint.size, checkpoint.origin) == (0, ORIGIN)
    assert _head(store, keys) == checkpoint
    assert _clean(store, keys) == 0


def test_both_roots_of_each_checkpoint_are_those_of_the_entries_so_far(
    store: SqlLedgerStore, new_sequencer: NewSequencer, keys: Keys
) -> None:
    sequencer = new_sequencer(store)
    sequencer.open()
    written = 0
    for size in (1, 2, 3, 7, 8, 255, 256, 257, 600):
        places = sequencer.append(entries(written, size))
        assert places == [Sequenced(index, duplicate=False) for index in range(written, size)]
        written = size
        head = _head(store, keys)
        bodies = [one.body for one in entries(0, size)]
        assert head.root_sm3 == naive_root(HashAlg.SM3, bodies)
        assert head.root_sha256 == naive_root(HashAlg.SHA256, bodies)
    assert _clean(store, keys) == 600


def test_a_key_used_before_gives_its_first_place_for_ever_and_writes_nothing(
    store: SqlLedgerStore, new_sequencer: NewSequencer, keys: Keys
) -> None:
    sequencer = new_sequencer(store)
    sequencer.open()
    sequencer.append(entries(0, 3))
    before = store.head()
    assert sequencer.append([entry(1), entry(1)]) == [Sequenced(1, duplicate=True)] * 2
    assert store.head() == before
    again = new_sequencer(store)
    again.open()
    assert again.append([entry(2), entry(3), entry(3)]) == [
        Sequenced(2, duplicate=True),
        Sequenced(3, duplicate=False),
        Sequenced(3, duplicate=True),
    ]
    assert _clean(store, keys) == 4


def test_a_key_bound_to_other_bytes_is_refused_and_only_its_own_request_suffers(
    store: SqlLedgerStore, new_sequencer: NewSequencer, keys: Keys
) -> None:
    sequencer = new_sequencer(store)
    sequencer.open()
    sequencer.append([entry(0)])
    changed = replace(entry(0), body=b"other")
    twice = [replace(entry(7), body=b"a"), replace(entry(7), body=b"b")]
    good, bad, within, last = sequencer.commit([[entry(1)], [entry(2), changed], twice, [entry(3), entry(1)]])
    assert good == [Sequenced(1, duplicate=False)]
    assert isinstance(bad, IdempotencyConflict)
    assert isinstance(within, IdempotencyConflict)
    assert last == [Sequenced(2, duplicate=False), Sequenced(1, duplicate=True)]
    assert store.positions([entry(2).idempotency_key, entry(7).idempotency_key]) == {}
    assert _clean(store, keys) == 3
    with pytest.raises(IdempotencyConflict):
        sequencer.append([changed])


@pytest.mark.parametrize(("body", "key"), [(b"", bytes(32)), (bytes(65_536), bytes(32)), (b"x", bytes(31))])
def test_an_entry_outside_its_bounds_is_refused(body: bytes, key: bytes) -> None:
    with pytest.raises(EntryRefused):
        Entry(body, key)


def test_a_clock_that_went_back_signs_nothing_and_duplicates_are_still_answered(
    store: SqlLedgerStore, new_sequencer: NewSequencer, keys: Keys, clock: StillClock
) -> None:
    sequencer = new_sequencer(store)
    sequencer.open()
    clock.advance(100)
    sequencer.append([entry(0)])
    clock.advance(-1)
    with pytest.raises(ClockWentBack):
        sequencer.append([entry(1)])
    assert sequencer.append([entry(0)]) == [Sequenced(0, duplicate=True)]
    clock.advance(1)
    assert sequencer.append([entry(1)]) == [Sequenced(1, duplicate=False)]
    assert _clean(store, keys) == 2


class _Faulty:
    """A database that fails at a named point of a transaction, having written (`persisted`) or not."""

    def __init__(self, database: LedgerDatabase, *, at: int, persisted: bool) -> None:
        self._database = database
        self._left = at
        self._persisted = persisted
        self.for_update = database.for_update

    def _count(self) -> None:
        self._left -= 1
        if self._left == 0:
            raise LedgerUnavailable(rule="planted")

    @contextmanager
    def writing(self) -> Iterator[Statements]:
        with self._database.writing() as statements:
            yield _FaultyStatements(statements, self)
            if not self._persisted:
                self._count()
        if self._persisted:
            self._count()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


class _FaultyStatements:
    def __init__(self, statements: Statements, faulty: _Faulty) -> None:
        self._statements = statements
        self._faulty = faulty

    def __getattr__(self, name: str) -> Any:
        def call(*args: object) -> Any:
            if not self._faulty._persisted:
                self._faulty._count()
            return getattr(self._statements, name)(*args)

        return call


@pytest.mark.parametrize("persisted", [False, True], ids=["not persisted", "but persisted"])
def test_after_a_failure_at_any_point_the_log_is_whole_and_asking_again_loses_and_doubles_nothing(
    open_ledger: OpenLedger, new_sequencer: NewSequencer, keys: Keys, *, persisted: bool
) -> None:
    database = open_ledger()
    healthy = SqlLedgerStore(database, ORIGIN)
    new_sequencer(healthy).open()
    size = 0
    for point in range(1, 22 if not persisted else 3):
        faulty = SqlLedgerStore(_Faulty(database, at=point, persisted=persisted), ORIGIN)
        pool = entries(size, size + 5)
        outcome = new_sequencer(faulty).append(pool)  # fails once inside, finds out, and tries again
        assert [place.index for place in outcome] == list(range(size, size + 5))
        size += 5
        assert new_sequencer(healthy).open().size == size  # a restart
        assert [place.index for place in new_sequencer(healthy).append(pool)] == list(range(size - 5, size))
        assert _clean(healthy, keys) == size


def test_a_store_that_stays_away_is_reported_and_the_log_goes_on_when_it_is_back(
    open_ledger: OpenLedger, new_sequencer: NewSequencer, keys: Keys
) -> None:
    database = open_ledger()
    healthy = SqlLedgerStore(database, ORIGIN)
    new_sequencer(healthy).open()

    class Away(_Faulty):
        def _count(self) -> None:
            raise LedgerUnavailable(rule="planted")

    sequencer = new_sequencer(SqlLedgerStore(Away(database, at=1, persisted=False), ORIGIN))
    with pytest.raises(LedgerUnavailable):
        sequencer.append([entry(0)])
    assert _clean(healthy, keys) == 0
    assert new_sequencer(healthy).append([entry(0)]) == [Sequenced(0, duplicate=False)]


class _Flipping(_Faulty):
    """A database that flips one bit of what is written to a table, as a failing memory would."""

    def __init__(self, database: LedgerDatabase, table: str) -> None:
        super().__init__(database, at=-1, persisted=True)
        self.table = table

    @contextmanager
    def writing(self) -> Iterator[Statements]:
        with self._database.writing() as statements:
            yield _FlippingStatements(statements, self.table)


class _FlippingStatements:
    def __init__(self, statements: Statements, table: str) -> None:
        self._statements = statements
        self._table = table

    def bulk_insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        if table == "entry" and self._table in {"body", "key"}:
            log, position, body, key = rows[-1]
            if self._table == "body":
                body = bytes([body[0] ^ 1]) + body[1:]
            else:
                key = bytes([key[0] ^ 1]) + key[1:]
            rows = [*rows[:-1], (log, position, body, key)]
        self._statements.bulk_insert(table, columns, rows)

    def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        rows = list(rows)
        if f"INTO {self._table} " in sql:
            *place, data = rows[-1]
            rows = [*rows[:-1], (*place, data[:-1] + bytes([data[-1] ^ 0x80]))]
        self._statements.execute_many(sql, rows)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._statements, name)


@pytest.mark.parametrize("table", ["body", "key", "tile"])
def test_what_is_read_back_different_from_what_was_written_is_never_signed(
    open_ledger: OpenLedger, new_sequencer: NewSequencer, keys: Keys, table: str
) -> None:
    database = open_ledger()
    healthy = SqlLedgerStore(database, ORIGIN)
    new_sequencer(healthy).open()
    with pytest.raises(IntegrityBroken):
        new_sequencer(SqlLedgerStore(_Flipping(database, table), ORIGIN)).append([entry(0)])
    assert _clean(healthy, keys) == 0


def test_a_right_edge_that_no_longer_gives_the_signed_root_stops_the_log(
    open_ledger: OpenLedger, new_sequencer: NewSequencer
) -> None:
    database = open_ledger()
    store = SqlLedgerStore(database, ORIGIN)
    sequencer = new_sequencer(store)
    sequencer.open()
    sequencer.append(entries(0, 5))
    with database.writing() as statements:
        [(data,)] = statements.fetch("SELECT data FROM tile WHERE tree = 'sm3' AND level = 0")
        statements.execute("UPDATE tile SET data = $1 WHERE tree = 'sm3'", bytes([data[0] ^ 1]) + data[1:])
    for broken in (sequencer, new_sequencer(store)):
        with pytest.raises(IntegrityBroken):
            broken.append([entry(5)])
    with pytest.raises(IntegrityBroken):
        new_sequencer(store).open()


def test_of_two_writers_that_expect_the_same_head_exactly_one_wins(
    open_ledger: OpenLedger, new_sequencer: NewSequencer, keys: Keys
) -> None:
    first, second = SqlLedgerStore(open_ledger(), ORIGIN), SqlLedgerStore(open_ledger(), ORIGIN)
    new_sequencer(first).open()
    head = first.head()
    assert head is not None
    outcomes: list[str] = []
    barrier = threading.Barrier(2)

    def swap(store: SqlLedgerStore, number: int) -> None:
        barrier.wait()
        try:
            with store.writing() as write:
                write.swap_checkpoint(head, StoredCheckpoint(number, b"note %d" % number, bytes(32)))
            outcomes.append("won")
        except CheckpointConflict:
            outcomes.append("lost")

    threads = [threading.Thread(target=swap, args=(store, 1 + n)) for n, store in enumerate((first, second))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["lost", "won"]


def test_several_processes_that_append_at_once_lose_nothing_and_double_nothing(
    open_ledger: OpenLedger, new_sequencer: NewSequencer, keys: Keys
) -> None:
    stores = [SqlLedgerStore(open_ledger(), ORIGIN) for _ in range(3)]
    new_sequencer(stores[0]).open()
    places: dict[int, list[int]] = {}

    def write(number: int, sequencer: Sequencer) -> None:
        mine = entries(number * 30, number * 30 + 40)  # ten of them are the next writer's too
        for at in range(0, 40, 4):
            for one, place in zip(mine[at : at + 4], sequencer.append(mine[at : at + 4]), strict=True):
                places.setdefault(int.from_bytes(one.idempotency_key), []).append(place.index)

    threads = [threading.Thread(target=write, args=(n, new_sequencer(store))) for n, store in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(places) == 100
    assert all(len(set(found)) == 1 for found in places.values())
    assert sorted(found[0] for found in places.values()) == list(range(100))
    assert _clean(stores[0], keys) == 100


def test_many_callers_share_pools_and_each_hears_of_its_own_entries(
    store: SqlLedgerStore, new_sequencer: NewSequencer, keys: Keys
) -> None:
    sequencer = new_sequencer(store)
    sequencer.open()
    pool: GroupCommit[Entry, list[Sequenced]] = GroupCommit(sequencer.commit, most=MAX_POOL_ENTRIES, name="test")
    answers = [pool.submit([[entry(number)]]) for number in range(400)]
    conflicting = pool.submit([[replace(entry(3), body=b"other")]])
    pool.start()
    assert [answer.result(30) for answer in answers] == [[[Sequenced(at, duplicate=False)]] for at in range(400)]
    [refused] = conflicting.result(30)
    assert isinstance(refused, IdempotencyConflict)
    pool.close()
    with pytest.raises(LedgerUnavailable):
        pool.submit([[entry(500)]])
    assert len(store.checkpoints(10, None)) == 2  # the empty tree's, and one for all four hundred
    assert _clean(store, keys) == 400


def test_a_caller_that_gives_up_undoes_nothing_and_does_not_stop_the_pool() -> None:
    committed: list[str] = []

    def commit(requests: Sequence[Sequence[str]]) -> list[int]:
        committed.extend(item for request in requests for item in request)
        return [len(request) for request in requests]

    pool: GroupCommit[str, int] = GroupCommit(commit, most=2, name="test")
    given_up, waiting, third = pool.submit([["a"]]), pool.submit([["b"]]), pool.submit([["c", "d"]])
    assert not given_up.cancel()
    pool.start()
    assert (waiting.result(10), third.result(10)) == ([1], [2])
    pool.close()
    assert committed == ["a", "b", "c", "d"]


def test_a_pool_that_fails_tells_every_caller_and_the_next_one_is_served() -> None:
    broken = [True]

    def commit(requests: Sequence[Sequence[str]]) -> list[int]:
        if broken:
            broken.pop()
            raise IntegrityBroken(rule="planted")
        return [1 for _ in requests]

    pool: GroupCommit[str, int] = GroupCommit(commit, most=2, name="test")
    first, second, third = (pool.submit([[name]]) for name in "abc")
    pool.start()
    for answer in (first, second):
        [failure] = answer.result(10)
        assert isinstance(failure, IntegrityBroken)
    assert third.result(10) == [1]
    with pytest.raises(LedgerUnavailable):
        pool.submit([["a", "b", "c"]])
    with pytest.raises(LedgerUnavailable):
        pool.submit([[]])
    pool.close()


def test_a_backlog_beyond_its_bound_is_refused_at_once() -> None:
    pool: GroupCommit[int, int] = GroupCommit(lambda requests: [0 for _ in requests], most=4096, name="test")
    for _ in range(MAX_WAITING // 4096):
        pool.submit([range(4096)])
    with pytest.raises(LedgerUnavailable):
        pool.submit([[0]])
    pool.start()
    pool.close()


def test_a_tile_is_never_narrowed_and_a_full_one_never_replaced(
    store: SqlLedgerStore, new_sequencer: NewSequencer
) -> None:
    sequencer = new_sequencer(store)
    sequencer.open()
    sequencer.append(entries(0, 300))
    held = {tile.id: tile.data for tile in store.scan_tiles()}
    with store.writing() as write:
        write.put_tiles([Tile(tile_id, b"\xff" * min(len(data), 32 * 256)) for tile_id, data in held.items()])
        write.put_tiles([Tile(tile_id, data[:32]) for tile_id, data in held.items()])
    assert {tile.id: tile.data for tile in store.scan_tiles()} == held


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_keys_are_looked_up_one_by_one_however_long_the_log_is(open_ledger: OpenLedger) -> None:
    """Without statistics SQLite would rather walk the whole log than look up two keys; PostgreSQL keeps statistics."""
    with open_ledger().reading() as statements:
        plan = str(statements.fetch_in(f"EXPLAIN QUERY PLAN {POSITIONS}", [bytes(32), bytes([1]) * 32], 1))
    assert "log=? AND idempotency_key=?" in plan


def test_a_log_that_did_not_grow_is_signed_again_after_a_while(
    store: SqlLedgerStore, new_sequencer: NewSequencer, keys: Keys, clock: StillClock
) -> None:
    sequencer = new_sequencer(store)
    for size in (0, 5):
        sequencer.open()
        if size:
            sequencer.append(entries(0, size))
        first, stored = _head(store, keys), store.head()
        clock.advance(3599)
        assert not sequencer.refresh(3600)
        assert store.head() == stored
        clock.advance(1)
        assert sequencer.refresh(3600)
        assert _head(store, keys) == replace(first, time=clock())
        assert store.checkpoint(size) == stored, "the history keeps the first note"
        assert not sequencer.refresh(3600)
        assert _clean(store, keys) == size
    assert [job.size for job in store.pending_anchors()] == [5], "the same trees need no second anchor"
    # The log goes on from the later time, in this process and in a new one, and not before it.
    sequencer.append(entries(5, 6))
    new_sequencer(store).append(entries(6, 7))
    clock.advance(-1)
    with pytest.raises(ClockWentBack):
        sequencer.append(entries(7, 8))
    assert not sequencer.refresh(3600)
    assert _clean(store, keys) == 7


def test_of_two_processes_that_would_sign_again_one_does(
    open_ledger: OpenLedger, new_sequencer: NewSequencer, keys: Keys, clock: StillClock
) -> None:
    stores = [SqlLedgerStore(open_ledger(), ORIGIN) for _ in range(2)]
    sequencers = [new_sequencer(one) for one in stores]
    for one in sequencers:
        one.open()
    sequencers[0].append(entries(0, 3))
    for _ in range(5):
        clock.advance(3600)
        with ThreadPoolExecutor(2) as both:
            assert sorted(both.map(lambda one: one.refresh(3600), sequencers)) == [False, True]
    assert _clean(stores[0], keys) == 3


def test_only_the_note_that_was_read_is_replaced_by_a_later_one(
    store: SqlLedgerStore, new_sequencer: NewSequencer, keys: Keys, clock: StillClock
) -> None:
    sequencer = new_sequencer(store)
    sequencer.open()
    head = store.head()
    assert head is not None
    clock.advance(3600)
    assert sequencer.refresh(1)
    with pytest.raises(CheckpointConflict), store.writing() as write:
        write.refresh_head(head, replace(head, note=b"x"))
    assert _clean(store, keys) == 0


def test_a_store_that_does_not_give_its_signed_roots_is_not_signed_again(
    open_ledger: OpenLedger, new_sequencer: NewSequencer, clock: StillClock
) -> None:
    database = open_ledger()
    store = SqlLedgerStore(database, ORIGIN)
    sequencer = new_sequencer(store)
    sequencer.open()
    sequencer.append(entries(0, 3))
    stored = store.head()
    with database.writing() as statements:
        statements.execute("DELETE FROM tile WHERE tree = 'sm3'")
    clock.advance(3600)
    with pytest.raises(IntegrityBroken):
        sequencer.refresh(3600)
    assert store.head() == stored


def test_a_checkpoint_that_waits_on_no_chain_is_queued_when_the_log_is_opened(
    store: SqlLedgerStore, keys: Keys, clock: StillClock
) -> None:
    """A log brought back from files, or a chain that is new: what is anchored already is not anchored again."""

    def on(*chains: str) -> Sequencer:
        return Sequencer(
            store,
            identity=keys.identity,
            sm2_key=keys.sm2,
            ed25519_key=keys.ed25519,
            clock=clock,
            anchor_chains=chains,
        )

    on().open()
    assert store.pending_anchors() == [], "an empty log is not anchored"
    on().append(entries(0, 4))
    for size, chain in ((4, "file"),):
        anchor(store, keys, clock, size, chain)
    for _ in range(2):
        on("file", "evm:5").open()
        assert [(job.chain, job.size) for job in store.pending_anchors()] == [("evm:5", 4)]
    on("file", "evm:5").append(entries(4, 6))
    on("file", "evm:5").open()
    waiting = [(job.chain, job.size) for job in store.pending_anchors()]
    assert waiting == [("evm:5", 4), ("evm:5", 6), ("file", 6)]
