"""Data keys by purpose, sealed under the key-encryption key (KEK → data key → column)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from adapters.sql.database import Database
from crypto.errors import TrustError
from crypto.sealed import ColumnSealer

DATA_KEY_BYTES = {
    "column": 16,  # SM4-GCM of sealed columns and private keys
    "blind-index": 32,  # HMAC-SM3 of searchable sealed fields
    "pairwise-subject": 32,  # HMAC-SM3 of pairwise subject identifiers
    "csrf": 32,  # HMAC-SM3 of anti-forgery tokens
    "login-step": 32,  # HMAC-SM3 of the transitions of a sign-in
    "share-code": 32,  # HMAC-SM3 of verification codes
}


class KeyringRefused(TrustError):
    """A data key does not open: the key-encryption key is not the one this database was made with."""

    code: ClassVar[str] = "keyring.refused"


@dataclass(frozen=True, slots=True)
class DataKeys:
    """The keys of one purpose: all that still open, and the one that seals."""

    active: str
    by_kid: Mapping[str, bytes] = field(repr=False)

    @property
    def current(self) -> bytes:
        """The active key itself, for purposes that seal nothing and are never rotated in silence."""
        return self.by_kid[self.active]


async def open_keyring(
    database: Database, sealer: ColumnSealer, *, now: int, random_bytes: Callable[[int], bytes]
) -> dict[str, DataKeys]:
    """Return the data keys of every purpose, making the missing ones; atomic against another service's first start.

    Raises `KeyringRefused` where a key does not open, `StoreUnavailable` where the database does not answer.
    """
    for purpose, size in DATA_KEY_BYTES.items():
        kid = f"{purpose}-{random_bytes(4).hex()}"
        sealed = sealer.seal(random_bytes(size), aad=_aad(purpose, kid))
        await database.execute(
            "INSERT INTO data_key (purpose, kid, sealed, active, created_at)"
            " SELECT $1, $2, $3, 1, $4 WHERE NOT EXISTS (SELECT 1 FROM data_key WHERE purpose = $1)"
            " ON CONFLICT DO NOTHING",
            purpose,
            kid,
            sealed,
            now,
        )
    found: dict[str, DataKeys] = {}
    for purpose in DATA_KEY_BYTES:
        rows = await database.fetch("SELECT kid, sealed, active FROM data_key WHERE purpose = $1", purpose)
        keys = {row["kid"]: _open(sealer, purpose, row["kid"], bytes(row["sealed"])) for row in rows}
        active = next(row["kid"] for row in rows if row["active"])
        found[purpose] = DataKeys(active, keys)
    return found


def _aad(purpose: str, kid: str) -> bytes:
    return f"data_key/{purpose}/{kid}".encode()


def _open(sealer: ColumnSealer, purpose: str, kid: str, sealed: bytes) -> bytes:
    try:
        return sealer.open(sealed, aad=_aad(purpose, kid))
    except TrustError as refused:
        raise KeyringRefused(field="kek_file", rule="another_key") from refused
