"""Issuers', holders' and officers' signing keys in SQL, private halves sealed. Contract: `credentials.ports.IssuerKeys`.

A key is made at its first use and inserted only where none is active, so two first uses agree on one. Signing asks the
table each time: a key retired or reported a moment ago signs nothing more, whoever still holds it in memory.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from adapters.sql.database import Database, Row
from credentials.accreditation import AccreditedKey, KeyPurpose
from credentials.errors import KeyUnavailable
from credentials.public_keys import key_of_jwk
from crypto.keys import (
    KeyState,
    SigningKey,
    export_private,
    generate_signing_key,
    signing_key_from_bytes,
)
from crypto.sealed import ColumnSealer
from crypto.sm2 import Sm2Backend
from crypto.suites import Alg
from idp.registry.person_number import PersonNumber

Clock = Callable[[], int]

# What a retiring key signed may reach its anchor after it: a chain may be silent for a day (security.md G17), with margin.
RETIRING_OVERLAP_S: Final = 7 * 86400
# Opened keys kept in memory; 200 graduates of one step plus the school's own.
KEPT_OPEN: Final = 1024

# What stands in place of a private half that is gone; the column may not be NULL.
DESTROYED: Final = b""

HOLDER: Final = "holder"
APPROVAL: Final = "approval"
_ALG: Final = {KeyPurpose.DOCUMENT.value: Alg.ES256}  # PAdES readers know no SM2


class SqlIssuerKeys:
    """Keys of table `signing_key`."""

    def __init__(self, database: Database, *, sealer: ColumnSealer, backend: Sm2Backend, clock: Clock) -> None:
        self._db = database
        self._sealer = sealer
        self._backend = backend
        self._clock = clock
        self._opened: OrderedDict[str, SigningKey] = OrderedDict()

    async def credential_key(self, issuer: str) -> SigningKey:
        """See `IssuerKeys.credential_key`."""
        return await self._active(issuer, KeyPurpose.CREDENTIAL.value)

    async def status_key(self, issuer: str) -> SigningKey:
        """See `IssuerKeys.status_key`."""
        return await self._active(issuer, KeyPurpose.STATUS.value)

    async def document_key(self, issuer: str) -> SigningKey:
        """See `IssuerKeys.document_key`."""
        return await self._active(issuer, KeyPurpose.DOCUMENT.value)

    async def accreditation_key(self, accreditor: str) -> SigningKey:
        """See `IssuerKeys.accreditation_key`."""
        return await self._active(accreditor, KeyPurpose.ACCREDITATION.value)

    async def holder_key(self, person: PersonNumber) -> SigningKey:
        """See `IssuerKeys.holder_key`."""
        return await self._active(f"person:{person}", HOLDER)

    async def approval_key(self, person: PersonNumber) -> SigningKey:
        """See `IssuerKeys.approval_key`."""
        return await self._active(f"person:{person}", APPROVAL)

    async def accredited(self, owner: str) -> tuple[AccreditedKey, ...]:
        """See `IssuerKeys.accredited`."""
        rows = await self._db.fetch("SELECT * FROM signing_key WHERE owner = $1 ORDER BY not_before, kid", owner)
        purposes = {purpose.value for purpose in KeyPurpose}
        return tuple(
            AccreditedKey(
                key_of_jwk(json.loads(row["public_jwk"])),
                KeyPurpose(row["purpose"]),
                row["not_before"],
                row["not_after"],
                row["compromised_at"],
            )
            for row in rows
            if row["purpose"] in purposes
        )

    async def rotate(self, owner: str, purpose: KeyPurpose) -> SigningKey:
        """See `IssuerKeys.rotate`."""
        key = self._new_key(purpose.value)
        now = self._clock()
        async with self._db.transaction() as tx:
            await tx.lock(f"credentials/keys/{owner}/{purpose.value}")
            await tx.execute(
                "UPDATE signing_key SET state = $3, not_after = $4 WHERE owner = $1 AND purpose = $2 AND state = 'active'",
                owner, purpose.value, KeyState.RETIRING.value, now + RETIRING_OVERLAP_S,
            )  # fmt: skip
            await tx.execute(_INSERT, *self._row(key, owner, purpose.value, now))
        return key

    async def report_compromise(self, kid: str, *, at: int) -> None:
        """See `IssuerKeys.report_compromise`; the private half is destroyed."""
        await self._db.execute(
            "UPDATE signing_key SET state = 'retired', sealed = $3, compromised_at ="
            " CASE WHEN compromised_at IS NULL OR compromised_at > $2 THEN $2 ELSE compromised_at END WHERE kid = $1",
            kid, at, DESTROYED,
        )  # fmt: skip
        self._opened.pop(kid, None)

    async def retire(self, kid: str) -> None:
        """End a key and destroy its private half; what it signed until now stays verifiable.

        The owner's next use makes a new key. Raises `KeyUnavailable` for a key that is unknown or retired already.
        """
        now = self._clock()
        changed = await self._db.execute(
            "UPDATE signing_key SET state = 'retired', sealed = $3, not_after ="
            " CASE WHEN not_after IS NULL OR not_after > $2 THEN $2 ELSE not_after END"
            " WHERE kid = $1 AND state <> 'retired'",
            kid, now, DESTROYED,
        )  # fmt: skip
        if not changed:
            raise KeyUnavailable(field="kid", rule="retired")
        self._opened.pop(kid, None)

    async def _active(self, owner: str, purpose: str) -> SigningKey:
        row = await self._find(owner, purpose)
        if row is None:
            key = self._new_key(purpose)
            await self._db.execute(f"{_INSERT} ON CONFLICT DO NOTHING", *self._row(key, owner, purpose, self._clock()))
            row = await self._find(owner, purpose)
        if row is None:
            raise KeyUnavailable(field=purpose, rule="none_active")
        return self._open(row)

    async def _find(self, owner: str, purpose: str) -> Row | None:
        return await self._db.fetch_one(
            "SELECT * FROM signing_key WHERE owner = $1 AND purpose = $2 AND state = 'active'", owner, purpose
        )

    def _new_key(self, purpose: str) -> SigningKey:
        return generate_signing_key(_ALG.get(purpose, Alg.SGD_SM3_SM2), backend=self._backend)

    def _row(self, key: SigningKey, owner: str, purpose: str, now: int) -> tuple[str | int | bytes, ...]:
        sealed = self._sealer.seal(export_private(key), aad=_aad(key.kid))
        public = json.dumps(dict(key.public.jwk))
        return key.kid, owner, purpose, key.alg.value, KeyState.ACTIVE.value, now, public, sealed

    def _open(self, row: Row) -> SigningKey:
        kid: str = row["kid"]
        key = self._opened.get(kid)
        if key is None:
            plain = self._sealer.open(bytes(row["sealed"]), aad=_aad(kid))
            key = signing_key_from_bytes(plain, backend=self._backend)
            self._opened[kid] = key
            if len(self._opened) > KEPT_OPEN:
                self._opened.popitem(last=False)
        return key


_INSERT: Final = (
    "INSERT INTO signing_key (kid, owner, purpose, alg, state, not_before, public_jwk, sealed)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
)


def _aad(kid: str) -> bytes:
    return f"credentials/signing_key/sealed/{kid}".encode()
