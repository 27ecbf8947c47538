"""The arguments of `edutrust developers`."""

from __future__ import annotations

import argparse
from collections.abc import Callable

AddSettings = Callable[[argparse.ArgumentParser], None]


def add_developers(developers: argparse.ArgumentParser, add_settings: AddSettings) -> None:
    """Add the actions under `edutrust developers`."""
    actions = developers.add_subparsers(dest="action", required=True)
    for name, text in (
        ("add", "let a person register trial platforms at /developer"),
        ("remove", "take that back; the person's trial platforms end at once"),
        ("list", "show who may"),
    ):
        action = actions.add_parser(name, help=text)
        add_settings(action)
        action.add_argument("--json", action="store_true", help="print one JSON object")
        if name != "list":
            action.add_argument("username")
