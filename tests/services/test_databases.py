"""A database that another test had is as good as a new one."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import asyncpg
import pytest

from tests.services import databases, loops
from tests.services.databases import call, create, give_back, statements

ADD = (
    "INSERT INTO ledger.audit_trail (events, link, origin) SELECT i, '\\x00', 'o' || i FROM generate_series(1, {}) AS i"
)


@pytest.fixture
def url(postgres_server: str) -> str:
    return f"{postgres_server.rpartition('/')[0]}/t_{secrets.token_hex(8)}"


def _oid(url: str) -> int:
    """Say which database it is, whatever its name."""
    sql = "SELECT oid::bigint FROM pg_database WHERE datname = current_database()"
    oid: int = call(url, lambda connection: connection.fetchval(sql))
    return oid


def _had(url: str, what: Callable[[], object], *, migrated: bool = True) -> bool:
    """Let `what` happen to a database, give it back and take the next; say whether that is the same one."""
    create(url, migrated=migrated)
    oid = _oid(url)
    what()
    give_back(url)
    create(url, migrated=migrated)
    return _oid(url) == oid


@pytest.mark.parametrize("rows", [1, 40_000], ids=["few", "many"])
def test_rows_are_gone_and_sequences_begin_again(url: str, rows: int) -> None:
    assert _had(url, lambda: statements(url, ADD.format(rows)))
    assert call(url, lambda connection: connection.fetchval("SELECT count(*) FROM ledger.audit_trail")) == 0
    statements(url, ADD.format(1))
    assert call(url, lambda connection: connection.fetchval("SELECT id FROM ledger.audit_trail")) == 1
    give_back(url)


def test_rows_that_others_refer_to_are_gone_as_well(url: str) -> None:
    create(url, migrated=False)
    # By their names the first to be emptied is the one referred to.
    tables = ("CREATE TABLE a (id int PRIMARY KEY)", "CREATE TABLE b (id int REFERENCES a)")
    statements(url, *tables, "INSERT INTO a VALUES (1)", "INSERT INTO b VALUES (1)")
    made = call(url, lambda connection: databases._look(connection, migrated=False))
    assert call(url, lambda connection: databases._cleaned(connection, made)) is not None
    left = "SELECT (SELECT count(*) FROM a) + (SELECT count(*) FROM b)"
    assert call(url, lambda connection: connection.fetchval(left)) == 0
    give_back(url)


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE public.another (x int)",
        "ALTER TABLE ledger.audit_trail ADD COLUMN another int",
        "ALTER TABLE ledger.audit_trail ALTER COLUMN events SET DEFAULT 7",
        "CREATE INDEX another ON ledger.audit_trail (link)",
        "ALTER TABLE idp.session_client DISABLE TRIGGER ALL",
        "CREATE FUNCTION public.another() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "UPDATE ledger.alembic_version_ledger SET version_num = 'another'",
    ],
)
def test_a_database_whose_tables_were_changed_is_used_no_more(url: str, change: str) -> None:
    assert not _had(url, lambda: statements(url, change))
    give_back(url)


def test_an_empty_database_is_used_again_while_nothing_was_made_in_it(url: str) -> None:
    assert _had(url, lambda: None, migrated=False)
    give_back(url)
    assert not _had(url, lambda: statements(url, "CREATE TABLE another (x int)"), migrated=False)
    give_back(url)


def test_a_session_that_a_test_left_open_is_ended(url: str) -> None:
    async def story() -> None:
        create(url, migrated=True)
        left = await asyncpg.connect(url)
        writing = left.transaction()
        await writing.start()
        await left.execute(ADD.format(1))
        give_back(url)
        with pytest.raises(asyncpg.PostgresConnectionError):
            await left.execute(ADD.format(1))

    loops.run(story())
    create(url, migrated=True)
    assert call(url, lambda connection: connection.fetchval("SELECT count(*) FROM ledger.audit_trail")) == 0
    give_back(url)
