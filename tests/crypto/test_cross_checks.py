"""Every pair of backends does the same things with random keys, messages and points: what one makes, the other takes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import combinations
from typing import Final

import pytest

from crypto.errors import DecryptionFailed, SignatureInvalid
from crypto.sm2 import BACKENDS, SM2_DEFAULT_ID, Sm2Backend, signature_from_der, signature_to_der
from crypto.sm2_ciphertext import ciphertext_from_der, ciphertext_to_der
from crypto.sm2_curve import N
from tests.crypto import sm2_arithmetic as plain
from tests.crypto.conftest import backend_named
from tests.scale import report, trials

SEED: Final = 20261122
# gmssl takes some 70 ms a trial, the others a millisecond or three.
PAIRS: Final = [
    pytest.param(one, other, trials(30 if "gmssl" in {one, other} else 400, full=10_000), id=f"{one}-{other}")
    for one, other in combinations(BACKENDS, 2)
]


class Trial:
    """One random key, message, user ID, plaintext and scalar, all from the seed."""

    def __init__(self, seed: int, number: int) -> None:
        self.label = f"seed {seed}, trial {number}"
        source = random.Random(f"{seed}/{number}")
        self.private = source.randrange(1, N - 1).to_bytes(32, "big")
        self.scalar = source.randrange(1, N).to_bytes(32, "big")
        self.message = source.randbytes(source.choice((0, 1, 31, 32, 63, 64, 500, source.randrange(2000))))
        self.user_id = source.choice((SM2_DEFAULT_ID, b"", source.randbytes(source.randrange(1, 100))))
        self.plaintext = source.randbytes(source.choice((1, 2, 16, 31, 32, 33, 64, source.randrange(1, 300))))
        self.flip = source.randrange(512)


def each(count: int) -> Iterator[Trial]:
    return (Trial(SEED, number) for number in range(count))


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8 % len(data)] ^= 0x80 >> bit % 8
    return bytes(changed)


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize(("one", "other", "count"), PAIRS)
def test_what_one_backend_makes_the_other_takes(one: str, other: str, count: int) -> None:
    backends = backend_named(one), backend_named(other)
    for trial in each(count):
        for ours, theirs in (backends, backends[::-1]):
            exchange(ours, theirs, trial)
    report(f"cross-checks {one} {other}", target="10000", actual=str(count), seed=SEED)


def exchange(ours: Sm2Backend, theirs: Sm2Backend, trial: Trial) -> None:
    public = ours.public_of(trial.private)
    assert theirs.private_key(trial.private).public == public, trial.label
    key = theirs.public_key(public)

    signature = signature_from_der(signature_to_der(ours.sign(trial.private, trial.message, trial.user_id)))
    try:
        key.verify(trial.message, signature, trial.user_id)
    except SignatureInvalid as refused:
        raise AssertionError(trial.label) from refused
    wrong = flipped(signature, trial.flip)
    # The same rows by both, so that they agree on the refusals too.
    rows = [(trial.message, wrong), (trial.message, signature), (trial.message + b"\0", signature)]
    assert key.verify_many(rows, trial.user_id) == (False, True, False), trial.label

    ciphertext = ciphertext_from_der(ciphertext_to_der(ours.encrypt(public, trial.plaintext)))
    opener = theirs.private_key(trial.private)
    assert opener.decrypt(ciphertext) == trial.plaintext, trial.label
    with pytest.raises(DecryptionFailed):
        # Past the byte 04, whose change would be refused for its form.
        opener.decrypt(ciphertext[:1] + flipped(ciphertext[1:], trial.flip))

    assert ours.multiply_base(trial.scalar) == theirs.multiply_base(trial.scalar), trial.label
    product = ours.multiply(trial.scalar, public)
    assert product == theirs.multiply(trial.private, theirs.multiply_base(trial.scalar)), trial.label


def test_every_size_around_the_blocks_of_sm3_agrees(libcrypto: Sm2Backend, backend: Sm2Backend) -> None:
    source = random.Random(SEED)
    private, public = libcrypto.generate_pair()
    signer, opener = libcrypto.private_key(private), backend.private_key(private)
    theirs, ours = libcrypto.public_key(public), backend.public_key(public)
    rows = []
    for size in range(131):
        message = source.randbytes(size)
        rows.append((message, signer.sign(message, SM2_DEFAULT_ID)))
        if size:
            assert opener.decrypt(theirs.encrypt(message)) == message
            assert signer.decrypt(ours.encrypt(message)) == message
    assert ours.verify_many(rows, SM2_DEFAULT_ID) == (True,) * len(rows)


def patterned(source: random.Random, bits: int = 256) -> int:
    """Return a number of long runs of ones and zeros, where a window's carry goes wrong if it ever does."""
    value = 0
    while value.bit_length() < bits:
        run = source.choice((1, 2, 3, 4, 5, 6, 7, 8, 16, 31, 32, 64, 100))
        value = value << run | (0, (1 << run) - 1)[source.randrange(2)] | (value == 0)
    return value & (1 << bits) - 1


def test_scalars_at_both_ends_of_the_range_give_the_multiples(backend: Sm2Backend) -> None:
    point = plain.affine(patterned(random.Random(SEED)) % N)
    for base in (plain.G, point):
        multiple = base
        for k in range(1, 41):
            for scalar, expected in ((k, multiple), (N - k, plain.negate(multiple))):
                found = backend.multiply(plain.b32(scalar), plain.encode(base))
                assert found == plain.encode(expected), scalar
                if base == plain.G:
                    assert backend.multiply_base(plain.b32(scalar)) == found
            multiple = plain.finite(plain.add(multiple, base))


@pytest.mark.soak
def test_patterned_scalars_give_one_product(libcrypto: Sm2Backend, kernel: Sm2Backend) -> None:
    source = random.Random(SEED)
    count = trials(500, full=100_000)
    for _ in range(count):
        k = patterned(source) % (N - 2) + 1
        scalar = plain.b32(source.choice((k, N - k)))
        point = libcrypto.multiply_base(scalar)
        assert kernel.multiply_base(scalar) == point
        assert kernel.multiply(scalar, point) == libcrypto.multiply(scalar, point)
    report("patterned scalars kernel libcrypto", target="100000", actual=str(count), seed=SEED)
