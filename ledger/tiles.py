"""256-wide tiles: how a tree is stored, extended and read without ever touching a node by itself.

The tile (level L, index N) holds the hashes of the perfect subtrees 256·N … 256·N+255 of 256^L leaves each, in order,
32 bytes a hash: the layout of C2SP tlog-tiles. A tile of 256 hashes is full and never changes again; only the one at
the right edge of each level grows. So a tree of n leaves costs 32.13 bytes a leaf, an append touches the right edge,
and a proof reads at most two tiles a level.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from ledger.errors import IntegrityBroken, ProofRefused
from ledger.merkle import (
    HASH_BYTES,
    HashAlg,
    consistency_ranges,
    fold_right,
    node_hashes,
    node_levels,
    perfect_subtrees,
)

TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 1 << TILE_HEIGHT

# An opened full tile is 255 inner hashes beside its 256 own ones, 16 KiB: 16 MiB in all, for each tree.
MAX_CACHED_TILES: Final = 1024


@dataclass(frozen=True, slots=True, order=True)
class TileId:
    """The place of a tile: tree, level in steps of eight, index within the level."""

    alg: HashAlg
    level: int
    index: int


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile and its bytes: 1 to 256 hashes of 32 bytes."""

    id: TileId
    data: bytes

    @property
    def width(self) -> int:
        """Return the number of hashes held."""
        return len(self.data) // HASH_BYTES


# A tree has at most 63 ragged subtrees at one size, and few sizes are asked for at a time.
MAX_KEPT_EDGES: Final = 1024

Rows = list[bytes]
"""A tile opened: its hashes, then the level above, and so on to its root where it is full, each level joined."""

Place = tuple[int, int]
"""A tile's level and index: within one tree, what `TileId` is for both, and far cheaper to look up by."""

FetchTiles = Callable[[Sequence[TileId]], Mapping[TileId, bytes]]


def right_edge(alg: HashAlg, size: int) -> list[tuple[TileId, int]]:
    """Return the growing tiles of a tree and their widths (1 … 255), lowest level first."""
    edge: list[tuple[TileId, int]] = []
    level = 0
    while size:
        size, width = divmod(size, TILE_WIDTH)
        if width:
            edge.append((TileId(alg, level, size), width))
        level += 1
    return edge


def extend(alg: HashAlg, size: int, edge: Mapping[TileId, bytes], leaves: Iterable[bytes]) -> list[Tile]:
    """Return every tile that appending the leaf hashes to a tree of `size` changes or creates.

    `edge` holds the right edge of the tree (`right_edge`); the caller has checked it against the signed root.
    """
    return extend_joined(alg, size, edge, b"".join(leaves))


def extend_joined(alg: HashAlg, size: int, edge: Mapping[TileId, bytes], leaves: bytes) -> list[Tile]:
    """Do the same with leaf hashes that stand one after the other."""
    changed: list[Tile] = []
    rising, level = leaves, 0
    while rising:
        index, width = divmod(size, TILE_WIDTH)
        held = edge[TileId(alg, level, index)] if width else b""
        data = held[: width * HASH_BYTES] + rising
        step = TILE_WIDTH * HASH_BYTES
        for offset in range(0, len(data), step):
            changed.append(Tile(TileId(alg, level, index), data[offset : offset + step]))
            index += 1
        rising = _tile_roots(alg, data[: len(data) - len(data) % step])
        size //= TILE_WIDTH
        level += 1
    return changed


def _tile_roots(alg: HashAlg, tiles: bytes) -> bytes:
    """Return the roots of full tiles that stand one after the other: all of a row are hashed together."""
    for _ in range(TILE_HEIGHT):
        tiles = node_hashes(alg, tiles)
    return tiles


def root_of_edge(alg: HashAlg, size: int, edge: Mapping[TileId, bytes]) -> bytes:
    """Return the root of a tree from its right edge alone."""
    hashes: list[bytes] = []
    for tile_id, width in reversed(right_edge(alg, size)):
        data = edge.get(tile_id, b"")[: width * HASH_BYTES]
        if len(data) != width * HASH_BYTES:
            raise IntegrityBroken(field="tile", rule="present", level=tile_id.level, index=tile_id.index)
        rows = node_levels(alg, data)
        for level, index in perfect_subtrees(0, width):
            hashes.append(rows[level][index * HASH_BYTES : (index + 1) * HASH_BYTES])
    return fold_right(alg, hashes)


class TileTree:
    """Roots and proofs of one tree, read through its tiles. Not for more than one thread at a time."""

    def __init__(self, alg: HashAlg, fetch: FetchTiles) -> None:
        """`fetch` returns the stored bytes of the tiles asked for, leaving out those that do not exist."""
        self._alg = alg
        self._fetch = fetch
        self._cache: OrderedDict[Place, Rows] = OrderedDict()
        self._edges: OrderedDict[tuple[int, int], bytes] = OrderedDict()

    def root(self, size: int) -> bytes:
        """Return the root over the first `size` leaves. Raises IntegrityBroken where a tile is missing."""
        return self._hashes([[(0, size)]])[0][0]

    def inclusion(self, index: int, size: int) -> tuple[bytes, ...]:
        """Return the inclusion proof of leaf `index` in the tree of `size`, lowest sibling first."""
        return self.inclusions([index], size)[0]

    def inclusions(self, indices: Sequence[int], size: int) -> list[tuple[bytes, ...]]:
        """Return the inclusion proofs of many leaves in one tree, reading each tile once. Raises ProofRefused."""
        if not all(0 <= index < size for index in indices):
            raise ProofRefused(field="index", rule="inside_tree")
        widths: dict[Place, int] = {}
        for index in indices:
            for level in range(_tile_levels(size)):
                tile = index >> TILE_HEIGHT * (level + 1)
                width = (size >> TILE_HEIGHT * level) - tile * TILE_WIDTH
                if width > 0:
                    widths[level, tile] = min(TILE_WIDTH, width)
        opened = self._opened(widths)
        return [self._path(index, size, opened) for index in indices]

    def _path(self, index: int, size: int, opened: Mapping[Place, Rows]) -> tuple[bytes, ...]:
        """Collect PATH(index, D[size]) of RFC 6962 section 2.1.1, lowest sibling first.

        A sibling is a whole subtree, whose hash stands in the tile of the node itself, but for one at most: the one that
        reaches to the right edge of the tree.
        """
        path: list[bytes] = []
        level = 0
        # In a full tile lie all eight siblings, whole.
        while (tile := index >> level + TILE_HEIGHT) < size >> level + TILE_HEIGHT:
            siblings = _siblings((index >> level) % TILE_WIDTH)
            # Its last row, the root, has no sibling there.
            opened_rows = opened[level // TILE_HEIGHT, tile]
            path += [row[at : at + HASH_BYTES] for row, at in zip(opened_rows, siblings, strict=False)]
            level += TILE_HEIGHT
        index, last = index >> level, size - 1 >> level
        rows: Rows = []
        while last:
            within = level % TILE_HEIGHT
            if index & 1 or index < last:
                sibling = index ^ 1
                if (sibling + 1) << level > size:
                    path.append(self._ragged(sibling << level, size))
                else:
                    if not rows:
                        rows = opened[level // TILE_HEIGHT, index >> (TILE_HEIGHT - within)]
                    at = (sibling & ((TILE_WIDTH >> within) - 1)) * HASH_BYTES
                    path.append(rows[within][at : at + HASH_BYTES])
            if within == TILE_HEIGHT - 1:
                rows = []
            index >>= 1
            last >>= 1
            level += 1
        return tuple(path)

    def _ragged(self, start: int, size: int) -> bytes:
        """Return the hash of the leaves from `start` to the right edge: the same for all proofs in a tree of this size."""
        known = self._edges.get((start, size))
        if known is None:
            known = self._edges[start, size] = self._hashes([[(start, size)]])[0][0]
            if len(self._edges) > MAX_KEPT_EDGES:
                self._edges.popitem(last=False)
        return known

    def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        """Return the consistency proof between two sizes, 0 < old <= new."""
        return self._hashes([consistency_ranges(old, new)])[0]

    def _hashes(self, wanted: Sequence[Sequence[tuple[int, int]]]) -> list[tuple[bytes, ...]]:
        """Return the hash of each leaf range of each proof, fetching the tiles of all of them at once."""
        ranges = {leaves: perfect_subtrees(*leaves) for proof in wanted for leaves in proof}
        widths: dict[Place, int] = {}  # the hashes needed of each tile
        for nodes in ranges.values():
            for level, index in nodes:
                place, first, count = _place(level, index)
                widths[place] = max(widths.get(place, 0), first + count)
        opened = self._opened(widths)
        known: dict[tuple[int, int], bytes] = {}
        for leaves, nodes in ranges.items():
            hashes: list[bytes] = []
            for level, index in nodes:
                place, first, _ = _place(level, index)
                within = level % TILE_HEIGHT
                at = (first >> within) * HASH_BYTES
                hashes.append(opened[place][within][at : at + HASH_BYTES])
            known[leaves] = fold_right(self._alg, hashes)
        return [tuple(known[leaves] for leaves in proof) for proof in wanted]

    def _opened(self, widths: Mapping[Place, int]) -> dict[Place, Rows]:
        opened: dict[Place, Rows] = {}
        missing: dict[Place, TileId] = {}
        for place, width in widths.items():
            rows = self._cache.get(place)
            if rows is None or len(rows[0]) < width * HASH_BYTES:  # it has grown since
                missing[place] = TileId(self._alg, *place)
            else:
                self._cache.move_to_end(place)
                opened[place] = rows
        stored = self._fetch(list(missing.values())) if missing else {}
        for place, tile_id in missing.items():
            data = stored.get(tile_id, b"")
            if not widths[place] * HASH_BYTES <= len(data) <= TILE_WIDTH * HASH_BYTES or len(data) % HASH_BYTES:
                raise IntegrityBroken(field="tile", rule="present", level=tile_id.level, index=tile_id.index)
            opened[place] = self._cache[place] = node_levels(self._alg, data)
            self._cache.move_to_end(place)
        while len(self._cache) > MAX_CACHED_TILES:
            self._cache.popitem(last=False)
        return opened


def _place(level: int, index: int) -> tuple[Place, int, int]:
    """Return the tile of a perfect subtree, and the first and the number of the tile's hashes below it."""
    tile_level, within = divmod(level, TILE_HEIGHT)
    first = index << within
    return (tile_level, first // TILE_WIDTH), first % TILE_WIDTH, 1 << within


@cache
def _siblings(place: int) -> tuple[int, ...]:
    """Return where in each level of a full tile the sibling of the hash at `place`, or of the node over it, begins."""
    return tuple(((place >> level) ^ 1) * HASH_BYTES for level in range(TILE_HEIGHT))


def _tile_levels(size: int) -> int:
    """Return how many levels of tiles a tree has."""
    return -(-(size - 1).bit_length() // TILE_HEIGHT)
