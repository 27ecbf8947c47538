"""Opening the ledger's database from the product's one database URL."""

from __future__ import annotations

from adapters.sql.ledger_engine import LedgerDatabase
from adapters.sql.ledger_postgres import PostgresLedgerDatabase
from adapters.sql.ledger_sqlite import SqliteLedgerDatabase
from adapters.sql.targets import PostgresTarget, target_of


def open_ledger_database(url: str) -> LedgerDatabase:
    """Open the database the `ledger` room's migrations have made; `url` as in `engine.open_database`.

    Each opening has connections of its own: open it once for the log and once for the audit trail, so that a large pool
    and a sign-in's event do not queue for the same connection. Raises LedgerUnavailable.
    """
    target = target_of("ledger", url)
    if isinstance(target, PostgresTarget):
        return PostgresLedgerDatabase(target.url, schema=target.schema)
    return SqliteLedgerDatabase(target.path)


def open_audit_database(url: str) -> LedgerDatabase:
    """Open where the audit trail is written: on SQLite a file of its own, so that no sign-in waits behind a full pool.

    Raises LedgerUnavailable.
    """
    target = target_of("audit", url)
    if isinstance(target, PostgresTarget):
        return PostgresLedgerDatabase(target.url, schema=target.schema)
    return SqliteLedgerDatabase(target.path)
