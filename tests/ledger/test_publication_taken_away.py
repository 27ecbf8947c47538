"""A published folder that vanishes, or is set back, while the service publishes into it: said, never bent, and whole again."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from adapters.publication import STAGING, LogFolder, Publisher
from adapters.sql.ledger_store import SqlLedgerStore
from crypto.errors import TrustError
from ledger.errors import LedgerUnavailable
from ledger.fsck import Finding
from ledger.layout import CheckpointPath, CountsPath, DocumentPath, LayoutPath, NotePath
from ledger.publication import File
from ledger.publication_counts import parse_counts
from ledger.publication_fsck import fsck_files
from tests.ledger.conftest import NewSequencer
from tests.ledger.parts import Keys, entries
from tests.ledger.published import anchor, document_of, fill, publisher_of
from tests.scale import trials
from tests.services.clock import StillClock

SEED = 20_267
TRIALS = trials(20, full=500)
# Names that stand for other bytes as the log grows; every other file is written once.
CHANGING = {"checkpoint", "counts", "log.json"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "published"


def _files(root: Path) -> dict[str, bytes]:
    return {name: (root / name).read_bytes() for name in LogFolder(root).names()}


def _quietly(publisher: Publisher) -> None:
    with contextlib.suppress(TrustError):
        publisher.catch_up()


def test_a_folder_that_was_taken_away_is_published_again_with_all_its_notes_and_statements(
    store: SqlLedgerStore, new_sequencer: NewSequencer, keys: Keys, clock: StillClock, root: Path
) -> None:
    sequencer, publisher = new_sequencer(store), publisher_of(store, root, keys)
    fill(store, sequencer, keys, clock)
    publisher.catch_up()
    before = _files(root)
    root.rename(root.with_name("away"))
    publisher.catch_up()
    assert _files(root) == before
    shutil.rmtree(root)
    sequencer.append(entries(601, 610))
    anchor(store, keys, clock, 610, "file")
    publisher.catch_up()
    assert fsck_files(LogFolder(root), None).findings == ()
    publisher_of(store, root.with_name("fresh"), keys).catch_up()
    assert _files(root) == _files(root.with_name("fresh"))


def test_an_older_copy_put_in_its_place_is_brought_up_with_what_it_lacks(
    store: SqlLedgerStore, new_sequencer: NewSequencer, keys: Keys, clock: StillClock, root: Path
) -> None:
    sequencer, publisher = new_sequencer(store), publisher_of(store, root, keys)
    fill(store, sequencer, keys, clock, (1, 250, 256))
    publisher.catch_up()
    shutil.copytree(root, root.with_name("older"))
    sequencer.append(entries(256, 300))
    for chain in ("file", "evm:1"):
        anchor(store, keys, clock, 300, chain)
    sequencer.append(entries(300, 310))
    publisher.catch_up()
    assert fsck_files(LogFolder(root), None).findings == ()
    shutil.rmtree(root)
    root.with_name("older").rename(root)
    publisher.catch_up()
    assert {"anchor/file/300", "anchor/evm-1/300", "note/300"} <= _files(root).keys()
    assert fsck_files(LogFolder(root), None).findings == ()


class _Vanishing(LogFolder):
    """Loses the files named in `going` between two operations: before the one that `after` counts down to."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.going: list[str] = []
        self.after = 0

    def _operation(self) -> None:
        self.after -= 1
        if self.after < 0:
            for name in self.going:
                (self.root / name).unlink(missing_ok=True)
            self.going = []

    def read(self, path: LayoutPath) -> bytes | None:
        self._operation()
        return super().read(path)

    def put(self, files: Sequence[File]) -> None:
        self._operation()
        super().put(files)

    def replace(self, path: CheckpointPath | DocumentPath | CountsPath, data: bytes) -> None:
        self._operation()
        super().replace(path, data)


@pytest.mark.soak
def test_publishing_while_the_files_vanish_one_by_one_leaves_nothing_half_and_ends_whole(
    store: SqlLedgerStore, new_sequencer: NewSequencer, keys: Keys, clock: StillClock, root: Path
) -> None:
    """The order in which a file system lists files, and so deletes them, is any order."""
    draw, sequencer, folder = random.Random(SEED), new_sequencer(store), _Vanishing(root)
    publisher = Publisher(store, folder, document_of(keys))
    fill(store, sequencer, keys, clock)
    publisher.catch_up()
    whole = _files(root)
    for _ in range(TRIALS):
        names = draw.sample(sorted(whole), len(whole))
        # Sometimes what has names that change goes first: then the next step begins as in a folder that is new.
        names.sort(key=CHANGING.__contains__, reverse=draw.random() < 0.5)
        cut = draw.randint(1, len(names))
        folder.going, folder.after = names[:cut], draw.randrange(30)
        _quietly(publisher)
        for name, data in _files(root).items():
            assert name in CHANGING or data == whole[name], (SEED, name)
        if (root / "counts").exists():
            assert parse_counts((root / "counts").read_bytes())
        folder.going = []
        shutil.rmtree(root)
        publisher.catch_up()
        assert fsck_files(LogFolder(root), None).findings == (), SEED
        assert _files(root) == whole, SEED


def test_counts_that_were_taken_away_are_counted_anew_and_not_from_nothing(
    store: SqlLedgerStore, new_sequencer: NewSequencer, keys: Keys, clock: StillClock, root: Path
) -> None:
    sequencer, publisher = new_sequencer(store), publisher_of(store, root, keys)
    fill(store, sequencer, keys, clock)
    publisher.catch_up()
    before = (root / "counts").read_bytes()
    (root / "counts").unlink()
    assert fsck_files(LogFolder(root), None).findings == (Finding("counts", "counts", "present"),)
    publisher.catch_up()
    assert (root / "counts").read_bytes() == before


def test_who_waited_for_a_folder_that_was_replaced_meanwhile_does_not_write_into_the_new_one(root: Path) -> None:
    outcome: list[str] = []

    def second() -> None:
        try:
            with LogFolder(root).locked():
                outcome.append("locked")
        except LedgerUnavailable as refused:
            outcome.append(str(refused.rule))

    with LogFolder(root).locked():
        waiting = threading.Thread(target=second)
        waiting.start()
        while _opened(root) < 2:  # its own, and that of who waits
            time.sleep(0.01)
        shutil.rmtree(root)
        root.mkdir()
    waiting.join()
    assert outcome == ["replaced"]
    with LogFolder(root).locked():
        descriptor = os.open(root, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)


def test_what_another_staged_in_a_folder_that_was_replaced_under_the_lock_is_never_taken_for_ones_own(
    root: Path,
) -> None:
    folder = LogFolder(root)
    with folder.locked():
        (root / STAGING).mkdir()
        (root / STAGING / "0").write_bytes(b"another's")
        folder.put([(NotePath(1), b"mine")])
        folder.replace(CheckpointPath(), b"mine")
    assert (_files(root), (root / STAGING / "0").read_bytes()) == (
        {"note/1": b"mine", "checkpoint": b"mine"},
        b"another's",
    )


def _opened(folder: Path) -> int:
    """Count the descriptors of this process that stand for a folder."""
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            found += link.readlink() == folder
    return found
