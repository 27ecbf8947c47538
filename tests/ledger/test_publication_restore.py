"""A log's database built again from its files is the same log; one that is behind its files never signs."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from adapters.chain.file import FileAnchor
from adapters.ledger_service import LedgerService
from adapters.publication import LogFolder
from adapters.sql.ledger_open import open_ledger_database
from adapters.sql.ledger_store import SqlLedgerStore
from ledger.anchor import AnchoredHead
from ledger.checkpoint import Checkpoint, verify_checkpoint
from ledger.errors import AnchorRefused, CheckpointRefused, IdempotencyConflict, IntegrityBroken
from ledger.fsck import fsck
from ledger.layout import KeysPath, LayoutPath
from ledger.merkle import HashAlg
from ledger.publication_fsck import fsck_files
from ledger.publication_guard import Remembered, require_newest
from ledger.publication_restore import restore
from ledger.sequencer import Sequencer
from ledger.store import LedgerStore
from tests.ledger.conftest import NewSequencer, OpenLedger
from tests.ledger.parts import ORIGIN, Keys, entries, entry, make_keys, naive_root
from tests.ledger.published import Memory, document_of, fill, publisher_of
from tests.services.clock import StillClock
from tests.services.tables import make_tables

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture
def source(tmp_path: Path, keys: Keys, clock: StillClock) -> LogFolder:
    """Return the published files of a log whose database is gone."""
    store = _new_store(tmp_path / "source")
    fill(store, _sequencer(store, keys, clock), keys, clock)
    publisher = publisher_of(store, tmp_path / "published", keys)
    publisher.catch_up()
    return publisher.folder


def _new_store(folder: Path) -> SqlLedgerStore:
    folder.mkdir(exist_ok=True)
    url = f"sqlite:///{folder}"
    make_tables(url, "ledger")
    return SqlLedgerStore(open_ledger_database(url), ORIGIN)


def _sequencer(store: LedgerStore, keys: Keys, clock: StillClock) -> Sequencer:
    return Sequencer(
        store,
        identity=keys.identity,
        sm2_key=keys.sm2,
        ed25519_key=keys.ed25519,
        clock=clock,
        anchor_chains=["file"],
    )


def test_the_log_comes_back_whole_and_goes_on(
    open_ledger: OpenLedger,
    new_sequencer: NewSequencer,
    source: LogFolder,
    keys: Keys,
    tmp_path: Path,
) -> None:
    store = SqlLedgerStore(open_ledger(), ORIGIN)
    assert restore(source, store, document_of(keys)).size == 601
    report = fsck(store, keys.trust)
    assert (report.findings, report.size, report.checkpoints, report.anchors) == ((), 601, 7, 4)
    again = Memory.of(source)
    publisher = publisher_of(store, tmp_path / "again", keys)
    publisher.catch_up()
    assert Memory.of(publisher.folder).files == again.files
    # Writers may ask again, as before; and the log goes on from where its files ended.
    sequencer = new_sequencer(store)
    assert sequencer.open().size == 601
    [[old], [new]] = sequencer.append([entry(300)]), sequencer.append([entry(601)])
    assert (old.index, old.duplicate, new.index, new.duplicate) == (300, True, 601, False)
    with pytest.raises(IdempotencyConflict):
        sequencer.append([type(entry(1))(b"other", entry(300).idempotency_key)])
    publisher_of(store, source.root, keys).catch_up()
    assert fsck_files(source, document_of(keys)).findings == ()


def test_a_database_that_is_not_empty_is_left_as_it_is(
    store: SqlLedgerStore, new_sequencer: NewSequencer, source: LogFolder, keys: Keys
) -> None:
    sequencer = new_sequencer(store)
    sequencer.open()
    for entry_of in ((), (entry(0),)):
        if entry_of:
            sequencer.append(entry_of)
        head = store.head()
        with pytest.raises(IntegrityBroken) as refused:
            restore(source, store, document_of(keys))
        assert refused.value.rule == "empty"
        assert store.head() == head


class _CutOff(LogFolder):
    """Fails at the second bundle of keys."""

    def read(self, path: LayoutPath) -> bytes | None:
        if isinstance(path, KeysPath) and path.index == 1:
            raise IntegrityBroken(field="published", rule="readable")
        return super().read(path)


def test_an_import_that_was_cut_off_is_begun_again(store: SqlLedgerStore, source: LogFolder, keys: Keys) -> None:
    with pytest.raises(IntegrityBroken):
        restore(_CutOff(source.root), store, document_of(keys))
    assert store.entry_count() == 0
    restore(source, store, document_of(keys))
    assert fsck(store, keys.trust).clean


def test_files_that_disagree_are_not_imported(store: SqlLedgerStore, source: LogFolder, keys: Keys) -> None:
    whole = Memory.of(source)
    for name in ("tile/entries/001", "keys/002.p/89", "note/300", "checkpoint"):
        data = whole.files[name]
        bent = data[:40] + bytes([data[40] ^ 1]) + data[41:]
        gone = {one: data for one, data in whole.files.items() if one != name}
        # That a kept note is gone, the check of the files before an import tells: what is restored does without it.
        for files in (whole.files | {name: bent}, *([] if name == "note/300" else [gone])):
            with pytest.raises((IntegrityBroken, CheckpointRefused)):
                restore(Memory(files), store, document_of(keys))
    assert store.entry_count() == 0
    with pytest.raises(CheckpointRefused):
        restore(whole, store, document_of(make_keys()))


def _remembered(bodies: list[bytes], where: str = "published", *, sm3: bool = True) -> Remembered:
    roots = {alg: naive_root(alg, bodies) for alg in HashAlg}
    return Remembered(where, len(bodies), roots[HashAlg.SHA256], roots[HashAlg.SM3] if sm3 else None)


def test_the_head_must_be_the_newest_that_anybody_remembers() -> None:
    bodies = [one.body for one in entries(0, 20)]
    head = Checkpoint(ORIGIN, 20, naive_root(HashAlg.SHA256, bodies), naive_root(HashAlg.SM3, bodies), 1)

    def root(alg: HashAlg, size: int) -> bytes:
        return naive_root(alg, bodies[:size])

    require_newest(None, [], root)
    require_newest(head, [], root)
    for size, sm3 in itertools.product((0, 1, 7, 16, 20), (True, False)):
        require_newest(head, [_remembered(bodies[:size], sm3=sm3), _remembered(bodies[:size], "evm:1")], root)
    longer = [*bodies, b"x"]
    other = [b"x", *bodies[1:]]
    for remembered, rule in (
        (_remembered(longer), "not_behind"),
        (_remembered(longer, "evm:1", sm3=False), "not_behind"),
        (_remembered(other), "same_history"),
        (_remembered(other[:5], "file", sm3=False), "same_history"),
        (Remembered("published", 5, root(HashAlg.SHA256, 5), bytes(32)), "same_history"),
        (Remembered("published", 5, bytes(32), root(HashAlg.SM3, 5)), "same_history"),
        (Remembered("published", 20, root(HashAlg.SHA256, 20), bytes(32)), "same_history"),
    ):
        with pytest.raises(IntegrityBroken) as refused:
            require_newest(head, [_remembered(bodies[:3]), remembered], root)
        assert (refused.value.field, refused.value.rule) == ("head", rule)
        assert refused.value.params["where"] == remembered.where
        assert (refused.value.params["size"], refused.value.params["head"]) == (remembered.size, 20)
    with pytest.raises(IntegrityBroken) as refused:
        require_newest(None, [_remembered([])], root)
    assert refused.value.rule == "not_behind"

    def missing(alg: HashAlg, size: int) -> bytes:
        raise IntegrityBroken(field="tile", rule="present")

    with pytest.raises(IntegrityBroken) as refused:
        require_newest(head, [_remembered(bodies[:3])], missing)
    assert refused.value.rule == "same_history"


class _Chain:
    """A chain that shows a head, or nothing at all."""

    def __init__(self, head: AnchoredHead | None, *, away: bool = False) -> None:
        self.chain = "evm:7"
        self._head = head
        self._away = away

    def head(self, origin: str) -> AnchoredHead | None:
        if self._away:
            raise AnchorRefused(field="chain", rule="answers")
        return self._head


def _service(store: SqlLedgerStore, keys: Keys, clock: StillClock, root: Path, *drivers: Any) -> LedgerService:
    return LedgerService(
        store,
        identity=keys.identity,
        sm2_key=keys.sm2,
        ed25519_key=keys.ed25519,
        clock=clock,
        drivers=drivers,
        publisher=publisher_of(store, root, keys),
    )


async def _append(service: LedgerService, start: int, stop: int) -> None:
    await service.append([(one.body, one.idempotency_key) for one in entries(start, stop)])


def test_a_service_over_an_older_database_signs_nothing(
    store: SqlLedgerStore, source: LogFolder, keys: Keys, clock: StillClock, run: Run, tmp_path: Path
) -> None:
    """The published files are ahead; so is, without them, the write-once folder of anchors, or a chain."""
    bodies = [one.body for one in entries(0, 601)]
    anchored = AnchoredHead(601, naive_root(HashAlg.SHA256, bodies))
    elsewhere = tmp_path / "elsewhere"

    async def refused(service: LedgerService, where: str, rule: str) -> None:
        with pytest.raises(IntegrityBroken) as error:
            await service.start()
        assert (error.value.params["where"], error.value.rule) == (where, rule)

    async def story() -> None:
        await refused(_service(store, keys, clock, source.root), "published", "not_behind")
        assert store.head() is None
        await refused(_service(store, keys, clock, elsewhere, _Chain(anchored)), "evm:7", "not_behind")
        assert store.head() is None
        # A chain that is away stops nothing; then the log is another one, and is told so once the chain is back.
        started = _service(store, keys, clock, elsewhere, _Chain(anchored, away=True))
        await started.start()
        await _append(started, 5, 10)
        await started.close()
        await refused(_service(store, keys, clock, elsewhere, _Chain(anchored)), "evm:7", "not_behind")
        other = AnchoredHead(5, naive_root(HashAlg.SHA256, bodies[:5]))
        await refused(_service(store, keys, clock, elsewhere, _Chain(other)), "evm:7", "same_history")
        own = AnchoredHead(3, naive_root(HashAlg.SHA256, bodies[5:8]))
        again = _service(store, keys, clock, elsewhere, _Chain(own))
        assert (await again.start()).size == 5
        await again.close()

    run(story())


def test_the_anchor_folder_remembers_where_the_files_are_gone(
    store: SqlLedgerStore, keys: Keys, clock: StillClock, run: Run, tmp_path: Path
) -> None:
    file = FileAnchor(tmp_path / "anchors", witness=keys.witness, clock=clock)

    async def story() -> None:
        first = _service(_new_store(tmp_path / "first"), keys, clock, tmp_path / "log", file)
        await first.start()
        await _append(first, 0, 7)
        await first.anchor_now()
        await first.close()
        assert fsck_files(LogFolder(tmp_path / "log"), document_of(keys)).size == 7
        assert [one for one in threading.enumerate() if one.name == "ledger-publish"] == []
        with pytest.raises(IntegrityBroken) as refused:
            await _service(store, keys, clock, tmp_path / "other", file).start()
        assert (refused.value.params["where"], refused.value.params["size"]) == ("file", 7)
        await asyncio.to_thread(restore, LogFolder(tmp_path / "log"), store, document_of(keys))
        back = _service(store, keys, clock, tmp_path / "log", file)
        assert (await back.start()).size == 7
        await _append(back, 7, 9)
        await back.close()
        assert fsck_files(LogFolder(tmp_path / "log"), document_of(keys)).findings == ()

    run(story())


def test_a_note_that_was_written_counts_though_nothing_points_to_it_yet(
    store: SqlLedgerStore, source: LogFolder, keys: Keys, clock: StillClock, run: Run
) -> None:
    """Killed between the note and the name `checkpoint`: whoever has that note has the newest state."""
    (source.root / "checkpoint").unlink()
    (source.root / "checkpoint").write_bytes((source.root / "note/1").read_bytes())

    async def story() -> None:
        service = _service(store, keys, clock, source.root)
        with pytest.raises(IntegrityBroken) as refused:
            await service.start()
        assert refused.value.params["size"] == 601

    run(story())


def test_a_service_signs_an_idle_log_again_and_publishes_that_unless_it_is_behind_its_files(
    store: SqlLedgerStore, keys: Keys, clock: StillClock, run: Run, tmp_path: Path, open_ledger: OpenLedger
) -> None:
    root = tmp_path / "log"

    async def story() -> None:
        service = _service(store, keys, clock, root)
        await service.start()
        await _append(service, 0, 7)
        clock.advance(3600)
        assert await service.refresh(3600)
        assert not await service.refresh(3600)
        await service.close()
        shown = verify_checkpoint((root / "checkpoint").read_bytes(), log=keys.identity)
        assert (shown.size, shown.time) == (7, clock())
        assert fsck_files(LogFolder(root), document_of(keys)).findings == ()
        # A database that was lost signs nothing; what comes back from the files stands at the later note.
        for table in ("log", "entry", "tile", "checkpoint"):
            with open_ledger().writing() as statements:
                statements.execute(f"DELETE FROM {table}")  # noqa: S608 - names of our own
        back = SqlLedgerStore(open_ledger(), ORIGIN)
        behind = _service(back, keys, clock, root)
        clock.advance(3600)
        with pytest.raises(IntegrityBroken):
            await behind.start()
        assert back.head() is None, "nothing was signed"
        await asyncio.to_thread(restore, LogFolder(root), back, document_of(keys))
        head = back.head()
        assert head is not None
        assert head.note == (root / "checkpoint").read_bytes()
        assert fsck(back, keys.trust).clean

    run(story())
