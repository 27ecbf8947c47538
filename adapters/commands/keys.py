"""`edutrust keys …`: make, show, turn, retire, share, back up and restore the keys of a deployment."""

from __future__ import annotations

import argparse
import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from adapters.commands.kek_sentences import kek_sentence
from adapters.commands.keys_officers import new_officer_key, officer, officer_sentence
from adapters.commands.keys_open import KeyParts, open_key_parts, require_migrated, told
from adapters.commands.keys_recovery import backup, backup_sentence, recover, restore, split_kek
from adapters.commands.keys_turn import list_keys, reseal, retire, rotate
from adapters.commands.migrate import database_sentence
from adapters.commands.outcome import CommandFailed
from adapters.commands.settings_of import settings_of
from adapters.kek import KekRefused, create_kek
from adapters.key_backup import KeyBackupRefused
from adapters.server import StartFailed
from adapters.settings import Settings
from adapters.sql.database import StoreUnavailable
from adapters.sql.key_officers import KeyRequestRefused, OfficerRefused
from adapters.sql.keyring import KeyringRefused
from adapters.sql.keyring_changes import KeyringChangeRefused
from credentials.errors import KeyUnavailable
from crypto.errors import TrustError
from crypto.keystore import KeyStateRefused, KeyUnknown

WithParts = Callable[[KeyParts, argparse.Namespace], Awaitable[int]]

# These open the deployment with its key file; `recover` and `restore` bring the key file back.
_WITH_PARTS: Final[Mapping[str, WithParts]] = {
    "list": list_keys,
    "rotate": rotate,
    "reseal": reseal,
    "retire": retire,
    "split": split_kek,
    "backup": backup,
    "officer": officer,
}
_WITHOUT_KEY: Final = {"recover": recover, "restore": restore}


def main(arguments: argparse.Namespace) -> int:
    """Run the action; every refusal is one sentence."""
    if arguments.action == "officer" and arguments.what == "new":
        return new_officer_key(arguments)
    settings = settings_of(arguments)
    if arguments.action == "init":
        return _init(settings, as_json=arguments.json)
    try:
        require_migrated(settings)
        return asyncio.run(_act(settings, arguments))
    except KekRefused as refused:
        raise CommandFailed(kek_sentence(refused, settings.kek_file)) from refused
    except KeyringRefused as refused:
        raise CommandFailed(f"The key-encryption key does not open this deployment's keyring: {refused}.") from refused
    except (OfficerRefused, KeyRequestRefused) as refused:
        raise CommandFailed(officer_sentence(refused)) from refused
    except KeyringChangeRefused as refused:
        raise CommandFailed(_change_sentence(refused)) from refused
    except (KeyStateRefused, KeyUnknown, KeyUnavailable) as refused:
        raise CommandFailed(f"The key cannot take this step from the state it is in: {refused}.") from refused
    except KeyBackupRefused as refused:
        raise CommandFailed(backup_sentence(refused)) from refused
    except StoreUnavailable as refused:
        raise CommandFailed(database_sentence(settings, refused)) from refused
    except StartFailed as failed:
        raise CommandFailed(str(failed)) from failed
    except TrustError as refused:
        raise CommandFailed(f"Refused: {refused}.") from refused


async def _act(settings: Settings, arguments: argparse.Namespace) -> int:
    if arguments.action in _WITHOUT_KEY:
        return await _WITHOUT_KEY[arguments.action](settings, arguments)
    async with open_key_parts(settings) as parts:
        return await _WITH_PARTS[arguments.action](parts, arguments)


def _init(settings: Settings, *, as_json: bool) -> int:
    """Create the file and say where it is."""
    try:
        made = create_kek(settings.kek_file, random_bytes=secrets.token_bytes)
    except KekRefused as refused:
        raise CommandFailed(kek_sentence(refused, settings.kek_file)) from refused
    return told(
        as_json,
        {"kek": made.active, "file": str(settings.kek_file)},
        f"Created {settings.kek_file}. Keep a copy apart from the databases: who loses it loses what they seal.",
    )


def _change_sentence(refused: KeyringChangeRefused) -> str:
    values, seconds = refused.params.get("values"), refused.params.get("seconds")
    return {
        "pending": "The column key was turned a moment ago; its successor does not seal yet.",
        "unknown_key": "There is no such key.",
        "retired": "This key is retired already.",
        "in_use": "This key seals, or will; rotate it first.",
        "settling": f"Its successor has not sealed for long enough; {seconds} seconds are left to wait.",
        "values_left": f"{values} values are still under this key; `edutrust keys reseal` or `rotate kek` moves them.",
    }.get(refused.rule or "", f"Refused: {refused}.")
