"""`edutrust ledger …`: look after the log."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import secrets
import time
from typing import Final

from adapters.commands.kek_sentences import kek_sentence
from adapters.commands.outcome import CommandFailed
from adapters.commands.settings_of import settings_of
from adapters.kek import KekRefused
from adapters.ledger_sentences import ledger_sentence
from adapters.parts import open_parts
from adapters.settings import Settings
from crypto.errors import TrustError

# Actions with a module of their own, handed over before any setting is read: some need no deployment at all.
_MODULES: Final = {
    "anchor": "adapters.commands.ledger_anchor",
    "check-proofs": "adapters.commands.ledger_check_proofs",
    "compare": "adapters.commands.ledger_follow",
    "export": "adapters.commands.ledger_files",
    "follow": "adapters.commands.ledger_follow",
    "fsck": "adapters.commands.ledger_fsck",
    "import": "adapters.commands.ledger_files",
    "proof": "adapters.commands.ledger_proof",
    "verify-proof": "adapters.commands.ledger_proof",
}


def main(arguments: argparse.Namespace) -> int:
    """Run the action; `fsck` ends with 1 where something does not agree."""
    module = _MODULES.get(arguments.action)
    if arguments.action == "fsck" and arguments.dir is None and arguments.keys is not None:
        raise CommandFailed("--keys is for the check of a folder: edutrust ledger fsck DIR --keys FILE.")
    if arguments.action == "fsck" and arguments.dir is not None:
        if arguments.deep:
            raise CommandFailed("--deep is for the check of the database; of a folder every file is checked.")
        module = "adapters.commands.ledger_files"
    if module is not None:
        code: int = importlib.import_module(module).main(arguments)
        return code
    settings = settings_of(arguments)
    try:
        return asyncio.run(_checkpoint(settings, as_json=arguments.json))
    except KekRefused as refused:
        raise CommandFailed(kek_sentence(refused, settings.kek_file)) from refused
    except TrustError as refused:
        raise CommandFailed(
            ledger_sentence(refused, settings) or f"The ledger cannot be opened: {refused}."
        ) from refused


async def _checkpoint(settings: Settings, *, as_json: bool) -> int:
    async with open_parts(settings, clock=lambda: int(time.time()), random_bytes=secrets.token_bytes) as parts:
        note = (await parts.ledger.checkpoint()).decode()
    print(json.dumps({"checkpoint": note}) if as_json else note, end="" if not as_json else "\n")
    return 0
