"""`edutrust migrate`: bring every room's tables to this version's schema."""

from __future__ import annotations

import argparse

from adapters.commands.outcome import CommandFailed
from adapters.commands.settings_of import settings_of
from adapters.settings import Settings
from adapters.sql.database import StoreUnavailable
from adapters.sql.migrate import upgrade_all


def main(arguments: argparse.Namespace) -> int:
    """Migrate and say so."""
    settings = settings_of(arguments)
    migrate(settings)
    print(f"The databases at {settings.data_dir if settings.embedded else 'the configured server'} are up to date.")
    return 0


def migrate(settings: Settings) -> None:
    """Create the data folder and upgrade every room. Raises `CommandFailed`."""
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        upgrade_all(settings.database_url)
    except OSError as error:
        raise CommandFailed(f"The data folder {settings.data_dir} cannot be written: {error.strerror}.") from error
    except StoreUnavailable as refused:
        raise CommandFailed(database_sentence(settings, refused)) from refused


def database_sentence(settings: Settings, refused: StoreUnavailable) -> str:
    """Say in one sentence what is wrong with the database."""
    where = f"in {settings.data_dir}" if settings.embedded else "at the configured server"
    return f"The database {where} cannot be used ({refused.rule or 'unavailable'}); nothing was started."
