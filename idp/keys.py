"""The provider's signing keys: one active key an algorithm, and the public keys a relying party may still meet."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from crypto.keys import (
    KeyRecord,
    KeyState,
    PublicKey,
    SigningKey,
    export_private,
    generate_signing_key,
    public_from_jwk,
    signing_key_from_bytes,
)
from crypto.keystore import KeyStateRefused, KeyStore, KeyUnknown, require_signing
from crypto.sealed import ColumnSealer
from crypto.sm2 import Sm2Backend
from crypto.suites import Alg, Purpose
from idp.model import Clock

INTEROP_ALGORITHMS = (Alg.RS256, Alg.ES256)
"""Published at `jwks_uri`. OpenID Connect Discovery §3 requires RS256 to be offered."""

NATIONAL_ALGORITHMS = (Alg.SGD_SM3_SM2,)
"""Published at a second address: a set with an SM2 key makes other libraries fail on the whole set."""

OWNER = "idp"
KEY_LIFETIME_S = 3 * 366 * 24 * 60 * 60
"""RSA-2048 is allowed to the end of 2030 (NIST SP 800-131A rev. 2); three years from now lies before it."""


class IdpKeys(Protocol):
    """Keys in memory; loaded at start, refreshed after a rotation. Never waits."""

    def active(self, alg: Alg) -> SigningKey:
        """Return the one key that signs for `alg`. Raises `KeyStateRefused` past its dates."""

    def published(self, alg: Alg) -> tuple[PublicKey, ...]:
        """Return pending, active and retiring public keys of `alg`, so that rotation overlaps."""

    def verifiers(self) -> Mapping[str, PublicKey]:
        """Return every published key by kid: what an id_token_hint or a JWT access token may be signed with."""

    @property
    def revision(self) -> int:
        """Grows when the published set changes, so that prerendered JWKS bytes know when to be rendered anew."""


class StoredIdpKeys:
    """`IdpKeys` over a key store. The private halves are opened once, at load."""

    def __init__(self, store: KeyStore, *, sealer: ColumnSealer, backend: Sm2Backend, clock: Clock) -> None:
        self._store = store
        self._sealer = sealer
        self._backend = backend
        self._clock = clock
        self._signing: Mapping[Alg, tuple[KeyRecord, SigningKey]] = {}
        self._public: tuple[PublicKey, ...] = ()
        self._by_kid: Mapping[str, PublicKey] = {}
        self._revision = 0

    def active(self, alg: Alg) -> SigningKey:
        """See `IdpKeys.active`."""
        record, key = self._signing[alg]
        require_signing(record, self._clock())
        return key

    def published(self, alg: Alg) -> tuple[PublicKey, ...]:
        """See `IdpKeys.published`."""
        return tuple(key for key in self._public if key.alg is alg)

    def verifiers(self) -> Mapping[str, PublicKey]:
        """See `IdpKeys.verifiers`."""
        return self._by_kid

    @property
    def revision(self) -> int:
        """See `IdpKeys.revision`."""
        return self._revision

    async def load(self) -> None:
        """Read the store, making the keys that are missing; call again after a rotation by another process."""
        signing: dict[Alg, tuple[KeyRecord, SigningKey]] = {}
        for alg in INTEROP_ALGORITHMS + NATIONAL_ALGORITHMS:
            record = await self._active_record(alg)
            if record.sealed_private is None:
                raise KeyStateRefused(field="sealed_private", rule="destroyed")
            opened = self._sealer.open(record.sealed_private, aad=_aad(record.kid))
            signing[alg] = (record, signing_key_from_bytes(opened, backend=self._backend))
        published = [
            public_from_jwk(record.public_jwk, alg=record.alg, backend=self._backend)
            for record in await self._store.published(OWNER)
        ]
        self._signing = signing
        self._public = tuple(published)
        self._by_kid = MappingProxyType({key.kid: key for key in published})
        self._revision += 1

    async def prepare_successor(self, alg: Alg) -> str:
        """Publish a pending key, to be met in caches before it signs; return its kid."""
        record = self._new_record(alg, KeyState.PENDING)
        await self._store.add(record)
        await self.load()
        return record.kid

    async def rotate(self, successor_kid: str) -> None:
        """Let the successor sign; the key before it stays published and verifies until it is retired."""
        await self._store.rotate(OWNER, successor_kid)
        await self.load()

    async def retire(self, kid: str) -> None:
        """Take a retiring key out of publication and destroy its private half."""
        await self._store.retire(OWNER, kid)
        await self.load()

    async def _active_record(self, alg: Alg) -> KeyRecord:
        try:
            return await self._store.active(OWNER, Purpose.ID_TOKEN, alg)
        except KeyUnknown:
            pass
        record = self._new_record(alg, KeyState.ACTIVE)
        try:
            await self._store.add(record)
        except KeyStateRefused:
            # Another service started at the same moment and made one: that one counts.
            return await self._store.active(OWNER, Purpose.ID_TOKEN, alg)
        return record

    def _new_record(self, alg: Alg, state: KeyState) -> KeyRecord:
        key = generate_signing_key(alg, backend=self._backend)
        now = self._clock()
        return KeyRecord(
            kid=key.kid,
            purpose=Purpose.ID_TOKEN,
            alg=alg,
            owner=OWNER,
            state=state,
            not_before=now,
            not_after=now + KEY_LIFETIME_S,
            compromised_at=None,
            public_jwk=key.public.jwk,
            sealed_private=self._sealer.seal(export_private(key), aad=_aad(key.kid)),
        )


async def open_idp_keys(store: KeyStore, *, sealer: ColumnSealer, backend: Sm2Backend, clock: Clock) -> StoredIdpKeys:
    """Return the provider's keys, loaded; the first start makes them."""
    keys = StoredIdpKeys(store, sealer=sealer, backend=backend, clock=clock)
    await keys.load()
    return keys


def _aad(kid: str) -> bytes:
    return b"signing_key\x00sealed_private\x00" + kid.encode()
