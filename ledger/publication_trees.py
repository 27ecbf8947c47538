"""Both trees of a log as they grow over files: only the right edge is held, whatever the size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ledger.merkle import HashAlg, leaf_hash
from ledger.tiles import Tile, TileId, extend, right_edge, root_of_edge

Leaves = Mapping[HashAlg, Sequence[bytes]]


@dataclass(slots=True)
class Trees:
    """The number of leaves and the right edge of each tree."""

    size: int
    edges: dict[HashAlg, dict[TileId, bytes]]

    @classmethod
    def empty(cls) -> Trees:
        """Return the trees of an empty log."""
        return cls(0, {alg: {} for alg in HashAlg})

    def grow(self, leaves: Leaves) -> list[Tile]:
        """Add the leaf hashes, as many to each tree; return every tile that changed or is new."""
        after = self.size + len(leaves[HashAlg.SM3])
        changed: list[Tile] = []
        for alg in HashAlg:
            tiles = extend(alg, self.size, self.edges[alg], leaves[alg])
            merged = self.edges[alg] | {tile.id: tile.data for tile in tiles}
            self.edges[alg] = {tile_id: merged[tile_id] for tile_id, _ in right_edge(alg, after)}
            changed += tiles
        self.size = after
        return changed

    def root(self, alg: HashAlg) -> bytes:
        """Return the root of a tree."""
        return root_of_edge(alg, self.size, self.edges[alg])


def leaves_of(bodies: Iterable[bytes]) -> Leaves:
    """Return the leaf hashes of entries for both trees."""
    listed = list(bodies)
    return {alg: [leaf_hash(alg, body) for body in listed] for alg in HashAlg}
