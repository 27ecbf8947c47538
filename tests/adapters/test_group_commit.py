"""Group commit on SQLite: transactions share a flush and nothing else."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.sql import sqlite
from adapters.sql.database import StoreUnavailable, UniqueViolation
from adapters.sql.sqlite import SQLITE_TURNS_MAX, SqliteDatabase

INSERT = "INSERT INTO t (x) VALUES ($1)"


async def _opened(path: Path) -> SqliteDatabase:
    db = SqliteDatabase(path)
    await db.execute("CREATE TABLE IF NOT EXISTS t (x BIGINT PRIMARY KEY)")
    return db


def _on_disk(path: Path) -> list[int]:
    """Read as another process would: only what is committed."""
    with sqlite3.connect(path) as other:
        return [row[0] for row in other.execute("SELECT x FROM t ORDER BY x")]


def test_the_transactions_of_one_turn_share_one_flush(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite3"

    async def story() -> int:
        db = await _opened(path)
        commits: list[str] = []
        db._writer.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
        await asyncio.gather(*(db.execute(INSERT, number) for number in range(50)))
        assert _on_disk(path) == list(range(50))
        await db.close()
        return len(commits)

    assert asyncio.run(story()) in {1, 2}  # none at all: each statement committed by itself


def test_so_do_those_of_turns_that_follow_one_another(tmp_path: Path) -> None:
    async def story() -> None:
        db = await _opened(tmp_path / "x.sqlite3")
        commits: list[str] = []
        db._writer.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
        writes = []
        for number in range(SQLITE_TURNS_MAX):
            writes.append(asyncio.create_task(db.execute(INSERT, number)))
            await asyncio.sleep(0)
        await asyncio.gather(*writes)
        assert commits == ["COMMIT"]
        await db.close()

    asyncio.run(story())


def test_where_another_process_writes_to_the_file_nobody_else_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "SQLITE_SHARED_S", 3600.0)

    async def story() -> None:
        path = tmp_path / "x.sqlite3"
        db = await _opened(path)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        first = asyncio.create_task(db.execute(INSERT, 1))
        await asyncio.sleep(0.01)
        other.execute("COMMIT")
        other.close()
        await first
        commits: list[str] = []
        db._writer.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
        writes = [asyncio.create_task(db.execute(INSERT, 2))]
        await asyncio.sleep(0)
        writes.append(asyncio.create_task(db.execute(INSERT, 3)))
        await asyncio.gather(*writes)
        assert commits == ["COMMIT", "COMMIT"]
        await db.close()

    asyncio.run(story())


def test_writes_that_never_stop_coming_do_not_put_off_the_flush(tmp_path: Path) -> None:
    async def story() -> None:
        db = await _opened(tmp_path / "x.sqlite3")
        writes = []
        for number in range(SQLITE_TURNS_MAX + 3):
            writes.append(asyncio.create_task(db.execute(INSERT, number)))
            await asyncio.sleep(0)
        assert db._committing is not None or writes[0].done()
        await asyncio.gather(*writes)
        await db.close()

    asyncio.run(story())


def test_nobody_is_answered_before_the_work_is_on_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite3"

    async def story() -> None:
        db = await _opened(path)

        async def write(number: int) -> None:
            if number % 2:
                await db.execute(INSERT, number)
            else:
                async with db.transaction() as tx:
                    await tx.execute(INSERT, number)
            assert number in _on_disk(path)

        await asyncio.gather(*(write(number) for number in range(40)))
        await db.close()

    asyncio.run(story())


def test_what_is_not_yet_durable_is_not_read(tmp_path: Path) -> None:
    async def story() -> None:
        db = await _opened(tmp_path / "x.sqlite3")
        write = asyncio.ensure_future(db.execute(INSERT, 1))
        await asyncio.sleep(0)  # the statement has run, the flush has not
        before = await db.fetch("SELECT x FROM t")
        assert (before, write.done()) == ([], False)
        await write
        assert await db.fetch("SELECT x FROM t") == [{"x": 1}]
        await db.close()

    asyncio.run(story())


def test_a_refusal_undoes_its_own_transaction_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite3"

    async def story() -> None:
        db = await _opened(path)

        async def pair(first: int, second: int) -> None:
            async with db.transaction() as tx:
                await tx.execute(INSERT, first)
                await tx.execute(INSERT, second)

        answers = await asyncio.gather(
            pair(1, 2), pair(3, 1), db.execute(INSERT, 2), pair(5, 6), db.execute(INSERT, 7), return_exceptions=True
        )
        assert [type(answer) for answer in answers] == [type(None), UniqueViolation, UniqueViolation, type(None), int]
        assert _on_disk(path) == [1, 2, 5, 6, 7]
        await db.close()

    asyncio.run(story())


def test_a_flush_that_fails_is_the_failure_of_every_member(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite3"

    async def story() -> None:
        db = await _opened(path)
        # A foreign key that is looked at only when the transaction ends: what fails is the COMMIT itself.
        await db.execute("CREATE TABLE child (x BIGINT REFERENCES t (x) DEFERRABLE INITIALLY DEFERRED)")
        answers = await asyncio.gather(
            db.execute(INSERT, 1), db.execute("INSERT INTO child (x) VALUES (99)"), return_exceptions=True
        )
        assert all(isinstance(answer, Exception) for answer in answers)
        assert answers[0] is not answers[1]
        assert _on_disk(path) == []
        await db.execute(INSERT, 2)
        assert _on_disk(path) == [2]
        await db.close()

    asyncio.run(story())


def test_where_sqlite_undoes_the_whole_everybody_before_hears_of_it_and_whoever_comes_next_begins_anew(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.sqlite3"

    async def story() -> None:
        db = await _opened(path)

        async def undoing() -> None:
            # What SQLite does by itself on a full disk: the transaction is gone under those who shared it.
            await db.execute("INSERT OR ROLLBACK INTO t (x) VALUES ($1)", 1)

        answers = await asyncio.gather(db.execute(INSERT, 1), undoing(), db.execute(INSERT, 3), return_exceptions=True)
        assert [type(answer) for answer in answers] == [StoreUnavailable, UniqueViolation, int]
        assert _on_disk(path) == [3]
        await db.close()

    asyncio.run(story())


def test_a_cancelled_caller_does_not_hold_up_the_others(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite3"

    async def story() -> None:
        db = await _opened(path)
        tasks = [asyncio.create_task(db.execute(INSERT, number)) for number in range(20)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(answer == 1 for answer in answers[1::2])
        assert set(range(1, 20, 2)) <= set(_on_disk(path))
        await db.execute(INSERT, 100)
        await db.close()

    asyncio.run(story())


def test_an_event_loop_that_ended_in_the_middle_leaves_a_usable_database(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite3"
    db = asyncio.run(_opened(path))

    async def begun() -> None:
        task = asyncio.ensure_future(db.execute(INSERT, 1))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(begun())

    async def after() -> None:
        await db.execute(INSERT, 2)
        assert 2 in _on_disk(path)
        await db.close()

    asyncio.run(after())


def test_closing_makes_durable_what_was_done(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite3"

    async def story() -> None:
        db = await _opened(path)
        write = asyncio.ensure_future(db.execute(INSERT, 1))
        await asyncio.sleep(0)
        await db.close()
        await write
        assert _on_disk(path) == [1]
        with pytest.raises(StoreUnavailable):
            await db.execute(INSERT, 2)

    asyncio.run(story())


def test_two_openings_write_in_turn_without_holding_up_the_event_loop(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite3"

    async def story() -> None:
        one, two = await _opened(path), await _opened(path)
        await asyncio.gather(
            *(db.execute(INSERT, 2 * number + which) for number in range(60) for which, db in enumerate((one, two)))
        )
        assert _on_disk(path) == list(range(120))
        await one.close()
        await two.close()

    asyncio.run(story())


def test_killed_between_two_commits_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite3"
    asyncio.run(_opened(path))
    writer = (
        "import asyncio, sys; from pathlib import Path; from adapters.sql.sqlite import SQLITE_TURNS_MAX, SqliteDatabase\n"
        "async def run():\n"
        "    db = SqliteDatabase(Path(sys.argv[1]))\n"
        "    async def one(n):\n"
        "        while True:\n"
        "            await db.execute('INSERT INTO t (x) VALUES ($1)', n); print(n, flush=True); n += 8\n"
        "    await asyncio.gather(*(one(n) for n in range(8)))\n"
        "asyncio.run(run())"
    )
    with subprocess.Popen([sys.executable, "-c", writer, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        acknowledged = {int(process.stdout.readline()) for _ in range(200)}
        process.kill()
        acknowledged |= {int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")}
    assert acknowledged <= set(_on_disk(path))
