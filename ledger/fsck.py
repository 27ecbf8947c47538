"""The check that believes nothing: derives everything again from the entries and says where the store differs.

Entries give leaf hashes, leaf hashes give every tile of both trees to the last byte, the trees give the roots of every
checkpoint; signatures, anchors and idempotency keys are held to those. Memory stays flat in the size of the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from crypto.errors import TrustError
from crypto.sm3 import sm3
from ledger.anchor import require_binds, verify_evidence
from ledger.checkpoint import Checkpoint, verify_checkpoint
from ledger.entry import KEY_BYTES, MAX_BODY_BYTES
from ledger.errors import CheckpointRefused, LedgerUnavailable, ReceiptRefused
from ledger.fsck_anchors import check_numbers
from ledger.merkle import HASH_BYTES, HashAlg, joined_leaf_hashes
from ledger.receipt import LogTrust
from ledger.store import LedgerStore, StoredCheckpoint
from ledger.tiles import TILE_WIDTH, TileId, extend_joined, right_edge, root_of_edge

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


def _standing(store: LedgerStore) -> tuple[StoredCheckpoint | None, frozenset[tuple[str, int]]] | None:
    """Return what moves when the log does; None where that cannot even be read."""
    try:
        return store.head(), frozenset((anchor.chain, anchor.size) for anchor in store.scan_anchors())
    except LedgerUnavailable:
        return None


def _walk(store: LedgerStore, trust: LogTrust) -> FsckReport:
    run = _Run(store, trust)
    checkpoints = _read("entries and checkpoints", run, _check_checkpoints)
    _read("tiles", run, _check_tail)
    anchors = _read("anchors", run, _check_anchors)
    return FsckReport(run.size, checkpoints, anchors, tuple(run.findings))


def _read(part: str, run: _Run, check: Callable[[_Run], int]) -> int:
    """Run a part of the walk; a database whose pages cannot be read is a finding, and the other parts are walked all the same."""
    try:
        return check(run)
    except LedgerUnavailable as error:
        run.found("database", part, error.rule or "readable")
        return 0


def _check_checkpoints(run: _Run) -> int:
    """Walk the checkpoints by growing size, growing both trees alongside; return how many there are."""
    run.anchored = dict.fromkeys({anchor.size for anchor in run.store.scan_anchors()})
    count, last_time, newest = 0, 0, None
    for stored in run.store.scan_checkpoints():
        if newest is None and stored.size != 0:
            run.found("checkpoint", "0", "present")
        count, newest, where = count + 1, stored, str(stored.size)
        keys = b"".join(_grow(run, stored.size))
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
    _check_head(run, newest)
    return count


def _check_head(run: _Run, newest: StoredCheckpoint | None) -> None:
    """Hold the head to the newest checkpoint: that one itself, or the same trees signed again later."""
    head, log = run.store.head(), run.trust.logs[run.store.origin]
    where = "0" if newest is None else str(newest.size)
    if newest is None or head is None:
        run.found("head", where, "newest_checkpoint")
    elif head != newest:
        try:
            first, again = (verify_checkpoint(one.note, log=log) for one in (newest, head))
        except CheckpointRefused as error:
            run.found("head", where, error.rule or "refused")
            return
        same = replace(head, note=newest.note) == newest and replace(again, time=first.time) == first
        if not same or again.time <= first.time:
            run.found("head", where, "newest_checkpoint")


def _grow(run: _Run, size: int) -> Iterator[bytes]:
    """Yield the keys of the entries up to `size`, joined, while both trees grow and each tile that becomes full is compared.

    No object is made of a row: of a million there would be a million.
    """
    while run.size < size:
        # Never across the end of a tile: so each full tile passes by exactly once.
        stop = min(size, run.size + STEP - run.size % STEP)
        rows = run.store.entry_rows(run.size, stop)
        if len(rows) != stop - run.size:
            run.found("entry", str(run.size + len(rows)), "present")
        if not rows:
            return
        bodies, keys = _columns(run, rows)
        after = run.size + len(rows)
        for alg in HashAlg:
            leaves = joined_leaf_hashes(alg, bodies)
            tiles = {tile.id: tile.data for tile in extend_joined(alg, run.size, run.edges[alg], leaves)}
            full = {tile_id: data for tile_id, data in tiles.items() if len(data) == TILE_WIDTH * HASH_BYTES}
            _compare(run, full)
            merged = run.edges[alg] | tiles
            run.edges[alg] = {tile_id: merged[tile_id] for tile_id, _ in right_edge(alg, after)}
        run.size = after
        yield b"".join(keys)


def _columns(run: _Run, rows: Sequence[tuple[object, object]]) -> tuple[list[bytes], list[bytes]]:
    """Return the bodies and the keys of rows, one for each row; in the place of what could be no entry, nothing."""
    bodies = _sound([body for body, _ in rows], 1, MAX_BODY_BYTES)
    keys = _sound([key for _, key in rows], KEY_BYTES, KEY_BYTES)
    if not all(bodies) or not all(keys):
        for offset, (body, key) in enumerate(zip(bodies, keys, strict=True)):
            if not body or not key:
                run.found("entry", str(run.size + offset), "form")
    return bodies, keys


def _sound(column: list[object], shortest: int, longest: int) -> list[bytes]:
    """Return a column with each value that is not so many bytes emptied."""
    found = [value if isinstance(value, bytes) else b"" for value in column]
    sizes = {*map(len, found)}
    if shortest <= min(sizes) and max(sizes) <= longest:
        return found
    return [value if shortest <= len(value) <= longest else b"" for value in found]


def _check_tail(run: _Run) -> int:
    """Compare the partial tiles, and find rows that belong to no checkpoint."""
    for alg in HashAlg:
        _compare(run, run.edges[alg])
    expected = {(alg, level): run.size // TILE_WIDTH**level for alg in HashAlg for level in range(9)}
    for tile in run.store.scan_tiles():
        hashes = expected.get((tile.id.alg, tile.id.level), 0)
        if tile.id.index * TILE_WIDTH >= hashes or tile.id.index < 0:
            run.found("tile", _name(tile.id), "surplus")
    for tree, level, index in run.store.scan_stray_tiles():
        run.found("tile", f"{tree} level {level} index {index}", "tree")
    count = run.store.entry_count()
    if count != run.size:
        run.found("entry", str(run.size), "surplus" if count > run.size else "present")
    return count


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
    check_numbers(run.store, run.found)
    for job in run.store.pending_anchors():
        if run.store.checkpoint(job.size) is None:
            run.found("outbox", f"{job.chain} {job.size}", "checkpoint")
    return count


def _name(tile_id: TileId) -> str:
    return f"{tile_id.alg} level {tile_id.level} index {tile_id.index}"
