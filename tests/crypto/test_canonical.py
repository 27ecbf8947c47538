from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import canonical
from crypto.canonical import MAX_DEPTH, MAX_SAFE_INTEGER, jcs
from crypto.encoding import Json, json_strict
from crypto.errors import EncodingRefused
from tests.crypto.test_encoding import JSON_VALUES
from tests.vectors_dir import shared

# RFC 8785 Appendix B
NUMBERS = [
    ("0000000000000000", "0"),
    ("8000000000000000", "0"),
    ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("ffefffffffffffff", "-1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"),
    ("c340000000000000", "-9007199254740992"),
    ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"),
    ("44b52d02c7e14af6", "1e+23"),
    ("44b52d02c7e14af7", "1.0000000000000001e+23"),
    ("444b1ae4d6e2ef4e", "999999999999999700000"),
    ("444b1ae4d6e2ef4f", "999999999999999900000"),
    ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("41b3de4355555553", "333333333.3333332"),
    ("41b3de4355555554", "333333333.33333325"),
    ("41b3de4355555555", "333333333.3333333"),
    ("41b3de4355555556", "333333333.3333334"),
    ("41b3de4355555557", "333333333.33333343"),
    ("becbf647612f3696", "-0.0000033333333333333333"),
    ("43143ff3c1cb0959", "1424953923781206.2"),
]


@pytest.mark.parametrize("name", ["arrays", "french", "structures", "unicode", "values", "weird"])
def test_the_published_inputs_give_the_published_bytes(name: str) -> None:
    folder = shared("vectors/jcs-rfc8785/testdata")
    value = json_strict((folder / "input" / f"{name}.json").read_bytes())
    assert jcs(value) == (folder / "output" / f"{name}.json").read_bytes().rstrip(b"\n")


@pytest.mark.parametrize(("bits", "text"), NUMBERS)
def test_numbers_are_written_as_ecmascript_does(bits: str, text: str) -> None:
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    assert jcs(value) == text.encode()


@given(JSON_VALUES)
def test_the_standard_encoder_writes_what_it_is_trusted_with_as_the_long_way_does(value: Json) -> None:
    parts: list[str] = []
    canonical._write(value, parts, 0)
    assert jcs(value) == "".join(parts).encode()


@given(JSON_VALUES)
def test_the_canonical_form_is_stable_and_means_the_same(value: Json) -> None:
    once = jcs(value)
    assert json.loads(once, parse_int=float) == json.loads(json.dumps(value), parse_int=float)
    assert jcs(json_strict(once)) == once


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_reads_back_exactly(value: float) -> None:
    assert float(jcs(value)) == value


def test_members_are_ordered_by_utf16_code_units() -> None:
    # U+1F600 begins with the surrogate D83D, which sorts before U+FB33; by code point it would come after.
    assert jcs({"\ufb33": 1, "\U0001f600": 2}) == '{"\U0001f600":2,"\ufb33":1}'.encode()


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        MAX_SAFE_INTEGER + 2,
        -MAX_SAFE_INTEGER - 2,
        10**21,
        b"bytes",
        {1: "number as a name"},
        {"set": {1}},
        object(),
        "\ud800",
        {"\udfff": 1},
    ],
)
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(EncodingRefused):
        jcs(value)


def test_nesting_beyond_what_the_parser_reads_is_refused() -> None:
    value: list[object] = []
    for _ in range(MAX_DEPTH + 1):
        value = [value]
    with pytest.raises(EncodingRefused):
        jcs(value)
