"""`edutrust keys officer …`, and the step every dangerous command takes: one officer files, another approves."""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from adapters.commands.keys_open import (
    KeyParts,
    clock,
    officer_private,
    passphrase,
    told,
    when,
    write_private_file,
)
from adapters.commands.outcome import CommandFailed
from adapters.sm2_backend import checked_backend
from adapters.sql.key_officers import OFFICERS_NEEDED, Approved, KeyRequestRefused, OfficerRefused
from crypto.errors import TrustError
from crypto.key_files import private_to_encrypted_pkcs8, public_to_spki, read_public
from crypto.pbes import RECOMMENDED_ITERATIONS

# NIST SP 800-63B: a passphrase that stands alone, against an attacker who has the file and all the time.
MIN_PASSPHRASE_BYTES: Final = 15

_SENTENCES: Final = {
    "unknown_key": "This key is not an officer's: enrol it with `edutrust keys officer add`.",
    "name": "An officer's name is 1 to 32 lower-case letters, digits and dashes, beginning with a letter.",
    "name_taken": "This name was given already; names are never given again.",
    "key_taken": "This key is an officer's already, or was.",
    "unknown": "There is no such officer or request.",
    "last_two": "Two officers must stay: enrol a successor first.",
    "too_few_officers": "This needs two officers, and fewer are enrolled; see `edutrust keys officer add`.",
    "used": "This request was used already; file a new one.",
    "expired": "This request has expired; file a new one.",
    "other_action": "This request asks for something else; give exactly the arguments it was filed with.",
    "same_officer": "The officer who filed a request cannot approve it.",
    "officer_gone": "The officer who filed this request serves no more.",
    "signature": "The request's signature does not verify; it was altered.",
}


def officer_sentence(refused: OfficerRefused | KeyRequestRefused) -> str:
    """Say in one sentence why not."""
    return _SENTENCES.get(refused.rule or "", f"Refused: {refused}.")


async def by_two_officers(
    parts: KeyParts, arguments: argparse.Namespace, action: str, asked: Mapping[str, str]
) -> Approved | None:
    """File the request and return None, or approve it and return who did: then, and only then, the caller acts."""
    if not arguments.request and arguments.approve is None:
        raise CommandFailed(
            "Two officers do this together: one files it with --request --officer-key FILE, another repeats the command"
            " with --approve ID --officer-key FILE."
        )
    private = officer_private(arguments.officer_key, arguments.passphrase_file, parts.backend)
    if arguments.approve is not None:
        approved = await parts.requests.approve(arguments.approve, action, asked, private, now=clock())
        # Chained before the act: an act that fails, or dies halfway, has still been approved by these two.
        await parts.record("keys.request.approved", approved.request.id, approved, asked=action)
        return approved
    request = await parts.requests.file(action, asked, private, now=clock(), random_bytes=secrets.token_bytes)
    await parts.record("keys.request.filed", request.id, None, filed_by=f"officer:{request.filed_by}", asked=action)
    told(
        arguments.json,
        {
            "request": request.id,
            "action": action,
            "arguments": dict(asked),
            "filed_by": request.filed_by,
            "expires_at": request.expires_at,
        },
        f"Request {request.id} filed by {request.filed_by}, good until {when(request.expires_at)}.",
        f"Another officer now repeats the command with --approve {request.id} --officer-key FILE.",
    )
    return None


async def officer(parts: KeyParts, arguments: argparse.Namespace) -> int:
    """Add, remove or list officers. The first two are enrolled by whoever runs the deployment; then two officers decide."""
    if arguments.what == "list":
        return await _list(parts, arguments)
    if arguments.name is None:
        raise CommandFailed("Give the officer's name.")
    if arguments.what == "remove":
        approved = await by_two_officers(parts, arguments, "officer.remove", {"name": arguments.name})
        if approved is None:
            return 0
        await parts.roll.remove(arguments.name, now=clock())
        await parts.record("keys.officer.removed", f"officer:{arguments.name}", approved)
        return told(arguments.json, {"removed": arguments.name}, f"{arguments.name} is no officer any more.")
    public = _public(arguments.public)
    approved = None
    if len(await parts.roll.serving()) >= OFFICERS_NEEDED:
        asked = {"name": arguments.name, "public": public.hex()}
        approved = await by_two_officers(parts, arguments, "officer.add", asked)
        if approved is None:
            return 0
    enrolled = await parts.roll.enrol(arguments.name, public, now=clock())
    await parts.record("keys.officer.enrolled", f"officer:{enrolled.name}", approved)
    return told(
        arguments.json, {"enrolled": enrolled.name, "public": public.hex()}, f"{enrolled.name} is an officer now."
    )


async def _list(parts: KeyParts, arguments: argparse.Namespace) -> int:
    officers = await parts.roll.every()
    waiting = await parts.requests.waiting(now=clock())
    return told(
        arguments.json,
        {
            "officers": [
                {
                    "name": officer.name,
                    "public": officer.public.hex(),
                    "enrolled_at": officer.enrolled_at,
                    "removed_at": officer.removed_at,
                }
                for officer in officers
            ],
            "requests": [
                {
                    "request": request.id,
                    "action": request.action,
                    "arguments": dict(request.arguments),
                    "filed_by": request.filed_by,
                    "filed_at": request.filed_at,
                    "expires_at": request.expires_at,
                }
                for request in waiting
            ],
        },
        *(
            f"{officer.name}  since {when(officer.enrolled_at)}"
            + ("" if officer.removed_at is None else f", until {when(officer.removed_at)}")
            for officer in officers
        ),
        *(
            f"waiting: {request.id}  {request.action} {dict(request.arguments)} filed by {request.filed_by},"
            f" good until {when(request.expires_at)}"
            for request in waiting
        ),
    )


def new_officer_key(arguments: argparse.Namespace) -> int:
    """Make an officer's key pair: the private half encrypted under a passphrase, the public half beside it."""
    out: Path | None = arguments.out
    if out is None:
        raise CommandFailed("Say where the key file goes: --out FILE.")
    public_path = out.with_name(f"{out.name}.pub")
    secret = passphrase(out, arguments.passphrase_file, twice=True)
    if len(secret) < MIN_PASSPHRASE_BYTES:
        raise CommandFailed(f"The passphrase needs at least {MIN_PASSPHRASE_BYTES} characters.")
    backend = checked_backend()
    private = backend.generate()
    public = backend.public_of(private)
    pem = private_to_encrypted_pkcs8(
        private, secret, random_bytes=secrets.token_bytes, iterations=RECOMMENDED_ITERATIONS, public=public
    )
    write_private_file(out, pem)
    write_private_file(public_path, public_to_spki(public, pem=True))
    return told(
        arguments.json,
        {"private": str(out), "public": str(public_path)},
        f"Wrote {out} (keep it, and the passphrase, to yourself) and {public_path} (give it to whoever enrols you).",
    )


def _public(path: Path | None) -> bytes:
    if path is None:
        raise CommandFailed("Give the officer's public key file: --public FILE.")
    try:
        return read_public(path.read_bytes())
    except OSError as error:
        raise CommandFailed(f"The public key file {path} cannot be read: {error.strerror}.") from error
    except TrustError as refused:
        raise CommandFailed(f"{path} is no SM2 public key: {refused}.") from refused
