"""Many SHA-256 at once: the kernel's ways and hashlib give the same bytes, whatever the number and the lengths."""

from __future__ import annotations

import hashlib
import random
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import EncodingRefused
from crypto.hash_batch import HashBatch, HashlibHashBatch, KernelHashBatch, select_hash_batch
from tests.crypto.conftest import backend_named
from tests.scale import trials

EVERY_LENGTH = 300
# Around two side by side, and lanes of sixteen and thirty-two.
COUNTS = [0, 1, 2, 3, 4, 5, 15, 16, 17, 31, 32, 33, 63, 64, 65, 1000]
# The kernel pads up to 16 blocks into a buffer and reads longer messages where they lie.
AROUND_PADDED = range(16 * 64 - 12, 16 * 64 + 70)


@pytest.fixture(scope="module", params=["kernel", "hashlib"])
def batch(request: pytest.FixtureRequest) -> HashBatch:
    if request.param == "hashlib":
        return HashlibHashBatch("sha256")
    backend_named("kernel")
    return KernelHashBatch("sha256")


def leaves(records: list[bytes]) -> bytes:
    return b"".join(hashlib.sha256(b"\x00" + record).digest() for record in records)


@pytest.mark.parametrize("pairs", COUNTS)
def test_a_level_of_a_merkle_tree(batch: HashBatch, pairs: int) -> None:
    children = random.Random(pairs).randbytes(64 * pairs)
    expected = b"".join(hashlib.sha256(b"\x01" + children[at : at + 64]).digest() for at in range(0, len(children), 64))
    assert batch.merkle_nodes(children) == expected


@pytest.mark.parametrize("count", [*range(20), 127, 128, 129, 255, 256, 257, 511])
def test_all_levels_above_are_those_made_one_by_one(batch: HashBatch, count: int) -> None:
    levels = [random.Random(count).randbytes(32 * count)]
    while len(levels[-1]) > 32:
        below = levels[-1]
        levels.append(
            b"".join(hashlib.sha256(b"\x01" + below[at : at + 64]).digest() for at in range(0, len(below) - 63, 64))
        )
    assert batch.merkle_levels(levels[0]) == levels


def test_records_of_every_length(batch: HashBatch) -> None:
    dice = random.Random(3)
    lengths = [*range(EVERY_LENGTH + 1), *AROUND_PADDED]
    for length in lengths:
        # Two of a length, then one beside another of any length.
        records = [dice.randbytes(size) for size in (length, length, dice.choice(lengths), length)]
        assert batch.merkle_leaves(records) == leaves(records)
        assert batch.merkle_leaves(records[1:]) == leaves(records[1:])
        assert batch.merkle_leaves(records[:1]) == leaves(records[:1])


@given(records=st.lists(st.binary(max_size=EVERY_LENGTH), max_size=70))
def test_any_records(records: list[bytes]) -> None:
    assert HashlibHashBatch("sha256").merkle_leaves(records) == leaves(records)
    assert select_hash_batch("sha256").merkle_leaves(records) == leaves(records)


def test_random_batches(batch: HashBatch) -> None:
    dice = random.Random(5)
    for _ in range(trials(100, full=20_000)):
        records = [
            dice.randbytes(dice.randrange(5000 if dice.random() < 0.05 else 300)) for _ in range(dice.randrange(70))
        ]
        assert batch.merkle_leaves(records) == leaves(records)


@pytest.mark.parametrize("length", [1, 32, 63, 65, 96])
def test_an_odd_child_is_refused(batch: HashBatch, length: int) -> None:
    with pytest.raises(EncodingRefused) as refused:
        batch.merkle_nodes(bytes(length))
    assert (refused.value.field, refused.value.rule) == ("children", "length")


@pytest.mark.parametrize("length", [1, 31, 33, 63])
def test_a_part_of_a_hash_is_refused(batch: HashBatch, length: int) -> None:
    with pytest.raises(EncodingRefused) as refused:
        batch.merkle_levels(bytes(length))
    assert (refused.value.field, refused.value.rule) == ("hashes", "length")


def test_a_tuple_serves_as_well_as_a_list_and_text_is_refused(batch: HashBatch) -> None:
    assert batch.merkle_leaves((b"abc",)) == leaves([b"abc"])
    with pytest.raises(TypeError):
        batch.merkle_leaves([cast("bytes", "abc")])


def test_the_kernel_is_taken_where_it_is() -> None:
    backend_named("kernel")
    assert select_hash_batch("sha256").name == "kernel"
