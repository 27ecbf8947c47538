"""`crypto.keystore.KeyStore` in SQL. Private halves are stored as they come: sealed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from adapters.sql.database import Database, Row, Transaction
from crypto.encoding import json_strict
from crypto.keys import KeyRecord, KeyState
from crypto.keystore import KeyStateRefused, KeyUnknown, require_verifying, with_compromise, with_state
from crypto.suites import Alg, Purpose

_COLUMNS = "kid, purpose, alg, owner, state, not_before, not_after, compromised_at, public_jwk, sealed_private"


def _record(row: Row) -> KeyRecord:
    public: Any = json_strict(row["public_jwk"])
    return KeyRecord(
        kid=row["kid"],
        purpose=Purpose(row["purpose"]),
        alg=Alg(row["alg"]),
        owner=row["owner"],
        state=KeyState(row["state"]),
        not_before=row["not_before"],
        not_after=row["not_after"],
        compromised_at=row["compromised_at"],
        public_jwk=public,
        sealed_private=None if row["sealed_private"] is None else bytes(row["sealed_private"]),
    )


class SqlKeyStore:
    """Keys at rest; changes of one owner's keys come one after the other."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def add(self, record: KeyRecord) -> None:
        """See `KeyStore.add`."""
        if record.state not in {KeyState.PENDING, KeyState.ACTIVE}:
            raise KeyStateRefused(field="state", rule="order")
        async with self._db.transaction() as tx:
            await tx.lock(f"keys/{record.owner}")
            # Both keys of the table speak here: the kid, and one active key a purpose and algorithm.
            added = await tx.execute(
                f"INSERT INTO signing_key ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"  # noqa: S608  # constants of this module
                " ON CONFLICT DO NOTHING",
                record.kid,
                record.purpose.value,
                record.alg.value,
                record.owner,
                record.state.value,
                record.not_before,
                record.not_after,
                record.compromised_at,
                json.dumps(dict(record.public_jwk), separators=(",", ":")),
                record.sealed_private,
            )
        if added == 0:
            raise KeyStateRefused(field="kid", rule="exists")

    async def active(self, owner: str, purpose: Purpose, alg: Alg) -> KeyRecord:
        """See `KeyStore.active`."""
        row = await self._db.fetch_one(
            f"SELECT {_COLUMNS} FROM signing_key WHERE owner = $1 AND purpose = $2 AND alg = $3 AND state = 'active'",  # noqa: S608  # constants of this module
            owner,
            purpose.value,
            alg.value,
        )
        if row is None:
            raise KeyUnknown(field="alg", rule="no_active_key")
        return _record(row)

    async def by_kid(self, owner: str, kid: str) -> KeyRecord:
        """See `KeyStore.by_kid`."""
        row = await self._db.fetch_one(f"SELECT {_COLUMNS} FROM signing_key WHERE owner = $1 AND kid = $2", owner, kid)  # noqa: S608  # constants of this module
        if row is None:
            raise KeyUnknown(field="kid", rule="unknown")
        return _record(row)

    async def verifying(self, owner: str, kid: str, signed_at: int) -> KeyRecord:
        """See `KeyStore.verifying`."""
        record = await self.by_kid(owner, kid)
        require_verifying(record, signed_at)
        return record

    async def published(self, owner: str) -> tuple[KeyRecord, ...]:
        """See `KeyStore.published`."""
        rows = await self._db.fetch(
            f"SELECT {_COLUMNS} FROM signing_key WHERE owner = $1 AND state <> 'retired' AND compromised_at IS NULL"  # noqa: S608  # constants of this module
            " ORDER BY not_before, kid",
            owner,
        )
        return tuple(_record(row) for row in rows)

    async def rotate(self, owner: str, successor_kid: str) -> KeyRecord:
        """See `KeyStore.rotate`."""
        async with self._db.transaction() as tx:
            await tx.lock(f"keys/{owner}")
            successor = with_state(await self._held(tx, owner, successor_kid), KeyState.ACTIVE)
            await tx.execute(
                "UPDATE signing_key SET state = 'retiring'"
                " WHERE owner = $1 AND purpose = $2 AND alg = $3 AND state = 'active'",
                owner,
                successor.purpose.value,
                successor.alg.value,
            )
            await self._write(tx, successor)
            return successor

    async def retire(self, owner: str, kid: str) -> KeyRecord:
        """See `KeyStore.retire`."""
        return await self._change(owner, kid, lambda record: with_state(record, KeyState.RETIRED))

    async def report_compromise(self, owner: str, kid: str, at: int) -> KeyRecord:
        """See `KeyStore.report_compromise`."""
        return await self._change(owner, kid, lambda record: with_compromise(record, at))

    async def _change(self, owner: str, kid: str, change: Callable[[KeyRecord], KeyRecord]) -> KeyRecord:
        async with self._db.transaction() as tx:
            await tx.lock(f"keys/{owner}")
            changed = change(await self._held(tx, owner, kid))
            await self._write(tx, changed)
            await tx.execute("UPDATE signing_key SET sealed_private = NULL WHERE owner = $1 AND kid = $2", owner, kid)
        return await self.by_kid(owner, kid)

    async def _held(self, tx: Transaction, owner: str, kid: str) -> KeyRecord:
        row = await tx.fetch_one(f"SELECT {_COLUMNS} FROM signing_key WHERE owner = $1 AND kid = $2", owner, kid)  # noqa: S608  # constants of this module
        if row is None:
            raise KeyUnknown(field="kid", rule="unknown")
        return _record(row)

    async def _write(self, tx: Transaction, record: KeyRecord) -> None:
        await tx.execute(
            "UPDATE signing_key SET state = $3, compromised_at = $4 WHERE owner = $1 AND kid = $2",
            record.owner,
            record.kid,
            record.state.value,
            record.compromised_at,
        )
