"""PostgreSQL ends between any two steps of its driver: how each place is met, and that a mistake of ours stays one."""
# ruff: noqa: PT012  # what raises is the end of a transaction block

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
import uvloop

from adapters.sql.engine import PgDatabase, StoreUnavailable
from adapters.sql.ledger_postgres import PostgresLedgerDatabase
from adapters.sql.postgresql import _PgTransaction, refusal_of_postgres
from ledger.errors import LedgerUnavailable

GIVEN_BACK = "PoolConnectionHolder.release"


def connections(pool: Any) -> list[Any]:
    """Return those at work, or if none is, those that wait."""
    open_ones = [holder for holder in pool._holders if holder.is_connected()]
    return [holder._con for holder in [holder for holder in open_ones if holder._in_use] or open_ones]


def end_before(task: str, loop: Any, pool: Any) -> None:
    """End the connections once the driver has made its next task of this name, and not yet begun it."""

    def made(loop: Any, coroutine: Any, **named: Any) -> asyncio.Task[Any]:
        if coroutine.__qualname__ == task:
            loop.set_task_factory(None)
            for connection in connections(pool):
                loop.call_soon(connection.terminate)
        return asyncio.Task(coroutine, loop=loop, **named)

    loop.set_task_factory(made)


def say_goodbye(pool: Any) -> None:
    """Let the driver read what a server that ends says to an idle connection, before the end itself."""
    said = b"SFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"
    for connection in connections(pool):
        connection._protocol.data_received(b"E" + (4 + len(said)).to_bytes(4, "big") + said)


async def end_untold(pool: Any) -> None:
    """Close the connections' transports and tell somebody else than the driver."""
    for connection in connections(pool):
        connection._transport.set_protocol(asyncio.Protocol())
        connection._transport.abort()
    await asyncio.sleep(0.01)


def test_postgres_ending_while_its_connection_is_given_back_changes_nothing(postgres_url: str) -> None:
    async def story() -> None:
        db, loop = await PgDatabase.open(postgres_url, "public"), asyncio.get_running_loop()
        await db.execute("CREATE TABLE t (x BIGINT)")
        end_before(GIVEN_BACK, loop, db._pool)
        assert await db.execute("INSERT INTO t VALUES (1)") == 1
        assert loop.get_task_factory() is None, "it ended there"
        end_before(GIVEN_BACK, loop, db._pool)
        async with db.transaction() as tx:
            await tx.execute("INSERT INTO t VALUES (2)")
        assert loop.get_task_factory() is None
        assert await db.fetch("SELECT x FROM t ORDER BY x") == [{"x": 1}, {"x": 2}]
        await db.close()

    uvloop.run(story())


def test_postgres_that_has_said_it_ends_is_unavailable_before_it_has(postgres_url: str) -> None:
    async def story() -> None:
        for statement in ("SELECT $1::BIGINT AS x", "BEGIN"):
            db = await PgDatabase.open(postgres_url, "public")
            say_goodbye(db._pool)
            with pytest.raises(StoreUnavailable) as refused:
                if statement == "BEGIN":
                    async with db.transaction():
                        pass
                else:
                    await db.fetch(statement, 1)
            assert isinstance(refused.value.__cause__, asyncpg.InternalClientError)
            assert await db.fetch("SELECT 1 AS x") == [{"x": 1}]
            await db.close()

    uvloop.run(story())
    db = PostgresLedgerDatabase(postgres_url, schema="public")
    try:
        db._loop._loop.call_soon_threadsafe(say_goodbye, db._pool)
        with pytest.raises(LedgerUnavailable) as refused:
            db.at_once("SELECT $1::BIGINT AS x", 1)
        assert isinstance(refused.value.__cause__, asyncpg.InternalClientError)
        with db.reading() as statements:
            assert statements.fetch("SELECT 1") == [(1,)]
    finally:
        db.close()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_postgres_cut_off_between_the_halves_of_a_statement_is_unavailable(run: Any, postgres_url: str) -> None:
    async def story() -> None:
        db = await PgDatabase.open(postgres_url, "public")
        statement: Any = asyncio.create_task(db.fetch("SELECT 1 AS never_prepared_before"))
        await asyncio.sleep(0)
        prepared = statement._fut_waiter
        while not prepared.done():  # noqa: ASYNC110  # every single turn of the loop counts here
            await asyncio.sleep(0)
        db._pool.terminate()
        with pytest.raises(StoreUnavailable) as refused:
            await statement
        assert isinstance(refused.value.__cause__, AttributeError)

    run(story())


@pytest.mark.parametrize("when", ["idle", "idle, then BEGIN", "statement", "COMMIT", "body"])
def test_a_transport_closed_before_the_driver_was_told_is_unavailable_then_usable(when: str, postgres_url: str) -> None:
    async def at_work(db: PgDatabase) -> None:
        async with db.transaction() as tx:
            await tx.execute("INSERT INTO t VALUES (1)")
            await end_untold(db._pool)
            if when == "statement":
                await tx.execute("INSERT INTO t VALUES (2)")
            elif when == "body":
                raise ZeroDivisionError

    async def story() -> None:
        db = await PgDatabase.open(postgres_url, "public")
        try:
            await db.execute("CREATE TABLE t (x BIGINT)")
            with pytest.raises(ZeroDivisionError if when == "body" else StoreUnavailable) as raised:
                if when == "idle":
                    await end_untold(db._pool)
                    await db.execute("INSERT INTO t VALUES (1)")
                elif when == "idle, then BEGIN":
                    await end_untold(db._pool)
                    async with db.transaction():
                        pass
                else:
                    await at_work(db)
            assert when == "body" or isinstance(raised.value.__cause__, RuntimeError)
            assert await db.fetch("SELECT x FROM t") == []
        finally:
            await db.close()

    uvloop.run(story())


def test_a_mistake_of_ours_is_not_disguised_as_an_outage_either(postgres_url: str) -> None:
    async def mistaken(sql: Any, *_: Any) -> None:
        sql.no_such_thing()

    async def story() -> None:
        db = await PgDatabase.open(postgres_url, "public")
        await db.execute("CREATE TABLE t (x BIGINT)")
        with pytest.raises(asyncpg.DataError, match="closed"):
            async with db.transaction() as tx:
                await tx.execute_many("INSERT INTO t VALUES ($1)", [(1,), ("closed",)])
        with pytest.raises(AttributeError):
            async with db._connection() as connection:
                await _PgTransaction(connection).run(mistaken, "SELECT 1", ())
        await db.close()

    asyncio.run(story())
    ours = RuntimeError("the handler is closed, it seems")
    assert refusal_of_postgres(ours) is ours


def test_the_ledgers_connection_ending_while_it_is_given_back_changes_nothing(postgres_url: str) -> None:
    db = PostgresLedgerDatabase(postgres_url, schema="public")
    loop = db._loop._loop
    try:
        db.at_once("CREATE TABLE t (x BIGINT)")
        end_before(GIVEN_BACK, loop, db._pool)
        assert db.at_once("INSERT INTO t VALUES ($1)", 1) == 1
        assert loop.get_task_factory() is None, "it ended there"
        end_before(GIVEN_BACK, loop, db._pool)
        with db.writing() as statements:
            assert statements.execute("INSERT INTO t VALUES ($1)", 2) == 1
        end_before(GIVEN_BACK, loop, db._pool)
        with db.reading() as statements:
            assert statements.fetch("SELECT x FROM t ORDER BY x") == [(1,), (2,)]
        end_before(GIVEN_BACK, loop, db._pool)
        assert list(db.scan("SELECT x FROM t ORDER BY x")) == [(1,), (2,)]
        assert loop.get_task_factory() is None
    finally:
        db.close()


def test_the_ledgers_connection_ending_at_work_is_unavailable_and_writes_nothing(postgres_url: str) -> None:
    db = PostgresLedgerDatabase(postgres_url, schema="public")
    try:
        db.at_once("CREATE TABLE t (x BIGINT)")
        db._loop.wait(end_untold(db._pool))
        with pytest.raises(LedgerUnavailable) as refused:
            db.at_once("INSERT INTO t VALUES (1)")
        assert isinstance(refused.value.__cause__, RuntimeError)
        for last in (True, False):
            with pytest.raises(LedgerUnavailable), db.writing() as statements:
                statements.execute("INSERT INTO t VALUES (1)")
                db._loop.wait(end_untold(db._pool))
                if not last:
                    statements.execute("INSERT INTO t VALUES (2)")
        # What the block raised is what is told, whatever became of the connection; a mistake of ours is no outage.
        for cut in (True, False):
            with pytest.raises(RuntimeError, match="ours"), db.writing() as statements:
                statements.execute("INSERT INTO t VALUES (3)")
                if cut:
                    db._loop.wait(end_untold(db._pool))
                raise RuntimeError("ours")
        assert list(db.scan("SELECT x FROM t")) == []
    finally:
        db.close()
