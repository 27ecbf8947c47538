"""Tiles of a published log, each held to the signed root before anything is computed from it.

The right edge must give the root that was signed; every full tile must hash to what its parent holds of it. So a tile
with one wrong bit is named as that tile, and never mistaken for a log that rewrote its history. What a mirror, a cache
or a disk does to the files cannot make an alarm of the wrong kind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from ledger.errors import IntegrityBroken, LedgerUnavailable
from ledger.layout import TilePath
from ledger.merkle import HASH_BYTES, HashAlg, node_hash
from ledger.tiles import TILE_HEIGHT, TILE_WIDTH, TileId, right_edge, root_of_edge

TILE_BYTES: Final = TILE_WIDTH * HASH_BYTES

Fetch = Callable[[str, int], bytes | None]
"""Return the published file of a path, None where it is not there.

The second argument is the most bytes the file may have. Raises LedgerUnavailable where the log does not answer, with the
rule "length" where the file has more bytes than that.
"""


class TileCache(Protocol):
    """Full tiles that were fetched before. Nothing read from it is believed: it is checked like a fetched one."""

    def get(self, tile: TileId) -> bytes | None:
        """Return the kept bytes, None where there are none."""
        ...

    def put(self, tile: TileId, data: bytes) -> None:
        """Keep the bytes of a full tile that was held to a signed root."""
        ...


class SignedTiles:
    """The tiles of one tree of `size` leaves under `root`; calling it is what `ledger.tiles.TileTree` fetches by."""

    def __init__(self, alg: HashAlg, size: int, root: bytes, *, fetch: Fetch, cache: TileCache) -> None:
        """`root` is of a checkpoint whose signature was verified."""
        self._alg = alg
        self._size = size
        self._root = root
        self._fetch = fetch
        self._cache = cache
        self._held: dict[TileId, bytes] = {}

    def __call__(self, ids: Sequence[TileId]) -> dict[TileId, bytes]:
        """Return the tiles, as wide as the tree of `size` has them.

        Raises IntegrityBroken with the `path` of a tile that is not there, too long, too short or not under the root.
        """
        self.check_edge()
        return {tile: self._tile(tile) for tile in ids}

    def check_edge(self) -> None:
        """Fetch the right edge and hold it to the root; the empty tree's is checked by its root alone."""
        edge = right_edge(self._alg, self._size)
        if all(tile in self._held for tile, _ in edge) and edge:
            return
        fetched = {tile: self._fetched(tile, width) for tile, width in edge}
        if root_of_edge(self._alg, self._size, fetched) != self._root:
            paths = " ".join(_name(tile, width) for tile, width in edge)
            raise IntegrityBroken(field="tile", rule="signed_root", path=paths)
        self._held |= fetched

    def _tile(self, tile: TileId) -> bytes:
        """Return a tile, its ancestors checked first."""
        held = self._held.get(tile)
        if held is not None:
            return held
        if (tile.index + 1) << (TILE_HEIGHT * (tile.level + 1)) > self._size:
            raise IntegrityBroken(field="tile", rule="inside_tree", path=_name(tile, TILE_WIDTH))
        parent, place = divmod(tile.index, TILE_WIDTH)
        above = self._tile(TileId(tile.alg, tile.level + 1, parent))
        expected = above[place * HASH_BYTES : (place + 1) * HASH_BYTES]
        data = self._cache.get(tile)
        if data is None or len(data) != TILE_BYTES or tile_root(tile.alg, data) != expected:
            data = self._fetched(tile, TILE_WIDTH)
            if tile_root(tile.alg, data) != expected:
                raise IntegrityBroken(field="tile", rule="signed_root", path=_name(tile, TILE_WIDTH))
            self._cache.put(tile, data)
        self._held[tile] = data
        return data

    def _fetched(self, tile: TileId, width: int) -> bytes:
        """Fetch a tile of exactly `width` hashes; of a partial one that is gone, the full one has them too."""
        path = _name(tile, width)
        data = self._whole(path, width * HASH_BYTES)
        if data is None and width < TILE_WIDTH:
            data = self._whole(_name(tile, TILE_WIDTH), TILE_BYTES)
            if data is not None and len(data) == TILE_BYTES:
                data = data[: width * HASH_BYTES]
        if data is None:
            raise IntegrityBroken(field="tile", rule="present", path=path)
        if len(data) != width * HASH_BYTES:
            raise IntegrityBroken(field="tile", rule="length", path=path)
        return data

    def _whole(self, path: str, most: int) -> bytes | None:
        try:
            return self._fetch(path, most)
        except LedgerUnavailable as refused:
            if refused.rule == "length":
                raise IntegrityBroken(field="tile", rule="length", path=path) from refused
            raise


def tile_root(alg: HashAlg, data: bytes) -> bytes:
    """Return the hash that the parent of a full tile of 8192 bytes holds of it."""
    row = [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]
    while len(row) > 1:
        row = [node_hash(alg, row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


def _name(tile: TileId, width: int) -> str:
    return str(TilePath(tile, width))
