"""`edutrust keys split|recover|backup|restore`: the key-encryption key in the officers' hands, and everything back again."""

from __future__ import annotations

import argparse
import hmac
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from adapters.commands.keys_officers import by_two_officers
from adapters.commands.keys_open import (
    KeyParts,
    clock,
    kek_sealer,
    officer_private,
    open_databases,
    record,
    told,
    when,
    write_private_file,
)
from adapters.commands.outcome import CommandFailed
from adapters.kek import KEK_BYTES, KeyEncryptionKeys, kek_check, read_kek, write_kek
from adapters.key_backup import (
    Contents,
    KeyBackupRefused,
    check_backup,
    read_header,
    require_empty,
    restore_rows,
    write_backup,
)
from adapters.settings import Settings
from adapters.sm2_backend import checked_backend
from adapters.sql.database import Database
from adapters.sql.key_officers import OFFICERS_NEEDED, officers_of_rows
from adapters.sql.keyring import COLUMN, unwrap
from adapters.sql.keyring_changes import note_shares
from crypto.sealed import ColumnSealer
from crypto.shamir import Share, ShareRefused, combine, read_share, split, write_share

_SHARE_SENTENCES: Final = {
    "characters": "holds characters no share has",
    "check": "is mistyped or damaged",
    "version": "is of another version",
    "form": "is no share",
    "length": "is no share",
    "other_set": "The shares are not all of one set.",
    "twice": "One share was given twice.",
    "too_few": "These are too few shares.",
    "inconsistent": "One of the shares is forged: they do not lie on one curve.",
    "range": "Choose a threshold from 2 to the number of shares, and at most 255 shares.",
}
_SHARE_FILE_BYTES_MAX: Final = 8192
_BACKUP_SENTENCES: Final = {
    "not_a_backup": "The file is no backup of keys.",
    "version": "The backup is of another version of the product.",
    "other_key": "The backup is under another key-encryption key.",
    "damaged": "The backup is damaged; nothing was restored.",
    "not_empty": "This deployment has keys already; a backup is restored into an empty one only.",
    "keyring_turned": "A key was destroyed while the backup was written; make it again.",
}


def backup_sentence(refused: KeyBackupRefused) -> str:
    """Say in one sentence what is wrong with a backup."""
    return _BACKUP_SENTENCES.get(refused.rule or "", f"Refused: {refused}.")


async def split_kek(parts: KeyParts, arguments: argparse.Namespace) -> int:
    """Make recovery shares of the active key-encryption key."""
    asked = {"shares": str(arguments.shares), "threshold": str(arguments.threshold)}
    asked["out"] = "screen" if arguments.out is None else _absolute(arguments.out)
    approved = await by_two_officers(parts, arguments, "split", asked)
    if approved is None:
        return 0
    kid = parts.kek.active
    key = parts.kek.by_kid[kid]
    try:
        made = split(
            key,
            shares=arguments.shares,
            threshold=arguments.threshold,
            label=kid,
            random_bytes=secrets.token_bytes,
        )
    except ShareRefused as refused:
        raise CommandFailed(share_sentence(refused)) from refused
    # What was made is read back before anybody relies on it.
    if combine([read_share(write_share(share)) for share in made[-arguments.threshold :]]) != key:
        raise CommandFailed("The shares do not give the key back; nothing was written.")
    set_id = made[0].set_id.hex()
    texts = [_share_text(share, len(made), parts.settings) for share in made]
    files: list[str] = []
    if arguments.out is not None:
        try:
            arguments.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommandFailed(f"The folder {arguments.out} cannot be made: {error.strerror}.") from error
        for share, text in zip(made, texts, strict=True):
            path = arguments.out / f"share-{set_id}-{share.index}-of-{len(made)}.txt"
            write_private_file(path, text.encode())
            files.append(str(path))
    await note_shares(parts.idp, kid, share_set=set_id, shares=len(made), threshold=arguments.threshold, now=clock())
    await parts.record(
        "keys.kek.split", kid, approved, set=set_id, shares=str(len(made)), threshold=str(arguments.threshold)
    )
    told_of: dict[str, Any] = {"kek": kid, "set": set_id, "files": files}
    if arguments.to_screen:
        told_of["shares"] = texts
    return told(
        arguments.json,
        told_of,
        f"{len(made)} shares of {kid}, set {set_id}; any {arguments.threshold} give it back.",
        *files,
        *(texts if arguments.to_screen else []),
        *(["Give each file to one officer and keep no copy on this machine."] if files else []),
    )


async def recover(settings: Settings, arguments: argparse.Namespace) -> int:
    """Write the key file again from shares; the threshold is the split of duties here: no single officer has it."""
    if settings.kek_file.exists():
        raise CommandFailed(f"The key file {settings.kek_file} exists; move it away first if it is not the right one.")
    kid, key, shares = _from_shares(arguments.share)
    async with open_databases(settings) as (idp, _, audit):
        await _require_right(idp, kid, key)
        write_kek(settings.kek_file, {kid: key})
        await record(
            audit,
            "keys.kek.recovered",
            kid,
            None,
            set=shares[0].set_id.hex(),
            shares=" ".join(str(share.index) for share in shares),
        )
    return told(
        arguments.json,
        {"kek": kid, "file": str(settings.kek_file), "set": shares[0].set_id.hex()},
        f"{kid} is back in {settings.kek_file} and opens every data key. Start the service, then rotate it:"
        " the shares used have been seen together.",
    )


async def backup(parts: KeyParts, arguments: argparse.Namespace) -> int:
    """Write the backup under a name of its own, then let it appear whole."""
    out: Path = arguments.out
    approved = await by_two_officers(parts, arguments, "backup", {"out": _absolute(out)})
    if approved is None:
        return 0
    partial = _partial_of(out)
    try:
        with partial.open("r+b") as file:
            rows = await write_backup(
                file,
                {"idp": parts.idp, "credentials": parts.credentials},
                parts.kek,
                now=clock(),
                deployment=parts.settings.log_origin,
                random_bytes=secrets.token_bytes,
            )
            file.flush()
            os.fsync(file.fileno())
            # Read back as a restore would, before anybody relies on it.
            file.seek(0)
            check_backup(file, read_header(file), parts.kek.by_kid)
        os.link(partial, out)
    except OSError as error:
        raise CommandFailed(f"The file {out} cannot be written: {error.strerror}.") from error
    finally:
        partial.unlink(missing_ok=True)
    await parts.record("keys.backed_up", parts.kek.active, approved, rows=str(rows))
    return told(
        arguments.json,
        {"file": str(out), "kek": parts.kek.active, "rows": rows},
        f"Wrote {out}: {rows} rows, checked by reading it back. It opens with {parts.kek.active}"
        " (the key file's copy, or the officers' shares).",
    )


async def restore(settings: Settings, arguments: argparse.Namespace) -> int:
    """Put a backup back into an empty deployment: rows first, the key file last."""
    if settings.kek_file.exists():
        raise CommandFailed(f"The key file {settings.kek_file} exists already and is never overwritten.")
    try:
        source = arguments.file.open("rb")
    except OSError as error:
        raise CommandFailed(f"The file {arguments.file} cannot be read: {error.strerror}.") from error
    with source:
        header = read_header(source)
        start = source.tell()
        by: dict[str, str] = {}
        if arguments.kek is None:
            kid, key, shares = _from_shares(arguments.share)
            kek = {kid: key}
            by = {"set": shares[0].set_id.hex(), "shares": " ".join(str(share.index) for share in shares)}
        else:
            kek = read_kek(arguments.kek).by_kid
        if not hmac.compare_digest(kek_check(header.kek, kek.get(header.kek, bytes(KEK_BYTES))), header.check):
            raise KeyBackupRefused(field="kek", rule="other_key")
        contents = check_backup(source, header, kek)
        if arguments.kek is not None:
            by = {"officers": " ".join(_both_officers(contents, settings, arguments))}
        async with open_databases(settings) as (idp, credentials, audit):
            databases = {"idp": idp, "credentials": credentials}
            await require_empty(databases)
            source.seek(start)
            rows = await restore_rows(source, header, kek, databases)
            write_kek(settings.kek_file, contents.kek)
            await record(
                audit, "keys.restored", header.kek, None, **by, rows=str(rows), made_at=when(header.created_at)
            )
    return told(
        arguments.json,
        {"kek": header.kek, "rows": rows, "file": str(settings.kek_file), "created_at": header.created_at},
        f"Restored {rows} rows and {settings.kek_file}, from a backup of {when(header.created_at)}.",
    )


def _absolute(path: Path) -> str:
    return str(path.absolute())


def _partial_of(out: Path) -> Path:
    """Create the file that becomes the backup once it is whole; what a crash left of an earlier one goes."""
    if out.exists():
        raise CommandFailed(f"The file {out} exists already and is never overwritten.")
    partial = out.with_name(f"{out.name}.partial")
    partial.unlink(missing_ok=True)
    write_private_file(partial, b"")
    return partial


def _both_officers(contents: Contents, settings: Settings, arguments: argparse.Namespace) -> list[str]:
    """Return the names of two different officers of the backup's own roll who are present with their keys."""
    if len(arguments.officer_key) != OFFICERS_NEEDED:
        raise CommandFailed("With --kek two officers restore together: give --officer-key twice.")
    column_keys: dict[str, bytes] = {}
    wrapping = ColumnSealer(contents.kek, next(reversed(contents.kek)), bytes)
    for row in contents.data_keys:
        if row["purpose"] == COLUMN and row["sealed"]:
            column_keys[row["kid"]] = unwrap(wrapping, COLUMN, row["kid"], row["sealed"])
    sealer = ColumnSealer(column_keys, next(iter(column_keys)), bytes)
    serving = {officer.public: officer.name for officer in officers_of_rows(contents.officers, sealer)}
    backend = checked_backend(settings.sm2_backend)
    files: list[Path | None] = [*arguments.passphrase_file, None, None]
    present: list[str] = []
    for path, passphrase_file in zip(arguments.officer_key, files, strict=False):
        name = serving.get(backend.public_of(officer_private(path, passphrase_file, backend)))
        if name is None:
            raise CommandFailed(f"{path} is not the key of an officer of this backup's roll.")
        present.append(name)
    if len(set(present)) != OFFICERS_NEEDED:
        raise CommandFailed("Two different officers restore together.")
    return sorted(present)


def share_sentence(refused: ShareRefused, name: str | None = None) -> str:
    """Say in one sentence what is wrong with a share, or with all of them."""
    text = _SHARE_SENTENCES.get(refused.rule or "", f"Refused: {refused}.")
    if refused.rule == "too_few" and "wanted" in refused.params:
        text = f"These are too few shares; {refused.params['wanted']} are needed."
    return f"The share {name} {text}." if name is not None else text


def _share_text(share: Share, shares: int, settings: Settings) -> str:
    return (
        f"# EduTrust recovery share {share.index} of {shares}; any {share.threshold} of the set give the key\n"
        f"# key {share.label} of {settings.log_origin}, set {share.set_id.hex()}, made {when(clock())}\n"
        f"{write_share(share)}\n"
    )


def _from_shares(files: list[Path]) -> tuple[str, bytes, list[Share]]:
    shares: list[Share] = []
    for path in files:
        try:
            text = path.read_bytes()[:_SHARE_FILE_BYTES_MAX].decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandFailed(f"The share {path} cannot be read.") from error
        shares.append(_share_of(text, str(path)))
    if not files:
        shares = _typed_shares()
    try:
        return shares[0].label, combine(shares), shares
    except ShareRefused as refused:
        raise CommandFailed(share_sentence(refused)) from refused


def _share_of(text: str, name: str) -> Share:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    try:
        return read_share(" ".join(lines))
    except ShareRefused as refused:
        raise CommandFailed(share_sentence(refused, name)) from refused


def _typed_shares() -> list[Share]:
    if not sys.stdin.isatty():
        raise CommandFailed("There is no terminal to type shares at; give each with --share FILE.")
    shares: list[Share] = []
    while not shares or len(shares) < shares[0].threshold:
        print(f"Share {len(shares) + 1}; end with an empty line:", file=sys.stderr)
        lines = []
        while line := input():
            lines.append(line)
        try:
            shares.append(read_share(" ".join(lines)))
        except ShareRefused as refused:
            print(share_sentence(refused, "just typed"), file=sys.stderr)
    return shares


async def _require_right(idp: Database, kid: str, key: bytes) -> None:
    """Hold a recovered key to its check value and to every data key. Raises `CommandFailed`, `KeyringRefused`."""
    wrong = CommandFailed("The recovered key is not this deployment's; nothing was written.")
    row = await idp.fetch_one("SELECT check_value FROM key_encryption_key WHERE kid = $1", kid)
    if row is None or not hmac.compare_digest(bytes(row["check_value"]), kek_check(kid, key)):
        raise wrong
    sealer = kek_sealer(KeyEncryptionKeys(kid, {kid: key}))
    rows: list[Mapping[str, Any]] = await idp.fetch(
        "SELECT purpose, kid, sealed FROM data_key WHERE destroyed_at IS NULL"
    )
    if not rows:
        raise wrong
    for found in rows:
        unwrap(sealer, found["purpose"], found["kid"], bytes(found["sealed"]))
