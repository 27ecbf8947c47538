"""A follower's hands: the published files over the network or from a folder, and the files it keeps beside its state."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from adapters.http.outbound import BODY_MAX_BYTES, OutboundClient, OutboundFailed, OutboundRefused, Target, parse_target
from ledger.errors import LedgerUnavailable
from ledger.follow_tiles import TILE_BYTES
from ledger.layout import TilePath
from ledger.tiles import TILE_WIDTH, TileId

STATUS_OK: Final = 200
STATUS_NOT_FOUND: Final = 404


class LogAtUrl:
    """A published log behind an address. One connection a file, two seconds and 64 KiB at most for each.

    The address is the operator's own word, so it may be on this network; plain http only on this machine. Redirects are
    not followed. Raises OutboundRefused for an address that cannot be read in one way or would go unprotected.
    """

    def __init__(self, url: str) -> None:
        target = parse_target(url)
        if "?" in url:
            raise OutboundRefused(field="url", rule="form")
        if target.scheme != "https" and not _on_this_machine(target):
            raise OutboundRefused(field="url", rule="https")
        self._url = url.rstrip("/")
        self._client = OutboundClient(allow=[target.name])
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._runner.close()

    def fetch(self, path: str, most: int) -> bytes | None:
        """Return a published file (see `ledger.follow_tiles.Fetch`)."""
        try:
            answer = self._runner.run(self._client.get(f"{self._url}/{path}", accept="*/*"))
        except (OutboundFailed, OutboundRefused) as refused:
            raise LedgerUnavailable(field="file", rule=refused.rule, path=path) from refused
        if answer.status == STATUS_NOT_FOUND:
            return None
        if answer.status != STATUS_OK:
            raise LedgerUnavailable(field="file", rule="status", path=path, status=answer.status)
        return _bounded(answer.body, path, min(most, BODY_MAX_BYTES))


class LogInFolder:
    """A published log as a folder of files, such as a copy of one or a mounted bucket."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing is held open."""

    def fetch(self, path: str, most: int) -> bytes | None:
        """Return a published file (see `ledger.follow_tiles.Fetch`)."""
        try:
            with (self._folder / path).open("rb") as file:
                data = file.read(most + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise LedgerUnavailable(field="file", rule="readable", path=path) from error
        return _bounded(data, path, most)


def open_log(place: str) -> LogAtUrl | LogInFolder:
    """Return the published log at an address (`http…://`) or in a folder. Raises OutboundRefused."""
    return LogAtUrl(place) if "://" in place else LogInFolder(Path(place))


class TileFolder:
    """Full tiles kept between rounds, in the published layout. What it cannot keep it fetches again next time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, tile: TileId) -> bytes | None:
        """Return the kept bytes, None where there are none."""
        try:
            with self._path(tile).open("rb") as file:
                return file.read(TILE_BYTES + 1)
        except OSError:
            return None

    def put(self, tile: TileId, data: bytes) -> None:
        """Keep a full tile."""
        with contextlib.suppress(OSError):
            write_atomically(self._path(tile), data)

    def _path(self, tile: TileId) -> Path:
        return self._folder / str(TilePath(tile, TILE_WIDTH))


class NoTiles:
    """A cache that keeps nothing."""

    def get(self, tile: TileId) -> bytes | None:
        """Return None."""
        del tile
        return None

    def put(self, tile: TileId, data: bytes) -> None:
        """Keep nothing."""


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file by a whole new one that is on the disk before it has the name. Makes missing folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_evidence(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write the files of an alarm; those there already are of the same content by their names."""
    for name, data in files.items():
        if not (folder / name).exists():
            write_atomically(folder / name, data)
    return [folder / name for name in files]


@contextlib.contextmanager
def only_follower(state: Path) -> Iterator[None]:
    """Keep a second follower off the same state. Raises BlockingIOError where one is running."""
    state.parent.mkdir(parents=True, exist_ok=True)
    with state.with_name(f".{state.name}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _bounded(data: bytes, path: str, most: int) -> bytes:
    if len(data) > most:
        raise LedgerUnavailable(field="file", rule="length", path=path, most=most)
    return data


def _on_this_machine(target: Target) -> bool:
    try:
        return ip_address(target.host).is_loopback
    except ValueError:
        return target.host == "localhost"
