"""The arguments of the `edutrust ledger` actions about published files."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from adapters.commands.ledger_follow_parser import AddAction

AddSettings = Callable[[argparse.ArgumentParser], None]


def add_files(add: AddAction, fsck: argparse.ArgumentParser, add_settings: AddSettings) -> None:
    """Add `export` and `import` under `edutrust ledger`, and the folder to its `fsck`."""
    fsck.add_argument("dir", nargs="?", type=Path, metavar="DIR", help="check a published log's folder, no database")
    _add_keys(fsck)
    fsck.add_argument(
        "--deep",
        action="store_true",
        help="check also the database's own structure, its index of keys, and every published file",
    )

    export = add("export", help="write the published log, anchors included, into a folder")
    export.add_argument("dir", type=Path, metavar="DIR", help="an empty folder, or an older copy of this log")
    export.add_argument("--json", action="store_true", help="print one JSON object")
    add_settings(export)

    restore = add("import", help="rebuild an empty ledger database from a published log's folder")
    restore.add_argument("dir", type=Path, metavar="DIR", help="the folder, such as DATA_DIR/log or an export")
    restore.add_argument("--json", action="store_true", help="print one JSON object")
    _add_keys(restore)
    add_settings(restore)


def _add_keys(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--keys", type=Path, metavar="FILE", help="a log.json kept elsewhere: the keys the folder must be signed with"
    )
