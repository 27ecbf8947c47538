"""Databases with the product's tables, made by the real migrations once a process and copied from then on.

Three thousand tests want a database each, and a migration takes longer than most of them. That the migrations themselves are
right is tested in `tests/adapters/test_migrate.py`, on databases that they made.
"""

from __future__ import annotations

import asyncio
import atexit
import secrets
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import asyncpg

from adapters.sql.migrate import SCHEMA_OF_ROOM, SqliteTarget, target_of, upgrade, upgrade_all

_made: set[str] = set()


def make_tables(url: str, *rooms: str) -> None:
    """Make the tables of these rooms (all, when none is named) at `url`: as `upgrade` does, but copied where nothing is yet.

    On PostgreSQL a copy has the tables of every room. A database that has tables already is upgraded for real.
    """
    wanted = rooms or tuple(SCHEMA_OF_ROOM)
    if not url.startswith("sqlite:///"):
        if url not in _made:
            create_database(url, anew=True)
        return
    of_file: dict[Path, list[str]] = {}
    for room in wanted:
        target = target_of(room, url)
        assert isinstance(target, SqliteTarget)
        of_file.setdefault(target.path, []).append(room)
    for path, its_rooms in of_file.items():
        if path.exists():
            for room in its_rooms:
                upgrade(room, target_of(room, url))
        else:
            shutil.copy(_file(tuple(its_rooms)), path)


def create_database(url: str, *, anew: bool = False) -> None:
    """Create the PostgreSQL database named in `url`, with the tables of every room; `anew`: there is an empty one."""
    server, _, name = url.rpartition("/")
    template = _template(server)
    drop = [f"DROP DATABASE {name}"] if anew else []
    statements(f"{server}/postgres", *drop, f"CREATE DATABASE {name} TEMPLATE {template}")
    _made.add(url)


def statements(url: str, *sql: str) -> None:
    """Run statements, each by itself, in the PostgreSQL database at `url`."""

    async def story() -> None:
        connection = await asyncpg.connect(url)
        try:
            for statement in sql:
                await connection.execute(statement)
        finally:
            await connection.close()

    # A thread of its own, because the caller may already be inside an event loop.
    with ThreadPoolExecutor(max_workers=1) as pool:
        pool.submit(lambda: asyncio.run(story())).result()


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="tables-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _file(rooms: tuple[str, ...]) -> Path:
    folder = _folder() / "-".join(rooms)
    folder.mkdir()
    url = f"sqlite:///{folder}"
    for room in rooms:
        upgrade(room, target_of(room, url))
    (made,) = {path for path in folder.iterdir() if path.suffix == ".sqlite3"}
    assert [path.name for path in folder.iterdir()] == [made.name], "nothing is left in a journal beside the file"
    return made


@cache
def _template(server: str) -> str:
    name = f"template_{secrets.token_hex(4)}"
    statements(f"{server}/postgres", f"CREATE DATABASE {name}")
    upgrade_all(f"{server}/{name}")
    return name
