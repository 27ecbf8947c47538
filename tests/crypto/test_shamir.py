"""Shamir's sharing: any t shares give the secret, t - 1 say nothing, and nothing altered is taken."""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import replace
from itertools import combinations, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.shamir import (
    MAX_LABEL_BYTES,
    MAX_SECRET_BYTES,
    RandomBytes,
    Share,
    ShareRefused,
    _invert,
    _multiply,
    combine,
    read_share,
    split,
    write_share,
)

SECRET = bytes(range(16))


def made(secret: bytes = SECRET, *, shares: int = 5, threshold: int = 3, seed: int = 1) -> tuple[Share, ...]:
    draw = random.Random(seed).randbytes
    return split(secret, shares=shares, threshold=threshold, label="kek-1", random_bytes=draw)


def reference_multiply(left: int, right: int) -> int:
    """Carry-less multiplication, then long division by the polynomial: the definition, slowly."""
    product = 0
    for bit in range(8):
        if right >> bit & 1:
            product ^= left << bit
    for bit in range(14, 7, -1):
        if product >> bit & 1:
            product ^= 0x11B << bit - 8
    return product


def test_the_field_multiplies_as_defined_and_every_element_but_zero_has_its_inverse() -> None:
    for left in range(256):
        for right in range(256):
            assert _multiply(left, right) == reference_multiply(left, right)
    assert all(_multiply(value, _invert(value)) == 1 for value in range(1, 256))
    # FIPS 197 §4.2: {57} • {83} = {c1}.
    assert _multiply(0x57, 0x83) == 0xC1


@given(
    secret=st.binary(min_size=1, max_size=MAX_SECRET_BYTES),
    sizes=st.integers(2, 9).flatmap(lambda n: st.tuples(st.integers(2, n), st.just(n))),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=60, deadline=None)
def test_any_threshold_of_the_shares_gives_the_secret(secret: bytes, sizes: tuple[int, int], seed: int) -> None:
    threshold, shares = sizes
    whole = made(secret, shares=shares, threshold=threshold, seed=seed)
    for chosen in list(combinations(whole, threshold))[:40]:
        assert combine(chosen) == secret
    assert combine(whole) == secret


def test_the_order_of_the_shares_does_not_matter() -> None:
    assert {combine(order) for order in permutations(made()[:4])} == {SECRET}


def test_fewer_than_the_threshold_are_refused() -> None:
    for count in range(3):
        with pytest.raises(ShareRefused) as refused:
            combine(made()[:count])
        assert refused.value.rule == "too_few"


def drawing(coefficient: int) -> RandomBytes:
    draws = iter((b"setset", bytes((coefficient,))))
    return lambda _: next(draws)


def test_one_share_of_two_is_distributed_the_same_for_every_secret() -> None:
    """Exhaustive, for one byte and threshold 2: over every coefficient, each share takes each value exactly once."""
    for secret in range(256):
        seen: list[set[int]] = [set(), set(), set()]
        for coefficient in range(256):
            shares = split(bytes((secret,)), shares=3, threshold=2, label="k", random_bytes=drawing(coefficient))
            for share, values in zip(shares, seen, strict=True):
                values.add(share.value[0])
        assert all(len(values) == 256 for values in seen)


def test_two_shares_of_three_fit_every_secret_equally_often() -> None:
    """With two fixed shares of threshold 3, every secret byte is left possible by exactly one third share."""
    one, two, three, *_ = made(b"\x2a", threshold=3)
    possible = Counter(combine([one, two, replace(three, value=bytes((guess,)))])[0] for guess in range(256))
    assert len(possible) == 256
    assert set(possible.values()) == {1}


def test_shares_of_equal_secrets_never_look_alike() -> None:
    draw = os.urandom
    values = {
        share.value for _ in range(50) for share in split(SECRET, shares=3, threshold=2, label="k", random_bytes=draw)
    }
    assert len(values) == 150


@given(
    st.binary(min_size=1, max_size=MAX_SECRET_BYTES),
    st.integers(0, 2**32),
    st.text("kek-0189", min_size=1, max_size=32),
)
@settings(max_examples=60, deadline=None)
def test_a_share_is_read_as_it_was_written_however_it_is_grouped(secret: bytes, seed: int, label: str) -> None:
    share = split(secret, shares=3, threshold=2, label=label, random_bytes=random.Random(seed).randbytes)[1]
    text = write_share(share)
    assert read_share(text) == share
    assert read_share(text.lower().replace("\n", "-").replace(" ", "")) == share
    assert read_share(text.replace("0", "O").replace("1", "l")) == share
    assert all(len(group) <= 5 for group in text.split())
    assert not set(text) & set("ILOU")


def test_any_single_mistyped_character_and_any_two_exchanged_are_refused() -> None:
    text = "".join(write_share(made()[0]).split())
    for place, character in enumerate(text):
        for typed in "0123456789ABCDEFGHJKMNPQRSTVWXYZ":
            if typed != character:
                with pytest.raises(ShareRefused):
                    read_share(text[:place] + typed + text[place + 1 :])
        if place and character != text[place - 1]:
            with pytest.raises(ShareRefused):
                read_share(text[: place - 1] + character + text[place - 1] + text[place + 1 :])


def test_a_cut_or_lengthened_share_is_refused() -> None:
    text = "".join(write_share(made()[0]).split())
    for length in range(len(text)):
        with pytest.raises(ShareRefused):
            read_share(text[:length])
    for more in ("0", "00", "Z", text):
        with pytest.raises(ShareRefused):
            read_share(text + more)


@given(st.text(max_size=120))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ShareRefused):
        read_share(text)


@given(st.binary(max_size=60))
@settings(deadline=None)
def test_any_body_with_a_right_check_is_a_share_or_refused(body: bytes) -> None:
    """Whoever can compute the check still cannot make the parser do anything but refuse or return a share."""
    from crypto.shamir import _parse

    try:
        share = _parse(body)
    except ShareRefused:
        return
    assert read_share(write_share(share)) == share


def test_shares_of_two_sets_do_not_mix() -> None:
    mine, others = made(seed=1), made(seed=2)
    with pytest.raises(ShareRefused) as refused:
        combine([mine[0], mine[1], others[2]])
    assert refused.value.rule == "other_set"
    for altered in (replace(mine[2], threshold=2), replace(mine[2], label="kek-2"), replace(mine[2], value=b"x")):
        with pytest.raises(ShareRefused):
            combine([mine[0], mine[1], altered])


def test_one_share_twice_is_not_two() -> None:
    share = made()[0]
    with pytest.raises(ShareRefused) as refused:
        combine([share, share, share])
    assert refused.value.rule == "twice"


def test_a_forged_share_among_more_than_needed_is_found() -> None:
    one, two, three, four, _ = made()
    forged = replace(four, value=bytes(16))
    with pytest.raises(ShareRefused) as refused:
        combine([one, two, three, forged])
    assert refused.value.rule == "inconsistent"
    # Among exactly as many as needed it cannot be found here: the result is another secret, and its check value says so.
    assert combine([one, two, forged]) != SECRET


@pytest.mark.parametrize(
    ("secret", "shares", "threshold", "label"),
    [
        (b"", 3, 2, "k"),
        (bytes(MAX_SECRET_BYTES + 1), 3, 2, "k"),
        (SECRET, 3, 1, "k"),
        (SECRET, 3, 4, "k"),
        (SECRET, 256, 2, "k"),
        (SECRET, 3, 2, ""),
        (SECRET, 3, 2, "x" * (MAX_LABEL_BYTES + 1)),
        (SECRET, 3, 2, "密钥"),
        (SECRET, 3, 2, "a\nb"),
    ],
)
def test_a_split_that_protects_nothing_is_refused(secret: bytes, shares: int, threshold: int, label: str) -> None:
    with pytest.raises(ShareRefused):
        split(secret, shares=shares, threshold=threshold, label=label, random_bytes=os.urandom)


def test_a_share_does_not_show_its_value() -> None:
    share = made()[0]
    assert repr(share.value) not in repr(share)
    assert share.value.hex() not in repr(share)
