"""`Database` on one SQLite file, by the raw driver and inline."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from adapters.sql.database import (
    ConstraintViolation,
    Mortal,
    Row,
    StoreUnavailable,
    Transaction,
    UniqueViolation,
    check_text,
)

# A request waits this long for another writer of the same SQLite file (a command line beside the service), then 503.
SQLITE_BUSY_TIMEOUT_S = 2.0
# Primary result codes of SQLite that say the database, not the statement, is at fault.
_SQLITE_UNAVAILABLE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOTADB,
    }
)
_SQLITE_UNIQUE = frozenset(
    {sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID}
)
# A quoted literal is kept whole, so that a `$1` inside it stays text.
_PLACEHOLDER = re.compile(r"'(?:[^']|'')*'|\$(\d+)")


@lru_cache(maxsize=2048)  # statements are constants of the code, so this holds them all and cannot be made to grow
def _numbered(sql: str) -> str:
    """Rewrite `$n` to SQLite's `?n`."""
    return _PLACEHOLDER.sub(lambda m: f"?{m[1]}" if m[1] else m[0], sql)


def refusal_of_sqlite(error: sqlite3.Error) -> Exception:
    """Translate a driver's error into ours; the same error where it is the statement's own fault."""
    extended = getattr(error, "sqlite_errorcode", None)
    if extended is None:
        # Raised by the Python layer itself: a closed connection, a wrong number of arguments, a wrong type.
        return StoreUnavailable(rule="closed") if "closed" in str(error) else error
    if extended in _SQLITE_UNIQUE:
        _, _, listed = str(error).partition("failed: ")
        return UniqueViolation(tuple(name.rpartition(".")[2] for name in listed.split(", ")))
    primary = extended & 0xFF
    if primary == sqlite3.SQLITE_CONSTRAINT:
        return ConstraintViolation(rule=getattr(error, "sqlite_errorname", "constraint"))
    if primary in _SQLITE_UNAVAILABLE:
        return StoreUnavailable(rule=getattr(error, "sqlite_errorname", "unavailable"))
    return error


class _SqliteTransaction(Mortal):
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def run(self, sql: str, args: Sequence[Any]) -> tuple[list[Row], int]:
        """Return the rows and how many were touched. Steps the statement to its end: that is what does its work."""
        self.proceed()
        try:
            check_text(args)
            cursor = self._connection.execute(_numbered(sql), args)
            names = [column[0] for column in cursor.description or ()]
            rows: list[Row] = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()] if names else []
            return rows, max(cursor.rowcount, 0)
        except sqlite3.Error as error:
            self.dead = True
            raise refusal_of_sqlite(error) from error
        except BaseException:
            self.dead = True
            raise

    async def execute(self, sql: str, *args: Any) -> int:
        return self.run(sql, args)[1]

    async def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        for row in rows:
            self.run(sql, row)

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        return self.run(sql, args)[0]

    async def fetch_one(self, sql: str, *args: Any) -> Row | None:
        found = self.run(sql, args)[0]
        return found[0] if found else None

    async def lock(self, name: str) -> None:
        """Nothing to do: BEGIN IMMEDIATE already admits one transaction at a time to the whole file."""


class SqliteDatabase:
    """One file, one connection, calls made inline.

    The statements are short (tens of microseconds), so a thread between would cost far more than it frees; see
    shared decision on hot paths. WAL with synchronous=FULL: a commit that returned survives power loss.
    """

    dialect: Literal["sqlite"] = "sqlite"

    def __init__(self, path: Path) -> None:
        """Open or create `path` (mode 0600). Raises `StoreUnavailable` when it is no usable SQLite file."""
        try:
            # Created here so that its mode does not depend on the umask: it holds sealed personal data.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            self._connection = sqlite3.connect(
                path,
                timeout=SQLITE_BUSY_TIMEOUT_S,
                isolation_level=None,
                check_same_thread=False,  # the lock below admits one user at a time, whichever thread runs the loop
                cached_statements=512,
            )
            try:
                for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF"):
                    self._connection.execute(f"PRAGMA {pragma}")
            except BaseException:
                self._connection.close()
                raise
        except OSError as error:
            raise StoreUnavailable(rule="cannot_open") from error
        except sqlite3.Error as error:
            raise refusal_of_sqlite(error) from error
        self._lock = asyncio.Lock()
        self._owner: asyncio.Task[Any] | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """See `Database.transaction`. Transactions do not nest: a task that holds one gets `RuntimeError`."""
        task = asyncio.current_task()
        if self._owner is not None and self._owner is task:
            raise RuntimeError("a transaction of this database is already open in this task; use its tx")
        async with self._lock:
            self._owner = task
            tx = _SqliteTransaction(self._connection)
            try:
                tx.run("BEGIN IMMEDIATE", ())
                yield tx
                tx.finish()
                tx.run("COMMIT", ())
            except BaseException:
                if self._in_transaction():
                    self._connection.rollback()
                raise
            finally:
                self._owner = None

    def _in_transaction(self) -> bool:
        try:
            return self._connection.in_transaction
        except sqlite3.ProgrammingError:  # closed under an open transaction: the file has rolled it back
            return False

    async def _single(self, sql: str, args: Sequence[Any]) -> tuple[list[Row], int]:
        if self._owner is not None and self._owner is asyncio.current_task():
            raise RuntimeError("a transaction of this database is already open in this task; use its tx")
        async with self._lock:
            return _SqliteTransaction(self._connection).run(sql, args)

    async def execute(self, sql: str, *args: Any) -> int:
        """See `Database.execute`."""
        return (await self._single(sql, args))[1]

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        """See `Database.fetch`."""
        return (await self._single(sql, args))[0]

    async def fetch_one(self, sql: str, *args: Any) -> Row | None:
        """See `Database.fetch_one`."""
        rows = (await self._single(sql, args))[0]
        return rows[0] if rows else None

    async def close(self) -> None:
        """Close the file; an open transaction is rolled back."""
        self._connection.close()
