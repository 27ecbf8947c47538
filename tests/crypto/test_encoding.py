from __future__ import annotations

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.encoding import (
    MAX_JSON_DEPTH,
    Json,
    b64_decode,
    b64u_decode,
    b64u_encode,
    json_object,
    json_strict,
    rs_from_der,
    rs_to_der,
)
from crypto.errors import EncodingRefused

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.binary(max_size=200))
def test_base64url_round_trips(data: bytes) -> None:
    assert b64u_decode(b64u_encode(data)) == data


@given(st.text(string.ascii_letters + string.digits + "-_=+/ \n", max_size=24))
def test_base64url_text_is_either_the_canonical_form_or_refused(text: str) -> None:
    try:
        data = b64u_decode(text)
    except EncodingRefused:
        return
    assert b64u_encode(data) == text


@pytest.mark.parametrize("length", [1, 2, 4, 5, 31, 32, 64])
def test_a_changed_unused_bit_in_the_last_character_is_refused(length: int) -> None:
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    text = b64u_encode(bytes(range(length)))
    unused_bits = {1: 4, 2: 2, 0: 0}[length % 3]
    for bit in range(unused_bits):
        changed = text[:-1] + alphabet[alphabet.index(text[-1]) ^ (1 << bit)]
        with pytest.raises(EncodingRefused) as refused:
            b64u_decode(changed)
        assert refused.value.rule == "base64url_unused_bits"


@pytest.mark.parametrize("text", ["A", "AAAAA", "AA==", "AA=", "A A", "AAAA\n", "AA+A", "AA/A", "ＡＡＡＡ", "AAÀA"])
def test_padding_whitespace_and_other_alphabets_are_refused(text: str) -> None:
    with pytest.raises(EncodingRefused):
        b64u_decode(text)


@pytest.mark.parametrize("text", ["AA", "AB==", "AAA", "AA==\n", "A-AA", "é===", "AA= ="])
def test_standard_base64_is_canonical_too(text: str) -> None:
    with pytest.raises(EncodingRefused):
        b64_decode(text)


@given(st.binary(max_size=64))
def test_standard_base64_round_trips(data: bytes) -> None:
    import base64

    assert b64_decode(base64.b64encode(data).decode()) == data


@given(JSON_VALUES)
def test_json_parses_to_what_was_written(value: Json) -> None:
    assert json_strict(json.dumps(value)) == value
    assert json_strict(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('{"a":1,"a":1}', "json_duplicate_member"),
        ('{"b":{"a":1,"\\u0061":2}}', "json_duplicate_member"),
        ("NaN", "json_number"),
        ("[Infinity]", "json_number"),
        ("-Infinity", "json_number"),
        ("1e999", "json_number"),
        ('"\\ud800"', "json_surrogate"),
        ('{"\\uDFFF":1}', "json_surrogate"),
        ("", "json"),
        ("{} {}", "json"),
        ("\ufeff{}", "json"),
        ("{'a':1}", "json"),
        ("[1,]", "json"),
        ("01", "json"),
        ('"\t"', "json"),
        ("9" * 5000, "json"),
        ("[" * 100_000, "json_depth"),
        ('{"a":' * (MAX_JSON_DEPTH + 1) + "1" + "}" * (MAX_JSON_DEPTH + 1), "json_depth"),
    ],
)
def test_json_with_two_meanings_or_none_is_refused(text: str, rule: str) -> None:
    with pytest.raises(EncodingRefused) as refused:
        json_strict(text, field="f")
    assert (refused.value.rule, refused.value.field) == (rule, "f")


def test_brackets_inside_strings_are_no_nesting() -> None:
    text = json.dumps(["[{" * 100 + '\\"'])
    assert json_strict(text) == ["[{" * 100 + '\\"']


def test_bytes_that_are_not_utf8_are_refused() -> None:
    with pytest.raises(EncodingRefused):
        json_strict(b'"\xff"')


def test_a_surrogate_pair_is_one_character() -> None:
    assert json_strict('"\\ud842\\udfb7"') == "𠮷"


@pytest.mark.parametrize("text", ["[]", "1", "null", '"x"'])
def test_an_object_is_required_where_one_is_asked_for(text: str) -> None:
    with pytest.raises(EncodingRefused):
        json_object(text)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_parsed_or_refused_never_anything_else(data: bytes) -> None:
    try:
        json_strict(data)
    except EncodingRefused:
        return


@given(st.binary(min_size=64, max_size=64))
def test_der_signatures_round_trip(raw: bytes) -> None:
    assert rs_from_der(rs_to_der(raw)) == raw


@given(st.binary(max_size=80))
def test_arbitrary_der_is_canonical_or_refused(der: bytes) -> None:
    try:
        raw = rs_from_der(der)
    except EncodingRefused:
        return
    assert rs_to_der(raw) == der


@given(st.binary(min_size=64, max_size=64), st.integers(0, 71), st.integers(1, 255))
def test_a_der_signature_with_one_changed_byte_is_refused_or_another_signature(raw: bytes, at: int, flip: int) -> None:
    der = bytearray(rs_to_der(raw))
    der[at % len(der)] ^= flip
    try:
        other = rs_from_der(bytes(der))
    except EncodingRefused:
        return
    assert other != raw
    assert rs_to_der(other) == bytes(der)


@pytest.mark.parametrize("length", [0, 63, 65])
def test_a_raw_signature_of_another_length_has_no_der(length: int) -> None:
    with pytest.raises(EncodingRefused):
        rs_to_der(bytes(length))
