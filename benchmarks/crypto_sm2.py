"""SM2: signing, verifying, keys, encryption, points, and two threads at once. 500-byte messages, Z and SM3 included."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from benchmarks.crypto_figures import Measured, Part, rate
from benchmarks.crypto_peers import Es256, OpensslSpeed
from crypto.sm2 import SM2_DEFAULT_ID, Sm2Backend
from crypto.sm2_kernel import KernelBackend

MESSAGE: Final = bytes(range(250)) * 2
BATCH: Final = 1024
MANY: Final = 64
# Two-party signing at the server: one k·G and one k·P, with tables that are scanned.
TWO_PARTY_TARGET: Final = 15_000


def sm2_parts(kernel: Sm2Backend, libcrypto: Sm2Backend, gmssl: Sm2Backend, speed: OpensslSpeed) -> list[Part]:
    """Return the parts of SM2."""
    private, public = kernel.generate_pair()
    signature = kernel.sign(private, MESSAGE, SM2_DEFAULT_ID)
    key, known = kernel.private_key(private), kernel.public_key(public)
    for _ in range(64):
        known.verify(MESSAGE, signature, SM2_DEFAULT_ID)  # a key used this often has its table
    messages = [MESSAGE + str(number).encode() for number in range(BATCH)]
    rows = list(zip(messages, key.sign_many(messages, SM2_DEFAULT_ID), strict=True))

    return [
        Part(
            "SM2 sign",
            lambda: key.sign(MESSAGE, SM2_DEFAULT_ID),
            "openssl speed sm2, sign",
            speed.sign,
            peer_is_rate=True,
            target_ops_per_s=60_000,
            target_ratio=15,
        ),
        Part(
            "SM2 verify, unknown key",
            lambda: kernel.verify(public, MESSAGE, signature, SM2_DEFAULT_ID),
            "openssl speed sm2, verify",
            speed.verify,
            peer_is_rate=True,
            target_ops_per_s=20_000,
            target_ratio=4.5,
        ),
        Part(
            "SM2 verify, known key",
            lambda: known.verify(MESSAGE, signature, SM2_DEFAULT_ID),
            "openssl speed sm2, verify",
            speed.verify,
            peer_is_rate=True,
            target_ops_per_s=60_000,
            target_ratio=13,
        ),
        Part(
            f"SM2 verify, one issuer, {BATCH} at once",
            lambda: known.verify_many(rows, SM2_DEFAULT_ID),
            "openssl speed sm2, verify",
            speed.verify,
            per_act=BATCH,
            peer_is_rate=True,
        ),
        Part(
            "SM2 keygen",
            kernel.generate_pair,
            "SM2 keygen, libcrypto",
            libcrypto.generate_pair,
            target_ops_per_s=80_000,
        ),
        *_beside_es256((kernel, libcrypto, gmssl), private, public),
        *_other_parts(kernel, libcrypto, private, public),
    ]


def _beside_es256(backends: Sequence[Sm2Backend], private: bytes, public: bytes) -> list[Part]:
    es256 = Es256(MESSAGE)
    signature = backends[0].sign(private, MESSAGE, SM2_DEFAULT_ID)
    signs = [
        Part(
            f"SM2 sign, {backend.name}",
            partial(backend.private_key(private).sign, MESSAGE, SM2_DEFAULT_ID),
            "ES256 sign by cryptography",
            es256.sign,
        )
        for backend in backends
    ]
    verifies = [
        Part(
            f"SM2 verify, {backend.name}",
            partial(backend.public_key(public).verify, MESSAGE, signature, SM2_DEFAULT_ID),
            "ES256 verify by cryptography",
            es256.verify,
        )
        for backend in backends
    ]
    return [*signs, *verifies]


def _other_parts(kernel: Sm2Backend, libcrypto: Sm2Backend, private: bytes, public: bytes) -> list[Part]:
    secret = bytes(range(32))
    ciphertext = kernel.encrypt(public, secret)
    ours, theirs = kernel.public_key(public), libcrypto.public_key(public)
    our_key, their_key = kernel.private_key(private), libcrypto.private_key(private)
    own = KernelBackend()
    return [
        Part(
            "SM2 two-party server step, k·G + k·P",
            lambda: own.multiply_two(private, private, public),
            "libcrypto, k·G and k·P",
            lambda: (libcrypto.multiply_base(private), libcrypto.multiply(private, public)),
            target_ops_per_s=TWO_PARTY_TARGET,
        ),
        Part(
            "SM2 encrypt 32 bytes",
            lambda: ours.encrypt(secret),
            "SM2 encrypt 32 bytes, libcrypto",
            lambda: theirs.encrypt(secret),
        ),
        Part(
            "SM2 decrypt 32 bytes",
            lambda: our_key.decrypt(ciphertext),
            "SM2 decrypt 32 bytes, libcrypto",
            lambda: their_key.decrypt(ciphertext),
        ),
    ]


class _Threads(Part):
    """Signing in two threads at once, on two cores, beside the same in one."""

    def measure(self, *, rounds: int, round_s: float) -> Measured:
        """Measure with the affinity this machine gives, and put it back."""
        if not hasattr(os, "sched_setaffinity"):
            return self._both(rounds, round_s)
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
        try:
            return self._both(rounds, round_s)
        finally:
            os.sched_setaffinity(0, before)

    def _both(self, rounds: int, round_s: float) -> Measured:
        best = alone = 0.0
        with ThreadPoolExecutor(2) as pool:
            for _ in range(rounds):
                both = pool.map(lambda _: rate(self.act, 2 * round_s), range(2))
                best = max(best, self.per_act * sum(both))
                alone = max(alone, self.per_act * rate(self.act, round_s))
        return Measured(self.name, best, self.reference, alone, None, self.target_ratio)


def thread_parts(kernel: Sm2Backend) -> list[Part]:
    """Return the parts with two threads.

    One signature a call hands the interpreter's lock over every twelve microseconds, and waking a thread takes longer
    than that; many a call leave it alone.
    """
    key = kernel.private_key(kernel.generate())
    messages = [MESSAGE] * MANY
    return [
        _Threads(
            f"SM2 sign, {MANY} a call, two threads",
            lambda: key.sign_many(messages, SM2_DEFAULT_ID),
            f"SM2 sign, {MANY} a call, one thread",
            lambda: None,
            per_act=MANY,
            target_ratio=1.8,
        ),
        _Threads(
            "SM2 sign, one a call, two threads",
            lambda: key.sign(MESSAGE, SM2_DEFAULT_ID),
            "SM2 sign, one a call, one thread",
            lambda: None,
        ),
    ]
