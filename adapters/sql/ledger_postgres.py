"""The ledger's database on PostgreSQL: asyncpg on an event loop of its own thread, driven synchronously.

The ledger is synchronous by design (bytes in, proof out); its few big statements gain nothing from the caller's loop,
and a pool being written must not depend on what else that loop is doing.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

import asyncpg
import uvloop

from adapters.sql.database import StoreUnavailable
from adapters.sql.ledger_engine import Row, Statements
from adapters.sql.postgresql import CONNECTION_ERRORS, refusal_of_postgres
from ledger.errors import CheckpointConflict, LedgerUnavailable

# A pool of 4,096 is written in well under a second; what takes longer than this has lost its server.
STATEMENT_TIMEOUT_S: Final = 60.0
# One writer and a few readers; the ledger has no use for more.
MAX_CONNECTIONS: Final = 4
_SCAN_ROWS: Final = 256

Result = TypeVar("Result")


class _Loop:
    """An event loop in a thread, and a way to wait for it from outside."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ledger-postgres", daemon=True)
        self._thread.start()

    def wait(self, work: Awaitable[Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(_awaited(work), self._loop).result(STATEMENT_TIMEOUT_S)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class _PgStatements:
    def __init__(self, loop: _Loop, connection: Any) -> None:
        self._loop = loop
        self._connection = connection

    def execute(self, sql: str, *args: object) -> int:
        return _rows(self._loop.wait(self._connection.execute(sql, *args)))

    def fetch(self, sql: str, *args: object) -> list[Row]:
        return [tuple(record) for record in self._loop.wait(self._connection.fetch(sql, *args))]

    def fetch_in(self, sql: str, values: Sequence[object], *args: object) -> list[Row]:
        statement = sql.replace("{in}", f"= ANY(${len(args) + 1})").replace("{by_key}", "")
        return self.fetch(statement, *args, list(values)) if values else []

    def execute_many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        self._loop.wait(self._connection.executemany(sql, rows))

    def bulk_insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        self._loop.wait(self._connection.copy_records_to_table(table, columns=list(columns), records=rows))


class PostgresLedgerDatabase:
    """A pool of a few connections whose search path is the ledger's schema."""

    for_update = " FOR UPDATE"
    remote = True

    def __init__(self, dsn: str, *, schema: str) -> None:
        """Connect to the server, whose schema the migrations have made. Raises LedgerUnavailable."""
        self._loop = _Loop()
        try:
            with _translated():
                self._pool: Any = self._loop.wait(_open_pool(dsn, schema))
        except BaseException:
            self._loop.stop()
            raise

    @contextmanager
    def writing(self) -> Iterator[Statements]:
        """Open a write transaction (see LedgerDatabase)."""
        with self._transaction(isolation="read_committed", readonly=False) as statements:
            yield statements

    def at_once(self, sql: str, *args: object) -> int:
        """Run one statement (see LedgerDatabase)."""
        with _translated():
            return _rows(self._loop.wait(_executed(self._pool, sql, args)))

    @contextmanager
    def reading(self) -> Iterator[Statements]:
        """Open one consistent view (see LedgerDatabase)."""
        with self._transaction(isolation="repeatable_read", readonly=True) as statements:
            yield statements

    def scan(self, sql: str, *args: object) -> Iterator[Row]:
        """Walk a large result through a server-side cursor (see LedgerDatabase)."""
        with _translated(), self._connection() as connection:
            transaction = connection.transaction(isolation="repeatable_read", readonly=True)
            self._loop.wait(transaction.start())
            try:
                cursor = self._loop.wait(connection.cursor(sql, *args))
                while rows := self._loop.wait(cursor.fetch(_SCAN_ROWS)):
                    yield from (tuple(record) for record in rows)
            finally:
                self._loop.wait(_rollback(transaction))

    def close(self) -> None:
        """Close the pool and end the thread."""
        self._loop.wait(self._pool.close())
        self._loop.stop()

    @contextmanager
    def _transaction(self, *, isolation: str, readonly: bool) -> Iterator[Statements]:
        with _translated(), self._connection() as connection:
            transaction = connection.transaction(isolation=isolation, readonly=readonly)
            self._loop.wait(transaction.start())
            try:
                yield _PgStatements(self._loop, connection)
            except BaseException:
                self._loop.wait(_rollback(transaction))
                raise
            self._loop.wait(transaction.commit())

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        connection = self._loop.wait(self._pool.acquire())
        try:
            yield connection
        finally:
            self._loop.wait(_given_back(self._pool, connection))


async def _awaited(work: Awaitable[Result]) -> Result:
    """Make a coroutine of what asyncpg returns, which sometimes is only awaitable."""
    return await work


async def _executed(pool: Any, sql: str, args: Sequence[object]) -> str:
    """Take a connection, run the statement, give it back: one hop between the threads for all three."""
    connection = await pool.acquire()
    try:
        status: str = await connection.execute(sql, *args)
        return status
    finally:
        await _given_back(pool, connection)


def _rows(status: str) -> int:
    """Return what the last word of a status counts: "UPDATE 1", "INSERT 0 1"."""
    count = status.rpartition(" ")[2]
    return int(count) if count.isdecimal() else 0


async def _as_it_is(_connection: Any) -> None:
    """Leave a connection as it is: every transaction ends in `_transaction`, and nothing else is ever set on one."""


async def _open_pool(dsn: str, schema: str) -> Any:
    return await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=MAX_CONNECTIONS,
        command_timeout=STATEMENT_TIMEOUT_S,
        reset=_as_it_is,  # asyncpg's own costs a round trip at every use
        # A checkpoint is signed only over what survives the server's own crash.
        server_settings={"search_path": schema, "synchronous_commit": "on"},
    )


async def _rollback(transaction: Any) -> None:
    # A connection that is gone has rolled back by itself; what is told is why the transaction ended.
    with suppress(*CONNECTION_ERRORS):
        await transaction.rollback()


async def _given_back(pool: Any, connection: Any) -> None:
    # The work is committed or failed by now: a connection that dies while being put back changes neither.
    with suppress(*CONNECTION_ERRORS):
        await pool.release(connection)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (asyncpg.UniqueViolationError, asyncpg.SerializationError, asyncpg.DeadlockDetectedError) as error:
        raise CheckpointConflict(field="row", rule="unique") from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        raise LedgerUnavailable(rule=type(error).__name__) from error
    except (asyncpg.InternalClientError, RuntimeError) as error:
        # Two ways more to meet the end of a connection. Any other RuntimeError is a mistake of ours and stays one.
        if not isinstance(refusal_of_postgres(error), StoreUnavailable):
            raise
        raise LedgerUnavailable(rule=type(error).__name__) from error
