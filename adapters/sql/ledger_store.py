"""`ledger.store.LedgerStore` in SQL, written once for SQLite and PostgreSQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from adapters.sql.ledger_engine import LedgerDatabase, Row, Statements
from ledger.entry import Entry
from ledger.errors import CheckpointConflict, LedgerUnavailable
from ledger.merkle import HashAlg
from ledger.store import AnchorJob, AnchorNumber, LedgerWrite, StoredAnchor, StoredCheckpoint
from ledger.tiles import Tile, TileId

# A receipt looks this many anchored checkpoints ahead for the one that most chains hold.
ANCHORS_CONSIDERED: Final = 64

# Every key is looked up by itself: left alone, SQLite walks the whole log for two keys or more.
POSITIONS: Final = "SELECT idempotency_key, position FROM entry{by_key} WHERE log = $1 AND idempotency_key {in}"

_TREES: Final = {alg.value: alg for alg in HashAlg}
_KNOWN: Final = ", ".join(f"'{alg.value}'" for alg in HashAlg)

_ENTRIES: Final = (
    "SELECT body, idempotency_key FROM entry WHERE log = $1 AND position >= $2 AND position < $3 ORDER BY position"
)


class _Reads:
    """The reads both a transaction and the store offer, over one open view."""

    def __init__(self, statements: Statements, log: int) -> None:
        self._statements = statements
        self._log = log

    def positions(self, keys: Sequence[bytes]) -> Mapping[bytes, int]:
        return {_blob(key): _int(position) for key, position in self._statements.fetch_in(POSITIONS, keys, self._log)}

    def entries(self, start: int, stop: int) -> Sequence[Entry]:
        return [Entry(body, key) for body, key in self._statements.fetch(_ENTRIES, self._log, start, stop)]

    def entry_rows(self, start: int, stop: int) -> Sequence[tuple[object, object]]:
        return self._statements.fetch(_ENTRIES, self._log, start, stop)

    def entries_at(self, indices: Sequence[int]) -> Mapping[int, Entry]:
        sql = "SELECT position, body, idempotency_key FROM entry WHERE log = $1 AND position {in}"
        rows = self._statements.fetch_in(sql, indices, self._log)
        return {position: Entry(body, key) for position, body, key in rows}

    def tiles(self, ids: Sequence[TileId]) -> Mapping[TileId, bytes]:
        rows_of: defaultdict[tuple[HashAlg, int], list[int]] = defaultdict(list)
        for tile_id in ids:
            rows_of[tile_id.alg, tile_id.level].append(tile_id.index)
        sql = "SELECT position, data FROM tile WHERE log = $1 AND tree = $2 AND level = $3 AND position {in}"
        found: dict[TileId, bytes] = {}
        for (alg, level), indices in rows_of.items():
            for index, data in self._statements.fetch_in(sql, indices, self._log, alg.value, level):
                found[TileId(alg, level, index)] = data
        return found


class _Write(_Reads):
    """One open write transaction (see LedgerWrite)."""

    def __init__(self, statements: Statements, log: int, for_update: str) -> None:
        super().__init__(statements, log)
        self._for_update = for_update

    def head(self) -> StoredCheckpoint | None:
        sql = "SELECT size, note, keys_digest FROM log WHERE id = $1{lock}".replace("{lock}", self._for_update)
        return _checkpoint(self._statements.fetch(sql, self._log))

    def insert_entries(self, start: int, entries: Sequence[Entry]) -> None:
        rows = [(self._log, start + offset, entry.body, entry.idempotency_key) for offset, entry in enumerate(entries)]
        self._statements.bulk_insert("entry", ("log", "position", "body", "idempotency_key"), rows)

    def put_tiles(self, tiles: Sequence[Tile]) -> None:
        sql = (
            "INSERT INTO tile (log, tree, level, position, data) VALUES ($1, $2, $3, $4, $5)"
            " ON CONFLICT (log, tree, level, position) DO UPDATE SET data = excluded.data"
            " WHERE length(tile.data) < length(excluded.data)"
        )
        self._statements.execute_many(
            sql, [(self._log, tile.id.alg.value, tile.id.level, tile.id.index, tile.data) for tile in tiles]
        )

    def swap_checkpoint(self, expected: StoredCheckpoint, new: StoredCheckpoint) -> None:
        swap = "UPDATE log SET size = $4, note = $5, keys_digest = $6 WHERE id = $1 AND size = $2 AND note = $3"
        swapped = self._statements.execute(
            swap, self._log, expected.size, expected.note, new.size, new.note, new.keys_digest
        )
        if swapped != 1:
            raise CheckpointConflict(field="head", rule="expected")
        _keep(self._statements, self._log, new)

    def refresh_head(self, expected: StoredCheckpoint, new: StoredCheckpoint) -> None:
        sql = "UPDATE log SET note = $4 WHERE id = $1 AND size = $2 AND note = $3"
        if self._statements.execute(sql, self._log, expected.size, expected.note, new.note) != 1:
            raise CheckpointConflict(field="head", rule="expected")

    def chains_anchored(self, size: int) -> Collection[str]:
        sql = "SELECT DISTINCT chain FROM anchor WHERE log = $1 AND size >= $2"
        return {chain for (chain,) in self._statements.fetch(sql, self._log, size)}

    def queue_anchors(self, size: int, chains: Sequence[str], now: int) -> None:
        sql = (
            "INSERT INTO anchor_outbox (log, chain, size, due_at) VALUES ($1, $2, $3, $4)"
            " ON CONFLICT (log, chain, size) DO NOTHING"
        )
        for chain in chains:
            self._statements.execute(sql, self._log, chain, size, now)


class SqlLedgerStore:
    """The store of one log (see LedgerStore for every contract)."""

    def __init__(self, database: LedgerDatabase, origin: str) -> None:
        self._database = database
        self._origin = origin
        self._log: int | None = None

    @property
    def origin(self) -> str:
        """The log's name."""
        return self._origin

    def create(self, first: StoredCheckpoint) -> None:
        """Make the log unless it exists."""
        insert = (
            "INSERT INTO log (id, origin, size, note, keys_digest)"
            " VALUES ((SELECT coalesce(max(id), 0) + 1 FROM log), $1, $2, $3, $4) ON CONFLICT (origin) DO NOTHING"
        )
        with self._database.writing() as statements:
            if statements.execute(insert, self._origin, first.size, first.note, first.keys_digest) == 1:
                [(log,)] = statements.fetch("SELECT id FROM log WHERE origin = $1", self._origin)
                _keep(statements, log, first)

    @contextmanager
    def writing(self) -> Iterator[LedgerWrite]:
        """Open a write transaction."""
        log = self._number()
        with self._database.writing() as statements:
            yield _Write(statements, log, self._database.for_update)

    def head(self) -> StoredCheckpoint | None:
        """Return the newest checkpoint."""
        with self._database.reading() as statements:
            return _checkpoint(
                statements.fetch("SELECT size, note, keys_digest FROM log WHERE origin = $1", self._origin)
            )

    def positions(self, keys: Sequence[bytes]) -> Mapping[bytes, int]:
        """Return the index of each known key."""
        with self._reads() as reads:
            return reads.positions(keys)

    def entries(self, start: int, stop: int) -> Sequence[Entry]:
        """Return a run of entries."""
        with self._reads() as reads:
            return reads.entries(start, stop)

    def entry_rows(self, start: int, stop: int) -> Sequence[tuple[object, object]]:
        """Return a run of entries as the rows hold them."""
        with self._reads() as reads:
            return reads.entry_rows(start, stop)

    def entries_at(self, indices: Sequence[int]) -> Mapping[int, Entry]:
        """Return single entries."""
        with self._reads() as reads:
            return reads.entries_at(indices)

    def tiles(self, ids: Sequence[TileId]) -> Mapping[TileId, bytes]:
        """Return tiles."""
        with self._reads() as reads:
            return reads.tiles(ids)

    def checkpoint(self, size: int) -> StoredCheckpoint | None:
        """Return the checkpoint of a size."""
        return _checkpoint(
            self._fetch("SELECT size, note, keys_digest FROM checkpoint WHERE log = $1 AND size = $2", size)
        )

    def checkpoints(self, limit: int, below: int | None) -> Sequence[StoredCheckpoint]:
        """Return the newest checkpoints."""
        sql = "SELECT size, note, keys_digest FROM checkpoint WHERE log = $1 AND size < $2 ORDER BY size DESC LIMIT $3"
        return [_stored(row) for row in self._fetch(sql, _or_all(below), limit)]

    def anchors(self, limit: int, below: int | None) -> Sequence[StoredAnchor]:
        """Return the newest anchors."""
        sql = (
            "SELECT size, chain, statement FROM anchor WHERE log = $1 AND size < $2 ORDER BY size DESC, chain LIMIT $3"
        )
        return [_anchor(row) for row in self._fetch(sql, _or_all(below), limit)]

    def anchors_at(self, size: int) -> Sequence[StoredAnchor]:
        """Return the anchors of one checkpoint."""
        sql = "SELECT size, chain, statement FROM anchor WHERE log = $1 AND size = $2 ORDER BY chain"
        return [_anchor(row) for row in self._fetch(sql, size)]

    def anchored_size(self, index: int) -> int | None:
        """Return the size under which an entry's receipt is best anchored."""
        sql = (
            "SELECT size FROM (SELECT size, count(*) AS chains FROM anchor WHERE log = $1 AND size > $2"
            " GROUP BY size ORDER BY size LIMIT $3) AS ahead ORDER BY chains DESC, size LIMIT 1"
        )
        rows = self._fetch(sql, index, ANCHORS_CONSIDERED)
        return rows[0][0] if rows else None

    def take_anchor_job(self, chain: str, now: int, lease_s: int) -> AnchorJob | None:
        """Lease the newest due checkpoint of a chain."""
        sql = (
            "UPDATE anchor_outbox SET leased_until = $4 WHERE log = $1 AND chain = $2"
            " AND size = (SELECT max(size) FROM anchor_outbox WHERE log = $1 AND chain = $2)"
            " AND due_at <= $3 AND leased_until <= $3"
            " AND NOT EXISTS (SELECT 1 FROM anchor_outbox WHERE log = $1 AND chain = $2 AND leased_until > $3)"
            " RETURNING chain, size, attempts"
        )
        log = self._number()
        with self._database.writing() as statements:
            rows = statements.fetch(sql, log, chain, now, now + lease_s)
        return AnchorJob(*rows[0]) if rows else None

    def settle_anchor(self, anchor: StoredAnchor) -> None:
        """Keep evidence and clear the outbox up to it."""
        begin = "INSERT INTO anchor_count (log, chain, anchors) VALUES ($1, $2, 0) ON CONFLICT (log, chain) DO NOTHING"
        count = f"SELECT anchors FROM anchor_count WHERE log = $1 AND chain = $2{self._database.for_update}"  # noqa: S608 - words of our own
        keep = (
            "INSERT INTO anchor (log, size, chain, statement, number) VALUES ($1, $2, $3, $4, $5)"
            " ON CONFLICT (log, size, chain) DO NOTHING"
        )
        counted = "UPDATE anchor_count SET anchors = $3 WHERE log = $1 AND chain = $2"
        clear = "DELETE FROM anchor_outbox WHERE log = $1 AND chain = $2 AND size <= $3"
        log = self._number()
        with self._database.writing() as statements:
            statements.execute(begin, log, anchor.chain)
            number = statements.fetch(count, log, anchor.chain)[0][0] + 1
            if statements.execute(keep, log, anchor.size, anchor.chain, anchor.statement, number) == 1:
                statements.execute(counted, log, anchor.chain, number)
            statements.execute(clear, log, anchor.chain, anchor.size)

    def postpone_anchor(self, job: AnchorJob, code: str, next_at: int) -> None:
        """Give a lease back after a failure."""
        sql = (
            "UPDATE anchor_outbox SET attempts = attempts + 1, due_at = $4, leased_until = 0, last_error = $5"
            " WHERE log = $1 AND chain = $2 AND size = $3"
        )
        log = self._number()
        with self._database.writing() as statements:
            statements.execute(sql, log, job.chain, job.size, next_at, code)

    def return_anchor(self, job: AnchorJob, next_at: int) -> None:
        """Give a lease back without a failure."""
        sql = (
            "UPDATE anchor_outbox SET due_at = $4, leased_until = 0, last_error = ''"
            " WHERE log = $1 AND chain = $2 AND size = $3"
        )
        log = self._number()
        with self._database.writing() as statements:
            statements.execute(sql, log, job.chain, job.size, next_at)

    def pending_anchors(self) -> Sequence[AnchorJob]:
        """Return every waiting job."""
        sql = "SELECT chain, size, attempts FROM anchor_outbox WHERE log = $1 ORDER BY chain, size"
        return [AnchorJob(_text(chain), _int(size), _int(attempts)) for chain, size, attempts in self._fetch(sql)]

    def scan_tiles(self) -> Iterator[Tile]:
        """Walk every tile."""
        sql = (
            f"SELECT tree, level, position, data FROM tile WHERE log = $1 AND tree IN ({_KNOWN})"  # noqa: S608 - names of our own
            " ORDER BY tree, level, position"
        )
        for tree, level, position, data in self._database.scan(sql, self._number()):
            yield Tile(TileId(_TREES[tree], _int(level), _int(position)), _blob(data))

    def scan_stray_tiles(self) -> Iterator[tuple[str, int, int]]:
        """Walk the tiles of no tree."""
        sql = f"SELECT tree, level, position FROM tile WHERE log = $1 AND tree NOT IN ({_KNOWN})"  # noqa: S608 - names of our own
        rows = self._database.scan(sql, self._number())
        return ((_text(tree), _int(level), _int(position)) for tree, level, position in rows)

    def scan_checkpoints(self) -> Iterator[StoredCheckpoint]:
        """Walk every checkpoint."""
        sql = "SELECT size, note, keys_digest FROM checkpoint WHERE log = $1 ORDER BY size"
        rows = self._database.scan(sql, self._number())
        return map(_stored, rows)

    def scan_anchors(self) -> Iterator[StoredAnchor]:
        """Walk every anchor."""
        sql = "SELECT size, chain, statement FROM anchor WHERE log = $1 ORDER BY size, chain"
        rows = self._database.scan(sql, self._number())
        return map(_anchor, rows)

    def scan_anchor_numbers(self) -> Iterator[AnchorNumber]:
        """Walk the anchors' numbers."""
        sql = "SELECT chain, number, size FROM anchor WHERE log = $1 ORDER BY chain, number"
        rows = self._database.scan(sql, self._number())
        return (AnchorNumber(_text(chain), _int(number), _int(size)) for chain, number, size in rows)

    def anchor_counts(self) -> Mapping[str, int]:
        """Return the number of anchors of each chain."""
        rows = self._fetch("SELECT chain, anchors FROM anchor_count WHERE log = $1")
        return {_text(chain): _int(anchors) for chain, anchors in rows}

    def entry_count(self) -> int:
        """Count the entries."""
        count: int = self._fetch("SELECT count(*) FROM entry WHERE log = $1")[0][0]
        return count

    def _number(self) -> int:
        """Return the log's number; LedgerUnavailable before it was created."""
        if self._log is None:
            with self._database.reading() as statements:
                rows = statements.fetch("SELECT id FROM log WHERE origin = $1", self._origin)
            if not rows:
                raise LedgerUnavailable(field="log", rule="created")
            self._log = rows[0][0]
        return self._log

    @contextmanager
    def _reads(self) -> Iterator[_Reads]:
        log = self._number()
        with self._database.reading() as statements:
            yield _Reads(statements, log)

    def _fetch(self, sql: str, *args: object) -> list[Row]:
        log = self._number()
        with self._database.reading() as statements:
            return statements.fetch(sql, log, *args)


def _checkpoint(rows: Sequence[Row]) -> StoredCheckpoint | None:
    return _stored(rows[0]) if rows else None


def _stored(row: Row) -> StoredCheckpoint:
    size, note, digest = row
    return StoredCheckpoint(_int(size), _blob(note), _blob(digest))


def _anchor(row: Row) -> StoredAnchor:
    size, chain, statement = row
    return StoredAnchor(_int(size), _text(chain), _text(statement))


# SQLite gives back what a row says it holds, also where a damaged one says something else than its column. Such a value
# becomes one of the right type that equals nothing that was ever written: so it is found out where it is looked at.


def _int(value: object) -> int:
    return value if isinstance(value, int) else -1


def _text(value: object) -> str:
    return value if isinstance(value, str) else repr(value)


def _blob(value: object) -> bytes:
    return value if isinstance(value, bytes) else repr(value).encode()


def _keep(statements: Statements, log: int, checkpoint: StoredCheckpoint) -> None:
    """Add a checkpoint to the history."""
    sql = "INSERT INTO checkpoint (log, size, note, keys_digest) VALUES ($1, $2, $3, $4)"
    statements.execute(sql, log, checkpoint.size, checkpoint.note, checkpoint.keys_digest)


def _or_all(below: int | None) -> int:
    return (1 << 63) - 1 if below is None else below
