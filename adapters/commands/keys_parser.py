"""The arguments of `edutrust keys`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

AddSettings = Callable[[argparse.ArgumentParser], None]


def add_keys(keys: argparse.ArgumentParser, add_settings: AddSettings) -> None:
    """Add the actions under `edutrust keys`."""
    actions = keys.add_subparsers(dest="action", required=True)

    def action(name: str, text: str, *, officers: bool = False) -> argparse.ArgumentParser:
        made = actions.add_parser(name, help=text)
        add_settings(made)
        made.add_argument("--json", action="store_true", help="print one JSON object")
        if officers:
            _add_officers(made)
        return made

    action("init", "create the key-encryption key file, readable by its owner alone")
    listed = action("list", "show every key: what it is for, its state, its dates, and what it is sealed under")
    listed.add_argument("--persons", action="store_true", help="also the keys kept for single persons")

    rotate = action("rotate", "let a new key take over", officers=True)
    rotate.add_argument("what", choices=("kek", "column", "signing"))
    rotate.add_argument("--at-once", action="store_true", help="column, signing: without waiting; no service may run")
    rotate.add_argument("--owner", help="signing: whose key (idp, or an issuer's identifier)")
    rotate.add_argument("--alg", help="signing, owner idp: RS256, ES256 or SGD_SM3_SM2")
    rotate.add_argument("--purpose", help="signing, other owners: credential, status, document or accreditation")

    action("reseal", "bring every sealed value under the active column key now, with progress")

    retire = action("retire", "end a key for good and destroy it", officers=True)
    retire.add_argument("kid")
    retire.add_argument("--compromised-at", metavar="TIME", help="signing keys: worthless from then on (ISO 8601, UTC)")

    split = action("split", "make recovery shares of the key-encryption key for the officers", officers=True)
    split.add_argument("--shares", type=int, required=True)
    split.add_argument("--threshold", type=int, required=True)
    out = split.add_mutually_exclusive_group(required=True)
    out.add_argument("--out", type=Path, help="a folder; each share becomes a file of its own")
    out.add_argument("--print", action="store_true", dest="to_screen", help="print the shares instead")

    recover = action("recover", "write a lost key-encryption key file again, from the officers' shares")
    _add_shares(recover)

    backup = action(
        "backup", "write key-encryption key, keyring and signing keys into one encrypted file", officers=True
    )
    backup.add_argument("--out", type=Path, required=True)

    restore = action("restore", "put a backup of keys back into an empty deployment")
    restore.add_argument("file", type=Path)
    _add_shares(restore)
    restore.add_argument("--kek", type=Path, help="a copy of the key file, in place of shares; needs two officers")
    restore.add_argument(
        "--officer-key", type=Path, action="append", default=[], help="with --kek: both officers' keys"
    )
    restore.add_argument("--passphrase-file", type=Path, action="append", default=[], help="one for each officer key")

    officer = action("officer", "who files and approves: keys and the roll", officers=True)
    officer.add_argument("what", choices=("new", "add", "remove", "list"))
    officer.add_argument("name", nargs="?", help="add, remove: a short name in lower case")
    officer.add_argument("--public", type=Path, help="add: the officer's public key file")
    officer.add_argument("--out", type=Path, help="new: where the key file is written; OUT.pub is the public half")


def _add_officers(parser: argparse.ArgumentParser) -> None:
    step = parser.add_mutually_exclusive_group()
    step.add_argument("--request", action="store_true", help="file the request; prints its id")
    step.add_argument("--approve", metavar="ID", help="approve the request of another officer, and do it")
    parser.add_argument("--officer-key", type=Path, help="your officer key file")
    parser.add_argument("--passphrase-file", type=Path, help="the key file's passphrase; asked for without it")


def _add_shares(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--share", type=Path, action="append", default=[], help="a file with a share; asked for one by one without it"
    )
