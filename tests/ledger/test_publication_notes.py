"""Which notes a published log keeps, and what becomes of `checkpoint` when the same trees are signed again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.publication import LogFolder
from adapters.sql.ledger_open import open_ledger_database
from adapters.sql.ledger_store import SqlLedgerStore
from ledger.checkpoint import verify_checkpoint
from ledger.fsck import Finding, fsck
from ledger.layout import CheckpointPath, NotePath, parse_path
from ledger.publication import NOTE_EVERY_S
from ledger.publication_fsck import fsck_files
from ledger.publication_restore import restore
from ledger.sequencer import Sequencer
from tests.ledger.conftest import NewSequencer
from tests.ledger.parts import ORIGIN, Keys, entries
from tests.ledger.published import anchor, document_of, fill, publisher_of
from tests.services.clock import StillClock
from tests.services.tables import make_tables


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "published"


def _files(folder: LogFolder) -> dict[str, bytes]:
    return {name: (folder.root / name).read_bytes() for name in folder.names()}


def _notes(folder: LogFolder) -> list[int]:
    return sorted(path.size for path in map(parse_path, folder.names()) if isinstance(path, NotePath))


def _grow_busily(
    store: SqlLedgerStore, sequencer: Sequencer, clock: StillClock, publish: Callable[[], None], seconds: int
) -> None:
    """Append two pools a second, publishing after each."""
    head = store.head()
    assert head is not None
    size = head.size
    for _ in range(seconds):
        for _ in range(2):
            sequencer.append(entries(size, size + 1))
            size += 1
            publish()
        clock.advance(1)


def test_of_a_busy_log_one_note_a_minute_is_kept_and_every_anchored_one(
    store: SqlLedgerStore, new_sequencer: NewSequencer, keys: Keys, clock: StillClock, root: Path
) -> None:
    sequencer, steps, folder = (
        new_sequencer(store),
        publisher_of(store, root / "steps", keys),
        LogFolder(root / "steps"),
    )
    clock.advance(-clock() % NOTE_EVERY_S)  # a minute begins
    sequencer.open()
    _grow_busily(store, sequencer, clock, steps.catch_up, 2 * NOTE_EVERY_S + 10)
    assert _notes(folder) == [0, 2 * NOTE_EVERY_S + 1, 4 * NOTE_EVERY_S + 1]
    # A chain answers late, about a checkpoint whose note had not been kept; and about the newest.
    for size in (77, 4 * NOTE_EVERY_S + 20):
        anchor(store, keys, clock, size, "file")
        steps.anchored(size)
        steps.catch_up()
    assert _notes(folder) == [0, 77, 2 * NOTE_EVERY_S + 1, 4 * NOTE_EVERY_S + 1, 4 * NOTE_EVERY_S + 20]
    assert fsck_files(folder, None).findings == ()
    # Which ones is decided by the log alone: a copy made at once, and one made by a new process, keep the same.
    publisher_of(store, root / "once", keys).catch_up()
    assert _notes(LogFolder(root / "once")) == _notes(folder)
    # What is rebuilt from a folder goes on in it, and in a copy that was at another size meanwhile.
    sequencer.append(entries(4 * NOTE_EVERY_S + 20, 4 * NOTE_EVERY_S + 25))
    publisher_of(store, root / "once", keys).catch_up()
    assert fsck_files(LogFolder(root / "once"), None).findings == ()


def test_a_log_rebuilt_from_thinned_notes_is_published_on_into_its_folder_and_into_any_copy(
    store: SqlLedgerStore, new_sequencer: NewSequencer, keys: Keys, clock: StillClock, root: Path, tmp_path: Path
) -> None:
    sequencer = new_sequencer(store)
    sequencer.open()
    publisher = publisher_of(store, root / "log", keys)
    _grow_busily(store, sequencer, clock, publisher.catch_up, 20)
    shutil.copytree(root / "log", root / "copy")
    _grow_busily(store, sequencer, clock, publisher.catch_up, 5)
    (tmp_path / "back").mkdir()
    make_tables(f"sqlite:///{tmp_path}/back", "ledger")
    database = open_ledger_database(f"sqlite:///{tmp_path}/back")
    try:
        back = SqlLedgerStore(database, ORIGIN)
        assert restore(publisher.folder, back, document_of(keys)).size == 50
        assert back.checkpoint(40) is None, "its note was not kept"
        assert fsck(back, keys.trust).clean
        new_sequencer(back).append(entries(50, 60))
        for folder in (root / "log", root / "copy"):
            publisher_of(back, folder, keys).catch_up()
            report = fsck_files(LogFolder(folder), None)
            assert (report.findings, report.size) == ((), 60)
    finally:
        database.close()


def test_the_same_trees_signed_again_replace_checkpoint_and_nothing_else(
    store: SqlLedgerStore, new_sequencer: NewSequencer, keys: Keys, clock: StillClock, root: Path
) -> None:
    sequencer, publisher = new_sequencer(store), publisher_of(store, root, keys)
    fill(store, sequencer, keys, clock)
    publisher.catch_up()
    before = _files(publisher.folder)
    clock.advance(3600)
    assert sequencer.refresh(3600)
    for one in (publisher, publisher_of(store, root, keys)):
        one.catch_up()
        after = _files(publisher.folder)
        assert {name for name in after if after[name] != before.get(name)} == {"checkpoint"}
        assert before.keys() == after.keys()
    [old, new] = (verify_checkpoint(files["checkpoint"], log=keys.identity) for files in (before, after))
    assert new == replace(old, time=old.time + 3600)
    assert fsck_files(publisher.folder, None).findings == ()
    assert publisher.folder.largest_note() == after["checkpoint"]
    # The log goes on from there, in the same process and in a new one; a rebuilt database has both notes.
    sequencer.append(entries(601, 610))
    publisher.catch_up()
    clock.advance(3600)
    assert sequencer.refresh(3600)
    publisher_of(store, root, keys).catch_up()
    assert fsck_files(publisher.folder, None).findings == ()


def test_a_note_signed_again_before_anything_was_published_is_published(
    store: SqlLedgerStore, new_sequencer: NewSequencer, keys: Keys, clock: StillClock, root: Path
) -> None:
    sequencer, publisher = new_sequencer(store), publisher_of(store, root, keys)
    sequencer.open()
    sequencer.append(entries(0, 9))
    clock.advance(7200)
    assert sequencer.refresh(3600)
    publisher.catch_up()
    assert publisher.folder.read(CheckpointPath()) == store.head().note  # type: ignore[union-attr]  # opened above
    assert fsck_files(publisher.folder, None).findings == ()


def test_what_was_taken_away_stays_missed_whoever_publishes_next(
    store: SqlLedgerStore, new_sequencer: NewSequencer, keys: Keys, clock: StillClock, root: Path
) -> None:
    sequencer = new_sequencer(store)
    fill(store, sequencer, keys, clock)
    publisher_of(store, root, keys).catch_up()
    (root / "note/256").unlink()
    (root / "anchor/file/250").unlink()
    clock.advance(NOTE_EVERY_S)
    sequencer.append(entries(601, 610))
    publisher_of(store, root, keys).catch_up()
    # The statement was there to be published again; what became of the note, nobody here knows.
    assert (root / "anchor/file/250").exists()
    assert fsck_files(LogFolder(root), None).findings == (Finding("note", "counts", "present"),)


def test_a_note_that_two_chains_anchored_at_once_counts_once(
    store: SqlLedgerStore, new_sequencer: NewSequencer, keys: Keys, clock: StillClock, root: Path
) -> None:
    sequencer, publisher = new_sequencer(store), publisher_of(store, root, keys)
    sequencer.open()
    publisher.catch_up()
    for size in (1, 2):
        sequencer.append(entries(size - 1, size))
    anchor(store, keys, clock, 1, "file")
    anchor(store, keys, clock, 1, "evm:1")
    publisher.catch_up()
    assert {"anchor/file/1", "anchor/evm-1/1", "note/1"} <= set(publisher.folder.names())
    assert fsck_files(publisher.folder, None).findings == ()
