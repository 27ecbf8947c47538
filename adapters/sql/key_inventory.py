"""What an operator is shown of signing keys, in both key stores; never a secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from adapters.sql.database import Database, Row
from crypto.keys import KeyState
from crypto.sealed import ColumnSealer

Store = Literal["idp", "credentials"]
# Keys of single persons are as many as there are persons; one list shows at most this many.
MAX_LINES: Final = 10_000


@dataclass(frozen=True, slots=True)
class SigningKeyLine:
    """A signing key as an operator sees it. `sealed_under` is None once its private half is destroyed."""

    store: Store
    kid: str
    purpose: str
    alg: str
    owner: str
    state: KeyState
    not_before: int
    not_after: int | None
    compromised_at: int | None
    sealed_under: str | None


async def signing_key_lines(idp: Database, credentials: Database, *, persons: bool) -> tuple[list[SigningKeyLine], int]:
    """Return the keys by store, owner and purpose, and how many keys of single persons were left out."""
    found: list[SigningKeyLine] = []
    for store, database, column in _stores(idp, credentials):
        rows = await database.fetch(
            f"SELECT *, {column} AS private FROM signing_key WHERE owner NOT LIKE 'person:%' OR $1 = 1"  # noqa: S608  # constants of this module
            " ORDER BY owner, purpose, not_before, kid LIMIT $2",
            int(persons),
            MAX_LINES,
        )
        found += [_line(store, row) for row in rows]
    row = await credentials.fetch_one("SELECT count(*) AS n FROM signing_key WHERE owner LIKE 'person:%'")
    return found, 0 if persons or row is None else row["n"]


async def signing_key_of(idp: Database, credentials: Database, kid: str) -> SigningKeyLine | None:
    """Return the key of that name, or None."""
    for store, database, column in _stores(idp, credentials):
        row = await database.fetch_one(
            f"SELECT *, {column} AS private FROM signing_key WHERE kid = $1",  # noqa: S608  # constants of this module
            kid,
        )
        if row is not None:
            return _line(store, row)
    return None


def _stores(idp: Database, credentials: Database) -> tuple[tuple[Store, Database, str], ...]:
    return ("idp", idp, "sealed_private"), ("credentials", credentials, "sealed")


def _line(store: Store, row: Row) -> SigningKeyLine:
    return SigningKeyLine(
        store=store,
        kid=row["kid"],
        purpose=row["purpose"],
        alg=row["alg"],
        owner=row["owner"],
        state=KeyState(row["state"]),
        not_before=row["not_before"],
        not_after=row["not_after"],
        compromised_at=row["compromised_at"],
        sealed_under=ColumnSealer.key_of(bytes(row["private"])) if row["private"] else None,
    )
