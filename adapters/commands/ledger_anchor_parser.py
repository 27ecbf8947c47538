"""The arguments of `edutrust ledger anchor`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path


def add_anchor(anchor: argparse.ArgumentParser, add_settings: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add `status`, `deploy` and `owner`."""
    actions = anchor.add_subparsers(dest="anchor_action", required=True)

    status = actions.add_parser("status", help="compare each chain with the log; exit 1 where something does not agree")
    status.add_argument("--json", action="store_true", help="print one JSON object")
    add_settings(status)

    deploy = actions.add_parser("deploy", help="deploy the contract, name the submitter, print the settings")
    _add_owner(deploy)
    deploy.add_argument("--submitter", type=_address, required=True, help="address of the key that will send anchors")
    deploy.add_argument(
        "--contract", type=_address, help="a contract that stands already: only name the submitter (a lost key)"
    )
    deploy.add_argument("--json", action="store_true", help="print one JSON object")
    add_settings(deploy)

    owner = actions.add_parser("owner", help="hand the contract's ownership over, in two steps")
    _add_owner(owner)
    owner.add_argument("--contract", type=_address, required=True)
    step = owner.add_mutually_exclusive_group(required=True)
    step.add_argument("--offer", type=_address, metavar="ADDRESS", help="first step, by the owner")
    step.add_argument("--take", action="store_true", help="second step, by the one it was offered to")
    owner.add_argument("--json", action="store_true", help="print one JSON object")
    add_settings(owner)


def _add_owner(action: argparse.ArgumentParser) -> None:
    action.add_argument("--rpc", required=True, metavar="URL", help="JSON-RPC address of a node")
    action.add_argument(
        "--owner-key-file", type=Path, required=True, help="private key of the acting account, in hexadecimal"
    )


def _address(text: str) -> str:
    if not re.fullmatch(r"0x[0-9a-fA-F]{40}", text):
        raise argparse.ArgumentTypeError("must be 0x and forty hexadecimal digits")
    return text
