"""`edutrust ledger export|import|fsck DIR`: the log as files that outlive its database."""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from adapters.commands.kek_sentences import kek_sentence
from adapters.commands.migrate import migrate
from adapters.commands.outcome import CommandFailed
from adapters.commands.settings_of import settings_of
from adapters.kek import KekRefused
from adapters.ledger_sentences import NO_COUNTS, counts_sentence, ledger_sentence
from adapters.parts import open_parts
from adapters.publication import LogFolder
from adapters.settings import Settings
from adapters.sql.ledger_open import open_ledger_database
from adapters.sql.ledger_store import SqlLedgerStore
from crypto.errors import TrustError
from ledger.checkpoint import Checkpoint
from ledger.errors import IntegrityBroken
from ledger.fsck import Finding
from ledger.layout import CheckpointPath, DocumentPath
from ledger.publication_document import LogDocument
from ledger.publication_fsck import FilesReport, fsck_files
from ledger.publication_restore import restore

_SHOWN = 20


def main(arguments: argparse.Namespace) -> int:
    """Run the action; `fsck` ends with 1 where something does not agree."""
    if arguments.action == "fsck":
        return _fsck(arguments)
    settings = settings_of(arguments)
    if arguments.action == "import":
        return _import(arguments, settings)
    try:
        size = asyncio.run(_export(settings, arguments.dir))
    except KekRefused as refused:
        raise CommandFailed(kek_sentence(refused, settings.kek_file)) from refused
    except TrustError as refused:
        sentence = ledger_sentence(refused, settings)
        raise CommandFailed(sentence or f"The log cannot be written to {arguments.dir}: {told(refused)}.") from refused
    if arguments.json:
        print(json.dumps({"dir": str(arguments.dir), "size": size}, ensure_ascii=False))
    else:
        print(f"{size} entries and their proofs, notes and anchors are in {arguments.dir}.")
    return 0


def told(refused: TrustError) -> str:
    """Return a refusal with its details, as in `ledger.integrity_broken … where=tile/0/000`."""
    return " ".join([str(refused), *(f"{name}={value}" for name, value in refused.params.items())])


def _fsck(arguments: argparse.Namespace) -> int:
    report = _checked(arguments.dir, arguments.keys)
    findings = _listed(report.findings)
    if arguments.json:
        told_of = {"ok": report.clean, "size": report.size, "files": report.files, "findings": findings}
        print(json.dumps(told_of, ensure_ascii=False))
    else:
        for finding in findings:
            print(f"{finding['where']}: {finding['rule']}")
        print(f"{report.size} entries and {report.files} files checked, {len(findings)} findings.")
    _explain(report, arguments.dir)
    return 0 if report.clean else 1


def _explain(report: FilesReport, directory: Path) -> None:
    sentence = counts_sentence(report.findings, directory)
    if sentence is not None:
        print(sentence, file=sys.stderr)


def _listed(findings: Sequence[Finding]) -> list[dict[str, str]]:
    return [{"what": finding.what, "where": finding.where, "rule": finding.rule} for finding in findings]


def _checked(directory: Path, keys: Path | None) -> FilesReport:
    pinned = None if keys is None else _document(keys)
    if not directory.is_dir():
        raise CommandFailed(f"There is no folder {directory}.")
    if _is_data_directory(directory):
        raise CommandFailed(
            f"{directory} is a data directory, no published log. Give {directory / 'log'} for the log it publishes; its"
            " database is checked by edutrust ledger fsck without DIR, with the deployment's settings."
        )
    folder = LogFolder(directory)
    try:
        with folder.standing_still():
            return fsck_files(folder, pinned)
    except TrustError as refused:
        raise CommandFailed(f"The folder {directory} cannot be read: {told(refused)}.") from refused


def _is_data_directory(directory: Path) -> bool:
    if (directory / str(DocumentPath())).exists() or (directory / str(CheckpointPath())).exists():
        return False
    return (directory / "ledger.sqlite3").is_file() or (directory / "log" / str(CheckpointPath())).is_file()


def _document(path: Path) -> LogDocument:
    try:
        return LogDocument.parse(path.read_bytes())
    except OSError as error:
        raise CommandFailed(f"The file {path} cannot be read: {error.strerror}.") from error
    except TrustError as refused:
        raise CommandFailed(f"The file {path} is not a log.json: {refused}.") from refused


async def _export(settings: Settings, directory: Path) -> int:
    async with open_parts(settings, clock=lambda: int(time.time()), random_bytes=secrets.token_bytes) as parts:
        return (await parts.ledger.export(LogFolder(directory))).size


def _import(arguments: argparse.Namespace, settings: Settings) -> int:
    report = _checked(arguments.dir, arguments.keys)
    _explain(report, arguments.dir)
    # Nothing of what is imported is less sure without `counts`, which is not signed; and no service is left to write it.
    if any(finding != NO_COUNTS for finding in report.findings):
        for finding in report.findings[:_SHOWN]:
            print(f"{finding.where}: {finding.rule}")
        raise CommandFailed(
            f"The folder {arguments.dir} is not whole: {len(report.findings)} findings. Nothing was imported."
        )
    migrate(settings)
    checkpoint = _restored(LogFolder(arguments.dir), settings)
    if arguments.json:
        print(json.dumps({"dir": str(arguments.dir), "size": checkpoint.size}, ensure_ascii=False))
    else:
        print(f"{checkpoint.size} entries imported; the ledger stands at the checkpoint of {arguments.dir}.")
    return 0


def _restored(folder: LogFolder, settings: Settings) -> Checkpoint:
    document = LogDocument.parse(folder.read(DocumentPath()) or b"")
    if document.identity.origin != settings.log_origin:
        raise CommandFailed(
            f"The folder {folder.root} holds the log {document.identity.origin}, this deployment's is {settings.log_origin}."
        )
    try:
        database = open_ledger_database(settings.database_url)
        try:
            return restore(folder, SqlLedgerStore(database, settings.log_origin), document)
        finally:
            database.close()
    except IntegrityBroken as refused:
        if refused.field == "log" and refused.rule == "empty":
            raise CommandFailed(
                "The ledger's database is not empty; nothing was imported. Put its tables aside first (SQLite: the file"
                " ledger.sqlite3; PostgreSQL: the schema ledger)."
            ) from refused
        raise CommandFailed(f"The folder {folder.root} cannot be imported: {told(refused)}.") from refused
    except TrustError as refused:
        raise CommandFailed(f"The folder {folder.root} cannot be imported: {told(refused)}.") from refused
