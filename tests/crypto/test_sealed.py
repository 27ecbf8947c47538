from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import DecryptionFailed, KeyRefused
from crypto.sealed import (
    IV_BYTES,
    TAG_BYTES,
    BlindIndex,
    ColumnSealer,
    RingSealer,
    StreamSealer,
    sealed_prefix,
    sm4_gcm_open,
    sm4_gcm_seal,
)

OLD, NEW = bytes(range(16)), bytes(range(16, 32))
AAD = b"person\0id_number\x001234567890123456"


def sealer(active: str = "new") -> ColumnSealer:
    return ColumnSealer({"old": OLD, "new": NEW}, active, os.urandom)


@given(st.binary(max_size=200), st.binary(max_size=60))
def test_what_is_sealed_opens_in_its_own_place(plain: bytes, aad: bytes) -> None:
    assert sealer().open(sealer().seal(plain, aad=aad), aad=aad) == plain


def test_the_same_value_never_looks_the_same() -> None:
    column = sealer()
    assert len({column.seal(b"110101199003074514", aad=AAD) for _ in range(100)}) == 100


def test_a_value_moved_to_another_row_does_not_open() -> None:
    sealed = sealer().seal(b"x", aad=AAD)
    for elsewhere in (b"", AAD[:-1], AAD + b"\0", AAD.replace(b"id_number", b"phone")):
        with pytest.raises(DecryptionFailed):
            sealer().open(sealed, aad=elsewhere)


def test_any_flipped_bit_is_refused() -> None:
    sealed = sealer().seal("身份证".encode(), aad=AAD)
    for bit in range(8 * len(sealed)):
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DecryptionFailed):
            sealer().open(bytes(changed), aad=AAD)


def test_any_cut_is_refused() -> None:
    sealed = sealer().seal(b"plain", aad=AAD)
    for length in range(len(sealed)):
        with pytest.raises(DecryptionFailed):
            sealer().open(sealed[:length], aad=AAD)


@given(st.binary(max_size=80))
def test_arbitrary_bytes_are_refused(sealed: bytes) -> None:
    with pytest.raises(DecryptionFailed):
        sealer().open(sealed, aad=AAD)


def test_after_rotation_old_values_open_and_new_ones_use_the_new_key() -> None:
    before = sealer("old").seal(b"x", aad=AAD)
    assert sealer("new").open(before, aad=AAD) == b"x"
    assert (ColumnSealer.key_of(before), ColumnSealer.key_of(sealer().seal(b"x", aad=AAD))) == ("old", "new")
    with pytest.raises(DecryptionFailed) as refused:
        ColumnSealer({"new": NEW}, "new", os.urandom).open(before, aad=AAD)
    assert refused.value.rule == "unknown_key"


def test_a_key_name_swapped_for_another_with_the_same_key_does_not_open() -> None:
    twins = ColumnSealer({"aaa": OLD, "bbb": OLD}, "aaa", os.urandom)
    sealed = twins.seal(b"x", aad=AAD)
    with pytest.raises(DecryptionFailed):
        twins.open(sealed.replace(b"aaa", b"bbb", 1), aad=AAD)


@pytest.mark.parametrize(
    ("keys", "active"),
    [
        ({"a": bytes(15)}, "a"),
        ({"a": bytes(32)}, "a"),
        ({"": bytes(16)}, ""),
        ({"键": bytes(16)}, "键"),
        ({"x" * 65: bytes(16)}, "x" * 65),
        ({"a": bytes(16)}, "b"),
        ({}, "a"),
    ],
)
def test_unfit_keys_are_refused_at_the_start(keys: dict[str, bytes], active: str) -> None:
    with pytest.raises(KeyRefused):
        ColumnSealer(keys, active, os.urandom)


def test_a_cut_tag_is_refused() -> None:
    iv = bytes(IV_BYTES)
    sealed = sm4_gcm_seal(OLD, iv, b"", aad=b"")
    assert len(sealed) == TAG_BYTES
    for length in range(TAG_BYTES):
        with pytest.raises(DecryptionFailed):
            sm4_gcm_open(OLD, iv, sealed[:length], aad=b"")


@pytest.mark.parametrize("length", [0, 8, 11, 13, 16])
def test_an_iv_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(KeyRefused):
        sm4_gcm_seal(OLD, bytes(length), b"", aad=b"")


def test_a_blind_index_is_equal_for_equal_values_of_one_field_under_one_key() -> None:
    index = BlindIndex(bytes(32))
    assert index.index("id_number", "x") == index.index("id_number", "x")
    others = {
        index.index("id_number", "y"),
        index.index("phone", "x"),
        index.index("id_numbe", "rx"),
        BlindIndex(bytes(31) + b"\1").index("id_number", "x"),
    }
    assert index.index("id_number", "x") not in others
    assert len(others) == 4


def test_a_short_index_key_is_refused() -> None:
    with pytest.raises(KeyRefused):
        BlindIndex(bytes(31))


def test_neither_shows_its_key() -> None:
    assert NEW.hex() not in repr(sealer()) + repr(vars(BlindIndex(NEW * 2)).keys())
    assert repr(NEW) not in repr(sealer()) + repr(BlindIndex(NEW * 2))


def test_resealing_keeps_the_value_and_changes_the_key() -> None:
    before = sealer("old").seal(b"x", aad=AAD)
    after = sealer("new").reseal(before, aad=AAD)
    assert (ColumnSealer.key_of(after), sealer("new").open(after, aad=AAD)) == ("new", b"x")
    with pytest.raises(DecryptionFailed):
        sealer("new").reseal(before, aad=AAD + b"\0")


def test_a_prefix_belongs_to_one_key_only() -> None:
    """No key's values begin as another's do, also where one name begins with the other."""
    names = ["a", "aa", "b", "column-1", "column-10"]
    for name in names:
        sealed = ColumnSealer({name: OLD}, name, os.urandom).seal(b"", aad=b"")
        assert [other for other in names if sealed.startswith(sealed_prefix(other))] == [name]
    for wrong in ("", "键", "x" * 65, "a\n"):
        with pytest.raises(KeyRefused):
            sealed_prefix(wrong)


class Turning:
    """A ring whose keys change between two uses."""

    def __init__(self) -> None:
        self.keys = {"old": OLD}
        self.active = "old"

    def sealing(self) -> tuple[str, bytes]:
        return self.active, self.keys[self.active]

    def opening(self, name: str) -> bytes | None:
        return self.keys.get(name)


def test_a_sealer_over_a_ring_asks_it_each_time() -> None:
    ring = Turning()
    column = RingSealer(ring, os.urandom)
    before = column.seal(b"x", aad=AAD)
    ring.keys["new"], ring.active = NEW, "new"
    assert column.active == "new"
    assert ColumnSealer.key_of(column.seal(b"x", aad=AAD)) == "new"
    assert column.open(before, aad=AAD) == b"x"
    del ring.keys["old"]
    with pytest.raises(DecryptionFailed):
        column.open(before, aad=AAD)


PREFIX = bytes(7)


def stream(aad: bytes = b"header") -> StreamSealer:
    return StreamSealer(OLD, PREFIX, aad=aad)


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=6))
def test_a_stream_opens_in_its_order(plains: list[bytes]) -> None:
    sealing, opening = stream(), stream()
    sealed = [sealing.seal(plain, last=at == len(plains) - 1) for at, plain in enumerate(plains)]
    assert [opening.open(chunk, last=at == len(plains) - 1) for at, chunk in enumerate(sealed)] == plains


def test_chunks_left_out_exchanged_repeated_or_of_another_stream_do_not_open() -> None:
    sealing = stream()
    one, two, three = sealing.seal(b"1", last=False), sealing.seal(b"2", last=False), sealing.seal(b"3", last=True)
    for wrong in ([(two, False)], [(one, False), (one, False)], [(one, False), (three, True)], [(one, True)]):
        opening = stream()
        for chunk, last in wrong[:-1]:
            opening.open(chunk, last=last)
        chunk, last = wrong[-1]
        with pytest.raises(DecryptionFailed):
            opening.open(chunk, last=last)
    with pytest.raises(DecryptionFailed):
        stream(b"another").open(one, last=False)
    with pytest.raises(DecryptionFailed):
        StreamSealer(OLD, b"\1" * 7, aad=b"header").open(one, last=False)


def test_nothing_follows_the_last_chunk_and_a_prefix_has_its_length() -> None:
    sealing = stream()
    sealing.seal(b"", last=True)
    with pytest.raises(KeyRefused):
        sealing.seal(b"", last=True)
    with pytest.raises(KeyRefused):
        StreamSealer(OLD, bytes(6), aad=b"")
