"""What the ledger's tests are built of: keys, a naive tree to compare with, entries."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from crypto.keys import SigningKey, generate_signing_key
from crypto.sm2 import BACKENDS, select_backend
from crypto.suites import Alg
from ledger.checkpoint import LogIdentity
from ledger.entry import Entry
from ledger.merkle import HashAlg
from ledger.receipt import LogTrust

ORIGIN = "ledger.example/province-43/2026"


@dataclass(frozen=True)
class Keys:
    sm2: SigningKey
    ed25519: SigningKey
    witness: SigningKey

    @property
    def identity(self) -> LogIdentity:
        return LogIdentity(ORIGIN, self.sm2.public, self.ed25519.public)

    @property
    def trust(self) -> LogTrust:
        return LogTrust({ORIGIN: self.identity}, {self.witness.kid: self.witness.public})


def make_keys() -> Keys:
    backend = select_backend(BACKENDS)
    return Keys(
        generate_signing_key(Alg.SGD_SM3_SM2, backend=backend),
        generate_signing_key(Alg.EDDSA, backend=backend),
        generate_signing_key(Alg.SGD_SM3_SM2, backend=backend),
    )


def entry(number: int) -> Entry:
    return Entry(f'{{"commitment":"{number}","v":1}}'.encode(), hashlib.sha256(str(number).encode()).digest())


def entries(start: int, stop: int) -> list[Entry]:
    return [entry(number) for number in range(start, stop)]


def naive_hash(alg: HashAlg, data: bytes) -> bytes:
    return hashlib.new(alg.value, data).digest()


def naive_root(alg: HashAlg, bodies: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, word for word."""
    n = len(bodies)
    if n == 0:
        return naive_hash(alg, b"")
    if n == 1:
        return naive_hash(alg, b"\x00" + bodies[0])
    k = 1
    while k * 2 < n:
        k *= 2
    return naive_hash(alg, b"\x01" + naive_root(alg, bodies[:k]) + naive_root(alg, bodies[k:]))


def naive_path(alg: HashAlg, m: int, bodies: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 6962 section 2.1.1."""
    n = len(bodies)
    if n == 1:
        return []
    k = 1
    while k * 2 < n:
        k *= 2
    if m < k:
        return [*naive_path(alg, m, bodies[:k]), naive_root(alg, bodies[k:])]
    return [*naive_path(alg, m - k, bodies[k:]), naive_root(alg, bodies[:k])]


def naive_consistency(alg: HashAlg, m: int, bodies: Sequence[bytes], *, whole: bool = True) -> list[bytes]:
    """SUBPROOF of RFC 6962 section 2.1.2."""
    n = len(bodies)
    if m == n:
        return [] if whole else [naive_root(alg, bodies)]
    k = 1
    while k * 2 < n:
        k *= 2
    if m <= k:
        return [*naive_consistency(alg, m, bodies[:k], whole=whole), naive_root(alg, bodies[k:])]
    return [*naive_consistency(alg, m - k, bodies[k:], whole=False), naive_root(alg, bodies[:k])]
