"""Many SM3 at once: the kernel's lanes and hashlib give the same bytes, whatever the number and the lengths."""

from __future__ import annotations

import hashlib
import random
from typing import cast

import pytest

from crypto.errors import EncodingRefused
from crypto.hash_batch import HashBatch, HashlibHashBatch, KernelHashBatch, select_hash_batch
from tests.crypto.conftest import backend_named
from tests.scale import trials

# Around eight and sixteen lanes, and two streams of them.
COUNTS = [0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 1000]


@pytest.fixture(scope="module", params=["kernel", "hashlib"])
def batch(request: pytest.FixtureRequest) -> HashBatch:
    if request.param == "hashlib":
        return HashlibHashBatch("sm3")
    backend_named("kernel")
    return KernelHashBatch("sm3")


def sm3(data: bytes) -> bytes:
    return hashlib.new("sm3", data).digest()


@pytest.mark.parametrize("pairs", COUNTS)
def test_a_level_of_a_merkle_tree(batch: HashBatch, pairs: int) -> None:
    children = random.Random(pairs).randbytes(64 * pairs)
    expected = b"".join(sm3(b"\x01" + children[at : at + 64]) for at in range(0, len(children), 64))
    assert batch.merkle_nodes(children) == expected


@pytest.mark.parametrize("count", [*range(20), 127, 128, 129, 255, 256, 257, 511])
def test_all_levels_above_are_those_made_one_by_one(batch: HashBatch, count: int) -> None:
    levels = [random.Random(count).randbytes(32 * count)]
    while len(levels[-1]) > 32:
        below = levels[-1]
        levels.append(b"".join(sm3(b"\x01" + below[at : at + 64]) for at in range(0, len(below) - 63, 64)))
    assert batch.merkle_levels(levels[0]) == levels


@pytest.mark.parametrize("count", COUNTS)
def test_leaves_and_messages_of_any_lengths(batch: HashBatch, count: int) -> None:
    dice = random.Random(count)
    edges = (0, 1, 54, 55, 56, 57, 62, 63, 64, 65, 118, 119, 120, 127, 128, 129)
    messages = [
        dice.randbytes(dice.choice(edges) if dice.random() < 0.7 else dice.randrange(2000)) for _ in range(count)
    ]
    assert batch.digests(messages) == b"".join(map(sm3, messages))
    assert batch.merkle_leaves(messages) == b"".join(sm3(b"\x00" + message) for message in messages)


def test_one_long_message_among_short_ones(batch: HashBatch) -> None:
    for place in (0, 7, 19):
        messages = [b"short"] * 20
        messages[place] = bytes(300_001)
        assert batch.digests(messages) == b"".join(map(sm3, messages))


def test_random_batches(batch: HashBatch) -> None:
    dice = random.Random(5)
    for _ in range(trials(100, full=20_000)):
        messages = [dice.randbytes(dice.randrange(300)) for _ in range(dice.randrange(70))]
        assert batch.digests(messages) == b"".join(map(sm3, messages))


@pytest.mark.parametrize("length", [1, 32, 63, 65, 96])
def test_an_odd_child_is_refused(batch: HashBatch, length: int) -> None:
    with pytest.raises(EncodingRefused) as refused:
        batch.merkle_nodes(bytes(length))
    assert (refused.value.field, refused.value.rule) == ("children", "length")


def test_a_tuple_serves_as_well_as_a_list_and_text_is_refused(batch: HashBatch) -> None:
    assert batch.digests((b"abc",)) == sm3(b"abc")
    with pytest.raises(TypeError):
        batch.digests([cast("bytes", "abc")])


def test_the_kernel_is_taken_where_it_is() -> None:
    backend_named("kernel")
    assert select_hash_batch("sm3").name == "kernel"


@pytest.mark.parametrize("length", [1, 31, 33, 63])
def test_a_part_of_a_hash_is_refused(batch: HashBatch, length: int) -> None:
    with pytest.raises(EncodingRefused) as refused:
        batch.merkle_levels(bytes(length))
    assert (refused.value.field, refused.value.rule) == ("hashes", "length")
