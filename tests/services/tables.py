"""Databases with the product's tables, made by the real migrations once a process and copied from then on.

Three thousand tests want a database each, and a migration takes longer than most of them. That the migrations themselves are
right is tested in `tests/adapters/test_migrate.py`, on databases that they made.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from adapters.sql.migrate import SCHEMA_OF_ROOM, SqliteTarget, target_of, upgrade
from tests.services import databases


def make_tables(url: str, *rooms: str) -> None:
    """Make the tables of these rooms (all, when none is named) at `url`: as `upgrade` does, but copied where nothing is yet.

    On PostgreSQL a copy has the tables of every room. A database that has tables already is upgraded for real.
    """
    wanted = rooms or tuple(SCHEMA_OF_ROOM)
    if not url.startswith("sqlite:///"):
        databases.make_tables(url)
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
