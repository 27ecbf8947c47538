"""`edutrust keys list|rotate|reseal|retire`."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from adapters.commands.keys_officers import by_two_officers
from adapters.commands.keys_open import KeyParts, clock, told, when
from adapters.commands.outcome import CommandFailed
from adapters.kek import add_kek, read_kek, remove_kek
from adapters.server import sole_owner
from adapters.sql.key_inventory import SigningKeyLine, signing_key_lines, signing_key_of
from adapters.sql.keyring import check_key_encryption_keys
from adapters.sql.keyring_changes import (
    SPREAD_S,
    data_key_lines,
    destroy_column_key,
    kek_lines,
    mark_kek_destroyed,
    require_unused_kek,
    rewrap,
    rotate_column_key,
)
from adapters.sql.resealing import SEALED_TABLES, Place, Tally
from credentials.accreditation import KeyPurpose
from crypto.keys import KeyState
from crypto.suites import Alg, Purpose
from idp.keys import OWNER, open_idp_keys
from idp.metadata import CACHE_SECONDS

# A successor is in every cached key set before it signs: the set's lifetime, and a minute for what reads it slowly.
PUBLISHED_S: Final = CACHE_SECONDS + 60


async def list_keys(parts: KeyParts, arguments: argparse.Namespace) -> int:
    """Show every key, never a secret."""
    now = clock()
    keks = await kek_lines(parts.idp, in_file=list(parts.kek.by_kid))
    data = await data_key_lines(parts.idp, now=now)
    signing, hidden = await signing_key_lines(parts.idp, parts.credentials, persons=arguments.persons)
    return told(
        arguments.json,
        {
            "key_encryption_keys": [asdict(line) for line in keks],
            "data_keys": [asdict(line) for line in data],
            "signing_keys": [asdict(line) for line in signing],
            "keys_of_persons_not_shown": hidden,
        },
        "Key-encryption keys (SM4)",
        *(
            f"  {line.kid}  {line.state}  since {when(line.created_at)}  data keys under it: {line.data_keys}"
            + (f"  shares: {line.threshold} of {line.shares}, set {line.share_set}" if line.shares else "  no shares")
            for line in keks
        ),
        "Data keys",
        *(
            f"  {line.kid}  {line.purpose}  {line.state}  seals from {when(line.seals_from)}"
            f"  under {line.sealed_under or '-'}"
            for line in data
        ),
        "Signing keys",
        *(
            f"  {line.kid}  {line.purpose}  {line.alg}  {line.owner}  {line.state}"
            f"  {when(line.not_before)} to {when(line.not_after)}"
            + (f"  compromised at {when(line.compromised_at)}" if line.compromised_at is not None else "")
            + f"  under {line.sealed_under or '-'}"
            for line in signing
        ),
        *([f"  and {hidden} keys kept for single persons (--persons)"] if hidden else []),
    )


async def rotate(parts: KeyParts, arguments: argparse.Namespace) -> int:
    """Turn the key-encryption key, the column key, or a signing key."""
    if arguments.what == "kek":
        return await _rotate_kek(parts, arguments)
    with ExitStack() as stack:
        if arguments.at_once:
            # Nothing else runs on this deployment, so nothing has to be told first.
            stack.enter_context(sole_owner(parts.settings.data_dir))
        return await (_rotate_column if arguments.what == "column" else _rotate_signing)(parts, arguments)


async def _rotate_kek(parts: KeyParts, arguments: argparse.Namespace) -> int:
    approved = await by_two_officers(parts, arguments, "rotate.kek", {})
    if approved is None:
        return 0
    lines = await kek_lines(parts.idp, in_file=list(parts.kek.by_kid))
    under_active = sum(line.data_keys for line in lines if line.kid == parts.kek.active)
    # A rotation that died between the file and the keyring is brought to its end instead of begun anew.
    if under_active:
        kek = add_kek(parts.settings.kek_file, random_bytes=secrets.token_bytes)
        await check_key_encryption_keys(parts.idp, kek, now=clock())
    moved = await rewrap(parts.idp, parts.kek_sealer())
    active = read_kek(parts.settings.kek_file).active
    await parts.record("keys.kek.rotated", active, approved, data_keys=str(moved))
    return told(
        arguments.json,
        {"active": active, "data_keys": moved, "file": str(parts.settings.kek_file)},
        f"{active} seals the keyring now ({moved} data keys); {parts.settings.kek_file} holds it as its last line.",
        "Copy the key file to its safe places, make new recovery shares (`edutrust keys split`) and a new backup.",
    )


async def _rotate_column(parts: KeyParts, arguments: argparse.Namespace) -> int:
    now = clock()
    seals_from = now if arguments.at_once else now + SPREAD_S
    kid = await rotate_column_key(
        parts.idp, parts.kek_sealer(), now=now, seals_from=seals_from, random_bytes=secrets.token_bytes
    )
    await parts.record("keys.column.rotated", kid, None, seals_from=when(seals_from))
    return told(
        arguments.json,
        {"active": kid, "seals_from": seals_from},
        f"{kid} seals from {when(seals_from)}. A running service re-seals by itself; `edutrust keys reseal` does it now.",
    )


async def _rotate_signing(parts: KeyParts, arguments: argparse.Namespace) -> int:
    if arguments.owner is None:
        raise CommandFailed("Say whose key: --owner idp --alg ALG, or --owner ISSUER --purpose PURPOSE.")
    if arguments.owner != OWNER:
        try:
            purpose = KeyPurpose(arguments.purpose)
        except ValueError:
            raise CommandFailed(f"--purpose is one of: {', '.join(KeyPurpose)}.") from None
        key = await parts.issuer_keys.rotate(arguments.owner, purpose)
        await parts.record("keys.signing.rotated", key.kid, None, owner=arguments.owner, purpose=purpose.value)
        return told(arguments.json, {"active": key.kid, "state": "active"}, f"{key.kid} signs now.")
    try:
        alg = Alg(arguments.alg)
    except ValueError:
        raise CommandFailed("--alg is one of: RS256, ES256, SGD_SM3_SM2.") from None
    keys = await open_idp_keys(parts.keystore, sealer=parts.sealer, backend=parts.backend, clock=clock)
    waiting = [
        record
        for record in await parts.keystore.published(OWNER)
        if (record.alg, record.purpose, record.state) == (alg, Purpose.ID_TOKEN, KeyState.PENDING)
    ]
    ready = 0 if arguments.at_once else PUBLISHED_S
    if waiting and waiting[0].not_before + ready <= clock():
        kid = waiting[0].kid
        await keys.rotate(kid)
        await parts.record("keys.signing.rotated", kid, None, owner=OWNER, alg=alg.value)
        return told(
            arguments.json, {"active": kid, "state": "active"}, f"{kid} signs now; the key before it verifies on."
        )
    if waiting:
        kid = waiting[0].kid
    else:
        kid = await keys.prepare_successor(alg)
        await parts.record("keys.signing.published", kid, None, owner=OWNER, alg=alg.value)
    signs_from = (await parts.keystore.by_kid(OWNER, kid)).not_before + ready
    return told(
        arguments.json,
        {"pending": kid, "state": "pending", "signs_from": signs_from},
        f"{kid} is published; repeat the command after {when(signs_from)} to let it sign.",
    )


async def reseal(parts: KeyParts, arguments: argparse.Namespace) -> int:
    """Walk every sealed column now; ends with 1 where something is left."""
    while pending := [line for line in await data_key_lines(parts.idp, now=clock()) if line.state is KeyState.PENDING]:
        print(f"Waiting: {pending[-1].kid} seals from {when(pending[-1].seals_from)}.", file=sys.stderr, flush=True)
        await asyncio.sleep(max(1, pending[-1].seals_from - clock()))
    await parts.ring.refresh()
    before = ""

    def progress(place: Place, tally: Tally) -> None:
        nonlocal before
        table = SEALED_TABLES[place.table]
        now = f"{table.schema}.{table.table}: {tally.rows} rows seen, {tally.resealed} values sealed again"
        if not arguments.json and now != before:
            print(now, file=sys.stderr, flush=True)
        before = now

    done = await parts.resealer.walk(progress)
    begun = clock()
    left = await parts.resealer.count(None)
    if not left:
        await parts.job.mark_emptied(begun)
    await parts.record(
        "keys.resealed", parts.sealer.active, None, values=str(done.resealed), left=str(sum(left.values()))
    )
    told(
        arguments.json,
        {
            "active": parts.sealer.active,
            "rows": done.rows,
            "resealed": done.resealed,
            "overtaken": done.overtaken,
            "unopened": done.unopened,
            "left": left,
        },
        f"{done.resealed} values sealed again under {parts.sealer.active}; left: {sum(left.values())}.",
        *(f"  {name}: {count}" for name, count in left.items()),
        *([f"{done.unopened} values do not open under their own key and place."] if done.unopened else []),
    )
    return 1 if left else 0


async def retire(parts: KeyParts, arguments: argparse.Namespace) -> int:
    """End a key for good: a signing key, an emptied column key, or an unused key-encryption key."""
    kid: str = arguments.kid
    compromised = None if arguments.compromised_at is None else _time(arguments.compromised_at)
    line = await signing_key_of(parts.idp, parts.credentials, kid)
    if line is None and compromised is not None:
        raise CommandFailed(
            "Only a signing key is reported as compromised. Rotate a column key or key-encryption key, re-seal, retire it."
        )
    if line is not None and compromised is None and line.purpose in {Purpose.CHECKPOINT, Purpose.ANCHOR}:
        # A log is its name and its keys; without them the service would not start again (see operations.md).
        raise CommandFailed("A log's key is not retired: begin a new log under another log_origin instead.")
    asked = {"kid": kid, **({} if compromised is None else {"compromised_at": when(compromised)})}
    approved = await by_two_officers(parts, arguments, "retire", asked)
    if approved is None:
        return 0
    more: dict[str, Any] = {}
    if line is not None:
        await _retire_signing(parts, line, compromised)
        if compromised is not None:
            more = {"compromised_at": compromised}
    elif kid in {known.kid for known in await kek_lines(parts.idp, in_file=list(parts.kek.by_kid))}:
        await require_unused_kek(parts.idp, kid)
        if kid in parts.kek.by_kid:
            remove_kek(parts.settings.kek_file, kid)
        await mark_kek_destroyed(parts.idp, kid, now=clock())
    else:
        await destroy_column_key(parts.idp, parts.resealer, kid, now=clock())
    action = "keys.retired" if compromised is None else "keys.compromised"
    await parts.record(action, kid, approved, **{name: when(value) for name, value in more.items()})
    lines = [f"{kid} is retired and its secret half destroyed."]
    if line is not None and line.purpose in {Purpose.CHECKPOINT, Purpose.ANCHOR}:
        lines.append(
            "A running service holds this key in memory: stop it now, and begin a new log (see operations.md)."
        )
    return told(arguments.json, {"retired": kid, **more}, *lines)


async def _retire_signing(parts: KeyParts, line: SigningKeyLine, compromised: int | None) -> None:
    if line.store == "credentials":
        if compromised is None:
            await parts.issuer_keys.retire(line.kid)
        else:
            await parts.issuer_keys.report_compromise(line.kid, at=compromised)
    elif compromised is not None:
        await parts.keystore.report_compromise(line.owner, line.kid, compromised)
    else:
        await parts.keystore.retire(line.owner, line.kid)


def _time(text: str) -> int:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise CommandFailed("TIME is written like 2026-11-22T08:00:00Z.") from None
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    seconds = int(parsed.timestamp())
    if not 0 <= seconds <= clock():
        raise CommandFailed("TIME lies in the future; a compromise is reported from when it may have happened.")
    return seconds
