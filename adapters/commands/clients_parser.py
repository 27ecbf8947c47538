"""The arguments of `edutrust clients`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from idp.clients.registration_policy import POLICIES, STANDARD

AddSettings = Callable[[argparse.ArgumentParser], None]


def add_clients(clients: argparse.ArgumentParser, add_settings: AddSettings) -> None:
    """Add the actions under `edutrust clients`."""
    actions = clients.add_subparsers(dest="action", required=True)

    def action(name: str, text: str) -> argparse.ArgumentParser:
        made = actions.add_parser(name, help=text)
        add_settings(made)
        made.add_argument("--json", action="store_true", help="print one JSON object")
        return made

    action("list", "show every platform: its state, where it came from, how it authenticates")
    for name, text in (
        ("show", "show one registration; secrets are not kept and not shown"),
        ("disable", "refuse the platform everywhere, and end every token of it now"),
        ("enable", "let it in again; what it held before stays dead"),
        ("delete", "remove it with its tokens and people's consents, for good"),
    ):
        action(name, text).add_argument("client_id")

    register = action("register", "register the platforms of a JSON file, or give them a new registration")
    register.add_argument("file", type=Path)

    initial = action("initial-token", "let somebody register platforms by themselves; prints the token once")
    initial.add_argument("--uses", type=int, default=1, help="how many platforms (default 1)")
    initial.add_argument("--days", type=int, default=7, help="for how many days (default 7)")
    initial.add_argument("--policy", choices=tuple(POLICIES), default=STANDARD.name, help="what they may register")
    initial.add_argument("--note", default="", help="to whom it is given")

    action("initial-tokens", "list the tokens given away, what is left of them, and until when")
    end = action("end-initial-token", "take what is left from a token")
    end.add_argument("token_id")
