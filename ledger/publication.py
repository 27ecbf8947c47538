"""Publication: what the database holds, written once into files that any static server, cache or copy can carry.

The database stays the sequencer's truth; the files follow it, one signed checkpoint after another. Nothing is believed on
the way: every hash is derived again from the entries and held to the signed roots before a file is written, for what was
published can never be changed. The order is what makes a crash harmless: bundles and tiles first, then the note, then
the name `checkpoint` turns to it. Starting again is the same step from where that name points.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from crypto.errors import TrustError
from crypto.sm3 import sm3
from ledger.anchor import require_binds, verify_evidence
from ledger.checkpoint import Checkpoint, parse_checkpoint_text, verify_checkpoint
from ledger.entry import Entry
from ledger.errors import CheckpointRefused, IntegrityBroken
from ledger.layout import (
    AnchorPath,
    BundlePath,
    CheckpointPath,
    CountsPath,
    DocumentPath,
    KeysPath,
    LayoutPath,
    NotePath,
    TilePath,
    require_chain,
)
from ledger.merkle import HashAlg
from ledger.note import parse_note
from ledger.publication_bundles import encode_bundle, encode_keys
from ledger.publication_counts import counted, encode_counts, parse_counts
from ledger.publication_document import LogDocument
from ledger.publication_trees import Trees, leaves_of
from ledger.store import LedgerReads, StoredAnchor, StoredCheckpoint
from ledger.tiles import TILE_WIDTH, TileId, TileTree, right_edge, root_of_edge

# One step takes the checkpoints of at most so many entries: a pool is never larger, and 4096 of the largest are 256 MiB.
STEP: Final = 4096
# A busy log signs several notes a second. One a minute is kept for ever beside the anchored ones: close enough to date any
# entry and to compare with a note somebody kept, half a million small files a year.
NOTE_EVERY_S: Final = 60
_PAGE: Final = 256
# Looked at in every round, though hardly ever more than one of them is new; more than one checkpoint has chains.
_ANCHORS_PAGE: Final = 32

File = tuple[LayoutPath, bytes]


class LogFiles(Protocol):
    """A published log to read from: a folder, or a copy of one."""

    def read(self, path: LayoutPath) -> bytes | None:
        """Return a file's bytes, None where there is none. Raises IntegrityBroken where it cannot be read."""
        ...

    def names(self) -> Iterable[str]:
        """Return the name of every file there is, whether or not it is a name of the layout."""
        ...


class PublishedFiles(LogFiles, Protocol):
    """A published log to write to, by one writer at a time."""

    def put(self, files: Sequence[File]) -> None:
        """Write files, durable on return. One that is there with other bytes raises IntegrityBroken and stays."""
        ...

    def replace(self, path: CheckpointPath | DocumentPath | CountsPath, data: bytes) -> None:
        """Let a name stand for other bytes, at once or not at all, durable on return."""
        ...

    def tally(self) -> Mapping[str, int]:
        """Count the notes and statements there are (see `ledger.publication_counts.counted`)."""
        ...

    def drop_partials(self, full: Sequence[TilePath | BundlePath | KeysPath]) -> None:
        """Remove the partial forms of files whose full form is there."""
        ...


@dataclass(frozen=True, slots=True)
class _Newest:
    """The checkpoint that is published: its note's bytes, and what they say, verified."""

    note: bytes
    checkpoint: Checkpoint


def published_checkpoint(files: LogFiles, document: LogDocument) -> tuple[bytes, Checkpoint] | None:
    """Return the newest published note and what it says, None where nothing is published. Raises CheckpointRefused."""
    note = files.read(CheckpointPath())
    return None if note is None else (note, verify_checkpoint(note, log=document.identity))


class Publication:
    """Brings one log's files up to its database. Not for more than one thread at a time, and one writer of the files."""

    def __init__(self, store: LedgerReads, files: PublishedFiles, document: LogDocument) -> None:
        self._store = store
        self._files = files
        self._document = document
        self._known: tuple[bytes, Trees] | None = None
        self._anchored: set[AnchorPath] = set()
        self._late: deque[int] = deque()
        self._created: list[LayoutPath] = []
        self._finished = False  # whether the last step came to its end
        self._sure = False  # whether `counts` is known to say what there was before this step
        self._shown = -1  # the largest size that was published here

    def step(self) -> bool:
        """Publish what is new, up to some checkpoint; return whether a newer one is still waiting.

        Raises IntegrityBroken or CheckpointRefused where database and files hold two histories, or the database's rows
        do not give its signed roots; then nothing was published.
        """
        head = self._store.head()
        if head is None:
            return False
        found = published_checkpoint(self._files, self._document)
        newest = None if found is None else _Newest(*found)
        if newest is not None:
            self._require_same_history(newest, head)
        self._forget_what_is_gone(newest)
        self._sure, self._finished = self._finished, False
        target = self._grow(newest, head)
        self._shown = target.checkpoint.size
        self._publish_anchors(target.checkpoint)
        if self._sure:
            self._publish_counts({})
        else:
            # Every statement the database holds is there now, also one that had been taken away: each counts once.
            self._created.clear()
            self._publish_counts(self._files.tally())
        self._finished = True
        return target.checkpoint.size < head.size

    def _forget_what_is_gone(self, newest: _Newest | None) -> None:
        """Begin anew where the files were taken away, or an older copy was put in their place."""
        size = -1 if newest is None else newest.checkpoint.size
        if size < self._shown or self._files.read(CountsPath()) is None:
            self._finished = False
            self._anchored.clear()
            self._created.clear()

    def _require_same_history(self, newest: _Newest, head: StoredCheckpoint) -> None:
        size = newest.checkpoint.size
        if size > head.size:
            raise IntegrityBroken(field="head", rule="not_behind", where="published", size=size, head=head.size)
        stored = head if size == head.size else self._store.checkpoint(size)
        # A log restored from files keeps the checkpoints it was restored with: of another size its trees still tell.
        signed = None if stored is None else self._verified(stored)
        for alg in HashAlg:
            root = TileTree(alg, self._store.tiles).root(size) if signed is None else signed.root(alg)
            if root != newest.checkpoint.root(alg):
                raise IntegrityBroken(field="head", rule="same_history", where="published", size=size, head=head.size)

    def _grow(self, newest: _Newest | None, head: StoredCheckpoint) -> _Newest:
        """Publish the checkpoints after the newest published one, as many as one step takes; return the last of them."""
        if newest is not None and newest.checkpoint.size == head.size:
            self._publish_document()
            return self._refreshed(newest, head)
        notes = self._notes(-1 if newest is None else newest.checkpoint.size, head.size)
        kept = self._kept(newest, notes)
        if notes[-1].size == head.size:
            notes[-1] = head  # the same trees, perhaps signed again since
        target = self._verified(notes[-1])
        trees = self._trees(newest)
        start = trees.size
        entries = self._store.entries(start, target.size)
        if len(entries) != target.size - start:
            raise IntegrityBroken(field="entry", rule="present")
        tree_files = grown_files(trees, entries)
        for alg in HashAlg:
            if trees.root(alg) != target.root(alg):
                raise IntegrityBroken(field="entry", rule="signed_root", size=target.size)
        note_files = [self._note_file(stored) for stored in kept]
        self._publish_document()
        self._files.put(tree_files)
        there = {} if self._sure else self._files.tally()
        self._put_counted(note_files)
        self._publish_counts(there)
        self._files.replace(CheckpointPath(), notes[-1].note)
        self._files.drop_partials(_full(tree_files))
        # The level of leaves is derived again each time, from the beginning of the bundle that still grows.
        self._known = notes[-1].note, trees
        return _Newest(notes[-1].note, target)

    def _notes(self, after: int, head: int) -> list[StoredCheckpoint]:
        """Return the next checkpoints by growing size: those within a step, or else the first there is."""
        reach = max(after, 0) + STEP
        while True:
            notes: list[StoredCheckpoint] = []
            below = reach + 1
            while page := [one for one in self._store.checkpoints(_PAGE, below) if one.size > after]:
                notes += page
                below = page[-1].size
            if notes:
                return notes[::-1]
            if reach >= head:
                raise IntegrityBroken(field="checkpoint", rule="present", size=head)
            reach *= 2

    def _refreshed(self, newest: _Newest, head: StoredCheckpoint) -> _Newest:
        """Publish the note of the same trees that was signed later, if there is one."""
        again = self._verified(head)
        if again.time <= newest.checkpoint.time:
            return newest
        self._files.replace(CheckpointPath(), head.note)
        if self._known is not None and self._known[0] == newest.note:
            self._known = head.note, self._known[1]
        return _Newest(head.note, again)

    def _kept(self, newest: _Newest | None, notes: Sequence[StoredCheckpoint]) -> list[StoredCheckpoint]:
        """Return the checkpoints whose notes are kept: of each `NOTE_EVERY_S` seconds the first, so for every reader alike."""
        before = None if newest is None else self._store.checkpoint(newest.checkpoint.size)
        last = -1 if before is None else _period(before)
        kept: list[StoredCheckpoint] = []
        for stored in notes:
            if (period := _period(stored)) != last:
                kept.append(stored)
                last = period
        return kept

    def _note_file(self, stored: StoredCheckpoint) -> File:
        self._verified(stored)
        return NotePath(stored.size), stored.note

    def _put_counted(self, files: Sequence[File]) -> None:
        """Put files that `counts` counts; one that is named twice, such as a note two chains anchored, counts once."""
        fresh = {path for path, _ in files if self._files.read(path) is None}
        self._files.put(files)
        self._created += fresh

    def _publish_counts(self, there: Mapping[str, int]) -> None:
        """Add what was put since the last time to what `counts` said, or to what there was, whichever is more.

        Where nothing says it, what there is now is counted, and of nothing no file is made.
        """
        data = self._files.read(CountsPath())
        if data is None:
            now = Counter(self._files.tally())
        else:
            now = (Counter(parse_counts(data)) | Counter(there)) + counted(self._created)
        if now and encode_counts(now) != data:
            self._files.replace(CountsPath(), encode_counts(now))
        self._created.clear()

    def _verified(self, stored: StoredCheckpoint) -> Checkpoint:
        checkpoint = verify_checkpoint(stored.note, log=self._document.identity)
        if checkpoint.size != stored.size:
            raise IntegrityBroken(field="checkpoint", rule="signed_size")
        return checkpoint

    def _trees(self, newest: _Newest | None) -> Trees:
        """Return the published trees up to the last full bundle, held to the published roots."""
        if newest is None:
            return Trees.empty()
        if self._known is not None and self._known[0] == newest.note:
            edges = self._known[1].edges
        else:
            edges = {alg: self._edge(alg, newest.checkpoint) for alg in HashAlg}
        size = newest.checkpoint.size - newest.checkpoint.size % TILE_WIDTH
        return Trees(size, {alg: {one: data for one, data in edges[alg].items() if one.level} for alg in HashAlg})

    def _edge(self, alg: HashAlg, checkpoint: Checkpoint) -> dict[TileId, bytes]:
        edge: dict[TileId, bytes] = {}
        for tile_id, width in right_edge(alg, checkpoint.size):
            path = TilePath(tile_id, width)
            data = self._files.read(path)
            if data is None:
                raise IntegrityBroken(field="published", rule="present", where=str(path))
            edge[tile_id] = data
        if root_of_edge(alg, checkpoint.size, edge) != checkpoint.root(alg):
            raise IntegrityBroken(field="published", rule="signed_root", where=f"size {checkpoint.size}")
        return edge

    def _publish_document(self) -> None:
        """Write `log.json`. Its witnesses may change, the log's own name and keys never."""
        data = self._document.to_json()
        held = self._files.read(DocumentPath())
        if held == data:
            return
        if held is not None and LogDocument.parse(held).identity != self._document.identity:
            raise CheckpointRefused(field="log.json", rule="identity")
        self._files.replace(DocumentPath(), data)

    def anchored(self, size: int) -> None:
        """Say that the checkpoint of a size was anchored: a chain may answer when others have gone far ahead of it.

        May be called from any thread.
        """
        self._late.append(size)

    def _publish_anchors(self, checkpoint: Checkpoint) -> None:
        """Publish the statements about published checkpoints that are not there yet: all at first, then the newest."""
        for _ in range(len(self._late)):
            size = self._late.popleft()
            if size > checkpoint.size:
                self._late.append(size)
            else:
                self._put_anchors(self._store.anchors_at(size))
        below = checkpoint.size + 1
        while True:
            page = self._store.anchors(_ANCHORS_PAGE, below)
            if not self._put_anchors(page) or len(page) < _ANCHORS_PAGE:
                return
            below = page[-1].size + 1  # the next page begins with the last size again: it may have had more chains

    def _put_anchors(self, page: Sequence[StoredAnchor]) -> bool:
        """Publish those that are new; return whether there was any."""
        fresh = [one for one in page if AnchorPath(one.chain, one.size) not in self._anchored]
        self._put_counted([file for one in fresh for file in self._anchor_files(one)])
        self._anchored |= {AnchorPath(one.chain, one.size) for one in fresh}
        return bool(fresh)

    def _anchor_files(self, stored: StoredAnchor) -> list[File]:
        """Return the statement's file and before it its note's.

        None where it is there, or does not bind the checkpoint: `fsck` tells of that.
        """
        file = AnchorPath(stored.chain, stored.size), stored.statement.encode()
        try:
            require_chain(stored.chain)
            if self._files.read(file[0]) == file[1]:
                return []
            evidence = verify_evidence(stored.statement, witnesses=self._document.witnesses)
            checkpoint = self._store.checkpoint(stored.size)
            if checkpoint is None or evidence.chain != stored.chain:
                return []
            require_binds(evidence, self._verified(checkpoint))
        except TrustError:
            return []
        return [(NotePath(stored.size), checkpoint.note), file]


def grown_files(trees: Trees, entries: Sequence[Entry]) -> list[File]:
    """Add entries to trees that end with a full bundle; return the bundle, key and tile files that this gives."""
    first = trees.size // TILE_WIDTH
    files: list[File] = []
    for at in range(0, len(entries), TILE_WIDTH):
        part = entries[at : at + TILE_WIDTH]
        index, width = first + at // TILE_WIDTH, len(part)
        files.append((BundlePath(index, width), encode_bundle([entry.body for entry in part])))
        files.append((KeysPath(index, width), encode_keys([entry.idempotency_key for entry in part])))
    tiles = trees.grow(leaves_of(entry.body for entry in entries))
    return [*files, *((TilePath(tile.id, tile.width), tile.data) for tile in tiles)]


def pool_digest(keys: Iterable[bytes]) -> bytes:
    """Return the digest a checkpoint keeps of its pool's idempotency keys."""
    return sm3(b"".join(keys))


def _period(stored: StoredCheckpoint) -> int:
    return parse_checkpoint_text(parse_note(stored.note).text).time // NOTE_EVERY_S


def _full(files: Sequence[File]) -> list[TilePath | BundlePath | KeysPath]:
    return [
        path for path, _ in files if isinstance(path, TilePath | BundlePath | KeysPath) and path.width == TILE_WIDTH
    ]
