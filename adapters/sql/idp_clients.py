"""`idp.store.ClientStore` in SQL: a registration is one JSON document, its secret's hash a column of its own."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from adapters.sql.database import Database, Row, Transaction
from crypto.encoding import json_strict
from crypto.suites import Alg
from idp.clients.model import (
    AccessTokenFormat,
    Client,
    ClientOrigin,
    ClientState,
    Filing,
    GrantType,
    SubjectType,
    TokenEndpointAuth,
)
from idp.clients.names import skeletons
from idp.model import Acr

_TUPLES = (
    "redirect_uris",
    "post_logout_redirect_uris",
    "scopes_required",
    "scopes_optional",
    "scopes_client",
    "resources",
    "contacts",
)
# Absent from registrations written before there were these members. `require_nonce` follows `require_pkce`.
_LATER: dict[str, object] = {
    "scopes_client": [],
    "token_endpoint_auth_signing_alg": None,
    "require_pushed_authorization_requests": False,
    "backchannel_logout_session_required": False,
    "frontchannel_logout_uri": None,
    "frontchannel_logout_session_required": False,
    "sector_identifier_uri": None,
    "userinfo_signed_response_alg": None,
    "jwks_uri": None,
    "resources": [],
    "default_acr_values": [],
    "default_max_age": None,
    "logo_uri": None,
    "policy_uri": None,
    "tos_uri": None,
    "contacts": [],
    "origin": ClientOrigin.STATIC.value,
    "owner": None,
}


CACHE_S = 2.0
"""How long another process's change of a client may go unseen here. What a disabled client holds is dead at once all the
same: its tokens are revoked in the database, in one transaction with the state."""

CACHE_CLIENTS_MAX = 2000
"""Clients remembered, the least recently used going first; a client is about 5 kB. Names nobody has are not remembered."""


class ClientCache:
    """Clients read a moment ago. `monotonic` gives seconds that never go back."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._held: OrderedDict[str, tuple[float, Client]] = OrderedDict()
        self._changes = 0

    @property
    def changes(self) -> int:
        """How often something was forgotten: what was read before that must not be kept after it."""
        return self._changes

    def get(self, client_id: str) -> Client | None:
        """Return a client that was read less than `CACHE_S` ago."""
        held = self._held.get(client_id)
        if held is None or self._monotonic() >= held[0]:
            return None
        self._held.move_to_end(client_id)
        return held[1]

    def keep(self, client: Client, *, read_at: int) -> None:
        """Keep what was read when `changes` was `read_at`."""
        if read_at != self._changes:
            return
        self._held[client.client_id] = (self._monotonic() + CACHE_S, client)
        self._held.move_to_end(client.client_id)
        while len(self._held) > CACHE_CLIENTS_MAX:
            self._held.popitem(last=False)

    def forget(self, *client_ids: str) -> None:
        """Forget clients that have changed."""
        self._changes += 1
        for client_id in client_ids:
            self._held.pop(client_id, None)


class SqlClients:
    """Registered clients."""

    def __init__(self, db: Database, *, region: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._region = region
        self._cache = ClientCache(monotonic)

    async def client(self, client_id: str) -> Client | None:
        """See `ClientStore.client`."""
        held = self._cache.get(client_id)
        if held is not None:
            return held
        if "\x00" in client_id or not client_id.isascii():
            return None  # no registered name, and no text every database would take
        read_at = self._cache.changes
        row = await self._db.fetch_one(
            "SELECT state, registration, secret_hash FROM client WHERE client_id = $1", client_id
        )
        if row is None:
            return None
        client = loaded_client(row)
        self._cache.keep(client, read_at=read_at)
        return client

    async def clients(self) -> tuple[Client, ...]:
        """See `ClientStore.clients`."""
        rows = await self._db.fetch("SELECT state, registration, secret_hash FROM client ORDER BY client_id")
        return tuple(loaded_client(row) for row in rows)

    async def clients_of(self, owner: str) -> tuple[Client, ...]:
        """See `ClientStore.clients_of`."""
        rows = await self._db.fetch(
            "SELECT state, registration, secret_hash FROM client WHERE owner = $1 ORDER BY registered_at, client_id",
            owner,
        )
        return tuple(loaded_client(row) for row in rows)

    async def register_clients(self, clients: tuple[Client, ...], now: int) -> None:
        """See `ClientStore.register_clients`."""
        async with self._db.transaction() as tx:
            for client in clients:
                await write_client(tx, client, now, self._region)
                # The operator's word takes the place of what the platform said of itself.
                await tx.execute("DELETE FROM client_registration WHERE client_id = $1", client.client_id)
        self._cache.forget(*(client.client_id for client in clients))

    async def set_client_state(self, client_id: str, state: ClientState, now: int) -> None:
        """See `ClientStore.set_client_state`."""
        async with self._db.transaction() as tx:
            await tx.execute(
                "UPDATE client SET state = $2, updated_at = $3 WHERE client_id = $1", client_id, state.value, now
            )
            if state is ClientState.DISABLED:
                await tx.execute(
                    "UPDATE token_family SET revoked_at = $2 WHERE client_id = $1 AND revoked_at IS NULL",
                    client_id,
                    now,
                )
                await tx.execute("DELETE FROM client_access_token WHERE client_id = $1", client_id)
                # Enabled again, it is not to be changed by a token from before (CVE-2026-9705).
                await tx.execute("DELETE FROM client_registration WHERE client_id = $1", client_id)
        self._cache.forget(client_id)


async def write_client(tx: Transaction, client: Client, now: int, region: str) -> None:
    """Insert a client or replace its registration, keeping its state; its names with it."""
    await tx.execute(
        "INSERT INTO client (client_id, state, registration, secret_hash, backchannel, registered_at,"
        " updated_at, region, owner) VALUES ($1, $2, $3, $4, $5, $6, $6, $7, $8)"
        " ON CONFLICT (client_id) DO UPDATE SET registration = excluded.registration,"
        " secret_hash = excluded.secret_hash, backchannel = excluded.backchannel,"
        " updated_at = excluded.updated_at, owner = excluded.owner",
        client.client_id,
        client.state.value,
        _dump(client),
        client.secret_hash,
        int(client.backchannel_logout_uri is not None),
        now,
        region,
        client.owner,
    )
    await tx.execute("DELETE FROM client_name WHERE client_id = $1", client.client_id)
    for shape in sorted(skeletons((client.name_zh, client.name_en))):
        await tx.execute("INSERT INTO client_name (skeleton, client_id) VALUES ($1, $2)", shape, client.client_id)


def loaded_client(row: Row) -> Client:
    """Read a client from its row: `state`, `registration`, `secret_hash`."""
    secret = None if row["secret_hash"] is None else bytes(row["secret_hash"])
    return _load(row["registration"], ClientState(row["state"]), secret)


def _dump(client: Client) -> str:
    document = asdict(replace(client, jwks=()))  # read-only mappings do not copy
    del document["secret_hash"], document["state"]
    document["grant_types"] = sorted(grant.value for grant in client.grant_types)
    document["jwks"] = [dict(key) for key in client.jwks]
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _load(registration: str, state: ClientState, secret_hash: bytes | None) -> Client:
    stored: Any = json_strict(registration)
    raw = {**_LATER, "require_nonce": not stored["require_pkce"], **stored}
    return Client(
        **{
            **raw,
            **{name: tuple(raw[name]) for name in _TUPLES},
            "state": state,
            "secret_hash": secret_hash,
            "subject_type": SubjectType(raw["subject_type"]),
            "id_token_signed_response_alg": Alg(raw["id_token_signed_response_alg"]),
            "token_endpoint_auth_method": TokenEndpointAuth(raw["token_endpoint_auth_method"]),
            "token_endpoint_auth_signing_alg": _alg(raw["token_endpoint_auth_signing_alg"]),
            "userinfo_signed_response_alg": _alg(raw["userinfo_signed_response_alg"]),
            "jwks": tuple(raw["jwks"]),
            "grant_types": frozenset(GrantType(grant) for grant in raw["grant_types"]),
            "access_token_format": AccessTokenFormat(raw["access_token_format"]),
            "acr_minimum": Acr(raw["acr_minimum"]),
            "default_acr_values": tuple(Acr(value) for value in raw["default_acr_values"]),
            "origin": ClientOrigin(raw["origin"]),
            "filing": Filing(**raw["filing"]),
        }
    )


def _alg(name: str | None) -> Alg | None:
    return None if name is None else Alg(name)
