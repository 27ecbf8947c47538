"""Bring a room's tables up to date: Alembic, one version table a room, one transaction an upgrade.

Two services that start at once wait for each other: SQLite by BEGIN IMMEDIATE, PostgreSQL by an advisory lock.
A crash in the middle leaves the database as it was.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from adapters.sql.database import StoreUnavailable
from adapters.sql.postgresql import refusal_of_postgres
from adapters.sql.sqlite_refusals import refusal_of_sqlite
from adapters.sql.targets import SCHEMA_OF_ROOM, PostgresTarget, SqliteTarget, Target, target_of

__all__ = [
    "SCHEMA_OF_ROOM",
    "PostgresTarget",
    "SqliteTarget",
    "Target",
    "is_current",
    "run",
    "target_of",
    "upgrade",
    "upgrade_all",
]

MIGRATIONS = Path(__file__).parent / "migrations"
# The audit trail has the ledger's tables in a file, or a schema, of its own: a sign-in never waits behind a full pool.
VERSIONS_OF_ROOM = {"audit": "ledger"}
# Another process may be upgrading, at most for as long as its longest table rewrite.
WAIT_FOR_OTHER_S = 60.0


def upgrade(room: str, target: Target, revision: str = "head") -> None:
    """Upgrade one room. Raises `StoreUnavailable`. Blocks; call it before serving."""
    run(command.upgrade, versions=_versions(room), room=room, target=target, revision=revision)


def upgrade_all(url: str, rooms: Sequence[str] = tuple(SCHEMA_OF_ROOM)) -> None:
    """Upgrade every room of the product in the database at `url`. Raises `StoreUnavailable`."""
    for room in rooms:
        upgrade(room, target_of(room, url))


def is_current(room: str, target: Target) -> bool:
    """Say whether the room's tables are at the newest revision, changing nothing. Raises `StoreUnavailable`."""
    heads = _heads(_versions(room))
    found: list[tuple[str, ...]] = []

    def look(connection: Connection) -> None:
        context = MigrationContext.configure(connection, opts={"version_table": _version_table(room)})
        found.append(context.get_current_heads())

    _with_connection(target, look)
    return set(found[0]) == set(heads)


def run(action: Any, *, versions: Path, room: str, target: Target, revision: str) -> None:
    """Run an Alembic command (`command.upgrade`, `command.downgrade`) over one folder of versions."""
    config = _config(versions)
    _heads(versions)

    def act(connection: Connection) -> None:
        config.attributes["connection"] = connection
        config.attributes["version_table"] = _version_table(room)
        action(config, revision)

    _with_connection(target, act)


def _versions(room: str) -> Path:
    return MIGRATIONS / VERSIONS_OF_ROOM.get(room, room) / "versions"


def _version_table(room: str) -> str:
    return f"alembic_version_{room}"


def _heads(versions: Path) -> list[str]:
    heads = ScriptDirectory.from_config(_config(versions)).get_heads()
    if not heads:
        raise RuntimeError(f"no migrations in {versions}: Alembic would succeed and make no table")
    return heads


def _config(versions: Path) -> Config:
    config = Config()
    # Alembic interpolates `%` in option values.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(versions).replace("%", "%%"))
    return config


def _with_connection(target: Target, act: Any) -> None:
    if isinstance(target, SqliteTarget):
        _on_sqlite(target, act)
        return
    # A thread of its own, because the caller may already be inside an event loop.
    with ThreadPoolExecutor(max_workers=1) as pool:
        pool.submit(lambda: asyncio.run(_on_postgres(target, act))).result()


def _on_sqlite(target: SqliteTarget, act: Any) -> None:
    def connect() -> sqlite3.Connection:
        os.close(os.open(target.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(target.path, isolation_level=None, timeout=WAIT_FOR_OTHER_S)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            act(connection)
            connection.exec_driver_sql("COMMIT")
    except OSError as error:
        raise StoreUnavailable(rule="cannot_open") from error
    except DBAPIError as error:
        raise (refusal_of_sqlite(error.orig) if isinstance(error.orig, sqlite3.Error) else error) from error
    finally:
        engine.dispose()


async def _on_postgres(target: PostgresTarget, act: Any) -> None:
    async def connect() -> Any:
        return await asyncpg.connect(target.url, server_settings={"search_path": target.schema})

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            await connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtextextended('edutrust/migrate', 0))")
            await connection.exec_driver_sql(f'CREATE SCHEMA IF NOT EXISTS "{target.schema}"')
            await connection.run_sync(act)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:  # from connect, which SQLAlchemy does not wrap
        raise refusal_of_postgres(error) from error
    except DBAPIError as error:
        driver = error.orig.__cause__ if error.orig is not None else None
        raise (refusal_of_postgres(driver) if isinstance(driver, Exception) else error) from error
    finally:
        await engine.dispose()
