"""One suite, both databases: what `adapters/sql/engine.py` promises to every store."""

# ruff: noqa: PT012, ASYNC220  # what raises is the end of a transaction block; the subprocess is a rival to wait for

from __future__ import annotations

import asyncio
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.sql.engine import (
    ConstraintViolation,
    Database,
    PgDatabase,
    SqliteDatabase,
    StoreUnavailable,
    UniqueViolation,
    ValueRefused,
    open_database,
)
from tests.services import postgres

TABLE = """CREATE TABLE person (
    number BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    school TEXT NOT NULL,
    student_no TEXT NOT NULL,
    active SMALLINT NOT NULL CHECK (active IN (0, 1)),
    sealed {bytes},
    UNIQUE (school, student_no)
)"""
INSERT = "INSERT INTO person (number, name, school, student_no, active, sealed) VALUES ($1, $2, $3, $4, $5, $6)"

Opened = Callable[[], AbstractAsyncContextManager[Database]]


@pytest.fixture
def opened(database_url: str, dialect: str) -> Opened:
    """Open the test's database with one table, in the schema `idp`; a second call opens it again."""

    @asynccontextmanager
    async def open_it() -> AsyncIterator[Database]:
        if dialect == "postgresql":
            connection = await asyncpg.connect(database_url)
            await connection.execute("CREATE SCHEMA IF NOT EXISTS idp")
            await connection.close()
        database = await open_database(database_url, "idp")
        try:
            column = "BYTEA" if dialect == "postgresql" else "BLOB"
            await database.execute(TABLE.format(bytes=column).replace("TABLE person", "TABLE IF NOT EXISTS person"))
            yield database
        finally:
            await database.close()

    return open_it


def person(number: int, *, name: str = "林晓", active: int = 1, sealed: bytes | None = b"\x00\xff") -> tuple[Any, ...]:
    return (number, name, "4111010001", f"s{number}", active, sealed)


def test_a_row_comes_back_as_it_went_in(opened: Opened) -> None:
    async def story() -> None:
        async with opened() as db:
            async with db.transaction() as tx:
                assert await tx.execute(INSERT, *person(2**62, name="𠮷田·㐂 ' \" $1 ?1 \\", sealed=b"\x00'\xff")) == 1
            row = await db.fetch_one("SELECT * FROM person WHERE number = $1", 2**62)
            assert row is not None
            assert dict(row) == {
                "number": 2**62,
                "name": "𠮷田·㐂 ' \" $1 ?1 \\",
                "school": "4111010001",
                "student_no": f"s{2**62}",
                "active": 1,
                "sealed": b"\x00'\xff",
            }
            assert isinstance(row["sealed"], bytes)

    asyncio.run(story())


def test_nothing_is_none_and_no_row_is_none(opened: Opened) -> None:
    async def story() -> None:
        async with opened() as db:
            await db.execute(INSERT, *person(1, sealed=None))
            row = await db.fetch_one("SELECT sealed FROM person")
            assert row is not None
            assert row["sealed"] is None
            assert await db.fetch_one("SELECT 1 FROM person WHERE number = $1", 2) is None
            assert await db.fetch("SELECT 1 FROM person WHERE number = $1", 2) == []

    asyncio.run(story())


def test_a_dollar_number_inside_a_literal_is_text(opened: Opened) -> None:
    async def story() -> None:
        async with opened() as db:
            row = await db.fetch_one("SELECT 'it''s $1' AS literal, CAST($1 AS TEXT) AS given", "a")
            assert row == {"literal": "it's $1", "given": "a"}

    asyncio.run(story())


def test_an_argument_may_be_used_twice_and_out_of_order(opened: Opened) -> None:
    async def story() -> None:
        async with opened() as db:
            sql = "SELECT CAST($2 AS TEXT) AS a, CAST($1 AS TEXT) AS b, CAST($2 AS TEXT) AS c"
            assert await db.fetch_one(sql, "x", "y") == {"a": "y", "b": "x", "c": "y"}

    asyncio.run(story())


def test_execute_counts_the_rows_it_touched(opened: Opened) -> None:
    async def story() -> None:
        async with opened() as db, db.transaction() as tx:
            await tx.execute_many(INSERT, [person(n) for n in range(10)])
            assert await tx.execute("UPDATE person SET active = 0 WHERE number < $1", 4) == 4
            assert await tx.execute("DELETE FROM person WHERE number = $1", 99) == 0
            assert await tx.execute(INSERT + " ON CONFLICT DO NOTHING", *person(3)) == 0
            assert await tx.execute(INSERT + " ON CONFLICT DO NOTHING RETURNING number", *person(50)) == 1

    asyncio.run(story())


def test_returning_gives_the_rows_and_commits_alone(opened: Opened) -> None:
    async def story() -> None:
        async with opened() as db:
            await db.execute(INSERT, *person(1))
            taken = await db.fetch_one("DELETE FROM person WHERE number = $1 RETURNING name", 1)
            assert taken == {"name": "林晓"}
        async with opened() as again:
            assert await again.fetch("SELECT * FROM person") == []

    asyncio.run(story())


def test_an_exception_rolls_everything_back(opened: Opened) -> None:
    async def story() -> None:
        async with opened() as db:
            with pytest.raises(ZeroDivisionError):
                async with db.transaction() as tx:
                    await tx.execute(INSERT, *person(1))
                    _ = 1 // 0
            assert await db.fetch("SELECT * FROM person") == []
            await db.execute(INSERT, *person(1))

    asyncio.run(story())


def test_a_cancelled_task_rolls_back_and_leaves_the_database_usable(opened: Opened) -> None:
    async def story() -> None:
        async with opened() as db:
            inside = asyncio.Event()

            async def stuck() -> None:
                async with db.transaction() as tx:
                    await tx.execute(INSERT, *person(1))
                    inside.set()
                    await asyncio.Event().wait()

            task = asyncio.create_task(stuck())
            await inside.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await db.fetch("SELECT * FROM person") == []
            await db.execute(INSERT, *person(1))

    asyncio.run(story())


@pytest.mark.parametrize(
    ("row", "columns"),
    [
        ((1, "乙", "4111010002", "s9", 1, None), ("number",)),
        ((2, "乙", "4111010001", "s1", 1, None), ("school", "student_no")),
    ],
)
def test_a_second_row_for_a_unique_key_names_the_columns(
    opened: Opened, row: tuple[Any, ...], columns: tuple[str, ...]
) -> None:
    async def story() -> None:
        async with opened() as db:
            await db.execute(INSERT, *person(1))
            with pytest.raises(UniqueViolation) as caught:
                await db.execute(INSERT, *row)
            assert caught.value.columns == columns
            assert "4111010001" not in str(caught.value)

    asyncio.run(story())


@pytest.mark.parametrize("row", [person(1, active=7), (1, None, "s", "n", 1, None)])
def test_a_row_the_schema_refuses_is_a_constraint_violation(opened: Opened, row: tuple[Any, ...]) -> None:
    async def story() -> None:
        async with opened() as db:
            with pytest.raises(ConstraintViolation) as caught:
                await db.execute(INSERT, *row)
            assert not isinstance(caught.value, UniqueViolation)

    asyncio.run(story())


def test_a_swallowed_refusal_writes_nothing_and_says_so(opened: Opened) -> None:
    async def story() -> None:
        async with opened() as db:
            await db.execute(INSERT, *person(1))
            with pytest.raises(RuntimeError, match="swallowed"):
                async with db.transaction() as tx:
                    await tx.execute(INSERT, *person(2))
                    with pytest.raises(UniqueViolation):
                        await tx.execute(INSERT, *person(1))
            with pytest.raises(RuntimeError, match="after a refusal"):
                async with db.transaction() as tx:
                    with pytest.raises(UniqueViolation):
                        await tx.execute(INSERT, *person(1))
                    await tx.execute(INSERT, *person(3))
            assert [r["number"] for r in await db.fetch("SELECT number FROM person")] == [1]

    asyncio.run(story())


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "x\udfff"])
def test_text_no_database_can_hold_is_refused_before_either(opened: Opened, text: str) -> None:
    async def story() -> None:
        async with opened() as db:
            with pytest.raises(ValueRefused):
                await db.execute(INSERT, *person(1, name=text))
            with pytest.raises(ValueRefused):
                async with db.transaction() as tx:
                    await tx.execute_many(INSERT, [person(1), person(2, name=text)])
            with pytest.raises(ValueRefused):
                await db.fetch("SELECT 1 FROM person WHERE name = $1", text)
            assert await db.fetch("SELECT * FROM person") == []

    asyncio.run(story())


def test_transactions_of_different_tasks_do_not_interleave_on_one_row(opened: Opened) -> None:
    """Sixteen tasks redeem one row by DELETE … RETURNING: exactly one gets it."""

    async def story() -> None:
        async with opened() as db:
            for trial in range(20):
                await db.execute(INSERT, *person(trial))

                async def redeem(number: int) -> bool:
                    async with db.transaction() as tx:
                        row = await tx.fetch_one("DELETE FROM person WHERE number = $1 RETURNING name", number)
                        await asyncio.sleep(0)
                        return row is not None

                assert sum(await asyncio.gather(*(redeem(trial) for _ in range(16)))) == 1

    asyncio.run(story())


def test_lock_admits_one_transaction_at_a_time(opened: Opened) -> None:
    """Read, think, write: without the lock PostgreSQL would lose updates here."""

    async def story() -> None:
        async with opened() as db:
            await db.execute(INSERT, *person(0, name="0"))

            async def increment() -> None:
                async with db.transaction() as tx:
                    await tx.lock("counter")
                    row = await tx.fetch_one("SELECT name FROM person WHERE number = 0")
                    assert row is not None
                    await asyncio.sleep(0.001)
                    await tx.execute("UPDATE person SET name = $1 WHERE number = 0", str(int(row["name"]) + 1))

            await asyncio.gather(*(increment() for _ in range(12)))
            assert await db.fetch_one("SELECT name FROM person WHERE number = 0") == {"name": "12"}

    asyncio.run(story())


def test_two_openings_of_one_database_redeem_once(opened: Opened) -> None:
    async def story() -> None:
        async with opened() as one, opened() as two:
            for trial in range(10):
                await one.execute(INSERT, *person(trial))
                sql = "DELETE FROM person WHERE number = $1 RETURNING number"
                taken = await asyncio.gather(*(db.fetch(sql, trial) for db in (one, two) for _ in range(4)))
                assert sum(len(rows) for rows in taken) == 1

    asyncio.run(story())


def test_a_closed_database_is_unavailable_not_a_crash(opened: Opened) -> None:
    async def story() -> None:
        async with opened() as db:
            await db.close()
            with pytest.raises(StoreUnavailable):
                await db.fetch("SELECT 1")
            with pytest.raises(StoreUnavailable):
                async with db.transaction() as tx:
                    await tx.fetch("SELECT 1")
            await db.close()

    asyncio.run(story())


def test_a_mistake_in_the_statement_is_not_disguised_as_an_outage(opened: Opened) -> None:
    async def story() -> None:
        async with opened() as db:
            with pytest.raises(Exception, match="nowhere") as caught:
                await db.fetch("SELECT * FROM nowhere")
            assert not isinstance(caught.value, StoreUnavailable)

    asyncio.run(story())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])),
    number=st.integers(-(2**63), 2**63 - 1),
    sealed=st.none() | st.binary(),
)
def test_every_value_survives_the_round_trip(opened: Opened, name: str, number: int, sealed: bytes | None) -> None:
    async def story() -> None:
        async with opened() as db:
            await db.execute("DELETE FROM person")
            await db.execute(INSERT, *person(number, name=name, sealed=sealed))
            row = await db.fetch_one("SELECT number, name, sealed FROM person WHERE name = $1", name)
            assert row == {"number": number, "name": name, "sealed": sealed}

    asyncio.run(story())


# SQLite's own promises


def test_sqlite_file_is_private_durable_and_has_foreign_keys(tmp_path: Path) -> None:
    async def story() -> None:
        db = SqliteDatabase(tmp_path / "x.sqlite3")
        assert stat.S_IMODE((tmp_path / "x.sqlite3").stat().st_mode) == 0o600
        answers = [await db.fetch_one(f"PRAGMA {name}") for name in ("journal_mode", "synchronous", "foreign_keys")]
        assert [next(iter((answer or {}).values())) for answer in answers] == ["wal", 2, 1]
        await db.close()

    asyncio.run(story())


def test_sqlite_transactions_do_not_nest_in_a_task(tmp_path: Path) -> None:
    async def story() -> None:
        db = SqliteDatabase(tmp_path / "x.sqlite3")
        async with db.transaction():
            with pytest.raises(RuntimeError, match="already open"):
                await db.fetch("SELECT 1")
            with pytest.raises(RuntimeError, match="already open"):
                async with db.transaction():
                    pass
        await db.close()

    asyncio.run(story())


def test_sqlite_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    broken = tmp_path / "x.sqlite3"
    broken.write_bytes(b"this is not a database, but long enough to be read as one" * 100)
    with pytest.raises(StoreUnavailable):
        SqliteDatabase(broken)
    with pytest.raises(StoreUnavailable):
        SqliteDatabase(tmp_path / "no" / "such" / "folder.sqlite3")


def test_sqlite_file_held_by_another_process_is_unavailable_then_usable(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite3"
    holder = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('BEGIN IMMEDIATE'); print('held', flush=True); sys.stdin.read()"
    )

    async def story() -> None:
        db = SqliteDatabase(path)
        await db.execute("CREATE TABLE t (x BIGINT)")
        with subprocess.Popen(
            [sys.executable, "-c", holder, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            with pytest.raises(StoreUnavailable):
                async with db.transaction() as tx:
                    await tx.execute("INSERT INTO t VALUES (1)")
            process.communicate("")
        await db.execute("INSERT INTO t VALUES (2)")
        assert await db.fetch("SELECT x FROM t") == [{"x": 2}]
        await db.close()

    asyncio.run(story())


# PostgreSQL's own promises


def test_postgres_that_cannot_be_reached_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable):
        asyncio.run(PgDatabase.open("postgresql://edutrust@127.0.0.1:1/postgres", "idp"))


def test_postgres_going_away_is_unavailable_never_a_success() -> None:
    """Stop the server under an open transaction and after it."""

    async def story() -> None:
        with postgres.running() as url:
            db = await PgDatabase.open(url, "public")
            await db.execute("CREATE TABLE t (x BIGINT)")
            stop = await asyncpg.connect(url)
            with pytest.raises(StoreUnavailable):
                async with db.transaction() as tx:
                    await tx.execute("INSERT INTO t VALUES (1)")
                    # Cut every other connection, as a server restarting would.
                    await stop.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
                    )
                    await tx.execute("INSERT INTO t VALUES (2)")
            assert await db.fetch("SELECT x FROM t") == []
            await stop.close()
        with pytest.raises(StoreUnavailable):
            await db.fetch("SELECT x FROM t")
        await db.close()

    asyncio.run(story())


def test_postgres_schemas_of_one_database_are_apart(postgres_url: str) -> None:
    async def story() -> None:
        connection = await asyncpg.connect(postgres_url)
        await connection.execute("CREATE SCHEMA idp; CREATE SCHEMA ledger")
        await connection.close()
        idp, ledger = await PgDatabase.open(postgres_url, "idp"), await PgDatabase.open(postgres_url, "ledger")
        await idp.execute("CREATE TABLE t (x BIGINT)")
        with pytest.raises(asyncpg.UndefinedTableError):
            await ledger.fetch("SELECT * FROM t")
        await idp.close()
        await ledger.close()

    asyncio.run(story())
