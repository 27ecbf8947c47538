"""A small published log for the tests of files: with several checkpoints, anchors, full and partial tiles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from adapters.publication import LogFolder, Publisher
from adapters.sql.ledger_store import SqlLedgerStore
from ledger.anchor import sign_evidence
from ledger.checkpoint import verify_checkpoint
from ledger.layout import LayoutPath
from ledger.publication import NOTE_EVERY_S
from ledger.publication_document import LogDocument
from ledger.sequencer import Sequencer
from ledger.store import StoredAnchor
from tests.ledger.parts import Keys, entries
from tests.services.clock import StillClock

# Sizes of the checkpoints of the small log: inside a bundle, at its end, across it, alone.
SIZES = (1, 250, 256, 300, 600, 601)


@dataclass
class Memory:
    """The files of a log in memory, to be bent (see LogFiles)."""

    files: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: LogFolder) -> Memory:
        return cls({name: (folder.root / name).read_bytes() for name in folder.names()})

    def read(self, path: LayoutPath) -> bytes | None:
        return self.files.get(str(path))

    def names(self) -> Iterable[str]:
        return list(self.files)


def document_of(keys: Keys) -> LogDocument:
    return LogDocument(keys.identity, {keys.witness.kid: keys.witness.public})


def publisher_of(store: SqlLedgerStore, root: Path, keys: Keys) -> Publisher:
    return Publisher(store, LogFolder(root), document_of(keys))


def anchor(store: SqlLedgerStore, keys: Keys, clock: StillClock, size: int, chain: str) -> None:
    stored = store.checkpoint(size)
    assert stored is not None
    checkpoint = verify_checkpoint(stored.note, log=keys.identity)
    made = sign_evidence(checkpoint, chain=chain, time=clock(), reference={"file": str(size)}, witness=keys.witness)
    store.settle_anchor(StoredAnchor(size, chain, made.statement))


def fill(
    store: SqlLedgerStore, sequencer: Sequencer, keys: Keys, clock: StillClock, sizes: Sequence[int] = SIZES
) -> None:
    """Grow the log to each of the sizes, anchoring some of them."""
    sequencer.open()
    start = 0
    for size in sizes:
        clock.advance(NOTE_EVERY_S)  # so that every note is kept
        sequencer.append(entries(start, size))
        if size in {250, 300, 601}:
            anchor(store, keys, clock, size, "file")
        if size == 300:
            anchor(store, keys, clock, size, "evm:31337")
        start = size
