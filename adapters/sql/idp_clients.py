"""`idp.store.ClientStore` in SQL: a registration is one JSON document, its secret's hash a column of its own."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

from adapters.sql.database import Database
from crypto.encoding import json_strict
from crypto.suites import Alg
from idp.clients.model import (
    AccessTokenFormat,
    Client,
    ClientState,
    Filing,
    GrantType,
    SubjectType,
    TokenEndpointAuth,
)
from idp.model import Acr

_TUPLES = ("redirect_uris", "post_logout_redirect_uris", "scopes_required", "scopes_optional", "scopes_client")
# Absent from registrations written before there were clients with keys and clients without people.
_LATER: dict[str, object] = {
    "scopes_client": [],
    "token_endpoint_auth_signing_alg": None,
    "require_pushed_authorization_requests": False,
}


class SqlClients:
    """Registered clients."""

    def __init__(self, db: Database, *, region: str) -> None:
        self._db = db
        self._region = region

    async def client(self, client_id: str) -> Client | None:
        """See `ClientStore.client`."""
        if "\x00" in client_id or not client_id.isascii():
            return None  # no registered name, and no text every database would take
        row = await self._db.fetch_one(
            "SELECT state, registration, secret_hash FROM client WHERE client_id = $1", client_id
        )
        if row is None:
            return None
        secret = None if row["secret_hash"] is None else bytes(row["secret_hash"])
        return _load(row["registration"], ClientState(row["state"]), secret)

    async def register_clients(self, clients: tuple[Client, ...], now: int) -> None:
        """See `ClientStore.register_clients`."""
        async with self._db.transaction() as tx:
            for client in clients:
                await tx.execute(
                    "INSERT INTO client (client_id, state, registration, secret_hash, backchannel, registered_at,"
                    " updated_at, region) VALUES ($1, $2, $3, $4, $5, $6, $6, $7)"
                    " ON CONFLICT (client_id) DO UPDATE SET registration = excluded.registration,"
                    " secret_hash = excluded.secret_hash, backchannel = excluded.backchannel,"
                    " updated_at = excluded.updated_at",
                    client.client_id,
                    client.state.value,
                    _dump(client),
                    client.secret_hash,
                    int(client.backchannel_logout_uri is not None),
                    now,
                    self._region,
                )

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


def _dump(client: Client) -> str:
    document = asdict(replace(client, jwks=()))  # read-only mappings do not copy
    del document["secret_hash"], document["state"]
    document["grant_types"] = sorted(grant.value for grant in client.grant_types)
    document["jwks"] = [dict(key) for key in client.jwks]
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _load(registration: str, state: ClientState, secret_hash: bytes | None) -> Client:
    stored: Any = json_strict(registration)
    raw = {**_LATER, **stored}
    signing_alg = raw["token_endpoint_auth_signing_alg"]
    return Client(
        **{
            **raw,
            **{name: tuple(raw[name]) for name in _TUPLES},
            "state": state,
            "secret_hash": secret_hash,
            "subject_type": SubjectType(raw["subject_type"]),
            "id_token_signed_response_alg": Alg(raw["id_token_signed_response_alg"]),
            "token_endpoint_auth_method": TokenEndpointAuth(raw["token_endpoint_auth_method"]),
            "token_endpoint_auth_signing_alg": None if signing_alg is None else Alg(signing_alg),
            "jwks": tuple(raw["jwks"]),
            "grant_types": frozenset(GrantType(grant) for grant in raw["grant_types"]),
            "access_token_format": AccessTokenFormat(raw["access_token_format"]),
            "acr_minimum": Acr(raw["acr_minimum"]),
            "filing": Filing(**raw["filing"]),
        }
    )
