"""A database that fails as the seed says: at a statement, at the commit, in either direction, with or without the power."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from adapters.sql.ledger_engine import Row, Statements
from adapters.sql.ledger_sqlite import SqliteLedgerDatabase
from ledger.errors import LedgerUnavailable

# A disk writes whole sectors: what was under way when the power went is cut at one.
SECTOR = 512


class ProcessEnded(BaseException):
    """The writer was killed: nothing of it runs any more, and its connections are gone."""


class PowerLost(BaseException):
    """Every writer is gone; `database` and `wal` are what the disk holds."""

    def __init__(self, disk: Disk) -> None:
        super().__init__()
        self.disk = disk


@dataclass(frozen=True, slots=True)
class Disk:
    """The two files of a database as they stand at one moment."""

    database: bytes
    wal: bytes

    @classmethod
    def of(cls, path: Path) -> Disk:
        """Read the files of the database at `path`."""
        wal = _wal(path)
        return cls(path.read_bytes(), wal.read_bytes() if wal.exists() else b"")

    def put(self, path: Path) -> None:
        """Lay the files down at `path`, where nothing is yet."""
        path.write_bytes(self.database)
        if self.wal:
            _wal(path).write_bytes(self.wal)

    def torn(self, after: Disk, rng: random.Random) -> Disk:
        """Return what the disk holds when the power went while this was becoming `after`: a commit only writes the WAL."""
        cut = rng.randrange(0, len(after.wal) + SECTOR, SECTOR)
        return Disk(self.database, after.wal[:cut] + self.wal[cut:])


@dataclass(frozen=True, slots=True)
class Weather:
    """How likely a fault is: at each statement, read, commit, at rows written; and that the other writer gets a turn."""

    statement: float
    read: float
    commit: float
    bit: float
    turn: float


CALM = Weather(0.0, 0.0, 0.0, 0.0, 0.0)


class Fate:
    """What happens to one writer. The world changes `weather`, and gives the other writer's turn in `meanwhile`."""

    def __init__(self, rng: random.Random, weather: Weather, meanwhile: Callable[[], None]) -> None:
        self.rng = rng
        self.weather = weather
        self.mortal = True
        """Whether this writer may end now; one that has its turn inside another's may not."""
        self.bent = False
        """Whether a bit was flipped in what this writer's last transaction wrote."""
        self.counts: dict[str, int] = {}
        self._meanwhile = meanwhile

    def turn(self) -> None:
        """Let the other writer go first, perhaps."""
        if self._drawn(self.weather.turn):
            self._meanwhile()

    def statement(self, path: Path) -> None:
        """Fail at a statement inside a write transaction, perhaps."""
        self.turn()
        if self._drawn(self.weather.statement):
            self._end(self.rng.choice(("refused", "refused", "ended", "power")), path)

    def read(self) -> None:
        """Fail at a read, perhaps."""
        if self._drawn(self.weather.read):
            self._end("refused", None)

    def written(self, rows: list[list[object]]) -> list[list[object]]:
        """Flip one bit of one row, perhaps, as a memory that fails would."""
        if rows and self._drawn(self.weather.bit):
            row = self.rng.choice(rows)
            place = self.rng.choice([at for at, value in enumerate(row) if isinstance(value, bytes)])
            value = row[place]
            assert isinstance(value, bytes)
            at = self.rng.randrange(len(value))
            row[place] = value[:at] + bytes([value[at] ^ (1 << self.rng.randrange(8))]) + value[at + 1 :]
            self.bent = True
            self.happened("bit")
        return rows

    def commit(self) -> str:
        """Return how the commit will go."""
        if not self._drawn(self.weather.commit):
            return "well"
        kinds = ("refused", "persisted", "persisted")
        return self.rng.choice((*kinds, "ended", "ended after", "power", "torn") if self.mortal else kinds)

    def end(self, kind: str, path: Path) -> None:
        """End this transaction in the way that was drawn."""
        self._end(kind, path)

    def _drawn(self, rate: float) -> bool:
        return rate > 0 and self.rng.random() < rate

    def _end(self, kind: str, path: Path | None) -> None:
        if not self.mortal or path is None:
            kind = "refused"
        self.happened(kind)
        if kind == "ended":
            raise ProcessEnded
        if kind == "power" and path is not None:
            raise PowerLost(Disk.of(path))
        raise LedgerUnavailable(rule="simulated")

    def happened(self, kind: str) -> None:
        """Count a fault."""
        self.counts[kind] = self.counts.get(kind, 0) + 1


class FaultyDatabase:
    """The product's SQLite database with a fate (see `adapters.sql.ledger_engine.LedgerDatabase`)."""

    for_update = ""
    remote = False

    def __init__(self, path: Path, fate: Fate) -> None:
        self._path = path
        self._fate = fate
        self._inner = Unwaiting(path)

    @contextmanager
    def writing(self) -> Iterator[Statements]:
        fate = self._fate
        fate.turn()
        fate.bent = False
        with self._inner.writing() as statements:
            yield _FaultyStatements(statements, fate, self._path)
            kind = fate.commit()
            if kind in {"refused", "ended", "power"}:
                fate.end(kind, self._path)
            before = Disk.of(self._path) if kind == "torn" else None
        if before is not None:
            fate.happened("torn")
            raise PowerLost(before.torn(Disk.of(self._path), fate.rng))
        if kind == "ended after":
            fate.happened(kind)
            raise ProcessEnded
        if kind == "persisted":
            fate.happened(kind)
            raise LedgerUnavailable(rule="simulated")

    def at_once(self, sql: str, *args: object) -> int:
        with self.writing() as statements:
            return statements.execute(sql, *args)

    @contextmanager
    def reading(self) -> Iterator[Statements]:
        self._fate.read()
        with self._inner.reading() as statements:
            yield statements

    def scan(self, sql: str, *args: object) -> Iterator[Row]:
        self._fate.read()
        return self._inner.scan(sql, *args)

    def close(self) -> None:
        self._inner.close()


class Unwaiting(SqliteLedgerDatabase):
    """The product's SQLite database, which does not wait for another writer: nobody could let go meanwhile."""

    def _begin(self) -> None:
        self._writer.execute("BEGIN IMMEDIATE")


class _FaultyStatements:
    def __init__(self, statements: Statements, fate: Fate, path: Path) -> None:
        self._statements = statements
        self._fate = fate
        self._path = path

    def execute(self, sql: str, *args: object) -> int:
        self._fate.statement(self._path)
        return self._statements.execute(sql, *args)

    def fetch(self, sql: str, *args: object) -> list[Row]:
        self._fate.statement(self._path)
        return self._statements.fetch(sql, *args)

    def fetch_in(self, sql: str, values: Sequence[object], *args: object) -> list[Row]:
        self._fate.statement(self._path)
        return self._statements.fetch_in(sql, values, *args)

    def execute_many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        self._fate.statement(self._path)
        self._statements.execute_many(sql, self._fate.written([list(row) for row in rows]))

    def bulk_insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        self._fate.statement(self._path)
        self._statements.bulk_insert(table, columns, self._fate.written([list(row) for row in rows]))


def _wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")
