"""SM3 and SHA-256 of many inputs at once: the levels of a Merkle tree and its leaves (RFC 6962 §2.1).

The kernel hashes several side by side: of SM3 eight or sixteen, of SHA-256 two, with the processor's instructions for it
where it has them. Without the kernel hashlib does the same one after the other. Both give the same bytes, and both let
other threads run meanwhile (hashlib only for long inputs).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, Literal, Protocol

from crypto.errors import EncodingRefused
from crypto.native import KernelUnavailable, load_kernel

# RFC 6962 §2.1: what keeps a leaf from being taken for a node.
LEAF_PREFIX: Final = b"\x00"
NODE_PREFIX: Final = b"\x01"
# Of both hashes.
_HASH_BYTES: Final = 32
_PAIR_BYTES: Final = 2 * _HASH_BYTES

BatchHash = Literal["sm3", "sha256"]


class HashBatch(Protocol):
    """Many hashes H of one kind at once."""

    @property
    def name(self) -> str:
        """Who computes: "kernel" or "hashlib"."""

    def merkle_nodes(self, children: bytes) -> bytes:
        """Return H(01‖left‖right) of each pair of 32-byte children, one after the other.

        Raises `EncodingRefused` (field "children") unless the length is a multiple of 64.
        """

    def merkle_levels(self, hashes: bytes) -> list[bytes]:
        """Return 32-byte hashes and the levels of nodes above them, each joined, up to one hash.

        Of a level of odd width the last hash has no parent. Raises `EncodingRefused` (field "hashes") unless the length
        is a multiple of 32.
        """

    def merkle_leaves(self, records: Sequence[bytes]) -> bytes:
        """Return H(00‖record) of each record, 32 bytes each, one after the other."""

    def digests(self, messages: Sequence[bytes]) -> bytes:
        """Return H(message) of each message, 32 bytes each, one after the other."""


class KernelHashBatch:
    """By the kernel; the constructor raises `KernelUnavailable` where there is none."""

    name: Final = "kernel"

    def __init__(self, hash_: BatchHash) -> None:
        kernel = load_kernel()
        if hash_ == "sm3":
            self._nodes, self._levels, self._many = kernel.merkle_nodes, kernel.merkle_levels, kernel.hash_many
        else:
            self._nodes, self._levels = kernel.sha256_merkle_nodes, kernel.sha256_merkle_levels
            self._many = kernel.sha256_hash_many

    def merkle_nodes(self, children: bytes) -> bytes:
        """Hash one level."""
        try:
            return self._nodes(children)
        except ValueError:
            raise EncodingRefused(field="children", rule="length") from None

    def merkle_levels(self, hashes: bytes) -> list[bytes]:
        """Hash all levels in one call."""
        try:
            return self._levels(hashes)
        except ValueError:
            raise EncodingRefused(field="hashes", rule="length") from None

    def merkle_leaves(self, records: Sequence[bytes]) -> bytes:
        """Hash leaves."""
        return self._many(list(records), LEAF_PREFIX)

    def digests(self, messages: Sequence[bytes]) -> bytes:
        """Hash messages."""
        return self._many(list(messages), b"")


class HashlibHashBatch:
    """By the standard library."""

    name: Final = "hashlib"

    def __init__(self, hash_: BatchHash) -> None:
        self._digest = _sm3 if hash_ == "sm3" else _sha256

    def merkle_nodes(self, children: bytes) -> bytes:
        """Hash one level."""
        if len(children) % _PAIR_BYTES:
            raise EncodingRefused(field="children", rule="length")
        pairs = [children[at : at + _PAIR_BYTES] for at in range(0, len(children), _PAIR_BYTES)]
        return self._prefixed(NODE_PREFIX, pairs)

    def merkle_levels(self, hashes: bytes) -> list[bytes]:
        """Hash one level after the other."""
        if len(hashes) % _HASH_BYTES:
            raise EncodingRefused(field="hashes", rule="length")
        levels = [hashes]
        while len(levels[-1]) > _HASH_BYTES:
            below = levels[-1]
            levels.append(self.merkle_nodes(below[: len(below) - len(below) % _PAIR_BYTES]))
        return levels

    def merkle_leaves(self, records: Sequence[bytes]) -> bytes:
        """Hash leaves."""
        return self._prefixed(LEAF_PREFIX, records)

    def digests(self, messages: Sequence[bytes]) -> bytes:
        """Hash messages."""
        return self._prefixed(b"", messages)

    def _prefixed(self, prefix: bytes, messages: Sequence[bytes]) -> bytes:
        return b"".join([self._digest(prefix + message) for message in messages])


def select_hash_batch(hash_: BatchHash) -> HashBatch:
    """Return the kernel's, or hashlib's where the kernel is not there."""
    try:
        return KernelHashBatch(hash_)
    except KernelUnavailable:
        return HashlibHashBatch(hash_)


def _sm3(data: bytes) -> bytes:
    return hashlib.new("sm3", data).digest()


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
