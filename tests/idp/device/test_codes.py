"""User codes: drawn evenly, read as people type, kept as a keyed hash."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.device.codes import ALPHABET, UserCodeKeys, new_user_code, shown, typed


def test_the_alphabet_is_that_of_rfc_8628_6_1() -> None:
    assert ALPHABET == "BCDFGHJKLMNPQRSTVWXZ"
    assert not set(ALPHABET) & set("AEIOUY0123456789")


def test_every_letter_is_as_likely_as_any_other_at_every_place() -> None:
    """4,000 codes: a letter is expected 200 times a place, with a standard deviation of 14."""
    draw = random.Random(8628).randbytes
    codes = [new_user_code(draw) for _ in range(4000)]
    for place in range(8):
        counts = Counter(code[place] for code in codes)
        assert set(counts) == set(ALPHABET)
        assert max(abs(count - 200) for count in counts.values()) < 70


def test_bytes_that_would_favour_some_letters_are_thrown_away() -> None:
    given_bytes = iter([bytes([240] * 4 + [255] * 4), bytes([0, 19, 20, 239, 240, 1, 2, 3]), bytes(8)])
    assert new_user_code(lambda _count: next(given_bytes)) == "BZBZCDFB"


@given(st.text(ALPHABET, min_size=8, max_size=8), st.integers(0, 5))
def test_what_is_shown_is_read_back_however_it_is_typed(code: str, separator: int) -> None:
    between = ("", "-", " ", "_", ".", " - ")[separator]
    assert typed(shown(code)) == code
    assert typed(between.join(code).lower()) == code


@given(st.text(max_size=200))
def test_whatever_is_typed_is_a_code_or_none(text: str) -> None:
    code = typed(text)
    assert code is None or (len(code) == 8 and set(code) <= set(ALPHABET))


@pytest.mark.parametrize(
    "text", ["", "WDJBMJH", "WDJBMJHTT", "WDJBMJHA", "WDJB-MJH1", "WDJB\x00MJHT", "%57DJBMJHT", "-" * 70]
)
def test_what_cannot_be_a_code_is_none(text: str) -> None:
    assert typed(text) is None


def test_a_code_is_kept_under_a_keyed_hash_and_never_under_the_hash_of_a_count() -> None:
    keys, others = UserCodeKeys(b"k" * 32), UserCodeKeys(b"o" * 32)
    assert keys.of_code("WDJBMJHT") == keys.of_code("WDJBMJHT")
    hashes = {keys.of_code("WDJBMJHT"), others.of_code("WDJBMJHT"), keys.of_tries("WDJBMJHT"), keys.of_code("WDJBMJHZ")}
    assert len(hashes) == 4
    with pytest.raises(ValueError, match="32 bytes"):
        UserCodeKeys(b"k" * 31)
