"""The check that believes nothing: derives everything again from the entries and says where the store differs.

Entries give leaf hashes, leaf hashes give every tile of both trees to the last byte, the trees give the roots of every
checkpoint; signatures, anchors and idempotency keys are held to those. Memory stays flat in the size of the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from crypto.errors import TrustError
from crypto.sm3 import sm3
from ledger.anchor import require_binds, verify_evidence
from ledger.checkpoint import Checkpoint, verify_checkpoint
from ledger.entry import Entry
from ledger.errors import CheckpointRefused, IntegrityBroken, ReceiptRefused
from ledger.merkle import HASH_BYTES, HashAlg, leaf_hashes
from ledger.receipt import LogTrust
from ledger.store import LedgerStore, StoredCheckpoint
from ledger.tiles import TILE_WIDTH, TileId, extend, right_edge, root_of_edge

# Entries read at once, at most: 4096 of the largest are 256 MiB, of the usual 200 bytes 1 MiB.
STEP: Final = 4096
# A broken store tells its story in its first findings; the rest would only be noise.
MAX_FINDINGS: Final = 1000
# A busy log stands still for a walk between two pools sooner or later; a broken one is not walked for ever.
MAX_WALKS: Final = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where the store is not what it must be: what kind of row, which one, which rule."""

    what: str
    where: str
    rule: str


@dataclass(frozen=True, slots=True)
class FsckReport:
    """The outcome: `size` entries and so many checkpoints and anchors were held against each other."""

    size: int
    checkpoints: int
    anchors: int
    findings: tuple[Finding, ...]

    @property
    def clean(self) -> bool:
        """Tell whether nothing was found."""
        return not self.findings


@dataclass(slots=True)
class _Run:
    """The state of one walk: what was found, the right edges recomputed so far, the checkpoints by size."""

    store: LedgerStore
    trust: LogTrust
    findings: list[Finding] = field(default_factory=list)
    size: int = 0
    edges: dict[HashAlg, dict[TileId, bytes]] = field(default_factory=lambda: {alg: {} for alg in HashAlg})
    anchored: dict[int, Checkpoint | None] = field(default_factory=dict)

    def found(self, what: str, where: str, rule: str) -> None:
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(what, where, rule))


def fsck(store: LedgerStore, trust: LogTrust) -> FsckReport:
    """Check a whole log against the keys it must be signed with. Findings are returned, not raised.

    A log that grows or is anchored while it is being read looks torn where it is only new, so findings count once the
    log stood still for a whole walk; a log that never does is reported as it was seen the last time.
    """
    if store.origin not in trust.logs:
        raise ReceiptRefused(field="origin", rule="trusted")
    for _ in range(MAX_WALKS - 1):
        before = _standing(store)
        report = _walk(store, trust)
        if report.clean or _standing(store) == before:
            return report
    return _walk(store, trust)


def _standing(store: LedgerStore) -> tuple[StoredCheckpoint | None, frozenset[tuple[str, int]]]:
    return store.head(), frozenset((anchor.chain, anchor.size) for anchor in store.scan_anchors())


def _walk(store: LedgerStore, trust: LogTrust) -> FsckReport:
    run = _Run(store, trust)
    run.anchored = dict.fromkeys({anchor.size for anchor in store.scan_anchors()})
    checkpoints = _check_checkpoints(run)
    _check_tail(run)
    anchors = _check_anchors(run)
    return FsckReport(run.size, checkpoints, anchors, tuple(run.findings))


def _check_checkpoints(run: _Run) -> int:
    """Walk the checkpoints by growing size, growing both trees alongside; return how many there are."""
    count, last_time, newest = 0, 0, None
    for stored in run.store.scan_checkpoints():
        if newest is None and stored.size != 0:
            run.found("checkpoint", "0", "present")
        count, newest, where = count + 1, stored, str(stored.size)
        keys = b"".join(entry.idempotency_key for entry in _grow(run, stored.size))
        if sm3(keys) != stored.keys_digest:
            run.found("entry", f"up to {where}", "idempotency_keys")
        try:
            checkpoint = verify_checkpoint(stored.note, log=run.trust.logs[run.store.origin])
        except CheckpointRefused as error:
            run.found("checkpoint", where, error.rule or "refused")
            continue
        if checkpoint.size != stored.size or run.size != stored.size:
            run.found("checkpoint", where, "size")
            continue
        if checkpoint.time < last_time:
            run.found("checkpoint", where, "time")
        last_time = checkpoint.time
        for alg in HashAlg:
            if root_of_edge(alg, run.size, run.edges[alg]) != checkpoint.root(alg):
                run.found("checkpoint", where, f"root_{alg}")
        if stored.size in run.anchored:
            run.anchored[stored.size] = checkpoint
    if newest is None or run.store.head() != newest:
        run.found("head", "0" if newest is None else str(newest.size), "newest_checkpoint")
    return count


def _grow(run: _Run, size: int) -> Iterator[Entry]:
    """Yield the entries up to `size`, extending both trees and comparing every tile that becomes full."""
    while run.size < size:
        # Never across the end of a tile: so each full tile passes by exactly once.
        stop = min(size, run.size + STEP - run.size % STEP)
        entries = run.store.entries(run.size, stop)
        if len(entries) != stop - run.size:
            run.found("entry", str(run.size + len(entries)), "present")
        if not entries:
            return
        for alg in HashAlg:
            leaves = leaf_hashes(alg, [entry.body for entry in entries])
            tiles = {tile.id: tile.data for tile in extend(alg, run.size, run.edges[alg], leaves)}
            full = {tile_id: data for tile_id, data in tiles.items() if len(data) == TILE_WIDTH * HASH_BYTES}
            _compare(run, full)
            after = run.size + len(entries)
            merged = run.edges[alg] | tiles
            run.edges[alg] = {tile_id: merged[tile_id] for tile_id, _ in right_edge(alg, after)}
        run.size += len(entries)
        yield from entries


def _check_tail(run: _Run) -> None:
    """Compare the partial tiles, and find rows that belong to no checkpoint."""
    for alg in HashAlg:
        _compare(run, run.edges[alg])
    expected = {(alg, level): run.size // TILE_WIDTH**level for alg in HashAlg for level in range(9)}
    try:
        for tile in run.store.scan_tiles():
            hashes = expected.get((tile.id.alg, tile.id.level), 0)
            if tile.id.index * TILE_WIDTH >= hashes or tile.id.index < 0:
                run.found("tile", _name(tile.id), "surplus")
    except IntegrityBroken as error:
        params = error.params
        run.found("tile", f"{params['tree']} level {params['level']} index {params['index']}", "tree")
    count = run.store.entry_count()
    if count != run.size:
        run.found("entry", str(run.size), "surplus" if count > run.size else "present")


def _compare(run: _Run, expected: dict[TileId, bytes]) -> None:
    stored = run.store.tiles(list(expected)) if expected else {}
    for tile_id, data in expected.items():
        if stored.get(tile_id) != data:
            run.found("tile", _name(tile_id), "equal" if tile_id in stored else "present")


def _check_anchors(run: _Run) -> int:
    count = 0
    for anchor in run.store.scan_anchors():
        count += 1
        where = f"{anchor.chain} {anchor.size}"
        try:
            evidence = verify_evidence(anchor.statement, witnesses=run.trust.anchor_witnesses)
            if (evidence.size, evidence.chain) != (anchor.size, anchor.chain):
                run.found("anchor", where, "statement")
            checkpoint = run.anchored.get(anchor.size)
            if checkpoint is None:
                run.found("anchor", where, "checkpoint")
            else:
                require_binds(evidence, checkpoint)
        except TrustError as error:
            run.found("anchor", where, error.rule or error.code)
    for job in run.store.pending_anchors():
        if run.store.checkpoint(job.size) is None:
            run.found("outbox", f"{job.chain} {job.size}", "checkpoint")
    return count


def _name(tile_id: TileId) -> str:
    return f"{tile_id.alg} level {tile_id.level} index {tile_id.index}"
