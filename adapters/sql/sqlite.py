"""`Database` on one SQLite file, by the raw driver: statements inline, commits shared and on a thread.

Two connections. One reads, and sees nothing that is not durable. One writes: whatever arrives in one turn of the event
loop, or while the disk is at the commit before, becomes one transaction of SQLite, each of ours under a savepoint of its
own, and one flush makes all of it durable (group commit). Nobody is answered before that flush: a commit that failed is
the failure of each of them, a refusal of one undoes that one alone.
"""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
from collections.abc import AsyncIterator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from adapters.sql.database import Mortal, Row, StoreUnavailable, Transaction, check_text
from adapters.sql.sqlite_refusals import refusal_of_sqlite

# A request waits this long for another writer of the same SQLite file (a command line beside the service), then 503.
SQLITE_BUSY_TIMEOUT_S = 2.0
# Between two looks at a file another process writes to: its commits take about this long.
SQLITE_BUSY_PAUSE_S = 0.001
# A group that grew in the last turn of the event loop is left open for another one, this often at most: requests that are
# under way together then share one flush (nine where it was six, at sixteen connections), a lone one waits for a turn.
SQLITE_TURNS_MAX = 4
# Not so for this long after another process was met at the file: it waits for as long as a group of ours is open.
SQLITE_SHARED_S = 0.1
# Statements prepared and kept, a connection; there are fewer than this in the code.
SQLITE_STATEMENTS = 512
# A quoted literal is kept whole, so that a `$1` inside it stays text.
_PLACEHOLDER = re.compile(r"'(?:[^']|'')*'|\$(\d+)")


@lru_cache(maxsize=2048)  # statements are constants of the code, so this holds them all and cannot be made to grow
def _numbered(sql: str) -> str:
    """Rewrite `$n` to SQLite's `?n`."""
    return _PLACEHOLDER.sub(lambda m: f"?{m[1]}" if m[1] else m[0], sql)


# Read by the connection that reads; all else goes to the one that writes.
_READS = ("SELECT", "PRAGMA")
_SAVEPOINT = "member"


@lru_cache(maxsize=2048)  # as above
def _reads(sql: str) -> bool:
    return sql.lstrip().upper().startswith(_READS)


def _run(connection: sqlite3.Connection, sql: str, args: Sequence[Any]) -> tuple[list[Row], int]:
    """Return the rows and how many were touched. Steps the statement to its end: that is what does its work."""
    if args:
        check_text(args)
    cursor = connection.execute(_numbered(sql), args)
    described = cursor.description
    if described is None:
        return [], max(cursor.rowcount, 0)
    found = cursor.fetchall()
    if not found:
        return [], max(cursor.rowcount, 0)
    names = [column[0] for column in described]
    rows: list[Row] = [dict(zip(names, row, strict=True)) for row in found]
    return rows, max(cursor.rowcount, 0)


class _SqliteTransaction(Mortal):
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def run(self, sql: str, args: Sequence[Any]) -> tuple[list[Row], int]:
        """As `_run`; a refusal kills the transaction."""
        if self.dead:
            self.proceed()
        try:
            return _run(self._connection, sql, args)
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
        """Nothing to do: one transaction at a time is admitted to the whole file."""


class _Group:
    """Transactions of ours that share one of SQLite's. `waiting` are those whose work is done, until it is durable."""

    __slots__ = ("loop", "seen", "turns", "waiting", "wanted")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.waiting: list[asyncio.Future[None]] = []
        self.wanted = False
        self.seen = 0
        self.turns = 0

    def grew(self) -> bool:
        """Whether members came since this was asked last; no more so once it was asked often enough."""
        before, self.seen = self.seen, len(self.waiting)
        self.turns += 1
        return self.seen > before and self.turns <= SQLITE_TURNS_MAX


class SqliteDatabase:
    """One file, one connection for each direction, calls made inline.

    The statements are short (tens of microseconds), so a thread between would cost far more than it frees; see
    shared decision on hot paths. WAL with synchronous=FULL: a commit that returned survives power loss. The flush that
    this takes is the one thing done on a thread: the event loop goes on answering meanwhile.
    """

    dialect: Literal["sqlite"] = "sqlite"

    def __init__(self, path: Path) -> None:
        """Open or create `path` (mode 0600). Raises `StoreUnavailable` when it is no usable SQLite file."""
        try:
            # Created here so that its mode does not depend on the umask: it holds sealed personal data.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            self._reader = _connected(path)
            try:
                self._reader.execute("PRAGMA query_only=ON")
                self._writer = _connected(path)
                # Waits for another writer are made between two turns of the event loop, never inside one.
                self._writer.execute("PRAGMA busy_timeout=0")
            except BaseException:
                self._reader.close()
                raise
        except OSError as error:
            raise StoreUnavailable(rule="cannot_open") from error
        except sqlite3.Error as error:
            raise refusal_of_sqlite(error) from error
        self._committer = ThreadPoolExecutor(1, thread_name_prefix="sqlite-commit")
        self._lock = asyncio.Lock()
        self._owner: asyncio.Task[Any] | None = None
        self._group: _Group | None = None
        self._committing: _Group | None = None
        self._at_gate: list[asyncio.Future[None]] = []
        self._shared_until = 0.0  # by the clock of the event loop

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """See `Database.transaction`. Transactions do not nest: a task that holds one gets `RuntimeError`.

        A task cancelled while it waits for the flush may find its work done all the same.
        """
        group = await self._enter()
        tx = _SqliteTransaction(self._writer)
        try:
            tx.run(f"SAVEPOINT {_SAVEPOINT}", ())
            yield tx
            tx.finish()
            tx.run(f"RELEASE {_SAVEPOINT}", ())
        except BaseException:
            self._undo()
            self._leave(group)
            raise
        await self._durable(group)

    async def _write(self, sql: str, args: Sequence[Any]) -> tuple[list[Row], int]:
        group = await self._enter()
        try:
            answer = _run(self._writer, sql, args)  # SQLite undoes a single statement that fails by itself
        except BaseException as error:
            self._leave(group)
            if isinstance(error, sqlite3.Error):
                raise refusal_of_sqlite(error) from error
            raise
        await self._durable(group)
        return answer

    def _read(self, sql: str, args: Sequence[Any]) -> tuple[list[Row], int]:
        self._refuse_nesting()
        try:
            return _run(self._reader, sql, args)
        except sqlite3.Error as error:
            raise refusal_of_sqlite(error) from error

    def _refuse_nesting(self) -> None:
        if self._owner is not None and self._owner is asyncio.current_task():
            raise RuntimeError("a transaction of this database is already open in this task; use its tx")

    async def _enter(self) -> _Group:
        """Wait until a group is open and nobody else is in it; return it with the lock held."""
        self._refuse_nesting()
        loop = asyncio.get_running_loop()
        while True:
            if self._committing is not None:
                await self._past_gate(loop)
            await self._lock.acquire()
            if self._committing is None:
                break
            self._lock.release()
        try:
            group = self._group
            if group is None or group.loop is not loop:
                group = await self._open(loop)
        except BaseException:
            self._lock.release()
            raise
        self._owner = asyncio.current_task()
        return group

    async def _past_gate(self, loop: asyncio.AbstractEventLoop) -> None:
        committing = self._committing
        if committing is not None and committing.loop is not loop:
            # Its event loop is gone, and so is everybody who waited; the thread finishes what it began.
            self._committer.submit(_nothing).result()
            self._committing = None
            return
        waiter = loop.create_future()
        self._at_gate.append(waiter)
        await waiter

    async def _open(self, loop: asyncio.AbstractEventLoop) -> _Group:
        deadline = loop.time() + SQLITE_BUSY_TIMEOUT_S
        while True:
            try:
                # What an event loop that ended in the middle left behind: nobody was told it is durable.
                if self._writer.in_transaction:
                    self._writer.rollback()
                self._writer.execute("BEGIN IMMEDIATE")
                break
            except sqlite3.Error as error:
                busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or loop.time() >= deadline:
                    raise refusal_of_sqlite(error) from error
                self._shared_until = loop.time() + SQLITE_SHARED_S
            await asyncio.sleep(SQLITE_BUSY_PAUSE_S)
        self._group = group = _Group(loop)
        loop.call_soon(self._due, group)
        return group

    def _undo(self) -> None:
        try:
            if self._writer.in_transaction:
                self._writer.execute(f"ROLLBACK TO {_SAVEPOINT}")
                self._writer.execute(f"RELEASE {_SAVEPOINT}")
        except sqlite3.Error:
            self._abandon()

    def _abandon(self) -> None:
        with suppress(sqlite3.Error):  # closed under an open transaction: the file has rolled it back
            self._writer.rollback()

    def _leave(self, group: _Group) -> None:
        self._owner = None
        self._lock.release()
        if self._group is group and not self._in_transaction():
            # A full disk, an input error, a close: SQLite has undone the whole of it. Whoever comes next begins anew.
            self._group = None
            self._committed(group, sqlite3.OperationalError("closed: the transaction is gone"))
        elif group.wanted:
            group.loop.call_soon(self._flush, group)

    def _in_transaction(self) -> bool:
        try:
            return self._writer.in_transaction
        except sqlite3.ProgrammingError:
            return False

    async def _durable(self, group: _Group) -> None:
        """Give the lock back and wait for the flush. Raises what the flush met."""
        waiter = group.loop.create_future()
        group.waiting.append(waiter)
        self._leave(group)
        await waiter

    def _due(self, group: _Group) -> None:
        if self._group is group and group.loop.time() >= self._shared_until and group.grew():
            group.loop.call_soon(self._due, group)
        else:
            self._flush(group)

    def _flush(self, group: _Group) -> None:
        if self._group is not group:
            return
        if self._lock.locked():  # somebody is in the middle; whoever leaves asks again
            group.wanted = True
            return
        self._group = None
        if not group.waiting:
            self._abandon()
            return
        self._committing = group
        done = group.loop.run_in_executor(self._committer, self._commit)
        done.add_done_callback(lambda answer: self._committed(group, answer.result()))

    def _commit(self) -> sqlite3.Error | None:
        try:
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            self._abandon()
            return error
        return None

    def _committed(self, group: _Group, failure: sqlite3.Error | None) -> None:
        self._committing = None
        for waiter in group.waiting:
            if waiter.done():
                continue
            if failure is None:
                waiter.set_result(None)
            else:  # an exception of its own for each, as each adds its own trace to it
                waiter.set_exception(refusal_of_sqlite(failure))
        gate, self._at_gate = self._at_gate, []
        for waiter in gate:
            if not waiter.done():
                waiter.set_result(None)

    async def execute(self, sql: str, *args: Any) -> int:
        """See `Database.execute`."""
        return (self._read(sql, args) if _reads(sql) else await self._write(sql, args))[1]

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        """See `Database.fetch`."""
        return (self._read(sql, args) if _reads(sql) else await self._write(sql, args))[0]

    async def fetch_one(self, sql: str, *args: Any) -> Row | None:
        """See `Database.fetch_one`."""
        rows = (self._read(sql, args) if _reads(sql) else await self._write(sql, args))[0]
        return rows[0] if rows else None

    async def close(self) -> None:
        """Make durable what is done, then close the file; a transaction in the middle is rolled back."""
        loop, group = asyncio.get_running_loop(), self._group
        if group is not None and group.loop is loop:
            self._flush(group)
        if self._committing is not None:
            await self._past_gate(loop)
        if self._group is not None:
            group, self._group = self._group, None
            self._committed(group, sqlite3.ProgrammingError("closed"))
        self._committer.shutdown(wait=True)
        self._writer.close()
        self._reader.close()


def _nothing() -> None:
    """Take a place in the committing thread's queue."""


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path,
        timeout=SQLITE_BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,  # one user at a time: the lock and the gate see to it
        cached_statements=SQLITE_STATEMENTS,
    )
    try:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF"):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection
