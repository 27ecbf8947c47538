"""Upgrading a room: whole or not at all, once however many start, each room apart from the others."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command

from adapters.sql.engine import Database, StoreUnavailable, open_database
from adapters.sql.migrate import (
    MIGRATIONS,
    SCHEMA_OF_ROOM,
    PostgresTarget,
    SqliteTarget,
    Target,
    is_current,
    run,
    upgrade,
)

FIRST = """
from alembic import op
revision = "0001"
down_revision = None
def upgrade():
    op.execute("CREATE TABLE one (id BIGINT PRIMARY KEY)")
    op.execute("INSERT INTO one VALUES (7)")
def downgrade():
    op.execute("DROP TABLE one")
"""
SECOND = """
from alembic import op
revision = "0002"
down_revision = "0001"
def upgrade():
    op.execute("CREATE TABLE two (id BIGINT PRIMARY KEY)")
    op.execute("{second_statement}")
def downgrade():
    op.execute("DROP TABLE two")
"""


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    folder = tmp_path / "a room's 100% versions"
    folder.mkdir()
    (folder / "0001_first.py").write_text(FIRST)
    return folder


@pytest.fixture
def target(database_url: str, dialect: str, tmp_path: Path) -> Target:
    return SqliteTarget(tmp_path / "idp.sqlite3") if dialect == "sqlite" else PostgresTarget(database_url, "idp")


async def tables(database: Database) -> set[str]:
    sql = (
        "SELECT name FROM sqlite_master WHERE type = 'table'"
        if database.dialect == "sqlite"
        else "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'idp'"
    )
    return {row["name"] for row in await database.fetch(sql)}


def seen(database_url: str) -> set[str]:
    async def look() -> set[str]:
        database = await open_database(database_url, "idp")
        try:
            return await tables(database)
        finally:
            await database.close()

    return asyncio.run(look())


def test_upgrade_makes_the_tables_and_a_version_table_of_the_room(
    versions: Path, target: Target, database_url: str
) -> None:
    run(command.upgrade, versions=versions, room="attic", target=target, revision="head")
    run(command.upgrade, versions=versions, room="attic", target=target, revision="head")
    assert seen(database_url) == {"one", "alembic_version_attic"}


def test_a_migration_that_fails_halfway_changes_nothing(versions: Path, target: Target, database_url: str) -> None:
    (versions / "0002_second.py").write_text(SECOND.format(second_statement="INSERT INTO nowhere VALUES (1)"))
    with pytest.raises(Exception, match="nowhere"):
        run(command.upgrade, versions=versions, room="attic", target=target, revision="head")
    assert "two" not in seen(database_url)
    (versions / "0002_second.py").write_text(SECOND.format(second_statement="INSERT INTO two VALUES (1)"))
    run(command.upgrade, versions=versions, room="attic", target=target, revision="head")
    assert "two" in seen(database_url)


def test_downgrade_undoes(versions: Path, target: Target, database_url: str) -> None:
    run(command.upgrade, versions=versions, room="attic", target=target, revision="head")
    run(command.downgrade, versions=versions, room="attic", target=target, revision="base")
    assert "one" not in seen(database_url)


def test_two_rooms_of_one_database_have_their_own_versions(versions: Path, target: Target, database_url: str) -> None:
    other = versions.parent / "other"
    other.mkdir()
    (other / "0001_first.py").write_text(FIRST.replace(" one", " three"))
    run(command.upgrade, versions=versions, room="attic", target=target, revision="head")
    run(command.upgrade, versions=other, room="cellar", target=target, revision="head")
    assert {"alembic_version_attic", "alembic_version_cellar"} <= seen(database_url)


def test_services_that_start_at_once_upgrade_once(database_url: str, dialect: str, tmp_path: Path) -> None:
    """The real rooms, from four threads: nobody fails, the tables are there."""
    rooms = [room for room in ("registry", "access") if any((MIGRATIONS / room / "versions").glob("*.py"))]
    target: Target = (
        SqliteTarget(tmp_path / "idp.sqlite3") if dialect == "sqlite" else PostgresTarget(database_url, "idp")
    )

    def start(_: int) -> None:
        for room in rooms:
            upgrade(room, target)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(start, range(4)))
    assert {f"alembic_version_{room}" for room in rooms} <= seen(database_url)


@pytest.mark.parametrize("room", sorted(SCHEMA_OF_ROOM))
def test_every_room_upgrades_and_is_then_current(room: str, database_url: str, dialect: str, tmp_path: Path) -> None:
    schema = SCHEMA_OF_ROOM[room]
    target: Target = (
        SqliteTarget(tmp_path / f"{schema}.sqlite3") if dialect == "sqlite" else PostgresTarget(database_url, schema)
    )
    assert not is_current(room, target)
    upgrade(room, target)
    assert is_current(room, target)


def test_a_database_that_cannot_be_reached_is_unavailable(versions: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.sqlite3").write_bytes(b"not a database, and long enough to be read as one" * 50)
    for target in (
        PostgresTarget("postgresql://edutrust@127.0.0.1:1/none", "idp"),
        SqliteTarget(tmp_path / "none" / "idp.sqlite3"),
        SqliteTarget(tmp_path / "broken.sqlite3"),
    ):
        with pytest.raises(StoreUnavailable):
            run(command.upgrade, versions=versions, room="attic", target=target, revision="head")


def test_a_folder_without_migrations_is_an_error_not_an_empty_success(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RuntimeError, match="no migrations"):
        run(
            command.upgrade,
            versions=tmp_path / "empty",
            room="attic",
            target=SqliteTarget(tmp_path / "x.sqlite3"),
            revision="head",
        )
