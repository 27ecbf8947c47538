"""The way back: a log's database built again from its published files, every hash derived and every signature checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ledger.checkpoint import Checkpoint, verify_checkpoint
from ledger.entry import Entry
from ledger.errors import IntegrityBroken
from ledger.layout import (
    AnchorPath,
    BundlePath,
    CheckpointPath,
    KeysDigestPath,
    KeysPath,
    LayoutPath,
    NotePath,
    parse_path,
)
from ledger.merkle import HashAlg
from ledger.publication import LogFiles, pool_digest
from ledger.publication_bundles import parse_bundle, parse_digest, parse_keys
from ledger.publication_document import LogDocument
from ledger.publication_trees import Trees, leaves_of
from ledger.store import LedgerStore, StoredAnchor, StoredCheckpoint
from ledger.tiles import TILE_WIDTH, Tile

Pool = tuple[StoredCheckpoint, Checkpoint, Sequence[Entry]]


def restore(files: LogFiles, store: LedgerStore, document: LogDocument) -> Checkpoint:
    """Fill an empty log from its files, in one transaction; return the checkpoint it then stands at.

    The files should have passed `fsck_files`; what a database needs is checked once more as it is written. A log that
    holds entries, or was created anew beside the files, raises IntegrityBroken (rule `empty`), and nothing is changed;
    an import that was cut off is begun again. Idempotency keys come back, so that writers may ask again.
    """
    pools = _pools(files, document)
    first, checkpoint, _ = next(pools)
    head = store.head()
    if checkpoint.size != 0 or (head is not None and head != first):
        raise IntegrityBroken(field="log", rule="empty")
    store.create(first)
    trees = Trees.empty()
    with store.writing() as write:
        if write.head() != first:
            raise IntegrityBroken(field="log", rule="empty")
        before = first
        for stored, checkpoint, entries in pools:
            write.insert_entries(before.size, entries)
            tiles = trees.grow(leaves_of(entry.body for entry in entries))
            write.put_tiles([tile for tile in tiles if tile.width == TILE_WIDTH])
            for alg in HashAlg:
                if trees.root(alg) != checkpoint.root(alg):
                    raise IntegrityBroken(field="published", rule="signed_root", where=str(NotePath(stored.size)))
            write.swap_checkpoint(before, stored)
            before = stored
        write.put_tiles([Tile(one, data) for alg in HashAlg for one, data in trees.edges[alg].items()])
    _restore_anchors(files, store, before.size)
    return checkpoint


def _restore_anchors(files: LogFiles, store: LedgerStore, size: int) -> None:
    paths = (parse_path(name) for name in files.names())
    for path in sorted(path for path in paths if isinstance(path, AnchorPath) and path.size <= size):
        store.settle_anchor(StoredAnchor(path.size, path.chain, _required(files, path).decode("ascii")))


def _pools(files: LogFiles, document: LogDocument) -> Iterator[Pool]:
    """Yield each checkpoint by growing size, what it says, and its pool's entries. Raises IntegrityBroken."""
    end = verify_checkpoint(_required(files, CheckpointPath()), log=document.identity).size
    paths = (parse_path(name) for name in files.names())
    sizes = sorted(path.size for path in paths if isinstance(path, NotePath) and path.size <= end)
    index, bundle, start = -1, list[Entry](), 0
    for size in sizes:
        entries: list[Entry] = []
        while start + len(entries) < size:
            wanted, first = divmod(start + len(entries), TILE_WIDTH)
            if wanted != index:
                index, bundle = wanted, _bundle(files, wanted, min(TILE_WIDTH, end - wanted * TILE_WIDTH))
            entries += bundle[first : size - index * TILE_WIDTH]
        note = _required(files, NotePath(size))
        checkpoint = verify_checkpoint(note, log=document.identity)
        digest = parse_digest(_required(files, KeysDigestPath(size)))
        if checkpoint.size != size or digest != pool_digest(entry.idempotency_key for entry in entries):
            raise IntegrityBroken(field="published", rule="equal", where=str(NotePath(size)))
        yield StoredCheckpoint(size, note, digest), checkpoint, entries
        start = size


def _bundle(files: LogFiles, index: int, width: int) -> list[Entry]:
    bodies = parse_bundle(_required(files, BundlePath(index, width)), width)
    keys = parse_keys(_required(files, KeysPath(index, width)), width)
    return [Entry(body, key) for body, key in zip(bodies, keys, strict=True)]


def _required(files: LogFiles, path: LayoutPath) -> bytes:
    data = files.read(path)
    if data is None:
        raise IntegrityBroken(field="published", rule="present", where=str(path))
    return data
