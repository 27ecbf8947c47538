"""`edutrust ledger proof INDEX` and `verify-proof FILE`: an entry's inclusion proof as a C2SP tlog-proof file.

It is made from the deployment's own database, or by anybody from the published tiles; it is verified from the file, the
entry's bytes and the log's keys alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import time
from datetime import UTC, datetime

from adapters.commands.kek_sentences import kek_sentence
from adapters.commands.ledger_outside import opened, read_file, read_keys, said
from adapters.commands.outcome import CommandFailed
from adapters.commands.settings_of import settings_of
from adapters.follow import NoTiles
from adapters.kek import KekRefused
from adapters.ledger_service import LedgerService
from adapters.parts import open_parts
from adapters.settings import Settings
from crypto.errors import TrustError
from ledger.checkpoint import verify_checkpoint
from ledger.entry import MAX_BODY_BYTES
from ledger.errors import EntryUnknown, ProofRefused
from ledger.follow import published_proof
from ledger.merkle import HashAlg
from ledger.proof_file import MAX_PROOF_FILE_BYTES, ProofFile, verify_proof_file


def main(arguments: argparse.Namespace) -> int:
    """Run the action; a refusal is one sentence."""
    return _verify(arguments) if arguments.action == "verify-proof" else _print(arguments)


def _print(arguments: argparse.Namespace) -> int:
    data = _from_database(arguments) if arguments.source is None else _from_outside(arguments)
    print(json.dumps({"proof": data.decode()}, ensure_ascii=False) if arguments.json else data.decode(), end="")
    if arguments.json:
        print()
    return 0


def _from_outside(arguments: argparse.Namespace) -> bytes:
    if arguments.keys is None or arguments.size is not None:
        raise CommandFailed(
            "--from needs --keys FILE (the log's log.json), and takes the newest checkpoint, not --size."
        )
    log, alg = read_keys(arguments.keys), HashAlg(arguments.alg)
    with opened(arguments.source) as source:
        try:
            return published_proof(log, alg, arguments.index, fetch=source.fetch, cache=NoTiles()).to_bytes()
        except ProofRefused as refused:
            raise CommandFailed(f"The published log has no entry {arguments.index}.") from refused
        except TrustError as refused:
            raise CommandFailed(f"The published log gives no proof: {said(refused)}.") from refused


def _from_database(arguments: argparse.Namespace) -> bytes:
    settings = settings_of(arguments)
    try:
        return asyncio.run(_proof(settings, HashAlg(arguments.alg), arguments.index, arguments.size))
    except KekRefused as refused:
        raise CommandFailed(kek_sentence(refused, settings.kek_file)) from refused
    except EntryUnknown as refused:
        raise CommandFailed(f"The log has no checkpoint of size {arguments.size}.") from refused
    except ProofRefused as refused:
        raise CommandFailed(f"The log has no entry {arguments.index} under that checkpoint.") from refused
    except TrustError as refused:
        raise CommandFailed(f"The ledger cannot be opened: {refused}.") from refused


def _verify(arguments: argparse.Namespace) -> int:
    log = read_keys(arguments.keys)
    data = read_file(arguments.file, MAX_PROOF_FILE_BYTES)
    body = read_file(arguments.entry, MAX_BODY_BYTES)
    try:
        proved = verify_proof_file(data, body=body, log=log)
    except TrustError as refused:
        raise CommandFailed(f"{arguments.file} does not prove that entry: {said(refused)}.") from refused
    origin, size, time_ = proved.checkpoint.origin, proved.checkpoint.size, proved.checkpoint.time
    if arguments.json:
        told = {"origin": origin, "index": proved.index, "size": size, "time": time_, "tree": proved.alg.value}
        print(json.dumps({"ok": True} | told, ensure_ascii=False))
    else:
        signed = datetime.fromtimestamp(time_, UTC).isoformat()
        print(f"Entry {proved.index} of {origin}, among {size} signed at {signed}, {proved.alg.value} tree.")
    return 0


async def _proof(settings: Settings, alg: HashAlg, index: int, size: int | None) -> bytes:
    async with open_parts(settings, clock=lambda: int(time.time()), random_bytes=secrets.token_bytes) as parts:
        return await proof_of(parts.ledger, alg, index, size)


async def proof_of(ledger: LedgerService, alg: HashAlg, index: int, size: int | None) -> bytes:
    """Return the proof file of the entry under the checkpoint of `size`, or the newest one, verified before it is given.

    Raises EntryUnknown, ProofRefused, IntegrityBroken, CheckpointRefused.
    """
    note = await (ledger.checkpoint() if size is None else ledger.checkpoint_at(size))
    checkpoint = verify_checkpoint(note, log=ledger.identity)
    path = await ledger.inclusion(alg, index, checkpoint.size)
    data = ProofFile(alg, index, path, note).to_bytes()
    verify_proof_file(data, body=await ledger.entry(index), log=ledger.identity)
    return data
