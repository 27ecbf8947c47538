"""The embedded anchor: notes written once, by a witness that checks growth before it signs."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.chain.file import FileAnchor
from adapters.sql.ledger_store import SqlLedgerStore
from ledger.anchor import AnchorRequest
from ledger.anchoring import AnchorWorker
from ledger.checkpoint import Checkpoint, sign_checkpoint, verify_checkpoint
from ledger.errors import AnchorForked, AnchorRefused
from ledger.merkle import HashAlg
from ledger.reader import LedgerReader
from tests.ledger.conftest import NewSequencer
from tests.ledger.parts import ORIGIN, Keys, entries
from tests.services.clock import StillClock


@pytest.fixture
def driver(tmp_path: Path, keys: Keys, clock: StillClock) -> FileAnchor:
    return FileAnchor(tmp_path / "anchors", witness=keys.witness, clock=clock)


@pytest.fixture
def reader(store: SqlLedgerStore, new_sequencer: NewSequencer, keys: Keys) -> LedgerReader:
    sequencer = new_sequencer(store)
    sequencer.open()
    for start, stop in ((0, 4), (4, 9)):
        sequencer.append(entries(start, stop))
    return LedgerReader(store, keys.identity)


def _request(reader: LedgerReader, keys: Keys, old: int, size: int) -> AnchorRequest:
    note = reader.checkpoint(size).note
    return AnchorRequest(
        note,
        verify_checkpoint(note, log=keys.identity),
        None,
        reader.consistency(HashAlg.SHA256, old, size),
        reader.consistency(HashAlg.SM3, old, size),
    )


def test_the_note_is_written_once_and_read_only_and_asking_again_gives_the_same_evidence(
    driver: FileAnchor, reader: LedgerReader, keys: Keys, clock: StillClock, tmp_path: Path
) -> None:
    request = _request(reader, keys, 0, 4)
    first = driver.anchor(request)
    clock.advance(500)
    assert driver.anchor(request) == first
    [note] = (tmp_path / "anchors").rglob("*.note")
    assert note.read_bytes() == request.note
    assert note.stat().st_mode & 0o777 == 0o444
    assert not list((tmp_path / "anchors").rglob(".*"))
    head = driver.head(ORIGIN)
    assert head is not None
    assert head.size == 4


def test_growth_without_its_proof_in_either_tree_is_not_witnessed(
    driver: FileAnchor, reader: LedgerReader, keys: Keys
) -> None:
    driver.anchor(_request(reader, keys, 0, 4))
    good = _request(reader, keys, 4, 9)
    for bent in (
        replace(good, proof_sm3=()),
        replace(good, proof_sha256=()),
        replace(good, proof_sm3=good.proof_sha256),
    ):
        with pytest.raises(AnchorForked):
            driver.anchor(bent)
    assert driver.anchor(good).size == 9


def test_a_second_history_of_the_same_size_and_a_step_back_are_refused(
    driver: FileAnchor, reader: LedgerReader, keys: Keys
) -> None:
    good = _request(reader, keys, 0, 9)
    driver.anchor(good)
    other = Checkpoint(ORIGIN, 9, bytes(32), bytes(32), good.checkpoint.time)
    forged = replace(good, checkpoint=other, note=sign_checkpoint(other, sm2_key=keys.sm2, ed25519_key=keys.ed25519))
    with pytest.raises(AnchorForked):
        driver.anchor(forged)
    with pytest.raises(AnchorForked):
        driver.anchor(_request(reader, keys, 0, 4))


def test_a_crash_between_note_and_statement_is_made_whole_by_asking_again(
    driver: FileAnchor, reader: LedgerReader, keys: Keys, tmp_path: Path
) -> None:
    driver.anchor(_request(reader, keys, 0, 4))
    [statement] = (tmp_path / "anchors").rglob("*.statement")
    statement.unlink()
    assert driver.anchor(_request(reader, keys, 0, 4)).size == 4
    assert statement.exists()


def test_a_note_damaged_on_the_disk_stops_the_witness(
    driver: FileAnchor, reader: LedgerReader, keys: Keys, tmp_path: Path
) -> None:
    driver.anchor(_request(reader, keys, 0, 4))
    [note] = (tmp_path / "anchors").rglob("*.note")
    note.chmod(0o644)
    note.write_bytes(note.read_bytes()[:-5])
    with pytest.raises(AnchorRefused):
        driver.head(ORIGIN)


def test_a_folder_that_cannot_be_written_is_a_refusal_and_the_job_waits(
    reader: LedgerReader, store: SqlLedgerStore, keys: Keys, clock: StillClock, tmp_path: Path
) -> None:
    (tmp_path / "anchors").write_text("a file where the folder should be")
    blocked = FileAnchor(tmp_path / "anchors", witness=keys.witness, clock=clock)
    with pytest.raises(AnchorRefused):
        AnchorWorker(store, reader, keys.identity, clock).step(blocked)
    assert [job.attempts for job in store.pending_anchors()] == [0, 1]


def test_a_job_is_leased_to_one_worker_until_the_lease_runs_out(
    reader: LedgerReader, store: SqlLedgerStore, clock: StillClock
) -> None:
    taken = []
    barrier = threading.Barrier(4)

    def take() -> None:
        barrier.wait()
        taken.append(store.take_anchor_job("file", clock.now, 60))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [job.size for job in taken if job is not None] == [9]
    assert store.take_anchor_job("file", clock.now + 59, 60) is None
    again = store.take_anchor_job("file", clock.now + 60, 60)
    assert again is not None
