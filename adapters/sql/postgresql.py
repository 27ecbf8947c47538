"""`Database` on one schema of PostgreSQL, by asyncpg."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal

import asyncpg

from adapters.sql.database import (
    ConstraintViolation,
    Mortal,
    Row,
    StoreUnavailable,
    Transaction,
    UniqueViolation,
    check_text,
)

# security.md G19: with PostgreSQL away the answer is a clean 503 within a second.
POSTGRES_CONNECT_TIMEOUT_S = 0.9
# A busy server is waited for; one that is gone is told by the connection's own, shorter limit.
POSTGRES_POOL_WAIT_S = 5.0
POSTGRES_STATEMENT_TIMEOUT_S = 10.0
POSTGRES_POOL_MAX = 10

# SQLSTATE classes (first two letters) for which the caller should come back later: connection exception, transaction
# rollback (deadlock), insufficient resources, operator intervention, system error; and a standby's read-only refusal.
_POSTGRES_UNAVAILABLE_CLASSES = frozenset({"08", "40", "53", "57", "58"})
# What the end of a connection may say where nothing depends on the answer any more: rolling back, giving back.
CONNECTION_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    RuntimeError,
    TimeoutError,
)
_POSTGRES_READ_ONLY = "25006"
# uvloop's words for a transport that was closed before the driver was told.
_HANDLE_CLOSED = "the handler is closed"


def refusal_of_postgres(error: Exception) -> Exception:
    """Translate a driver's error into ours; the same error where it is the statement's own fault."""
    if isinstance(error, asyncpg.UniqueViolationError):
        listed = re.match(r"Key \((.*?)\)=", error.detail or "")
        return UniqueViolation(tuple(listed[1].split(", ")) if listed else (str(error.constraint_name),))
    if isinstance(error, asyncpg.IntegrityConstraintViolationError):
        return ConstraintViolation(rule=str(error.sqlstate))
    state = str(getattr(error, "sqlstate", None) or "")
    if state[:2] in _POSTGRES_UNAVAILABLE_CLASSES or state == _POSTGRES_READ_ONLY:
        return StoreUnavailable(rule=state)
    # InternalClientError is what asyncpg says of a statement that meets the end of its connection halfway.
    if isinstance(error, OSError | TimeoutError | asyncpg.InternalClientError):
        return StoreUnavailable(rule="unreachable")
    # "pool is closing", "connection is closed", and "released back to the pool": what the pool does with a connection
    # that died in our hands (we ourselves never use one after giving it back).
    if isinstance(error, asyncpg.InterfaceError) and ("clos" in str(error) or "released" in str(error)):
        return StoreUnavailable(rule="closed")
    if isinstance(error, RuntimeError) and str(error).endswith(_HANDLE_CLOSED):
        return StoreUnavailable(rule="closed")
    return error


def _is_gone(connection: Any) -> bool:
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:  # the pool has taken it out of our hands
        return True


class _PgTransaction(Mortal):
    def __init__(self, connection: Any) -> None:  # asyncpg publishes no types: its pool's connection proxy
        self._connection = connection

    async def run(self, call: Callable[..., Awaitable[Any]], sql: str, args: Sequence[Any]) -> Any:
        self.proceed()
        try:
            check_text(args)
            return await call(sql, *args)
        except AttributeError as error:
            self.dead = True
            # A connection cut off between the two halves of a statement has None where its protocol was. (An argument
            # of the wrong type is no AttributeError: the driver makes its own error of that.)
            if _is_gone(self._connection):
                raise StoreUnavailable(rule="closed") from error
            raise
        except Exception as error:
            self.dead = True
            raise refusal_of_postgres(error) from error
        except BaseException:
            self.dead = True
            raise

    async def execute(self, sql: str, *args: Any) -> int:
        status: str = await self.run(self._connection.execute, sql, args)
        return _touched(status)

    async def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        listed = list(rows)
        for row in listed:
            check_text(row)
        await self.run(self._connection.executemany, sql, (listed,))

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        return [dict(record) for record in await self.run(self._connection.fetch, sql, args)]

    async def fetch_one(self, sql: str, *args: Any) -> Row | None:
        record = await self.run(self._connection.fetchrow, sql, args)
        return None if record is None else dict(record)

    async def lock(self, name: str) -> None:
        # The schema is part of the name: two rooms' locks, and two tests' databases, are apart.
        sql = "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '/' || $1::text, 0))"
        await self.run(self._connection.execute, sql, (name,))


def _touched(status: str) -> int:
    """Read the count from a command tag: `INSERT 0 3`, `UPDATE 3`, `SELECT 1`, `CREATE TABLE`."""
    last = status.rpartition(" ")[2]
    return int(last) if last.isascii() and last.isdigit() else 0


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg publishes no types
    """A connection that is given back without a further round trip.

    The usual one resets what a session may have set, listened to or locked; ours never does any of that (locks end with
    their transaction). A transaction left open is rolled back all the same (`Connection.reset`).
    """

    def get_reset_query(self) -> str:
        """Return nothing to run."""
        return ""


class PgDatabase:
    """One schema of a PostgreSQL database, through a pool of its own."""

    dialect: Literal["postgresql"] = "postgresql"

    def __init__(self, pool: Any) -> None:  # asyncpg.Pool, whose connections have search_path = the schema
        """Wrap a pool whose connections already have the schema as their search_path; see `open`."""
        self._pool = pool

    @classmethod
    async def open(cls, url: str, schema: str) -> PgDatabase:
        """Connect to `postgresql://…` with `search_path` = `schema`. Raises `StoreUnavailable`."""
        try:
            pool = await asyncpg.create_pool(
                url,
                min_size=1,
                connection_class=_Connection,
                max_size=POSTGRES_POOL_MAX,
                timeout=POSTGRES_CONNECT_TIMEOUT_S,
                command_timeout=POSTGRES_STATEMENT_TIMEOUT_S,
                server_settings={"search_path": schema, "application_name": f"edutrust/{schema}", "timezone": "UTC"},
            )
        except Exception as error:
            raise refusal_of_postgres(error) from error
        return cls(pool)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        try:
            connection = await self._pool.acquire(timeout=POSTGRES_POOL_WAIT_S)
        except Exception as error:
            raise refusal_of_postgres(error) from error
        try:
            yield connection
        finally:
            # The work is committed or failed by now: a connection that dies while being put back changes neither.
            with suppress(*CONNECTION_ERRORS):
                await self._pool.release(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """See `Database.transaction`."""
        async with self._connection() as connection:
            tx = _PgTransaction(connection)
            try:
                outer = connection.transaction()
                await outer.start()
            except Exception as error:
                raise refusal_of_postgres(error) from error
            try:
                yield tx
                tx.finish()
            except BaseException:
                # Where the connection died with the body, the server has rolled back already.
                with suppress(*CONNECTION_ERRORS):
                    await outer.rollback()
                raise
            try:
                await outer.commit()
            except Exception as error:
                raise refusal_of_postgres(error) from error

    async def execute(self, sql: str, *args: Any) -> int:
        """See `Database.execute`."""
        async with self._connection() as connection:
            return await _PgTransaction(connection).execute(sql, *args)

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        """See `Database.fetch`."""
        async with self._connection() as connection:
            return await _PgTransaction(connection).fetch(sql, *args)

    async def fetch_one(self, sql: str, *args: Any) -> Row | None:
        """See `Database.fetch_one`."""
        async with self._connection() as connection:
            return await _PgTransaction(connection).fetch_one(sql, *args)

    async def close(self) -> None:
        """Close the pool; statements under way are given a second, then cut off."""
        try:
            await asyncio.wait_for(self._pool.close(), timeout=1.0)
        except TimeoutError:
            self._pool.terminate()
