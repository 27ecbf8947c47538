"""Settings of a command: its arguments over the environment over the file; every mistake said at once."""

from __future__ import annotations

import argparse
import os
from typing import Any

from adapters.commands.outcome import CommandFailed
from adapters.settings import Settings, SettingsRefused, read_settings

_FROM_ARGUMENTS = ("host", "port", "workers", "issuer", "data_dir", "tls_cert", "tls_key", "metrics")


def settings_of(arguments: argparse.Namespace, **more: Any) -> Settings:
    """Return the settings. Raises `CommandFailed` with one line a mistake."""
    overrides: dict[str, Any] = dict(more)
    for name in _FROM_ARGUMENTS:
        value = getattr(arguments, name, None)
        if value is not None:
            overrides[name] = value if isinstance(value, int) else str(value)
    try:
        return read_settings(arguments.config, os.environ, overrides)
    except SettingsRefused as refused:
        raise CommandFailed(str(refused)) from refused
