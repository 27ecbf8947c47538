"""The key-encryption key: one small file, readable by its owner alone, that everything sealed in the databases hangs on.

The file holds lines `kid hex(16 bytes)`; the last is active, earlier ones still open what they sealed. Whoever loses it
loses every sealed column and every private key: `edutrust run` therefore refuses to start without it, and never makes a
new one beside an existing database. Every change writes a whole new file beside the old one and renames it, so that a
crash leaves the one or the other.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from crypto.errors import TrustError
from crypto.sm3 import hmac_sm3

KEK_BYTES = 16  # SM4 takes a key of 128 bits (GB/T 32907 §4)
# A truncated HMAC of a uniformly random 128-bit key says nothing of it that helps to guess it; 64 bits leave one wrong
# key in 2^64 unnoticed by this alone, and the data keys it must open besides tell that one.
KEK_CHECK_BYTES = 8
KEK_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
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
    return write_kek(path, {"kek-1": random_bytes(KEK_BYTES)})


def write_kek(path: Path, by_kid: Mapping[str, bytes]) -> KeyEncryptionKeys:
    """Create the file with mode 0600 and these keys, the last one active. Raises `KekRefused` as `create_kek` does."""
    for name, key in by_kid.items():
        if KEK_NAME.fullmatch(name) is None or len(key) != KEK_BYTES:
            raise KekRefused(field="kek_file", rule="malformed")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_new(path, _text(by_kid))
    except FileExistsError:
        raise KekRefused(field="kek_file", rule="exists") from None
    except OSError:
        raise KekRefused(field="kek_file", rule="unwritable") from None
    return read_kek(path)


def add_kek(path: Path, *, random_bytes: Callable[[int], bytes]) -> KeyEncryptionKeys:
    """Put a fresh key after the others, so that it is the active one. Raises what `read_kek` does, and rule unwritable.

    The name counts on from the highest `kek-N`: a name never comes back, also not after an older line was removed.
    """
    with _held(path):
        keys = read_kek(path)
        numbers = [int(match[1]) for name in keys.by_kid if (match := re.fullmatch(r"kek-([0-9]{1,8})", name))]
        name = f"kek-{max(numbers, default=0) + 1}"
        return _replace(path, {**keys.by_kid, name: random_bytes(KEK_BYTES)})


def remove_kek(path: Path, name: str) -> KeyEncryptionKeys:
    """Take an older key out of the file. Raises `KekRefused` with rule unknown_key, or active for the last line."""
    with _held(path):
        keys = read_kek(path)
        if name not in keys.by_kid:
            raise KekRefused(field="kek_file", rule="unknown_key")
        if name == keys.active:
            raise KekRefused(field="kek_file", rule="active")
        return _replace(path, {kid: key for kid, key in keys.by_kid.items() if kid != name})


def kek_check(name: str, key: bytes) -> bytes:
    """Return the check value by which a key is recognised without being shown."""
    return hmac_sm3(key, b"edutrust key-encryption key check 1\x00" + name.encode())[:KEK_CHECK_BYTES]


def _text(by_kid: Mapping[str, bytes]) -> bytes:
    return "".join(f"{name} {key.hex()}\n" for name, key in by_kid.items()).encode()


def _write_new(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(path.parent)


def _replace(path: Path, by_kid: Mapping[str, bytes]) -> KeyEncryptionKeys:
    fresh = path.with_name(f"{path.name}.new")
    try:
        # What a crash left behind was never the key file.
        with suppress(FileNotFoundError):
            fresh.unlink()
        _write_new(fresh, _text(by_kid))
        fresh.replace(path)
        _sync_folder(path.parent)
    except OSError:
        raise KekRefused(field="kek_file", rule="unwritable") from None
    return read_kek(path)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Admit one change of the file at a time, by a lock on the folder (the file itself is replaced)."""
    try:
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        raise KekRefused(field="kek_file", rule="unreadable") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
