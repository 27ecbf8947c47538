"""The vocabulary of `engine.py`: what a database and a transaction offer, and how they refuse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar, Literal, Protocol

from crypto.errors import TrustError

Row = Mapping[str, Any]


class StoreUnavailable(TrustError):
    """The database cannot be reached, is full, or is held by another. Mapped to 503 with Retry-After."""

    code: ClassVar[str] = "store.unavailable"


class ConstraintViolation(TrustError):
    """A row the schema refuses (CHECK, NOT NULL, FOREIGN KEY). The transaction is dead."""

    code: ClassVar[str] = "store.constraint_violation"


class UniqueViolation(ConstraintViolation):
    """A second row for a unique key. `columns` names the key's columns, never their values."""

    code: ClassVar[str] = "store.unique_violation"

    def __init__(self, columns: tuple[str, ...]) -> None:
        super().__init__(rule="unique", columns=",".join(columns))
        self.columns = columns


class ValueRefused(TrustError):
    """A text no database column can hold: U+0000 or half of a surrogate pair."""

    code: ClassVar[str] = "store.value_refused"


class Transaction(Protocol):
    """Statements inside one transaction. Raises `StoreUnavailable`, `UniqueViolation`, `ConstraintViolation`."""

    async def execute(self, sql: str, *args: Any) -> int:
        """Run one statement; return how many rows it inserted, changed or removed."""

    async def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement once a row of arguments."""

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        """Return every row of a query or of a RETURNING clause."""

    async def fetch_one(self, sql: str, *args: Any) -> Row | None:
        """Return the first row, or None."""

    async def lock(self, name: str) -> None:
        """Admit one transaction at a time under `name` (of this schema) until this one ends."""


class Database(Protocol):
    """One database: a SQLite file, or a schema of PostgreSQL."""

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        """Which SQL this is, for the rare statement that must differ."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Begin; commit at the end of the block, durably; roll back when it raises."""

    async def execute(self, sql: str, *args: Any) -> int:
        """Run one statement as a transaction of its own."""

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        """Run one query (or … RETURNING) as a transaction of its own."""

    async def fetch_one(self, sql: str, *args: Any) -> Row | None:
        """Run one query (or … RETURNING) as a transaction of its own; the first row, or None."""

    async def close(self) -> None:
        """Release the connections. Idempotent."""


class DeadTransactionError(RuntimeError):
    """A programming error: a statement after a refusal, or a refusal swallowed inside the block."""


class Mortal:
    """What both transactions share: after a refusal nothing more may be said, and nothing is written."""

    dead = False

    def proceed(self) -> None:
        """Raise if an earlier statement of this transaction was refused."""
        if self.dead:
            raise DeadTransactionError("a statement after a refusal in the same transaction")

    def finish(self) -> None:
        """Raise if a refusal was swallowed: PostgreSQL would answer COMMIT with ROLLBACK and no error."""
        if self.dead:
            raise DeadTransactionError("a refusal was swallowed inside the transaction; nothing was written")


def check_text(args: Sequence[Any]) -> None:
    """Raise `ValueRefused` for a text no database can hold."""
    # PostgreSQL refuses these by an error of the server, SQLite stores them: refuse on both, before either.
    for value in args:
        if isinstance(value, str):
            if not value.isascii():
                try:
                    value.encode()
                except UnicodeEncodeError:
                    raise ValueRefused(rule="surrogate") from None
            if "\x00" in value:
                raise ValueRefused(rule="nul")
