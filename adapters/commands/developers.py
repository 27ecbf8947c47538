"""`edutrust developers`: whom the operator lets try their platform with sandbox clients, beside the running service."""

from __future__ import annotations

import argparse
import asyncio
import json

from adapters.commands.keys_open import clock, open_databases, require_migrated
from adapters.commands.migrate import database_sentence
from adapters.commands.outcome import CommandFailed
from adapters.commands.settings_of import settings_of
from adapters.settings import Settings
from adapters.sql.database import StoreUnavailable
from adapters.sql.idp_access import SqlAccessStore
from crypto.errors import TrustError
from idp.login.username import normalise
from ledger.audit import AuditEvent


def main(arguments: argparse.Namespace) -> int:
    """Run one action."""
    settings = settings_of(arguments)
    try:
        require_migrated(settings)
        report, sentence = asyncio.run(_act(settings, arguments))
    except StoreUnavailable as refused:
        raise CommandFailed(database_sentence(settings, refused)) from refused
    except TrustError as refused:
        raise CommandFailed(f"Refused: {refused}.") from refused
    print(json.dumps(report, ensure_ascii=False) if arguments.json else sentence)
    return 0


async def _act(settings: Settings, arguments: argparse.Namespace) -> tuple[dict[str, object], str]:
    async with open_databases(settings) as (database, _, audit):
        store = SqlAccessStore(database, region=settings.region)
        if arguments.action == "list":
            names = list(await store.developers())
            return {"developers": names}, "\n".join(names) or "Nobody is a developer."
        account = await store.account_by_username(normalise(arguments.username))
        if account is None:
            raise CommandFailed(f"Nobody signs in as {arguments.username!r}.")
        if arguments.action == "add":
            await store.allow_developer(account.person, clock())
            said = "may register trial platforms at /developer."
        else:
            if not await store.disallow_developer(account.person, clock()):
                raise CommandFailed(f"{account.username} is no developer.")
            said = "may no longer; the trial platforms have ended."
        action = "idp.developer.allowed" if arguments.action == "add" else "idp.developer.disallowed"
        await audit.record(AuditEvent(clock(), action, "system", account.person, "ok", None, None, {}))
        return {"username": account.username, "action": arguments.action}, f"{account.username} {said}"
