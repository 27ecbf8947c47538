"""What an error of SQLite's driver means: the database at fault, a constraint that held, or the statement's own fault."""

from __future__ import annotations

import sqlite3

from adapters.sql.database import ConstraintViolation, StoreUnavailable, UniqueViolation

# Primary result codes of SQLite that say the database, not the statement, is at fault.
_SQLITE_UNAVAILABLE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOTADB,
    }
)
_SQLITE_UNIQUE = frozenset(
    {sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID}
)


def refusal_of_sqlite(error: sqlite3.Error) -> Exception:
    """Translate a driver's error into ours; the same error where it is the statement's own fault."""
    extended = getattr(error, "sqlite_errorcode", None)
    if extended is None:
        # Raised by the Python layer itself: a closed connection, a wrong number of arguments, a wrong type.
        return StoreUnavailable(rule="closed") if "closed" in str(error) else error
    if extended in _SQLITE_UNIQUE:
        _, _, listed = str(error).partition("failed: ")
        return UniqueViolation(tuple(name.rpartition(".")[2] for name in listed.split(", ")))
    primary = extended & 0xFF
    if primary == sqlite3.SQLITE_CONSTRAINT:
        return ConstraintViolation(rule=getattr(error, "sqlite_errorname", "constraint"))
    if primary in _SQLITE_UNAVAILABLE:
        return StoreUnavailable(rule=getattr(error, "sqlite_errorname", "unavailable"))
    return error
