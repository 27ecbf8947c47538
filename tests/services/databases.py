"""PostgreSQL databases for the tests, given back after a test and used again where they are as they were.

A new database is seven megabytes of catalogue, copied and thrown away; a thousand tests want one each, and the copy takes
longer than most of them. So a test gets a spare database under a name of its own. When it gives the database back, every
other session of it is ended, its tables are emptied and its sequences begin again; but one whose catalogue, or whose rows
from the migrations, the test has changed in any way is dropped.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import asyncpg

from adapters.sql.migrate import upgrade_all

T = TypeVar("T")

CATALOGUE: Final = (
    "pg_attrdef",
    "pg_attribute",
    "pg_class",
    "pg_constraint",
    "pg_index",
    "pg_namespace",
    "pg_policy",
    "pg_proc",
    "pg_rewrite",
    "pg_sequence",
    "pg_trigger",
    "pg_type",
)
"""Where a change of the tables leaves a mark: a row's `xmin` is the transaction that wrote it."""
FIRST_OWN_OID: Final = 16_384
"""FirstNormalObjectId: what is below came with the server."""
LARGE: Final = 1 << 20
"""A table of more bytes is truncated, which costs new files; the rows of a smaller one are deleted."""


@dataclass(frozen=True, slots=True)
class _Made:
    migrated: bool
    catalogue: str
    """What `_catalogue` said of it before a test had it."""
    seeds: str
    """What `_seeds` said of it then."""


_given: dict[str, _Made] = {}
_templates: dict[str, str] = {}
_spare: defaultdict[tuple[str, bool], list[tuple[str, _Made]]] = defaultdict(list)


def create(url: str, *, migrated: bool) -> None:
    """Create the database named in `url`, empty or with the tables of every room, under the server of the same URL."""
    server, _, name = url.rpartition("/")
    if _spare[server, migrated]:
        spare, made = _spare[server, migrated].pop()
        statements(f"{server}/postgres", f"ALTER DATABASE {spare} RENAME TO {name}")
    else:
        template = f" TEMPLATE {_template(server)}" if migrated else ""
        statements(f"{server}/postgres", f"CREATE DATABASE {name}{template}")
        made = call(url, lambda connection: _look(connection, migrated=migrated))
    _given[url] = made


def make_tables(url: str) -> None:
    """Put a database with the tables of every room in the place of an empty one; upgrade one that `create` did not make."""
    if url not in _given:
        upgrade_all(url)
    elif not _given[url].migrated:
        give_back(url)
        create(url, migrated=True)


def give_back(url: str) -> None:
    """End every session of the database and take it away from `url`: kept for another test, or dropped."""
    made = _given.pop(url)
    server, _, name = url.rpartition("/")
    spare = f"spare_{secrets.token_hex(8)}"
    # Under another name at once: a process that a test left behind finds nothing to connect to.
    ending = f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{name}'"  # noqa: S608  # our own
    statements(f"{server}/postgres", ending, f"ALTER DATABASE {name} RENAME TO {spare}")
    cleaned = call(f"{server}/{spare}", lambda connection: _cleaned(connection, made))
    if cleaned is None:
        statements(f"{server}/postgres", f"DROP DATABASE {spare} WITH (FORCE)")
    else:
        _spare[server, made.migrated].append((spare, cleaned))


def statements(url: str, *sql: str) -> None:
    """Run statements, each by itself, in the PostgreSQL database at `url`."""

    async def each(connection: Any) -> None:
        for statement in sql:
            await connection.execute(statement)

    call(url, each)


def call(url: str, what: Callable[[Any], Awaitable[T]]) -> T:
    """Connect to `url`, let `what` run, close the connection."""

    async def story() -> T:
        connection = await asyncpg.connect(url)
        try:
            return await what(connection)
        finally:
            await connection.close()

    # A thread of its own, because the caller may already be inside an event loop.
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(lambda: asyncio.run(story())).result()


def forget(url: str) -> None:
    """Forget every database of a server that has ended: another may begin on its port."""
    server = url.rpartition("/")[0]
    _templates.pop(server, None)
    for migrated in (False, True):
        _spare.pop((server, migrated), None)


def _template(server: str) -> str:
    if server not in _templates:
        name = f"template_{secrets.token_hex(4)}"
        statements(f"{server}/postgres", f"CREATE DATABASE {name}")
        upgrade_all(f"{server}/{name}")
        _templates[server] = name
    return _templates[server]


async def _look(connection: Any, *, migrated: bool) -> _Made:
    started = await connection.fetchval("SELECT count(*) FROM pg_sequences WHERE last_value IS NOT NULL")
    assert not started, "a migration that uses a sequence: beginning it again would not bring back what a test found"
    return _Made(migrated, await _catalogue(connection), await _seeds(connection))


async def _cleaned(connection: Any, made: _Made) -> _Made | None:
    """Make the database what it was; None where it cannot be."""
    if await _catalogue(connection) != made.catalogue:
        return None
    await connection.execute("SET session_replication_role = replica")  # no trigger, no foreign key
    for name, large in await _filled(connection):
        # What refers to a large one is emptied with it; where that took a seed along, it is missed below.
        await connection.execute(f"TRUNCATE {name} CASCADE" if large else f"DELETE FROM {name}")  # noqa: S608  # its own names
    await connection.execute(
        "SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)"
        " FROM pg_sequences WHERE last_value IS NOT NULL"
    )
    if await _seeds(connection) != made.seeds:
        return None
    return _Made(made.migrated, await _catalogue(connection), made.seeds)


async def _filled(connection: Any) -> list[tuple[str, bool]]:
    """Return each table that has rows, but those of the migrations' own, and whether it is a large one."""
    filled = []
    for name, size in await _tables(connection, seeded=False):
        if size and await connection.fetchval(f"SELECT EXISTS (SELECT FROM {name})"):  # noqa: S608  # its own name
            filled.append((name, size > LARGE))
    return filled


async def _seeds(connection: Any) -> str:
    """Return the rows that the migrations left: they say which revision the tables have."""
    names = [name for name, _ in await _tables(connection, seeded=True)]
    return str([[tuple(row) for row in await connection.fetch(f"TABLE {name}")] for name in names])


async def _tables(connection: Any, *, seeded: bool) -> list[tuple[str, int]]:
    """Return the names of the tables that the migrations filled, or of the others, and the bytes of their files."""
    rows = await connection.fetch(
        "SELECT oid::regclass::text AS name, pg_relation_size(oid) AS size FROM pg_class"
        " WHERE relkind = 'r' AND oid >= $1 AND (relname LIKE 'alembic\\_version\\_%') = $2 ORDER BY 1",
        FIRST_OWN_OID,
        seeded,
    )
    return [(row["name"], row["size"]) for row in rows]


async def _catalogue(connection: Any) -> str:
    """Return a digest of which rows of the catalogue there are that came not with the server, and who wrote them."""
    each = " UNION ALL ".join(
        f"SELECT '{table}' || {key} || ' ' || xmin AS row FROM {table} WHERE {key} >= {FIRST_OWN_OID}"  # noqa: S608  # our own
        for table in CATALOGUE
        for key in [{"pg_attribute": "attrelid", "pg_index": "indexrelid", "pg_sequence": "seqrelid"}.get(table, "oid")]
    )
    sql = f"SELECT md5(coalesce(string_agg(row, ',' ORDER BY row), '')) FROM ({each}) AS rows"  # noqa: S608  # our own
    digest: str = await connection.fetchval(sql)
    return digest
