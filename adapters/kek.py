"""The key-encryption key: one small file, readable by its owner alone, that everything sealed in the databases hangs on.

The file holds lines `kid hex(16 bytes)`; the last is active, earlier ones still open what they sealed. Whoever loses it
loses every sealed column and every private key: `edutrust run` therefore refuses to start without it, and never makes a
new one beside an existing database.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from crypto.errors import TrustError

KEK_BYTES = 16  # SM4 takes a key of 128 bits (GB/T 32907 §4)
_LINE = re.compile(r"([A-Za-z0-9_-]{1,32}) ([0-9a-f]{32})")
_FILE_BYTES_MAX = 16 * 1024  # some two hundred rotations; a larger file is not a key file


class KekRefused(TrustError):
    """The key-encryption key is missing, unreadable, or open to others."""

    code: ClassVar[str] = "kek.refused"


@dataclass(frozen=True, slots=True)
class KeyEncryptionKeys:
    """The keys by name, and which of them seals."""

    active: str
    by_kid: dict[str, bytes] = field(repr=False)


def read_kek(path: Path) -> KeyEncryptionKeys:
    """Read the file. Raises `KekRefused` with rule missing, unreadable, permissions or malformed."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(_FILE_BYTES_MAX).decode("ascii")
    except FileNotFoundError:
        raise KekRefused(field="kek_file", rule="missing") from None
    except (OSError, UnicodeDecodeError):
        raise KekRefused(field="kek_file", rule="unreadable") from None
    if mode & 0o077:
        raise KekRefused(field="kek_file", rule="permissions")
    keys: dict[str, bytes] = {}
    active = ""
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is None or match[1] in keys:
            raise KekRefused(field="kek_file", rule="malformed")
        active = match[1]
        keys[active] = bytes.fromhex(match[2])
    if not keys:
        raise KekRefused(field="kek_file", rule="malformed")
    return KeyEncryptionKeys(active, keys)


def create_kek(path: Path, *, random_bytes: Callable[[int], bytes]) -> KeyEncryptionKeys:
    """Create the file with mode 0600 and one fresh key. Raises `KekRefused` with rule exists or unwritable."""
    line = f"kek-1 {random_bytes(KEK_BYTES).hex()}\n".encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise KekRefused(field="kek_file", rule="exists") from None
    except OSError:
        raise KekRefused(field="kek_file", rule="unwritable") from None
    return read_kek(path)
