"""The small async interface every SQL store is written against, on SQLite and on PostgreSQL.

    async with db.transaction() as tx:
        row = await tx.fetch_one("DELETE FROM code WHERE id = $1 RETURNING subject", code_id)

Rules that make one text of SQL mean the same on both:

* Placeholders are `$1 … $n`. Columns are TEXT, BIGINT, SMALLINT (booleans as 0 and 1) and bytes (BYTEA in PostgreSQL,
  BLOB in SQLite). Arguments are `str`, `int`, `bytes` and `None`, each of its column's own type.
* `execute` returns the number of rows touched. Rows are mappings from column name to value.
* After a refusal (`UniqueViolation`, …) a transaction is dead: further statements raise, and so does its end. Write
  `INSERT … ON CONFLICT DO NOTHING` and look at the count where a duplicate is an ordinary outcome.
* A transaction's body awaits its own statements and nothing else: on SQLite it holds the only connection.
* SQLite transactions are serial. PostgreSQL's are READ COMMITTED: make a verb one statement
  (`UPDATE … WHERE … RETURNING`), or begin with `await tx.lock("name")`, which admits one transaction a name at a time.
"""

from __future__ import annotations

from pathlib import Path

from adapters.sql.database import (
    ConstraintViolation,
    Database,
    Row,
    StoreUnavailable,
    Transaction,
    UniqueViolation,
    ValueRefused,
)
from adapters.sql.postgresql import PgDatabase
from adapters.sql.sqlite import SqliteDatabase

__all__ = [
    "ConstraintViolation",
    "Database",
    "PgDatabase",
    "Row",
    "SqliteDatabase",
    "StoreUnavailable",
    "Transaction",
    "UniqueViolation",
    "ValueRefused",
    "open_database",
]

SQLITE_URL_PREFIX = "sqlite:///"


async def open_database(url: str, schema: str) -> Database:
    """Open one schema's database.

    `url` is `postgresql://…`, or `sqlite:///<folder>`: the file is then `<folder>/<schema>.sqlite3`.
    Raises `StoreUnavailable`.
    """
    if url.startswith(SQLITE_URL_PREFIX):
        return SqliteDatabase(Path(url.removeprefix(SQLITE_URL_PREFIX)) / f"{schema}.sqlite3")
    return await PgDatabase.open(url, schema)
