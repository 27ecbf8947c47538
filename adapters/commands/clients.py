"""`edutrust clients`: the operator's hand on registered platforms, beside the running service.

A running service sees a change within two seconds; what a disabled or deleted platform holds is dead at once, because its
tokens end in the database in the same step. Every act stands in the audit trail.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import secrets
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from adapters.commands.keys_open import clock, open_databases, require_migrated
from adapters.commands.migrate import database_sentence
from adapters.commands.outcome import CommandFailed
from adapters.commands.settings_of import settings_of
from adapters.http.outbound import OutboundClient
from adapters.ledger_service import AuditService
from adapters.settings import Settings
from adapters.sql.database import StoreUnavailable
from adapters.sql.idp_access import SqlAccessStore
from adapters.static_files import StaticFilesRefused, read_static_files
from crypto.errors import TrustError
from idp.clients.fetching import fetch_logo
from idp.clients.model import Client, ClientState
from idp.clients.registration_policy import POLICIES
from idp.clients.registration_tokens import InitialToken, initial_token_digest, new_initial_token
from ledger.audit import AuditEvent

DAY_S = 24 * 60 * 60
NOTE_CHARS_MAX = 100


@dataclass(frozen=True, slots=True)
class _Desk:
    """What an action works on."""

    settings: Settings
    store: SqlAccessStore
    audit: AuditService
    as_json: bool

    async def found(self, client_id: str) -> Client:
        """Return a client or fail in one sentence."""
        client = await self.store.client(client_id)
        if client is None:
            raise CommandFailed(f"No platform is registered as {client_id!r}.")
        return client

    async def record(self, action: str, subject: str, **details: str) -> None:
        """Chain one event."""
        await self.audit.record(AuditEvent(clock(), action, "system", subject, "ok", None, None, details))

    def tell(self, report: dict[str, Any], *lines: str) -> int:
        """Print the report, as JSON or in words."""
        print(json.dumps(report, ensure_ascii=False) if self.as_json else "\n".join(lines))
        return 0


def main(arguments: argparse.Namespace) -> int:
    """Run one action."""
    settings = settings_of(arguments)
    try:
        require_migrated(settings)
        return asyncio.run(_act(settings, arguments))
    except StoreUnavailable as refused:
        raise CommandFailed(database_sentence(settings, refused)) from refused
    except StaticFilesRefused as refused:
        raise CommandFailed(str(refused)) from refused
    except TrustError as refused:
        raise CommandFailed(f"Refused: {refused}.") from refused


async def _act(settings: Settings, arguments: argparse.Namespace) -> int:
    async with open_databases(settings) as (database, _, audit):
        desk = _Desk(settings, SqlAccessStore(database, region=settings.region), audit, arguments.json)
        return await _ACTIONS[arguments.action](desk, arguments)


async def _list(desk: _Desk, _arguments: argparse.Namespace) -> int:
    clients = await desk.store.clients()
    rows = [
        {
            "client_id": client.client_id,
            "name": client.name_zh,
            "state": client.state.value,
            "origin": client.origin.value,
            "token_endpoint_auth_method": client.token_endpoint_auth_method.value,
        }
        for client in clients
    ]
    lines = [f"{row['client_id']:42}{row['state']:10}{row['origin']:11}{row['name']}" for row in rows]
    return desk.tell({"clients": rows}, *(lines or ["No platform is registered."]))


async def _show(desk: _Desk, arguments: argparse.Namespace) -> int:
    client = await desk.found(arguments.client_id)
    shown = _described(client)
    registered = await desk.store.registered(client.client_id)
    if registered is not None:
        shown |= {"policy": registered.policy, "initial_token": registered.token_id}
    return desk.tell(shown, *(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in shown.items()))


def _described(client: Client) -> dict[str, Any]:
    """Return a registration without what is secret; keys are public."""
    described = asdict(replace(client, jwks=()))
    del described["secret_hash"]
    described["jwks"] = [dict(key) for key in client.jwks]
    described["grant_types"] = sorted(client.grant_types)
    described["has_secret"] = client.secret_hash is not None
    return described


async def _disable(desk: _Desk, arguments: argparse.Namespace) -> int:
    return await _set_state(desk, arguments.client_id, ClientState.DISABLED)


async def _enable(desk: _Desk, arguments: argparse.Namespace) -> int:
    return await _set_state(desk, arguments.client_id, ClientState.ACTIVE)


async def _set_state(desk: _Desk, client_id: str, state: ClientState) -> int:
    await desk.found(client_id)
    await desk.store.set_client_state(client_id, state, clock())
    await desk.record(f"idp.client.{state.value}", client_id)
    said = {
        ClientState.DISABLED: "is refused everywhere; its tokens have ended.",
        ClientState.ACTIVE: "may come in again.",
    }
    return desk.tell({"client_id": client_id, "state": state.value}, f"{client_id} {said[state]}")


async def _delete(desk: _Desk, arguments: argparse.Namespace) -> int:
    await desk.found(arguments.client_id)
    await desk.store.delete_client(arguments.client_id)
    await desk.record("idp.client.deleted", arguments.client_id)
    return desk.tell(
        {"client_id": arguments.client_id, "deleted": True},
        f"{arguments.client_id} is removed, with its tokens and people's consents.",
    )


async def _register(desk: _Desk, arguments: argparse.Namespace) -> int:
    files = read_static_files(arguments.file, None)
    for warning in files.warnings:
        print(f"Warning: {warning}", file=sys.stderr)
    await desk.store.register_clients(files.clients, clock())
    outbound = OutboundClient(allow=desk.settings.outbound_allowed)
    without = []
    for client in files.clients:
        await desk.record("idp.static.client_registered", client.client_id)
        logo = None if client.logo_uri is None else await fetch_logo(outbound.get, client.logo_uri)
        await desk.store.keep_logo(client.client_id, logo)
        if client.logo_uri is not None and logo is None:
            without.append(client.client_id)
    names = [client.client_id for client in files.clients]
    lines = [f"Registered: {', '.join(names) or 'nobody'}."]
    lines += [f"{client_id}: its logo could not be taken and is not shown." for client_id in without]
    return desk.tell({"registered": names, "without_logo": without}, *lines)


async def _initial_token(desk: _Desk, arguments: argparse.Namespace) -> int:
    policy = POLICIES[arguments.policy]
    if not 1 <= arguments.uses <= policy.uses_max or not 1 <= arguments.days <= policy.days_max:
        raise CommandFailed(
            f"The policy {policy.name} allows 1 to {policy.uses_max} uses and 1 to {policy.days_max} days."
        )
    if len(arguments.note) > NOTE_CHARS_MAX or not arguments.note.isprintable():
        raise CommandFailed(f"A note has at most {NOTE_CHARS_MAX} visible characters.")
    value = new_initial_token(secrets.token_bytes)
    token = InitialToken(
        f"t-{secrets.token_hex(6)}", policy.name, arguments.uses, clock() + arguments.days * DAY_S, arguments.note
    )
    await desk.store.add_initial_token(token, initial_token_digest(value), clock())
    await desk.record("idp.client.initial_token_given", token.token_id, policy=policy.name, uses=str(token.uses_left))
    return desk.tell(
        {**_token_row(token), "token": value},
        value,
        f"{token.token_id}: {token.uses_left} uses under the policy {policy.name}, until {_day(token.expires_at)}.",
        "It is shown this once.",
    )


async def _initial_tokens(desk: _Desk, _arguments: argparse.Namespace) -> int:
    rows = [_token_row(token) for token in await desk.store.initial_tokens()]
    lines = [
        f"{row['token_id']:18}{row['policy']:10}{row['uses_left']:>5}  {row['expires']}  {row['note']}" for row in rows
    ]
    return desk.tell({"initial_tokens": rows}, *(lines or ["No token was given away."]))


async def _end_initial_token(desk: _Desk, arguments: argparse.Namespace) -> int:
    if not re.fullmatch(r"[a-z0-9-]{1,40}", arguments.token_id) or not await desk.store.end_initial_token(
        arguments.token_id
    ):
        raise CommandFailed("No token was given away under this name.")
    await desk.record("idp.client.initial_token_ended", arguments.token_id)
    return desk.tell(
        {"token_id": arguments.token_id, "uses_left": 0}, f"{arguments.token_id} is good for nothing more."
    )


def _token_row(token: InitialToken) -> dict[str, Any]:
    return {
        "token_id": token.token_id,
        "policy": token.policy,
        "uses_left": token.uses_left,
        "expires": _day(token.expires_at),
        "note": token.note,
    }


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_ACTIONS: dict[str, Callable[[_Desk, argparse.Namespace], Awaitable[int]]] = {
    "list": _list,
    "show": _show,
    "disable": _disable,
    "enable": _enable,
    "delete": _delete,
    "register": _register,
    "initial-token": _initial_token,
    "initial-tokens": _initial_tokens,
    "end-initial-token": _end_initial_token,
}
