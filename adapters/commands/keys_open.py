"""What the `keys` commands work on: databases, key file, keyring, audit trail; no web server, no ledger."""

from __future__ import annotations

import getpass
import json
import os
import secrets
import stat
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from adapters.commands.outcome import CommandFailed
from adapters.kek import KeyEncryptionKeys, read_kek
from adapters.ledger_service import AuditService
from adapters.settings import Settings
from adapters.sm2_backend import checked_backend
from adapters.sql.credentials_keys import SqlIssuerKeys
from adapters.sql.database import Database
from adapters.sql.engine import open_database
from adapters.sql.idp_keys import SqlKeyStore
from adapters.sql.key_officers import Approved, KeyRequests, OfficersRoll
from adapters.sql.keyring import ColumnKeyRing, check_key_encryption_keys, open_keyring
from adapters.sql.ledger_audit import SqlAuditStore
from adapters.sql.ledger_open import open_audit_database
from adapters.sql.migrate import SCHEMA_OF_ROOM, is_current, target_of
from adapters.sql.resealing import Resealer, ResealJob
from crypto.errors import TrustError
from crypto.key_files import read_private
from crypto.sealed import ColumnSealer, RingSealer
from crypto.sm2 import Sm2Backend
from ledger.audit import AuditEvent

_KEY_FILE_BYTES_MAX: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class KeyParts:
    """The keys of a deployment, opened."""

    settings: Settings
    backend: Sm2Backend
    kek: KeyEncryptionKeys
    idp: Database
    credentials: Database
    ring: ColumnKeyRing
    sealer: ColumnSealer
    resealer: Resealer
    job: ResealJob
    keystore: SqlKeyStore
    issuer_keys: SqlIssuerKeys
    audit: AuditService
    roll: OfficersRoll
    requests: KeyRequests

    def kek_sealer(self) -> ColumnSealer:
        """Return the sealer of the key file as it is now."""
        return kek_sealer(read_kek(self.settings.kek_file))

    async def record(self, action: str, subject: str, approved: Approved | None, **details: str) -> None:
        """Write what was done into the audit trail; with two officers, who asked and who approved."""
        await record(self.audit, action, subject, approved, **details)


def clock() -> int:
    """Return the time in seconds since the epoch."""
    return int(time.time())


def kek_sealer(kek: KeyEncryptionKeys) -> ColumnSealer:
    """Return the sealer over a key file's keys."""
    return ColumnSealer(kek.by_kid, kek.active, secrets.token_bytes)


async def record(audit: AuditService, action: str, subject: str, approved: Approved | None, **details: str) -> None:
    """Chain one event."""
    actor = "system"
    if approved is not None:
        actor = f"officer:{approved.approved_by}"
        details |= {"filed_by": f"officer:{approved.request.filed_by}", "request": approved.request.id}
    await audit.record(AuditEvent(clock(), action, actor, subject, "ok", None, None, details))


def require_migrated(settings: Settings) -> None:
    """Raise `CommandFailed` unless every room's tables are at this version's."""
    if settings.embedded and not settings.data_dir.is_dir():
        raise CommandFailed(f"There is no deployment in {settings.data_dir}; run `edutrust migrate` first.")
    for room in SCHEMA_OF_ROOM:
        if not is_current(room, target_of(room, settings.database_url)):
            raise CommandFailed("The databases are not at this version's schema; run `edutrust migrate` first.")


@asynccontextmanager
async def open_databases(settings: Settings) -> AsyncIterator[tuple[Database, Database, AuditService]]:
    """Open the databases of the keys and the audit trail."""
    async with AsyncExitStack() as stack:
        idp = await open_database(settings.database_url, "idp")
        stack.push_async_callback(idp.close)
        credentials = await open_database(settings.database_url, "credentials")
        stack.push_async_callback(credentials.close)
        trail = open_audit_database(settings.database_url)
        stack.callback(trail.close)
        audit = AuditService(SqlAuditStore(trail, f"{settings.log_origin}/audit"))
        audit.start()
        stack.push_async_callback(audit.close)
        yield idp, credentials, audit


@asynccontextmanager
async def open_key_parts(settings: Settings) -> AsyncIterator[KeyParts]:
    """Open everything; raises what `read_kek`, `open_keyring` and the databases raise."""
    kek = read_kek(settings.kek_file)
    backend = checked_backend(settings.sm2_backend)
    async with open_databases(settings) as (idp, credentials, audit):
        await open_keyring(idp, kek_sealer(kek), now=clock(), random_bytes=secrets.token_bytes)
        await check_key_encryption_keys(idp, kek, now=clock())
        ring = ColumnKeyRing(
            idp, kek=lambda: kek_sealer(read_kek(settings.kek_file)), clock=clock, monotonic=time.monotonic
        )
        await ring.refresh()
        sealer = RingSealer(ring, secrets.token_bytes)
        resealer = Resealer({"idp": idp, "credentials": credentials}, sealer)
        roll = OfficersRoll(idp, sealer, backend)
        async with ring.kept_fresh():
            yield KeyParts(
                settings=settings,
                backend=backend,
                kek=kek,
                idp=idp,
                credentials=credentials,
                ring=ring,
                sealer=sealer,
                resealer=resealer,
                job=ResealJob(ring, resealer, idp, clock=clock),
                keystore=SqlKeyStore(idp),
                issuer_keys=SqlIssuerKeys(credentials, sealer=sealer, backend=backend, clock=clock),
                audit=audit,
                roll=roll,
                requests=KeyRequests(idp, sealer, backend, roll, deployment=settings.log_origin),
            )


def officer_private(path: Path | None, passphrase_file: Path | None, backend: Sm2Backend) -> bytes:
    """Return the private key of an officer's key file; raise `CommandFailed` where it cannot be opened."""
    if path is None:
        raise CommandFailed("Say which officer you are: --officer-key FILE.")
    try:
        data = path.read_bytes()[:_KEY_FILE_BYTES_MAX]
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise CommandFailed(f"The officer key file {path} cannot be read: {error.strerror}.") from error
    if mode & 0o077:
        raise CommandFailed(f"The officer key file {path} can be read by others; run `chmod 600` on it.")
    try:
        read_private(data, password=None, backend=backend)
    except TrustError:
        pass  # as it has to be: without its passphrase it does not open
    else:
        raise CommandFailed(f"The officer key file {path} is not encrypted; make one with `edutrust keys officer new`.")
    try:
        return read_private(data, password=passphrase(path, passphrase_file), backend=backend)
    except TrustError as refused:
        raise CommandFailed(f"The officer key file {path} does not open: wrong passphrase, or no SM2 key.") from refused


def passphrase(path: Path, passphrase_file: Path | None, *, twice: bool = False) -> bytes:
    """Return the passphrase of a key file, from a file of its own or from the terminal."""
    if passphrase_file is not None:
        try:
            return passphrase_file.read_bytes().removesuffix(b"\n")
        except OSError as error:
            raise CommandFailed(f"The passphrase file {passphrase_file} cannot be read: {error.strerror}.") from error
    if not sys.stdin.isatty():
        raise CommandFailed("There is no terminal to ask for the passphrase; give it with --passphrase-file.")
    typed = getpass.getpass(f"Passphrase of {path}: ")
    if twice and typed != getpass.getpass("Once more: "):
        raise CommandFailed("The two passphrases differ; nothing was written.")
    return typed.encode()


def write_private_file(path: Path, content: bytes) -> None:
    """Create a file of mode 0600; raise `CommandFailed` where one stands there."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise CommandFailed(f"The file {path} exists already and is never overwritten.") from error
    except OSError as error:
        raise CommandFailed(f"The file {path} cannot be written: {error.strerror}.") from error


def when(seconds: int | None) -> str:
    """Return a time for reading, UTC; a dash for none."""
    return "-" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def told(as_json: bool, value: Mapping[str, Any], *lines: str) -> int:
    """Print one JSON object or lines; return exit code 0."""
    if as_json:
        print(json.dumps(value, ensure_ascii=False))
    else:
        for line in lines:
            print(line)
    return 0
