"""The ledger's database on SQLite: its own file, WAL, every commit flushed to the disk before it returns."""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from adapters.sql.ledger_engine import Row, Statements
from ledger.errors import CheckpointConflict, LedgerUnavailable

# Another process may hold the write lock for one pool (about 0.1 s) or, rarely, a checkpoint of the WAL.
BUSY_TIMEOUT_S: Final = 30.0
# SQLite's own waiting grows to 100 ms a try, while a pool of audit events is written in one: others' turns would be missed.
BUSY_PAUSE_S: Final = 0.001
# SQLite binds at most 32,766 values (SQLITE_MAX_VARIABLE_NUMBER since 3.32); a quarter keeps statements short.
MAX_BOUND: Final = 8000
_SCAN_ROWS: Final = 256
# The WAL is written back to the database once it holds so many pages (16 MiB; SQLite's own 1,000 are full after every
# second pool of 4,096). A page of the index that several pools have changed is then written back once, not for each.
WAL_PAGES: Final = 4096
# Past that it grows by one pool, or while a reader holds on to an old state; it is cut back to this when it begins anew.
MAX_WAL_BYTES: Final = 64 << 20

# The index that `UNIQUE (log, idempotency_key)` made; without statistics SQLite takes any log for one of ten rows.
_BY_KEY: Final = " INDEXED BY sqlite_autoindex_entry_2"

_PLACEHOLDER: Final = re.compile(r"\$(\d+)")


class _SqliteStatements:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, *args: object) -> int:
        return self._connection.execute(_rewritten(sql), args).rowcount

    def fetch(self, sql: str, *args: object) -> list[Row]:
        return self._connection.execute(_rewritten(sql), args).fetchall()

    def fetch_in(self, sql: str, values: Sequence[object], *args: object) -> list[Row]:
        rows: list[Row] = []
        for at in range(0, len(values), MAX_BOUND):
            part = values[at : at + MAX_BOUND]
            marks = ", ".join(f"?{len(args) + 1 + number}" for number in range(len(part)))
            statement = _rewritten(sql).replace("{in}", f"IN ({marks})").replace("{by_key}", _BY_KEY)
            rows += self._connection.execute(statement, (*args, *part)).fetchall()
        return rows

    def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        self._connection.executemany(_rewritten(sql), rows)

    def bulk_insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        marks = ", ".join("?" for _ in columns)
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - names of our own
        self._connection.executemany(statement, rows)


class SqliteLedgerDatabase:
    """One file with one connection that writes and one that reads; SQLite lets them run beside each other."""

    for_update = ""  # BEGIN IMMEDIATE has locked the whole file
    remote = False

    def __init__(self, path: Path) -> None:
        """Open the file, whose tables the migrations have made. Raises LedgerUnavailable."""
        with _translated():
            self._writer = _connect(path)
            self._writer.execute("PRAGMA busy_timeout = 0")
            self._reader = _connect(path)
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()

    @contextmanager
    def writing(self) -> Iterator[Statements]:
        """Open a write transaction (see LedgerDatabase)."""
        with self._write_lock, _translated():
            self._begin()
            try:
                yield _SqliteStatements(self._writer)
                self._writer.execute("COMMIT")
            finally:
                # Also where COMMIT failed: SQLite may have left the transaction open.
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")

    def at_once(self, sql: str, *args: object) -> int:
        """Run one statement (see LedgerDatabase)."""
        with self.writing() as statements:
            return statements.execute(sql, *args)

    def _begin(self) -> None:
        """Wait for other processes that write, at most `BUSY_TIMEOUT_S`."""
        deadline = time.monotonic() + BUSY_TIMEOUT_S
        while True:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                    raise
            else:
                return
            time.sleep(BUSY_PAUSE_S)

    @contextmanager
    def reading(self) -> Iterator[Statements]:
        """Open one consistent view (see LedgerDatabase)."""
        with self._read_lock, _translated():
            self._reader.execute("BEGIN")
            try:
                yield _SqliteStatements(self._reader)
            finally:
                if self._reader.in_transaction:
                    self._reader.execute("ROLLBACK")

    def scan(self, sql: str, *args: object) -> Iterator[Row]:
        """Walk a large result (see LedgerDatabase). The reading connection stays free for others in between."""
        with self._read_lock, _translated():
            cursor = self._reader.execute(_rewritten(sql), args)
        while True:
            with self._read_lock, _translated():
                rows = cursor.fetchmany(_SCAN_ROWS)
            if not rows:
                return
            yield from rows

    def damage(self) -> list[str]:
        """Return what SQLite's own check says of the file's pages and indexes, one line each; nothing where all is well."""
        with self.reading() as statements:
            told = [str(line) for (line,) in statements.fetch("PRAGMA integrity_check(100)")]
        return [] if told == ["ok"] else told

    def close(self) -> None:
        """Close both connections."""
        with self._write_lock, self._read_lock:
            self._writer.close()
            self._reader.close()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
    connection.text_factory = _text
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {MAX_WAL_BYTES}")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _text(raw: bytes) -> str:
    """Return text as it is; bytes that are none, which only a damaged row holds, in a form that equals no text of ours."""
    return raw.decode("utf-8", errors="backslashreplace")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise CheckpointConflict(field="row", rule="unique") from error
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", None)
        raise LedgerUnavailable(rule=name if isinstance(name, str) else "sqlite") from error
    except UnicodeDecodeError as error:  # Python's own reading of what SQLite says of a damaged schema
        raise LedgerUnavailable(rule="SQLITE_CORRUPT") from error


@lru_cache(maxsize=256)
def _rewritten(sql: str) -> str:
    return _PLACEHOLDER.sub(r"?\1", sql)
