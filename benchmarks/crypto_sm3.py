"""SM3 one by one and many at once, and SM4-GCM of a column."""

from __future__ import annotations

import hashlib
import os
from typing import Final

from benchmarks.crypto_figures import Part
from benchmarks.crypto_sm2 import MESSAGE
from crypto.hash_batch import HashlibHashBatch, KernelHashBatch
from crypto.native import load_kernel
from crypto.sealed import ColumnSealer
from crypto.sm3 import hmac_sm3, sm3

NODES: Final = 4096
PLAIN_NODES: Final = 64
COLUMN: Final = bytes(64)
# AVX-512 takes sixteen lanes; with AVX2 alone eight.
NODES_TARGET: Final = 5_000_000
NODES_TARGET_AVX512: Final = 15_000_000


def sm3_parts() -> list[Part]:
    """Return the parts of SM3 and SM4."""
    kernel, one_by_one, module = KernelHashBatch("sm3"), HashlibHashBatch("sm3"), load_kernel()
    level = os.urandom(64 * NODES)
    small = level[: 64 * PLAIN_NODES]
    records = [level[at : at + 200] for at in range(0, 200 * NODES, 200)]
    some = records[:PLAIN_NODES]
    sealer = ColumnSealer({"c": os.urandom(16)}, "c", os.urandom)
    key = os.urandom(32)
    wide = "avx512" in module.cpu()
    return [
        Part(
            "SM3 Merkle nodes",
            lambda: kernel.merkle_nodes(level),
            "SM3 Merkle nodes, hashlib",
            lambda: one_by_one.merkle_nodes(small),
            per_act=NODES,
            per_peer=PLAIN_NODES,
            target_ops_per_s=NODES_TARGET_AVX512 if wide else NODES_TARGET,
        ),
        Part(
            "SM3 Merkle leaves of 200 bytes",
            lambda: kernel.merkle_leaves(records),
            "SM3 Merkle leaves, hashlib",
            lambda: one_by_one.merkle_leaves(some),
            per_act=NODES,
            per_peer=PLAIN_NODES,
        ),
        Part("SM3 of 500 bytes, kernel", lambda: module.sm3(MESSAGE), "hashlib", lambda: sm3(MESSAGE)),
        Part(
            "HMAC-SM3 of 500 bytes, kernel",
            lambda: module.hmac_sm3(key, MESSAGE),
            "hmac.digest",
            lambda: hmac_sm3(key, MESSAGE),
        ),
        Part(
            "SM4-GCM seal of a 64-byte column",
            lambda: sealer.seal(COLUMN, aad=b"person/real_name/1"),
            "SM3 of 64 bytes, hashlib",
            lambda: hashlib.new("sm3", COLUMN).digest(),
            target_ops_per_s=180_000,
        ),
    ]
