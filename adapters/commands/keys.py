"""`edutrust keys init`: create the key-encryption key."""

from __future__ import annotations

import argparse
import secrets

from adapters.commands.outcome import CommandFailed
from adapters.commands.settings_of import settings_of
from adapters.kek import KekRefused, create_kek

KEK_SENTENCES = {
    "missing": "The key-encryption key file {path} is missing. Restore it from its backup; for a new, empty "
    "deployment create it with `edutrust keys init`. Without it nothing sealed in the databases can be opened.",
    "unreadable": "The key-encryption key file {path} cannot be read.",
    "permissions": "The key-encryption key file {path} can be read by others; run `chmod 600` on it.",
    "malformed": "The key-encryption key file {path} is damaged; restore it from its backup.",
    "exists": "The key-encryption key file {path} exists already and is never overwritten.",
    "unwritable": "The key-encryption key file {path} cannot be written.",
}


def main(arguments: argparse.Namespace) -> int:
    """Create the file and say where it is."""
    settings = settings_of(arguments)
    try:
        create_kek(settings.kek_file, random_bytes=secrets.token_bytes)
    except KekRefused as refused:
        raise CommandFailed(kek_sentence(refused, settings.kek_file)) from refused
    print(f"Created {settings.kek_file}. Keep a copy apart from the databases: who loses it loses what they seal.")
    return 0


def kek_sentence(refused: KekRefused, path: object) -> str:
    """Say in one sentence what is wrong with the key file."""
    return KEK_SENTENCES[refused.rule or "unreadable"].format(path=path)
