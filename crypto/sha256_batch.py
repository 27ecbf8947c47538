"""SHA-256 of many inputs at once: the levels of a Merkle tree and its leaves (RFC 6962 §2.1).

The kernel hashes two side by side, with the processor's instructions for SHA-256 where it has them; without the kernel
hashlib does the same one after the other. Both give the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, Protocol

from crypto.errors import EncodingRefused
from crypto.native import KernelUnavailable, load_kernel
from crypto.sm3_batch import LEAF_PREFIX, NODE_PREFIX

SHA256_BYTES: Final = 32
_PAIR_BYTES: Final = 2 * SHA256_BYTES


class Sha256Batch(Protocol):
    """Many SHA-256 at once."""

    @property
    def name(self) -> str:
        """Who computes: "kernel" or "hashlib"."""

    def merkle_nodes(self, children: bytes) -> bytes:
        """Return SHA-256(01‖left‖right) of each pair of 32-byte children, one after the other.

        Raises `EncodingRefused` (field "children") unless the length is a multiple of 64.
        """

    def merkle_levels(self, hashes: bytes) -> list[bytes]:
        """Return 32-byte hashes and the levels of nodes above them, each joined, up to one hash.

        Of a level of odd width the last hash has no parent. Raises `EncodingRefused` (field "hashes") unless the length
        is a multiple of 32.
        """

    def merkle_leaves(self, records: Sequence[bytes]) -> bytes:
        """Return SHA-256(00‖record) of each record, 32 bytes each, one after the other."""


class KernelSha256Batch:
    """By the kernel; the constructor raises `KernelUnavailable` where there is none."""

    name: Final = "kernel"

    def __init__(self) -> None:
        self._kernel = load_kernel()

    def merkle_nodes(self, children: bytes) -> bytes:
        """Hash one level."""
        try:
            return self._kernel.sha256_merkle_nodes(children)
        except ValueError:
            raise EncodingRefused(field="children", rule="length") from None

    def merkle_levels(self, hashes: bytes) -> list[bytes]:
        """Hash all levels in one call."""
        try:
            return self._kernel.sha256_merkle_levels(hashes)
        except ValueError:
            raise EncodingRefused(field="hashes", rule="length") from None

    def merkle_leaves(self, records: Sequence[bytes]) -> bytes:
        """Hash leaves."""
        return self._kernel.sha256_hash_many(list(records), LEAF_PREFIX)


class HashlibSha256Batch:
    """By the standard library."""

    name: Final = "hashlib"

    def merkle_nodes(self, children: bytes) -> bytes:
        """Hash one level."""
        if len(children) % _PAIR_BYTES:
            raise EncodingRefused(field="children", rule="length")
        return b"".join(
            [_prefixed(NODE_PREFIX, children[at : at + _PAIR_BYTES]) for at in range(0, len(children), _PAIR_BYTES)]
        )

    def merkle_levels(self, hashes: bytes) -> list[bytes]:
        """Hash one level after the other."""
        if len(hashes) % SHA256_BYTES:
            raise EncodingRefused(field="hashes", rule="length")
        levels = [hashes]
        while len(levels[-1]) > SHA256_BYTES:
            below = levels[-1]
            levels.append(self.merkle_nodes(below[: len(below) - len(below) % _PAIR_BYTES]))
        return levels

    def merkle_leaves(self, records: Sequence[bytes]) -> bytes:
        """Hash leaves."""
        return b"".join([_prefixed(LEAF_PREFIX, record) for record in records])


def select_sha256_batch() -> Sha256Batch:
    """Return the kernel's, or hashlib's where the kernel is not there."""
    try:
        return KernelSha256Batch()
    except KernelUnavailable:
        return HashlibSha256Batch()


def _prefixed(prefix: bytes, data: bytes) -> bytes:
    return hashlib.sha256(prefix + data).digest()
