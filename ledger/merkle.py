"""RFC 6962 section 2 trees: hashing, the shape of proofs, and their strict verification. Pure functions over bytes.

Leaf = H(0x00 || body), node = H(0x01 || left || right), the empty tree = H(""). The prefixes are what keeps an inner
node from being accepted as a leaf. Which stored hashes make a proof is `ledger.tiles`' business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import cache
from typing import Final

from crypto.hash_batch import HashBatch, select_hash_batch
from crypto.sm3 import sm3
from ledger.errors import ProofRefused

HASH_BYTES: Final = 32
_PAIR_BYTES: Final = 2 * HASH_BYTES

# A tree of 2^63 leaves is out of reach of any log, and keeps every index inside a signed 64-bit column.
MAX_TREE_SIZE: Final = 1 << 63


class HashAlg(StrEnum):
    """The hash of a tree. Both trees stand over the same leaf bytes; under the national profile SM3 decides."""

    SM3 = "sm3"
    SHA256 = "sha256"


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@cache
def _batch(alg: HashAlg) -> HashBatch:
    # Chosen at the first use: whoever computes, the bytes are the same.
    return select_hash_batch("sm3" if alg is HashAlg.SM3 else "sha256")


HASHES: Final[dict[HashAlg, Callable[[bytes], bytes]]] = {HashAlg.SM3: sm3, HashAlg.SHA256: _sha256}


def leaf_hash(alg: HashAlg, body: bytes) -> bytes:
    """Return the 32-byte leaf hash of an entry (RFC 6962 section 2.1)."""
    return HASHES[alg](b"\x00" + body)


def leaf_hashes(alg: HashAlg, bodies: Sequence[bytes]) -> list[bytes]:
    """Return the leaf hashes of many entries: by the kernel where there is one, with the same bytes without."""
    return split_hashes(joined_leaf_hashes(alg, bodies))


def joined_leaf_hashes(alg: HashAlg, bodies: Sequence[bytes]) -> bytes:
    """Return the same, one hash after the other."""
    return _batch(alg).merkle_leaves(bodies)


def node_hashes(alg: HashAlg, children: bytes) -> bytes:
    """Return the hashes of neighbouring pairs of 32-byte children, joined as the children are; an odd last one is left."""
    return _batch(alg).merkle_nodes(children[: len(children) - len(children) % _PAIR_BYTES])


def node_levels(alg: HashAlg, hashes: bytes) -> list[bytes]:
    """Return joined hashes and, above them, the levels of `node_hashes` up to one of a single hash."""
    return _batch(alg).merkle_levels(hashes)


def split_hashes(data: bytes) -> list[bytes]:
    """Cut joined 32-byte hashes apart."""
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def node_hash(alg: HashAlg, left: bytes, right: bytes) -> bytes:
    """Return the 32-byte hash of an inner node (RFC 6962 section 2.1)."""
    return HASHES[alg](b"\x01" + left + right)


def empty_root(alg: HashAlg) -> bytes:
    """Return the root of the tree without leaves."""
    return HASHES[alg](b"")


def inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """Return the leaf ranges [start, stop) whose hashes are the inclusion proof of `index`, lowest first.

    PATH(m, D[n]) of RFC 6962 section 2.1.1. `index` must lie inside the tree; otherwise ProofRefused.
    """
    if not 0 <= index < size:
        raise ProofRefused(field="index", rule="inside_tree")
    ranges: list[tuple[int, int]] = []
    start, stop = 0, size
    while stop - start > 1:
        split = start + _largest_power_below(stop - start)
        if index < split:
            ranges.append((split, stop))
            stop = split
        else:
            ranges.append((start, split))
            start = split
    ranges.reverse()
    return ranges


def consistency_ranges(old: int, new: int) -> list[tuple[int, int]]:
    """Return the leaf ranges whose hashes are the consistency proof from size `old` to `new`, lowest first.

    PROOF(m, D[n]) of RFC 6962 section 2.1.2; 0 < old <= new, otherwise ProofRefused. Empty where old == new.
    """
    if not 0 < old <= new:
        raise ProofRefused(field="size", rule="ordered")
    ranges: list[tuple[int, int]] = []
    start, stop = 0, new
    complete = True  # the old tree is still a whole subtree reached from its left edge: its root is known
    while old < stop:
        split = start + _largest_power_below(stop - start)
        if old <= split:
            ranges.append((split, stop))
            stop = split
        else:
            ranges.append((start, split))
            start = split
            complete = False
    if not complete:
        ranges.append((start, stop))
    ranges.reverse()
    return ranges


def perfect_subtrees(start: int, stop: int) -> list[tuple[int, int]]:
    """Split a leaf range of a tree walk into (level, index) of its perfect subtrees, left to right.

    `start` must be aligned to the range, as every range of `inclusion_ranges` and `consistency_ranges` is.
    """
    nodes: list[tuple[int, int]] = []
    while start < stop:
        level = (stop - start).bit_length() - 1
        nodes.append((level, start >> level))
        start += 1 << level
    return nodes


def fold_right(alg: HashAlg, hashes: Sequence[bytes]) -> bytes:
    """Join the hashes of neighbouring perfect subtrees of falling size into the hash of their range."""
    if not hashes:
        return empty_root(alg)
    result = hashes[-1]
    for left in reversed(hashes[:-1]):
        result = node_hash(alg, left, result)
    return result


def verify_inclusion(alg: HashAlg, *, index: int, size: int, leaf: bytes, path: Sequence[bytes], root: bytes) -> None:
    """Verify that the leaf hash stands at `index` in the tree of `size` leaves under `root`.

    RFC 9162 section 2.1.3.2, with every length exact: a path too long, too short or with a hash of another length is
    refused. Raises ProofRefused.
    """
    if not 0 <= index < size <= MAX_TREE_SIZE:
        raise ProofRefused(field="index", rule="inside_tree")
    _require_hashes((leaf, root, *path))
    last, result, position = size - 1, leaf, index
    for sibling in path:
        if last == 0:
            raise ProofRefused(field="path", rule="length")
        if position & 1 or position == last:
            result = node_hash(alg, sibling, result)
            while position and not position & 1:
                position >>= 1
                last >>= 1
        else:
            result = node_hash(alg, result, sibling)
        position >>= 1
        last >>= 1
    if last != 0:
        raise ProofRefused(field="path", rule="length")
    if result != root:
        raise ProofRefused(field="root", rule="equal")


def verify_consistency(
    alg: HashAlg, *, old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Verify that the tree of `new_size` under `new_root` begins with the tree of `old_size` under `old_root`.

    RFC 9162 section 2.1.4.2. Equal sizes need equal roots and an empty proof. Nothing is proved about growth from the
    empty tree, so a proof from it is refused. Raises ProofRefused.
    """
    if not 0 <= old_size <= new_size <= MAX_TREE_SIZE:
        raise ProofRefused(field="size", rule="ordered")
    if old_size == 0:
        raise ProofRefused(field="size", rule="not_empty")
    if old_size == new_size:
        if proof:
            raise ProofRefused(field="proof", rule="length")
        if old_root != new_root:
            raise ProofRefused(field="root", rule="equal")
        return
    if not proof:
        raise ProofRefused(field="proof", rule="length")
    _require_hashes((old_root, new_root, *proof))
    # Step 2: the old root of a whole subtree is not sent, because the verifier has it.
    path = (old_root, *proof) if old_size & (old_size - 1) == 0 else tuple(proof)
    position, last = old_size - 1, new_size - 1
    while position & 1:
        position >>= 1
        last >>= 1
    old_result = new_result = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ProofRefused(field="proof", rule="length")
        if position & 1 or position == last:
            old_result = node_hash(alg, sibling, old_result)
            new_result = node_hash(alg, sibling, new_result)
            while position and not position & 1:
                position >>= 1
                last >>= 1
        else:
            new_result = node_hash(alg, new_result, sibling)
        position >>= 1
        last >>= 1
    if last != 0:
        raise ProofRefused(field="proof", rule="length")
    if old_result != old_root or new_result != new_root:
        raise ProofRefused(field="root", rule="equal")


def _require_hashes(hashes: Sequence[bytes]) -> None:
    if any(len(digest) != HASH_BYTES for digest in hashes):
        raise ProofRefused(field="hash", rule="length")


def _largest_power_below(count: int) -> int:
    """Return the largest power of two smaller than `count` (count > 1): the split point of RFC 6962 section 2.1."""
    return 1 << ((count - 1).bit_length() - 1)
