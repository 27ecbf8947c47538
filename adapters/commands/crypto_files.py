"""What the `crypto` commands read and write: bounded input, passwords, keys in hex, files that are never overwritten."""

from __future__ import annotations

import base64
import binascii
import getpass
import os
import sys
from pathlib import Path
from typing import Final

from adapters.commands.crypto_parser import STANDARD_STREAM
from adapters.commands.outcome import CommandFailed

# One message, held in memory whole; larger ones are hashed first (`sm3` streams) or sealed in parts.
MAX_FILE_BYTES: Final = 64 * 1024 * 1024
# A password, a key in hex.
_MAX_SECRET_FILE_BYTES: Final = 4096


def read_file(path: Path, *, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Return the bytes of a file or of standard input (`-`); raise `CommandFailed` where they cannot be had."""
    try:
        if path == STANDARD_STREAM:
            data = sys.stdin.buffer.read(max_bytes + 1)
        else:
            with path.open("rb") as file:
                data = file.read(max_bytes + 1)
    except OSError as error:
        raise CommandFailed(f"{path} cannot be read: {error.strerror}.") from error
    if len(data) > max_bytes:
        raise CommandFailed(f"{path} is larger than {max_bytes} bytes.")
    return data


def write_new(path: Path, data: bytes, *, secret: bool) -> None:
    """Create a file with some bytes, mode 0600 where they are secret; raise `CommandFailed` where it exists already."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600 if secret else 0o644)
    except FileExistsError as error:
        raise CommandFailed(f"{path} exists already and is never overwritten.") from error
    except OSError as error:
        raise CommandFailed(f"{path} cannot be written: {error.strerror}.") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise CommandFailed(f"{path} cannot be written: {error.strerror}.") from error


def deliver(data: bytes, out: Path | None, *, secret: bool, armoured: bool) -> None:
    """Create the file `out`, or write to standard output: base64 and a line's end where `armoured`, else the bytes."""
    if out is not None:
        write_new(out, data, secret=secret)
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(base64.b64encode(data) + b"\n" if armoured else data)
    sys.stdout.buffer.flush()


def without_base64(data: bytes, bare: bool) -> bytes:
    """Return the bytes of a file that holds them `bare`, or in base64 with any line breaks; others come as they are."""
    if bare:
        return data
    try:
        return base64.b64decode(b"".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        return data


def password_of(path: Path) -> bytes:
    """Return the first line of a password file, without its end."""
    password = read_file(path, max_bytes=_MAX_SECRET_FILE_BYTES).split(b"\n", 1)[0].removesuffix(b"\r")
    if not password:
        raise CommandFailed(f"The first line of {path} is empty; it must hold the password.")
    return password


def at_a_terminal() -> bool:
    """Whether somebody can be asked: standard input is a terminal, not a file or a pipe."""
    return sys.stdin.isatty()


def asked_password(prompt: str, *, twice: bool) -> bytes:
    """Ask for a password at the terminal; raise `CommandFailed` where there is none or the two differ."""
    if not at_a_terminal():
        raise CommandFailed("A password is needed and there is no terminal to ask at; give --password-file.")
    password = getpass.getpass(f"{prompt}: ")
    if twice and getpass.getpass("The same again: ") != password:
        raise CommandFailed("The two passwords differ.")
    if not password:
        raise CommandFailed("The password is empty.")
    return password.encode("utf-8")


def hex_key(path: Path, *, least: int, most: int) -> bytes:
    """Return a key out of a file that holds it in hex; raise `CommandFailed` for another form or length."""
    text = read_file(path, max_bytes=_MAX_SECRET_FILE_BYTES).strip()
    try:
        key = binascii.unhexlify(text)
    except (binascii.Error, ValueError):
        raise CommandFailed(f"The key in {path} is not in hex.") from None
    if not least <= len(key) <= most:
        wanted = f"{least} bytes" if least == most else f"{least} to {most} bytes"
        raise CommandFailed(f"The key in {path} has {len(key)} bytes; {wanted} are needed.")
    return key
