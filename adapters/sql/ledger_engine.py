"""The small synchronous database the ledger's stores are written against, once for both engines.

SQL uses `$1 … $n`. Rows come back as tuples. Every failure of the database itself arrives as LedgerUnavailable, a taken
key or a lost race as CheckpointConflict.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

Row = tuple[Any, ...]


class Statements(Protocol):
    """What can be run inside an open transaction, or on a reading connection."""

    def execute(self, sql: str, *args: object) -> int:
        """Run one statement; return the number of rows it changed."""
        ...

    def fetch(self, sql: str, *args: object) -> list[Row]:
        """Return all rows."""
        ...

    def fetch_in(self, sql: str, values: Sequence[object], *args: object) -> list[Row]:
        """Return the rows whose column is one of `values`: `{in}` in the SQL stands where `= …` would.

        `{by_key}` behind the table `entry` asks for its index of idempotency keys.
        """
        ...

    def execute_many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run one statement for many rows."""
        ...

    def bulk_insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Add many rows the fastest way the engine has."""
        ...


class LedgerDatabase(Protocol):
    """One database of the ledger. Safe to use from several threads."""

    # Appended to a SELECT that reads a row in order to change it.
    for_update: str
    # Whether a round trip costs more than the statement: then one that bets on what was read last time is worth trying.
    remote: bool

    def writing(self) -> AbstractContextManager[Statements]:
        """Open a write transaction: durable once closed without an exception, otherwise rolled back."""
        ...

    def at_once(self, sql: str, *args: object) -> int:
        """Run one statement as a transaction of its own, in one round trip; return how many rows it touched."""
        ...

    def reading(self) -> AbstractContextManager[Statements]:
        """Open one consistent view of committed state."""
        ...

    def scan(self, sql: str, *args: object) -> Iterator[Row]:
        """Walk a large result in bounded memory."""
        ...

    def close(self) -> None:
        """Give the connections back."""
        ...
