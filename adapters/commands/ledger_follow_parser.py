"""The arguments of the `edutrust ledger` actions that verify the log from outside."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

AddSettings = Callable[[argparse.ArgumentParser], None]


class AddAction(Protocol):
    """`add_parser` of a group of actions."""

    def __call__(self, name: str, *, help: str) -> argparse.ArgumentParser:  # noqa: A002  # argparse's own name
        """Return the parser of a new action."""
        ...


def add_outside(add: AddAction, add_settings: AddSettings) -> None:
    """Add `check-proofs`, `proof`, `verify-proof`, `follow` and `compare` under `edutrust ledger`."""
    check = add("check-proofs", help="run RFC 6962 proof vectors through this product's verifiers")
    check.add_argument("dir", type=Path, metavar="DIR", help="a folder of JSON vectors, searched to the bottom")

    proof = add("proof", help="print an entry's inclusion proof with its checkpoint (C2SP tlog-proof)")
    proof.add_argument("index", type=int, metavar="INDEX", help="the entry's place in the log, from 0")
    proof.add_argument("--alg", choices=("sha256", "sm3"), default="sha256", help="which of the two trees")
    proof.add_argument("--size", type=int, help="under the checkpoint signed at this size (default: the newest)")
    proof.add_argument("--from", dest="source", metavar="URL|DIR", help="make it from the published log, with --keys")
    proof.add_argument("--keys", type=Path, help="with --from: the log's log.json, or a follower's state file")
    proof.add_argument("--json", action="store_true", help="print one JSON object")
    add_settings(proof)

    verify = add("verify-proof", help="verify a tlog-proof file for an entry, offline")
    verify.add_argument("file", type=Path, metavar="FILE")
    verify.add_argument("--entry", type=Path, required=True, help="a file with the entry's bytes")
    verify.add_argument("--keys", type=Path, required=True, help="the log's log.json, or a follower's state file")
    verify.add_argument("--json", action="store_true", help="print one JSON object")

    follow = add("follow", help="watch a published log: every checkpoint signed, none takes anything back")
    follow.add_argument("log", metavar="URL|DIR", help="where the log is published, or a folder with a copy of it")
    follow.add_argument(
        "--state", type=Path, help="file that remembers keys and newest checkpoint (default: follow.json)"
    )
    keys = follow.add_mutually_exclusive_group()
    keys.add_argument("--keys", type=Path, help="the log's log.json, had from somebody trusted: pins its keys, once")
    keys.add_argument("--trust-first", action="store_true", help="pin the keys that the log itself shows, once")
    follow.add_argument("--once", action="store_true", help="one round, then end")
    follow.add_argument("--interval", type=int, default=60, metavar="S", help="seconds between rounds (default 60)")
    follow.add_argument(
        "--stale-after", type=int, metavar="S", help="alarm where the newest checkpoint is older than this"
    )
    follow.add_argument("--json", action="store_true", help="print one JSON object a round")

    compare = add("compare", help="hold two signed checkpoints of one log against each other")
    compare.add_argument("note_a", type=Path, metavar="NOTE_A")
    compare.add_argument("note_b", type=Path, metavar="NOTE_B")
    compare.add_argument("--keys", type=Path, required=True, help="the log's log.json, or a follower's state file")
    grounds = compare.add_mutually_exclusive_group()
    grounds.add_argument("--conflict", type=Path, metavar="FILE", help="the proof of a fork that a follower wrote")
    grounds.add_argument("--tiles", metavar="URL|DIR", help="where the log is published, for notes of different sizes")
    compare.add_argument("--json", action="store_true", help="print one JSON object")
