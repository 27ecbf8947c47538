"""The operator's own signing keys: the log's, the anchor witness's and the accreditor's; made at the first start.

They live in the same key store as the provider's, each under an owner of its own, so that one key never serves two roles.
"""

from __future__ import annotations

from typing import Final

from crypto.keys import KeyRecord, KeyState, SigningKey, export_private, generate_signing_key, signing_key_from_bytes
from crypto.keystore import KeyStateRefused, KeyStore, KeyUnknown, require_signing
from crypto.sealed import ColumnSealer
from crypto.sm2 import Sm2Backend
from crypto.suites import Alg, Purpose

# A log's key is its name's companion for decades (a receipt of today must verify in fifteen years); rotation of a log's
# key is a new log.
OPERATOR_KEY_LIFETIME_S: Final = 30 * 366 * 24 * 60 * 60


class OperatorKeys:
    """Opens operator keys by owner and purpose, making the missing ones atomically."""

    def __init__(self, store: KeyStore, *, sealer: ColumnSealer, backend: Sm2Backend) -> None:
        self._store = store
        self._sealer = sealer
        self._backend = backend

    async def ensure(self, owner: str, purpose: Purpose, alg: Alg, *, now: int) -> tuple[KeyRecord, SigningKey]:
        """Return the active key. Raises `KeyStateRefused` outside its dates or where its private half is gone."""
        try:
            record = await self._store.active(owner, purpose, alg)
        except KeyUnknown:
            record = await self._make(owner, purpose, alg, now)
        require_signing(record, now)
        if record.sealed_private is None:
            raise KeyStateRefused(field="sealed_private", rule="destroyed")
        opened = self._sealer.open(record.sealed_private, aad=_aad(record.kid))
        return record, signing_key_from_bytes(opened, backend=self._backend)

    async def _make(self, owner: str, purpose: Purpose, alg: Alg, now: int) -> KeyRecord:
        key = generate_signing_key(alg, backend=self._backend)
        record = KeyRecord(
            kid=key.kid,
            purpose=purpose,
            alg=alg,
            owner=owner,
            state=KeyState.ACTIVE,
            not_before=now,
            not_after=now + OPERATOR_KEY_LIFETIME_S,
            compromised_at=None,
            public_jwk=key.public.jwk,
            sealed_private=self._sealer.seal(export_private(key), aad=_aad(key.kid)),
        )
        try:
            await self._store.add(record)
        except KeyStateRefused:
            # Another process made one at the same moment: that one counts.
            return await self._store.active(owner, purpose, alg)
        return record


def _aad(kid: str) -> bytes:
    return b"operator_key\x00sealed_private\x00" + kid.encode()
