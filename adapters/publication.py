"""The published log on disk: a folder of immutable files, and the thread that keeps it up to the database.

Files are staged, flushed and then moved to their names, so that a name never stands for half a file; whatever a killed
process left half done lies in the staging folder alone. One lock on the folder lets several processes publish one log
into it: whoever comes second finds the work done.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from crypto.errors import TrustError
from ledger.checkpoint import parse_checkpoint_text
from ledger.errors import CheckpointRefused, EntryUnknown, IntegrityBroken, LedgerUnavailable
from ledger.layout import (
    BundlePath,
    CheckpointPath,
    CountsPath,
    DocumentPath,
    KeysPath,
    LayoutPath,
    NotePath,
    TilePath,
    parse_path,
)
from ledger.note import parse_note
from ledger.publication import File, Publication
from ledger.publication_counts import counted
from ledger.publication_document import LogDocument
from ledger.store import LedgerReads

# Not a name of the layout, and passed over by every reader of the folder.
STAGING: Final = ".new"
# Staged and flushed together: the first flush carries most of the work of the others.
BATCH_FILES: Final = 128
# What other processes appended is looked for this often; what this one appends wakes the thread at once.
POLL_S: Final = 2.0
# Between two publications, so that many small appends share the writing of their partial files and leave the disk to themselves.
SPACING_S: Final = 0.2
# After a failure the next try is not sooner than this, so that a broken disk does not fill the log.
PAUSE_S: Final = 2.0
# A service that is told to stop publishes what is left for so long at most; the next start goes on.
CLOSING_S: Final = 5.0

_LOG: Final = logging.getLogger(__name__)


class LogFolder:
    """A published log in a folder (see PublishedFiles). Reading needs no lock: every file is whole or not there."""

    def __init__(self, root: Path) -> None:
        """`root` is made where it is missing, at the first writing."""
        self.root = root

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only writer among all processes while the block lasts. Raises LedgerUnavailable."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise _unavailable(error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not os.path.samestat(os.fstat(descriptor), self.root.stat()):
                # Taken away while this waited: what stands in its place is locked by somebody else, or by nobody.
                raise LedgerUnavailable(field="published", rule="replaced")
            self._clear_staging()
            yield
        except OSError as error:
            raise _unavailable(error) from error
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def standing_still(self) -> Iterator[None]:
        """Keep writers out while the block lasts, where the folder's file system knows locks at all."""
        try:
            descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise _unavailable(error) from error
        try:
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_SH)
            yield
        finally:
            os.close(descriptor)

    def read(self, path: LayoutPath) -> bytes | None:
        """Return a file's bytes, None where there is none (see LogFiles)."""
        try:
            return (self.root / str(path)).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise IntegrityBroken(field="published", rule="readable", where=str(path)) from error

    def names(self) -> Iterator[str]:
        """Walk every file of the folder but the staged ones."""
        return self._below("")

    def _below(self, branch: str) -> Iterator[str]:
        for folder, folders, files in os.walk(self.root / branch):
            here = Path(folder)
            if here == self.root and STAGING in folders:
                folders.remove(STAGING)
            inside = here.relative_to(self.root)
            yield from ((inside / name).as_posix() for name in files)

    def largest_note(self) -> bytes | None:
        """Return the note of the largest size there is: the one `checkpoint` shows, or one it does not point to yet."""
        sizes: list[int] = []
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(self.root / "note") as notes:
            for note in notes:
                with contextlib.suppress(EntryUnknown):
                    path = parse_path(f"note/{note.name}")
                    sizes += [path.size] if isinstance(path, NotePath) else []
        newest = self.read(CheckpointPath())
        try:
            shown = -1 if newest is None else parse_checkpoint_text(parse_note(newest).text).size
        except CheckpointRefused:
            return newest  # whoever verifies it is told
        return newest if shown >= max(sizes, default=-1) else self.read(NotePath(max(sizes)))

    def tally(self) -> Mapping[str, int]:
        """Count notes and statements (see PublishedFiles)."""
        return counted(name for branch in ("note", "anchor") for name in self._below(branch))

    def put(self, files: Sequence[File]) -> None:
        """Write files once (see PublishedFiles)."""
        fresh = [(path, data) for path, data in files if not self._holds(path, data)]
        folders: set[Path] = set()
        for at in range(0, len(fresh), BATCH_FILES):
            part = fresh[at : at + BATCH_FILES]
            staged = self._staged([data for _, data in part])
            for temporary, (path, _) in zip(staged, part, strict=True):
                final = self.root / str(path)
                self._make(final.parent, folders)
                temporary.rename(final)
                folders.add(final.parent)
        for folder in folders:
            _flush(folder)

    def replace(self, path: CheckpointPath | DocumentPath | CountsPath, data: bytes) -> None:
        """Let a name stand for other bytes (see PublishedFiles)."""
        [temporary] = self._staged([data])
        temporary.rename(self.root / str(path))
        _flush(self.root)

    def drop_partials(self, full: Sequence[TilePath | BundlePath | KeysPath]) -> None:
        """Remove the partial forms of full files (see PublishedFiles)."""
        for path in full:
            whole = self.root / str(path)
            partial = whole.with_name(f"{whole.name}.p")
            if whole.exists() and partial.is_dir():
                for file in partial.iterdir():
                    file.unlink()
                partial.rmdir()

    def _holds(self, path: LayoutPath, data: bytes) -> bool:
        held = self.read(path)
        if held is not None and held != data:
            raise IntegrityBroken(field="published", rule="write_once", where=str(path))
        return held is not None

    def _staged(self, contents: Sequence[bytes]) -> list[Path]:
        """Write the contents into the staging folder, flushed; return where they lie.

        Under names of this call alone: where the folder was replaced under the lock, two may stage in the new one.
        """
        staging, mine = self.root / STAGING, secrets.token_hex(8)
        staging.mkdir(exist_ok=True)
        written: list[Path] = []
        with contextlib.ExitStack() as opened:
            descriptors: list[int] = []
            for number, data in enumerate(contents):
                written.append(staging / f"{mine}-{number}")
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                descriptors.append(os.open(written[-1], flags, 0o444))
                opened.callback(os.close, descriptors[-1])
                _write(descriptors[-1], data)
            for descriptor in descriptors:
                os.fsync(descriptor)
        return written

    def _clear_staging(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            for left in (self.root / STAGING).iterdir():
                left.unlink()

    def _make(self, folder: Path, changed: set[Path]) -> None:
        """Make a folder and those above it, noting which ones have a new name in them."""
        if not folder.is_dir():
            self._make(folder.parent, changed)
            folder.mkdir()
            changed.add(folder.parent)


class Publisher:
    """Keeps a folder up to a log's database, on a thread of its own: no append ever waits for it."""

    def __init__(self, store: LedgerReads, folder: LogFolder, document: LogDocument) -> None:
        self.folder = folder
        self.document = document
        self._publication = Publication(store, folder, document)
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._turn = threading.Lock()
        self._behind = False
        self._thread = threading.Thread(target=self._run, name="ledger-publish", daemon=True)

    def begin(self) -> None:
        """Publish something where nothing is published yet, so that the log has a checkpoint to show."""
        if self.folder.read(CheckpointPath()) is None:
            self._quietly(self._step)

    def start(self) -> None:
        """Start the thread; it first brings the folder up to the database."""
        self._wake.set()
        self._thread.start()

    def wake(self) -> None:
        """Say that there may be something new. Returns at once."""
        self._wake.set()

    def anchored(self, size: int) -> None:
        """Say that the checkpoint of this size was anchored. Returns at once."""
        self._publication.anchored(size)
        self._wake.set()

    def close(self) -> None:
        """Publish what is there once more, if it is not too much, and end the thread."""
        self._closed.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join()

    def catch_up(self) -> None:
        """Publish everything there is now. Raises IntegrityBroken, CheckpointRefused, LedgerUnavailable."""
        while self._step():
            pass

    def _step(self) -> bool:
        with self._turn, self.folder.locked():
            self._behind = self._publication.step()
            return self._behind

    def _run(self) -> None:
        while not self._closed.is_set():
            self._wake.wait(POLL_S)
            self._wake.clear()
            self._closed.wait(SPACING_S if self._quietly(self._follow) else PAUSE_S)
        deadline = time.monotonic() + CLOSING_S
        while time.monotonic() < deadline and self._quietly(self._step) and self._behind:
            pass

    def _follow(self) -> None:
        """Publish step by step until nothing is left, or the service stops."""
        while self._step() and not self._closed.is_set():
            pass

    def _quietly(self, work: Callable[[], object]) -> bool:
        """Run the work; what it meets is said loudly and tried again, because the database loses nothing by it."""
        try:
            work()
        except TrustError as refused:
            _LOG.error("log not published: %s %s", refused, dict(refused.params))
            return False
        return True


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unavailable(error: OSError) -> LedgerUnavailable:
    return LedgerUnavailable(field="published", rule=error.strerror or "file")
