"""`edutrust ledger fsck`: the deployment's own log checked where it lies.

Opens neither the key-encryption key nor the log for writing, so that it says what is wrong also where the service refuses to
start. What the database holds is re-derived and held to the log's public keys, and to what it published.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import replace

from adapters.commands.outcome import CommandFailed
from adapters.commands.settings_of import settings_of
from adapters.ledger_sentences import counts_sentence, ledger_sentence
from adapters.publication import LogFolder
from adapters.settings import Settings
from adapters.sql.engine import open_database
from adapters.sql.idp_keys import SqlKeyStore
from adapters.sql.ledger_open import open_ledger_database
from adapters.sql.ledger_sqlite import SqliteLedgerDatabase
from adapters.sql.ledger_store import SqlLedgerStore
from crypto.errors import TrustError
from crypto.keys import PublicKey, public_from_jwk
from crypto.keystore import KeyUnknown
from crypto.suites import Alg, Purpose
from ledger.checkpoint import LogIdentity, verify_checkpoint
from ledger.errors import CheckpointRefused, IntegrityBroken, LedgerUnavailable
from ledger.fsck import Finding, FsckReport, fsck
from ledger.fsck_anchors import check_published_anchors
from ledger.fsck_keys import check_keys
from ledger.publication_document import LogDocument
from ledger.publication_fsck import fsck_files
from ledger.publication_guard import Remembered, require_newest
from ledger.reader import LedgerReader


def main(arguments: argparse.Namespace) -> int:
    """Check everything; 1 where something does not agree."""
    settings = settings_of(arguments)
    try:
        document = asyncio.run(_document(settings))
        report, sentence = _checked(settings, document, deep=arguments.deep)
    except TrustError as refused:
        raise CommandFailed(f"The ledger cannot be checked: {refused}.") from refused
    findings = [{"what": one.what, "where": one.where, "rule": one.rule} for one in report.findings]
    if arguments.json:
        told = {"ok": report.clean, "size": report.size, "checkpoints": report.checkpoints, "anchors": report.anchors}
        print(json.dumps(told | {"findings": findings}, ensure_ascii=False))
    else:
        for finding in findings:
            print(f"{finding['what']} {finding['where']}: {finding['rule']}")
        print(f"{report.size} entries re-derived, {len(findings)} findings.")
    for told_of in (sentence, counts_sentence(report.findings, settings.log_folder)):
        if told_of is not None:
            print(told_of, file=sys.stderr)
    return 0 if report.clean else 1


async def _document(settings: Settings) -> LogDocument | None:
    """Return the log's public keys as the deployment keeps them; None before it has any."""
    database = await open_database(settings.database_url, "idp")
    try:
        keys = SqlKeyStore(database)

        async def key(owner: str, purpose: Purpose, alg: Alg) -> PublicKey:
            record = await keys.active(f"{owner}:{settings.log_origin}", purpose, alg)
            return public_from_jwk(record.public_jwk, alg=record.alg)

        sm2 = await key("log", Purpose.CHECKPOINT, Alg.SGD_SM3_SM2)
        ed25519 = await key("log", Purpose.CHECKPOINT, Alg.EDDSA)
        witness = await key("witness", Purpose.ANCHOR, Alg.SGD_SM3_SM2)
    except KeyUnknown:
        return None
    finally:
        await database.close()
    return LogDocument(LogIdentity(settings.log_origin, sm2, ed25519), {witness.kid: witness})


def _checked(settings: Settings, document: LogDocument | None, *, deep: bool) -> tuple[FsckReport, str | None]:
    """Return the report and, where another place remembers more of the log, what to do about it."""
    folder = LogFolder(settings.log_folder)
    published = folder.largest_note()  # before the database is read: it grows first
    try:
        database = open_ledger_database(settings.database_url)
    except LedgerUnavailable as refused:
        return FsckReport(0, 0, 0, (Finding("database", "file", refused.rule or "opened"),)), None
    try:
        store = SqlLedgerStore(database, settings.log_origin)
        if document is None:
            if store.head() is None and published is None:
                return FsckReport(0, 0, 0, ()), None  # nothing was ever started here
            raise LedgerUnavailable(field="keys", rule="present")
        report = fsck(store, document.trust)
        findings: list[Finding] = []
        sentence = _held_to_published(settings, store, folder, published, document, findings)
        if deep:
            _deeply(database, store, report.size, folder, document, findings)
        return replace(report, findings=(*report.findings, *findings)), sentence
    finally:
        database.close()


def _held_to_published(
    settings: Settings,
    store: SqlLedgerStore,
    folder: LogFolder,
    note: bytes | None,
    document: LogDocument,
    findings: list[Finding],
) -> str | None:
    """Hold the database to the files it has published: it may be ahead of them, and nowhere behind."""
    found = _into(findings)
    if note is None:
        return None
    try:
        published = verify_checkpoint(note, log=document.identity)
    except CheckpointRefused as refused:
        found("published", "checkpoint", refused.rule or "refused")
        return ledger_sentence(refused, settings)
    try:
        stored = store.head()
        head = None if stored is None else verify_checkpoint(stored.note, log=document.identity)
        one = Remembered("published", published.size, published.root_sha256, published.root_sm3)
        require_newest(head, [one], LedgerReader(store, document.identity).root)
        with folder.standing_still():
            check_published_anchors(store, folder, found)
    except CheckpointRefused:
        pass  # the walk has told of the head
    except LedgerUnavailable as refused:
        found("database", "published", refused.rule or "readable")
    except IntegrityBroken as refused:
        found("published", f"checkpoint {published.size}", refused.rule or "equal")
        return ledger_sentence(refused, settings)
    return None


def _deeply(
    database: object,
    store: SqlLedgerStore,
    size: int,
    folder: LogFolder,
    document: LogDocument,
    findings: list[Finding],
) -> None:
    """Check also what the walk passes over: the database's own structure, its index of keys, every published file."""
    found = _into(findings)
    try:
        if isinstance(database, SqliteLedgerDatabase):
            for line in database.damage():
                found("database", line, "integrity")
        check_keys(store, size, found)
    except LedgerUnavailable as refused:
        found("database", "index", refused.rule or "readable")
    if folder.root.is_dir():
        with folder.standing_still():
            findings += fsck_files(folder, document).findings


def _into(findings: list[Finding]) -> Callable[[str, str, str], None]:
    return lambda what, where, rule: findings.append(Finding(what, where, rule))
