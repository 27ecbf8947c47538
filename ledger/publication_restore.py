"""The way back: a log's database built again from its published files, every hash derived and every signature checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ledger.checkpoint import Checkpoint, verify_checkpoint
from ledger.entry import Entry
from ledger.errors import IntegrityBroken
from ledger.layout import (
    AnchorPath,
    BundlePath,
    CheckpointPath,
    KeysPath,
    LayoutPath,
    NotePath,
    parse_path,
)
from ledger.merkle import HashAlg
from ledger.publication import LogFiles, pool_digest
from ledger.publication_bundles import parse_bundle, parse_keys
from ledger.publication_document import LogDocument
from ledger.publication_trees import Trees, leaves_of
from ledger.store import LedgerStore, StoredAnchor, StoredCheckpoint
from ledger.tiles import TILE_WIDTH, Tile

Signed = tuple[StoredCheckpoint, Checkpoint]


def restore(files: LogFiles, store: LedgerStore, document: LogDocument) -> Checkpoint:
    """Fill an empty log from its files, in one transaction; return the checkpoint it then stands at.

    The files should have passed `fsck_files`; what a database needs is checked once more as it is written. A log that
    holds entries, or was created anew beside the files, raises IntegrityBroken (rule `empty`), and nothing is changed;
    an import that was cut off is begun again. Idempotency keys come back, so that writers may ask again.
    """
    parts = _parts(files, document)
    begin = next(parts)
    head = store.head()
    if isinstance(begin, list) or begin[1].size != 0 or (head is not None and head != begin[0]):
        raise IntegrityBroken(field="log", rule="empty")
    first, checkpoint = begin
    store.create(first)
    trees = Trees.empty()
    with store.writing() as write:
        if write.head() != first:
            raise IntegrityBroken(field="log", rule="empty")
        before = first
        for part in parts:
            if isinstance(part, list):
                write.insert_entries(trees.size, part)
                tiles = trees.grow(leaves_of(entry.body for entry in part))
                write.put_tiles([tile for tile in tiles if tile.width == TILE_WIDTH])
                continue
            stored, checkpoint = part
            for alg in HashAlg:
                if trees.root(alg) != checkpoint.root(alg):
                    raise IntegrityBroken(field="published", rule="signed_root", where=str(NotePath(stored.size)))
            write.swap_checkpoint(before, stored)
            before = stored
        newest = _required(files, CheckpointPath())
        if newest != before.note:
            write.refresh_head(before, replace(before, note=newest))
        write.put_tiles([Tile(one, data) for alg in HashAlg for one, data in trees.edges[alg].items()])
    _restore_anchors(files, store, before.size)
    return checkpoint


def _restore_anchors(files: LogFiles, store: LedgerStore, size: int) -> None:
    paths = (parse_path(name) for name in files.names())
    for path in sorted(path for path in paths if isinstance(path, AnchorPath) and path.size <= size):
        store.settle_anchor(StoredAnchor(path.size, path.chain, _required(files, path).decode("ascii")))


def _parts(files: LogFiles, document: LogDocument) -> Iterator[list[Entry] | Signed]:
    """Yield the entries, at most a bundle at a time, and each kept checkpoint behind those it covers."""
    newest = _required(files, CheckpointPath())
    end = verify_checkpoint(newest, log=document.identity).size
    paths = (parse_path(name) for name in files.names())
    sizes = sorted({path.size for path in paths if isinstance(path, NotePath) and path.size <= end} | {end})
    index, bundle, start = -1, list[Entry](), 0
    for size in sizes:
        keys: list[bytes] = []
        while start < size:
            wanted, first = divmod(start, TILE_WIDTH)
            if wanted != index:
                index, bundle = wanted, _bundle(files, wanted, min(TILE_WIDTH, end - wanted * TILE_WIDTH))
            part = bundle[first : size - index * TILE_WIDTH]
            keys += [entry.idempotency_key for entry in part]
            start += len(part)
            yield part
        # The newest size's note is kept by itself only where it was the first of its minute, or is anchored.
        note = (files.read(NotePath(size)) or newest) if size == end else _required(files, NotePath(size))
        checkpoint = verify_checkpoint(note, log=document.identity)
        if checkpoint.size != size:
            raise IntegrityBroken(field="published", rule="equal", where=str(NotePath(size)))
        yield StoredCheckpoint(size, note, pool_digest(keys)), checkpoint


def _bundle(files: LogFiles, index: int, width: int) -> list[Entry]:
    bodies = parse_bundle(_required(files, BundlePath(index, width)), width)
    keys = parse_keys(_required(files, KeysPath(index, width)), width)
    return [Entry(body, key) for body, key in zip(bodies, keys, strict=True)]


def _required(files: LogFiles, path: LayoutPath) -> bytes:
    data = files.read(path)
    if data is None:
        raise IntegrityBroken(field="published", rule="present", where=str(path))
    return data
