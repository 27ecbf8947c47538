"""Where each room's tables live: a database file or a schema of one server. Knows nothing of migrations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# A room's tables live in the database file, or the schema, of its package.
SCHEMA_OF_ROOM = {
    "keyring": "idp",
    "registry": "idp",
    "access": "idp",
    "credentials": "credentials",
    "ledger": "ledger",
    "audit": "audit",
}


@dataclass(frozen=True, slots=True)
class SqliteTarget:
    """A database file; created if absent."""

    path: Path


@dataclass(frozen=True, slots=True)
class PostgresTarget:
    """A schema of the database at `url` (`postgresql://…`); created if absent."""

    url: str
    schema: str


Target = SqliteTarget | PostgresTarget


def target_of(room: str, url: str) -> Target:
    """Return where a room's tables live; `url` as in `engine.open_database`."""
    schema = SCHEMA_OF_ROOM[room]
    if url.startswith("sqlite:///"):
        return SqliteTarget(Path(url.removeprefix("sqlite:///")) / f"{schema}.sqlite3")
    return PostgresTarget(url, schema)
