"""The check of a published log by its files alone: everything derived again from the bundles, every byte accounted for.

Each file is held to what the bundles and the signed notes say it must be, and a file nobody needs is a finding too. A
bundle and the tiles above it can disagree in two ways; where both trees say otherwise, it is the bundle that changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from crypto.errors import TrustError
from ledger.anchor import require_binds, verify_evidence
from ledger.checkpoint import Checkpoint, verify_checkpoint
from ledger.errors import CheckpointRefused, EntryUnknown, IntegrityBroken
from ledger.fsck import MAX_FINDINGS, Finding
from ledger.layout import (
    AnchorPath,
    BundlePath,
    CheckpointPath,
    CountsPath,
    DocumentPath,
    KeysDigestPath,
    KeysPath,
    LayoutPath,
    NotePath,
    TilePath,
    parse_path,
)
from ledger.merkle import HASH_BYTES, HashAlg
from ledger.publication import LogFiles, pool_digest
from ledger.publication_bundles import encode_bundle, encode_keys, parse_bundle, parse_digest, parse_keys
from ledger.publication_counts import counted, parse_counts
from ledger.publication_document import LogDocument
from ledger.publication_trees import Trees, leaves_of
from ledger.tiles import TILE_WIDTH, Tile, TileId

_KINDS: Final[Mapping[type, str]] = {
    AnchorPath: "anchor",
    BundlePath: "bundle",
    CheckpointPath: "checkpoint",
    CountsPath: "counts",
    DocumentPath: "document",
    KeysDigestPath: "keys_digest",
    KeysPath: "keys",
    NotePath: "note",
    TilePath: "tile",
}


@dataclass(frozen=True, slots=True)
class FilesReport:
    """The outcome: so many entries under the published checkpoint, so many files, and what was found."""

    size: int
    files: int
    findings: tuple[Finding, ...]

    @property
    def clean(self) -> bool:
        """Tell whether nothing was found."""
        return not self.findings


@dataclass(slots=True)
class _Run:
    """One walk: the files by what they stand for, those accounted for, and the state of what is derived."""

    files: LogFiles
    paths: set[LayoutPath] = field(default_factory=set)
    seen: set[LayoutPath] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    partials: dict[tuple[object, ...], list[int]] = field(default_factory=dict)
    trees: Trees = field(default_factory=Trees.empty)
    keys: list[bytes] | None = field(default_factory=list)  # of the pool being read; None where one is missing
    checkpoints: dict[int, Checkpoint] = field(default_factory=dict)
    newest: Checkpoint | None = None

    def found(self, path: LayoutPath | str, rule: str) -> None:
        if len(self.findings) < MAX_FINDINGS:
            what = "file" if isinstance(path, str) else _KINDS[type(path)]
            self.findings.append(Finding(what, str(path), rule))

    def read(self, path: LayoutPath) -> bytes | None:
        """Read a file that must be there; a finding where it is not, or cannot be read."""
        self.seen.add(path)
        try:
            data = self.files.read(path)
        except IntegrityBroken as refused:
            self.found(path, refused.rule or "readable")
            return None
        if data is None:
            self.found(path, "present")
        return data

    def compare(self, path: LayoutPath, expected: bytes) -> None:
        data = self.read(path)
        if data is not None and data != expected:
            self.found(path, "equal")


def fsck_files(files: LogFiles, pinned: LogDocument | None) -> FilesReport:
    """Check a published log. `pinned` holds the keys it must be signed with; without them it is held to its own.

    Findings are returned, not raised.
    """
    run = _Run(files)
    count = _list(run)
    document = _document(run, pinned)
    if document is None:
        return FilesReport(0, count, tuple(run.findings))
    size = _newest(run, document)
    _walk(run, document, size)
    _tail(run, size)
    _anchors(run, document, size)
    _counts(run)
    _surplus(run, size)
    return FilesReport(size, count, tuple(run.findings))


def _list(run: _Run) -> int:
    count = 0
    for name in run.files.names():
        count += 1
        try:
            path = parse_path(name)
        except EntryUnknown:
            run.found(name, "known")
            continue
        run.paths.add(path)
        if isinstance(path, TilePath) and path.width < TILE_WIDTH:
            run.partials.setdefault((TilePath, path.tile), []).append(path.width)
        elif isinstance(path, BundlePath | KeysPath) and path.width < TILE_WIDTH:
            run.partials.setdefault((type(path), path.index), []).append(path.width)
    return count


def _document(run: _Run, pinned: LogDocument | None) -> LogDocument | None:
    data = run.read(DocumentPath())
    if data is None:
        return pinned
    try:
        document = LogDocument.parse(data)
    except CheckpointRefused as refused:
        run.found(DocumentPath(), refused.rule or "refused")
        return pinned
    if pinned is not None and document.identity != pinned.identity:
        run.found(DocumentPath(), "pinned")
    return document if pinned is None else pinned


def _newest(run: _Run, document: LogDocument) -> int:
    """Return the size the log is checked up to: that of its checkpoint, or where that is broken of its largest note."""
    largest = max((path.size for path in run.paths if isinstance(path, NotePath)), default=0)
    note = run.read(CheckpointPath())
    if note is None:
        return largest
    try:
        run.newest = verify_checkpoint(note, log=document.identity)
    except CheckpointRefused as refused:
        run.found(CheckpointPath(), refused.rule or "refused")
        return largest
    kept = _kept(run, run.newest.size)
    if kept is not None and kept != note and not _signed_before(kept, run.newest, document):
        run.found(CheckpointPath(), "equal")
    return run.newest.size


def _kept(run: _Run, size: int) -> bytes | None:
    """Return the note kept of a size, if there is one that can be read; the walk tells of one that cannot."""
    try:
        return run.files.read(NotePath(size))
    except IntegrityBroken:
        return None


def _signed_before(note: bytes, newest: Checkpoint, document: LogDocument) -> bool:
    """Tell whether a note is of the same trees, signed earlier; one that is broken is told of for itself."""
    try:
        kept = verify_checkpoint(note, log=document.identity)
    except CheckpointRefused:
        return True
    return kept.time < newest.time and replace(kept, time=newest.time) == newest


def _walk(run: _Run, document: LogDocument, size: int) -> None:
    """Go from note to note by growing size, growing both trees along the bundles."""
    sizes = sorted(path.size for path in run.paths if isinstance(path, NotePath | KeysDigestPath) and path.size <= size)
    sizes = sorted({0, *sizes})
    leaves = _Leaves(run, size)
    last_time = 0
    for one in sizes:
        leaves.grow_to(one)
        _digest(run, one)
        note = run.read(NotePath(one))
        if note is None:
            continue
        try:
            checkpoint = verify_checkpoint(note, log=document.identity)
        except CheckpointRefused as refused:
            run.found(NotePath(one), refused.rule or "refused")
            continue
        if checkpoint.size != one:
            run.found(NotePath(one), "size")
            continue
        if checkpoint.time < last_time:
            run.found(NotePath(one), "time")
        last_time = checkpoint.time
        run.checkpoints[one] = checkpoint
        _roots(run, NotePath(one), checkpoint)
    leaves.grow_to(size)
    if run.newest is not None:
        _roots(run, CheckpointPath(), run.newest)
        if run.newest.time < last_time:
            run.found(CheckpointPath(), "time")


def _roots(run: _Run, path: NotePath | CheckpointPath, checkpoint: Checkpoint) -> None:
    """Hold a note to the trees, where they are as large as it says."""
    if run.trees.size == checkpoint.size:
        for alg in HashAlg:
            if run.trees.root(alg) != checkpoint.root(alg):
                run.found(path, f"root_{alg}")


def _digest(run: _Run, size: int) -> None:
    """Hold the digest beside a note, where there is one, to the keys since the last such digest."""
    if KeysDigestPath(size) not in run.paths:
        return
    keys, run.keys = run.keys, []
    data = run.read(KeysDigestPath(size)) or b""
    try:
        digest = parse_digest(data)
    except IntegrityBroken as refused:
        run.found(KeysDigestPath(size), refused.rule or "form")
        return
    if keys is not None and run.trees.size == size and pool_digest(keys) != digest:
        run.found(KeysDigestPath(size), "digest")


class _Leaves:
    """Feeds the trees from the bundles, one bundle at a time, comparing all files that belong to it."""

    def __init__(self, run: _Run, size: int) -> None:
        self._run = run
        self._size = size
        self._index = -1
        self._keys: list[bytes] | None = None
        self._leaves: dict[HashAlg, list[bytes]] = {}

    def grow_to(self, size: int) -> None:
        """Grow up to a size; short of it where neither a bundle nor its tiles can be read."""
        run = self._run
        while run.trees.size < size:
            index, first = divmod(run.trees.size, TILE_WIDTH)
            if index != self._index:
                self._index = index
                self._load(index)
            stop = min(TILE_WIDTH, size - index * TILE_WIDTH)
            if len(self._leaves[HashAlg.SM3]) < stop:
                return
            for tile in run.trees.grow({alg: self._leaves[alg][first:stop] for alg in HashAlg}):
                if tile.id.level and tile.width == TILE_WIDTH:
                    _compare_tile(run, tile)
            if self._keys is None:
                run.keys = None
            elif run.keys is not None:
                run.keys += self._keys[first:stop]

    def _load(self, index: int) -> None:
        """Read a bundle, its keys and its tiles of leaves; settle which of them are right."""
        run, width = self._run, min(TILE_WIDTH, self._size - index * TILE_WIDTH)
        path = BundlePath(index, width)
        bodies: list[bytes] | None = None
        data = run.read(path)
        if data is not None:
            try:
                bodies = parse_bundle(data, width)
            except IntegrityBroken as refused:
                run.found(path, refused.rule or "form")
        tiles = {alg: TilePath(TileId(alg, 0, index), width) for alg in HashAlg}
        files = {alg: run.read(tiles[alg]) for alg in HashAlg}
        stored = {alg: _hashes(files[alg], width) for alg in HashAlg}
        derived = None if bodies is None else leaves_of(bodies)
        agree = {alg: derived is not None and stored[alg] == derived[alg] for alg in HashAlg}
        if derived is not None and not any(agree.values()) and all(stored.values()):
            run.found(path, "leaf_hashes")
        else:
            for alg in HashAlg:
                if files[alg] is not None and not agree[alg] and (derived is not None or not stored[alg]):
                    run.found(tiles[alg], "equal")
        # Where the bundle is not believed its tiles stand in for it: the signed roots decide about them.
        trusted = stored if derived is None or (all(stored.values()) and not any(agree.values())) else derived
        whole = all(len(trusted[alg]) == width for alg in HashAlg)
        self._leaves = {alg: list(trusted[alg]) if whole else [] for alg in HashAlg}
        for alg in HashAlg:
            _compare_partials(run, Tile(TileId(alg, 0, index), b"".join(self._leaves[alg])))
        self._load_keys(index, width)
        if bodies is not None:
            for part in _partials(run, BundlePath, index, width):
                run.compare(BundlePath(index, part), encode_bundle(bodies[:part]))

    def _load_keys(self, index: int, width: int) -> None:
        path = KeysPath(index, width)
        self._keys = None
        data = self._run.read(path)
        if data is None:
            return
        try:
            self._keys = parse_keys(data, width)
        except IntegrityBroken as refused:
            self._run.found(path, refused.rule or "digest")
            return
        for part in _partials(self._run, KeysPath, index, width):
            self._run.compare(KeysPath(index, part), encode_keys(self._keys[:part]))


def _hashes(data: bytes | None, width: int) -> Sequence[bytes]:
    """Return a tile's hashes; none where there are more or fewer of them than its name says."""
    if data is None or len(data) != width * HASH_BYTES:
        return ()
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def _partials(run: _Run, kind: type, index: object, width: int) -> list[int]:
    return sorted(part for part in run.partials.get((kind, index), ()) if part < width)


def _compare_tile(run: _Run, tile: Tile) -> None:
    run.compare(TilePath(tile.id, tile.width), tile.data)
    _compare_partials(run, tile)


def _compare_partials(run: _Run, tile: Tile) -> None:
    for part in _partials(run, TilePath, tile.id, tile.width):
        run.compare(TilePath(tile.id, part), tile.data[: part * HASH_BYTES])


def _tail(run: _Run, size: int) -> None:
    """Compare the partial tiles of the right edge; where the walk fell short, say how far it came."""
    if run.trees.size != size:
        run.found(BundlePath(run.trees.size // TILE_WIDTH, min(TILE_WIDTH, size % TILE_WIDTH or TILE_WIDTH)), "derived")
        return
    for alg in HashAlg:
        for tile_id, data in run.trees.edges[alg].items():
            if tile_id.level:
                _compare_tile(run, Tile(tile_id, data))


def _anchors(run: _Run, document: LogDocument, size: int) -> None:
    for path in sorted(path for path in run.paths if isinstance(path, AnchorPath) and path.size <= size):
        data = run.read(path) or b""
        try:
            evidence = verify_evidence(data.decode("ascii", errors="replace"), witnesses=document.witnesses)
            if (evidence.chain, evidence.size) != (path.chain, path.size):
                run.found(path, "statement")
            elif path.size not in run.checkpoints:
                run.found(path, "checkpoint")
            else:
                require_binds(evidence, run.checkpoints[path.size])
        except TrustError as refused:
            run.found(path, refused.rule or refused.code)


def _counts(run: _Run) -> None:
    """Hold the numbers of notes and statements to what was published: one that is gone is missed."""
    data = run.read(CountsPath())
    if data is None:
        return
    try:
        expected = parse_counts(data)
    except IntegrityBroken as refused:
        run.found(CountsPath(), refused.rule or "form")
        return
    there = counted(run.paths)
    for name in sorted(expected.keys() | there.keys()):
        if there[name] != expected.get(name, 0):
            rule = "present" if there[name] < expected.get(name, 0) else "surplus"
            run.findings.append(Finding(name, str(CountsPath()), rule))


def _surplus(run: _Run, size: int) -> None:
    """Name the files that nothing asked for; behind a walk that fell short nothing can be said of them."""
    if run.trees.size != size:
        return
    for name in sorted(str(path) for path in run.paths - run.seen):
        run.found(parse_path(name), "surplus")
