"""What is published is what was signed, is written once, and a crash at any moment leaves a log that can be read."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from adapters.publication import STAGING, LogFolder, Publisher
from adapters.sql.ledger_engine import LedgerDatabase
from adapters.sql.ledger_store import SqlLedgerStore
from ledger.checkpoint import verify_checkpoint
from ledger.errors import CheckpointRefused, IntegrityBroken
from ledger.layout import BundlePath, CheckpointPath, CountsPath, DocumentPath, KeysPath, NotePath, TilePath, parse_path
from ledger.merkle import HashAlg
from ledger.publication import NOTE_EVERY_S, File, Publication
from ledger.publication_bundles import parse_bundle
from ledger.publication_fsck import fsck_files
from ledger.reader import LedgerReader
from ledger.tiles import TileId, TileTree
from tests.ledger.conftest import NewSequencer, OpenLedger
from tests.ledger.parts import ORIGIN, Keys, entries, entry, make_keys, naive_root
from tests.ledger.published import SIZES, anchor, document_of, fill, publisher_of
from tests.scale import report, trials
from tests.services.clock import StillClock

SEED = 20_262
KILLS = trials(3, full=300)

# An entry already published beside a new one, a new entry, a note on the way, the newest note.
BITS = [
    ("entry", "position", 7, "body"),
    ("entry", "position", 17, "body"),
    ("checkpoint", "size", 15, "note"),
    ("checkpoint", "size", 20, "note"),
]


@pytest.fixture
def database(open_ledger: OpenLedger) -> LedgerDatabase:
    return open_ledger()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "published"


@pytest.fixture
def store(database: LedgerDatabase) -> SqlLedgerStore:
    return SqlLedgerStore(database, ORIGIN)


def _files(folder: LogFolder) -> dict[str, bytes]:
    return {name: (folder.root / name).read_bytes() for name in folder.names()}


def _size(folder: LogFolder, keys: Keys) -> int:
    note = folder.read(CheckpointPath())
    return -1 if note is None else verify_checkpoint(note, log=keys.identity).size


def test_what_is_published_is_the_log(
    store: SqlLedgerStore, new_sequencer: NewSequencer, keys: Keys, clock: StillClock, root: Path
) -> None:
    sequencer = new_sequencer(store)
    fill(store, sequencer, keys, clock)
    publisher = publisher_of(store, root, keys)
    publisher.catch_up()
    folder = publisher.folder
    assert folder.read(CheckpointPath()) == store.head().note  # type: ignore[union-attr]  # filled above
    bodies = [
        body
        for index, width in ((0, 256), (1, 256), (2, 89))
        for body in parse_bundle(folder.read(BundlePath(index, width)) or b"", width)
    ]
    assert bodies == [one.body for one in entries(0, 601)]
    for alg in HashAlg:
        tree = TileTree(alg, lambda ids: {one: data for one in ids if (data := _tile(folder, one, 601)) is not None})
        for size in SIZES:
            note = folder.read(NotePath(size))
            assert note is not None
            assert tree.root(size) == verify_checkpoint(note, log=keys.identity).root(alg)
        assert tree.root(601) == naive_root(alg, bodies)
        reader = LedgerReader(store, keys.identity)
        assert tree.inclusion(300, 601) == reader.inclusion(alg, 300, 601)
        assert tree.consistency(250, 601) == reader.consistency(alg, 250, 601)
    names = set(folder.names())
    assert {"anchor/file/250", "anchor/file/300", "anchor/evm-31337/300", "anchor/file/601", "log.json"} <= names
    assert all(str(parse_path(name)) == name for name in names)
    result = fsck_files(folder, None)
    assert (result.findings, result.size) == ((), 601)


def _tile(folder: LogFolder, tile: TileId, size: int) -> bytes | None:
    width = min(256, (size >> (8 * tile.level)) - 256 * tile.index)
    return folder.read(TilePath(tile, width))


def test_every_step_of_growth_is_the_same_as_one(
    store: SqlLedgerStore, new_sequencer: NewSequencer, keys: Keys, clock: StillClock, root: Path
) -> None:
    """Published after each append, by a new process each time, or at once at the end: the same full files and proofs."""
    sequencer = new_sequencer(store)
    sequencer.open()
    size = 0
    for more in (0, 1, 1, 253, 1, 1, 255, 1, 600):
        sequencer.append(entries(size, size + more)) if more else None
        size += more
        publisher_of(store, root / "steps", keys).catch_up()
        assert fsck_files(LogFolder(root / "steps"), document_of(keys)).findings == ()
        assert _size(LogFolder(root / "steps"), keys) == size
    publisher_of(store, root / "once", keys).catch_up()
    steps, once = _files(LogFolder(root / "steps")), _files(LogFolder(root / "once"))
    assert once.items() <= steps.items()
    # The partial forms of what is full are gone; those of what still grows stay for who fetched an older checkpoint.
    assert not any(name.startswith(("tile/0/000.p", "tile/entries/001.p", "keys/000.p")) for name in steps)


def test_a_log_of_many_pools_is_published_in_steps(
    store: SqlLedgerStore, new_sequencer: NewSequencer, keys: Keys, root: Path
) -> None:
    """Under `make soak` up to the third level of tiles."""
    sequencer = new_sequencer(store)
    sequencer.open()
    size = trials(8192, full=65536)
    for start in range(0, size, 4096):
        sequencer.append(entries(start, start + 4096))
    sequencer.append(entries(size, size + 1))
    publisher = publisher_of(store, root, keys)
    publisher.catch_up()
    for alg in HashAlg:
        assert publisher.folder.read(TilePath(TileId(alg, 0, size // 256 - 1), 256)) is not None
        assert publisher.folder.read(TilePath(TileId(alg, 1, 0), min(256, size // 256))) is not None
    result = fsck_files(publisher.folder, None)
    assert (result.findings, result.size) == ((), size + 1)


class _Killed(Exception):
    pass


class _Dying(LogFolder):
    """Dies before the operation of the given number; each file that gets its name is one."""

    def __init__(self, root: Path, lives: int) -> None:
        super().__init__(root)
        self.lives = lives

    def _spend(self) -> None:
        if self.lives == 0:
            raise _Killed
        self.lives -= 1

    def put(self, files: Sequence[File]) -> None:
        for file in files:
            self._spend()
            super().put([file])

    def replace(self, path: CheckpointPath | DocumentPath | CountsPath, data: bytes) -> None:
        self._spend()
        super().replace(path, data)

    def drop_partials(self, full: Sequence[TilePath | BundlePath | KeysPath]) -> None:
        for path in full:
            self._spend()
            super().drop_partials([path])


def test_a_crash_at_any_moment_leaves_a_whole_log_and_starting_again_goes_on(
    store: SqlLedgerStore, new_sequencer: NewSequencer, keys: Keys, clock: StillClock, root: Path
) -> None:
    sequencer = new_sequencer(store)
    document = document_of(keys)
    for lives in itertools.count(step=trials(3, full=1)):
        folder = _Dying(root / str(lives), 10_000)
        if lives == 0:
            fill(store, sequencer, keys, clock, (1, 250))
            base = root / "base"
            Publisher(store, LogFolder(base), document).catch_up()
            files_before = _files(LogFolder(base))
            sequencer.append(entries(250, 300))
            sequencer.append(entries(300, 601))
            anchor(store, keys, clock, 601, "file")
        for name, data in files_before.items():
            (folder.root / name).parent.mkdir(parents=True, exist_ok=True)
            (folder.root / name).write_bytes(data)
        folder.lives = lives
        try:
            while Publication(store, folder, document).step():
                pass
        except _Killed:
            died = True
        else:
            died = False
        torn = fsck_files(folder, document)
        # What the checkpoint promises is there and right; at most something more is there, or no longer needed.
        assert {finding.rule for finding in torn.findings} <= {"surplus"}, (lives, torn.findings)
        assert torn.size in {250, 601}
        Publisher(store, LogFolder(folder.root), document).catch_up()
        after = fsck_files(folder, document)
        assert (after.findings, after.size) == ((), 601)
        if not died:
            break
    assert lives > 20


def test_killed_at_random_moments_it_publishes_the_same_log(
    database_url: str, store: SqlLedgerStore, new_sequencer: NewSequencer, keys: Keys, clock: StillClock, root: Path
) -> None:
    """SIGKILL while files are being written, moved and removed; then the next start goes on."""
    draw = random.Random(SEED)
    sequencer = new_sequencer(store)
    fill(store, sequencer, keys, clock)
    document = document_of(keys)
    pinned = root.with_suffix(".json")
    pinned.write_bytes(document.to_json())
    size = 601
    for number in range(KILLS):
        sequencer.append(entries(size, size + 300))
        size += 300
        command = [sys.executable, "-m", "tests.ledger.publisher_process", database_url, str(root), str(pinned)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(draw.random() * 0.08)
            process.kill()
        torn = fsck_files(LogFolder(root), document)
        if (root / "checkpoint").exists():
            assert {finding.rule for finding in torn.findings} <= {"surplus"}, (SEED, number, torn.findings)
    publisher_of(store, root, keys).catch_up()
    after = fsck_files(LogFolder(root), document)
    assert (after.findings, after.size) == ((), size)
    report("publication killed and begun again", target=f"{KILLS}/{KILLS}", actual=f"{KILLS}/{KILLS}", seed=SEED)


def test_what_a_killed_process_left_half_written_is_no_file_of_the_log(
    store: SqlLedgerStore, new_sequencer: NewSequencer, keys: Keys, clock: StillClock, root: Path
) -> None:
    fill(store, new_sequencer(store), keys, clock)
    staging = root / STAGING
    staging.mkdir(parents=True)
    (staging / "0").write_bytes(b"half")
    publisher = publisher_of(store, root, keys)
    publisher.catch_up()
    assert list(staging.iterdir()) == []
    assert fsck_files(publisher.folder, None).findings == ()


def test_partial_files_stay_until_the_full_one_is_there(root: Path) -> None:
    folder, full = LogFolder(root), BundlePath(0, 256)
    with folder.locked():
        folder.put([(BundlePath(0, 7), b"seven")])
        folder.drop_partials([full])
        assert list(folder.names()) == ["tile/entries/000.p/7"]
        folder.put([(full, b"full")])
        folder.drop_partials([full])
    assert list(folder.names()) == ["tile/entries/000"]


def test_a_published_file_is_never_written_over(
    store: SqlLedgerStore, new_sequencer: NewSequencer, keys: Keys, clock: StillClock, root: Path
) -> None:
    sequencer = new_sequencer(store)
    sequencer.open()
    sequencer.append(entries(0, 10))
    publisher = publisher_of(store, root, keys)
    publisher.catch_up()
    clock.advance(NOTE_EVERY_S)
    sequencer.append(entries(10, 12))
    for name in ("tile/0/000.p/12", "tile/entries/000.p/12", "sm3/tile/0/000.p/12", "keys/000.p/12", "note/12"):
        (root / name).write_bytes(b"another history")
        with pytest.raises(IntegrityBroken) as refused:
            publisher.catch_up()
        assert (refused.value.rule, refused.value.params["where"]) == ("write_once", name)
        assert (root / name).read_bytes() == b"another history"
        assert _size(publisher.folder, keys) == 10
        (root / name).unlink()
    publisher.catch_up()
    assert _size(publisher.folder, keys) == 12


@pytest.mark.parametrize(("table", "key", "value", "column"), BITS)
def test_a_bit_that_flipped_in_the_database_is_not_published(
    database: LedgerDatabase,
    store: SqlLedgerStore,
    new_sequencer: NewSequencer,
    keys: Keys,
    root: Path,
    table: str,
    key: str,
    value: int,
    column: str,
) -> None:
    sequencer = new_sequencer(store)
    sequencer.open()
    sequencer.append(entries(0, 10))
    publisher = publisher_of(store, root, keys)
    publisher.catch_up()
    before = _files(publisher.folder)
    sequencer.append(entries(10, 15))
    sequencer.append(entries(15, 20))
    with database.writing() as statements:
        [(data,)] = statements.fetch(f"SELECT {column} FROM {table} WHERE {key} = $1", value)  # noqa: S608 - names of the test
        bent = bytes([*data[:-2], data[-2] ^ 1, data[-1]])
        statements.execute(f"UPDATE {table} SET {column} = $2 WHERE {key} = $1", value, bent)  # noqa: S608 - names of the test
    with pytest.raises((IntegrityBroken, CheckpointRefused)):
        publisher.catch_up()
    assert _files(publisher.folder) == before


def test_a_database_behind_the_published_log_or_beside_it_publishes_nothing(
    open_ledger: OpenLedger,
    store: SqlLedgerStore,
    new_sequencer: NewSequencer,
    keys: Keys,
    clock: StillClock,
    root: Path,
) -> None:
    sequencer = new_sequencer(store)
    fill(store, sequencer, keys, clock, (1, 10))
    publisher_of(store, root / "first", keys).catch_up()
    sequencer.append([entry(100)])
    publisher_of(store, root / "ahead", keys).catch_up()
    with open_ledger().writing() as statements:  # back to the size of 10, then on with another entry
        statements.execute("DELETE FROM entry WHERE position >= 10")
        statements.execute("DELETE FROM checkpoint WHERE size > 10")
        statements.execute("UPDATE tile SET data = substr(data, 1, 320)")
        statements.execute("UPDATE log SET size = 10, note = (SELECT note FROM checkpoint WHERE size = 10)")
    behind = publisher_of(store, root / "ahead", keys)
    with pytest.raises(IntegrityBroken) as refused:
        behind.catch_up()
    assert refused.value.rule == "not_behind"
    other = new_sequencer(store)
    other.append([entry(101)])
    beside = publisher_of(store, root / "ahead", keys)
    with pytest.raises(IntegrityBroken) as refused:
        beside.catch_up()
    assert refused.value.rule == "same_history"
    publisher_of(store, root / "first", keys).catch_up()


def test_the_document_follows_the_witnesses_and_never_the_logs_own_keys(
    store: SqlLedgerStore, new_sequencer: NewSequencer, keys: Keys, clock: StillClock, root: Path
) -> None:
    fill(store, new_sequencer(store), keys, clock, (3,))
    publisher_of(store, root, keys).catch_up()
    more, folder = make_keys(), LogFolder(root)
    widened = type(document_of(keys))(keys.identity, {one.kid: one.public for one in (keys.witness, more.witness)})
    Publisher(store, folder, widened).catch_up()
    assert folder.read(DocumentPath()) == widened.to_json()
    Publisher(store, LogFolder(root), document_of(keys)).catch_up()
    (root / "log.json").unlink()
    (root / "log.json").write_bytes(document_of(more).to_json())
    with pytest.raises(CheckpointRefused) as refused:
        Publisher(store, LogFolder(root), document_of(keys)).catch_up()
    assert refused.value.field == "log.json"


def test_processes_that_publish_at_once_write_one_log(
    store: SqlLedgerStore, new_sequencer: NewSequencer, keys: Keys, clock: StillClock, root: Path
) -> None:
    sequencer = new_sequencer(store)
    sequencer.open()
    publishers = [publisher_of(store, root, keys) for _ in range(3)]
    failures: list[Exception] = []
    over = threading.Event()

    def publish(publisher: Publisher) -> None:
        try:
            while not over.is_set():
                publisher.catch_up()
            publisher.catch_up()
        except Exception as error:  # noqa: BLE001 - told by the test
            failures.append(error)

    threads = [threading.Thread(target=publish, args=(one,)) for one in publishers]
    for thread in threads:
        thread.start()
    for number in range(60):
        sequencer.append(entries(number * 7, number * 7 + 7))
    over.set()
    for thread in threads:
        thread.join()
    assert failures == []
    result = fsck_files(LogFolder(root), document_of(keys))
    assert (result.findings, result.size) == ((), 420)


def test_a_late_anchor_is_published_though_nothing_was_appended(
    store: SqlLedgerStore, new_sequencer: NewSequencer, keys: Keys, clock: StillClock, root: Path
) -> None:
    fill(store, new_sequencer(store), keys, clock)
    publisher = publisher_of(store, root, keys)
    publisher.catch_up()
    anchor(store, keys, clock, 256, "evm:1")
    publisher.catch_up()
    assert (root / "anchor/evm-1/256").exists()
    # A chain that answers when the others are far ahead is not overlooked.
    sequencer = new_sequencer(store)
    for number in range(601, 641):
        sequencer.append([entry(number)])
        anchor(store, keys, clock, number + 1, "file")
    publisher.catch_up()
    anchor(store, keys, clock, 300, "evm:1")
    publisher.anchored(300)
    publisher.catch_up()
    assert (root / "anchor/evm-1/300").exists()
    assert fsck_files(publisher.folder, None).findings == ()
