"""SM3 of many inputs at once: the levels of a Merkle tree and its leaves (RFC 6962 §2.1).

The kernel hashes eight or sixteen side by side; without it hashlib does the same one after the other. Both give the same
bytes, and both let other threads run meanwhile (hashlib only for long inputs).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, Protocol

from crypto.errors import EncodingRefused
from crypto.native import KernelUnavailable, load_kernel
from crypto.sm3 import SM3_BYTES

# RFC 6962 §2.1: what keeps a leaf from being taken for a node.
LEAF_PREFIX: Final = b"\x00"
NODE_PREFIX: Final = b"\x01"
_PAIR_BYTES: Final = 2 * SM3_BYTES


class Sm3Batch(Protocol):
    """Many SM3 at once."""

    @property
    def name(self) -> str:
        """Who computes: "kernel" or "hashlib"."""

    def merkle_nodes(self, children: bytes) -> bytes:
        """Return SM3(01‖left‖right) of each pair of 32-byte children, one after the other.

        Raises `EncodingRefused` (field "children") unless the length is a multiple of 64.
        """

    def merkle_levels(self, hashes: bytes) -> list[bytes]:
        """Return 32-byte hashes and the levels of nodes above them, each joined, up to one hash.

        Of a level of odd width the last hash has no parent. Raises `EncodingRefused` (field "hashes") unless the length
        is a multiple of 32.
        """

    def merkle_leaves(self, records: Sequence[bytes]) -> bytes:
        """Return SM3(00‖record) of each record, 32 bytes each, one after the other."""

    def digests(self, messages: Sequence[bytes]) -> bytes:
        """Return SM3(message) of each message, 32 bytes each, one after the other."""


class KernelSm3Batch:
    """By the kernel; the constructor raises `KernelUnavailable` where there is none."""

    name: Final = "kernel"

    def __init__(self) -> None:
        self._kernel = load_kernel()

    def merkle_nodes(self, children: bytes) -> bytes:
        """Hash one level."""
        try:
            return self._kernel.merkle_nodes(children)
        except ValueError:
            raise EncodingRefused(field="children", rule="length") from None

    def merkle_levels(self, hashes: bytes) -> list[bytes]:
        """Hash all levels in one call."""
        try:
            return self._kernel.merkle_levels(hashes)
        except ValueError:
            raise EncodingRefused(field="hashes", rule="length") from None

    def merkle_leaves(self, records: Sequence[bytes]) -> bytes:
        """Hash leaves."""
        return self._kernel.hash_many(list(records), LEAF_PREFIX)

    def digests(self, messages: Sequence[bytes]) -> bytes:
        """Hash messages."""
        return self._kernel.hash_many(list(messages), b"")


class HashlibSm3Batch:
    """By the standard library."""

    name: Final = "hashlib"

    def merkle_nodes(self, children: bytes) -> bytes:
        """Hash one level."""
        if len(children) % _PAIR_BYTES:
            raise EncodingRefused(field="children", rule="length")
        return b"".join(
            _prefixed(NODE_PREFIX, children[at : at + _PAIR_BYTES]) for at in range(0, len(children), _PAIR_BYTES)
        )

    def merkle_levels(self, hashes: bytes) -> list[bytes]:
        """Hash one level after the other."""
        if len(hashes) % SM3_BYTES:
            raise EncodingRefused(field="hashes", rule="length")
        levels = [hashes]
        while len(levels[-1]) > SM3_BYTES:
            below = levels[-1]
            levels.append(self.merkle_nodes(below[: len(below) - len(below) % _PAIR_BYTES]))
        return levels

    def merkle_leaves(self, records: Sequence[bytes]) -> bytes:
        """Hash leaves."""
        return b"".join(_prefixed(LEAF_PREFIX, record) for record in records)

    def digests(self, messages: Sequence[bytes]) -> bytes:
        """Hash messages."""
        return b"".join(_prefixed(b"", message) for message in messages)


def select_sm3_batch() -> Sm3Batch:
    """Return the kernel's, or hashlib's where the kernel is not there."""
    try:
        return KernelSm3Batch()
    except KernelUnavailable:
        return HashlibSm3Batch()


def _prefixed(prefix: bytes, data: bytes) -> bytes:
    return hashlib.new("sm3", prefix + data).digest()
