from __future__ import annotations

import calendar
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import der
from crypto.der import BitString, DerReader
from crypto.errors import EncodingRefused


def reader(data: bytes) -> DerReader:
    return DerReader(data, field="thing")


def rule_of(data: bytes, take: Callable[[DerReader], object]) -> str | None:
    """Return the rule one element breaks, or None where it is taken whole."""
    walk = reader(data)
    try:
        take(walk)
        walk.finish()
    except EncodingRefused as refused:
        return refused.rule if refused.field == "thing" else "another field"
    return None


@given(st.integers())
def test_an_integer_comes_back(value: int) -> None:
    assert reader(der.integer(value)).integer() == value


@given(st.binary(max_size=70_000))
def test_an_octet_string_of_any_length_comes_back(data: bytes) -> None:
    encoded = der.octet_string(data)
    assert DerReader(encoded, field="thing", max_bytes=len(encoded)).octet_string() == data


@given(st.tuples(st.integers(0, 1), st.integers(0, 39)), st.lists(st.integers(0, 2**128), max_size=3))
def test_an_object_identifier_comes_back(root: tuple[int, int], rest: list[int]) -> None:
    dotted = ".".join(str(arc) for arc in (*root, *rest))
    assert reader(der.oid(dotted)).oid() == dotted


@given(st.integers(0, 2**100))
def test_an_object_identifier_under_the_joint_arc_comes_back(second: int) -> None:
    assert reader(der.oid(f"2.{second}.3")).oid() == f"2.{second}.3"


@given(st.integers(calendar.timegm((1950, 1, 1, 0, 0, 0)), calendar.timegm((9999, 12, 31, 23, 59, 59))))
def test_a_time_comes_back_and_takes_generalized_form_from_2050_on(moment: int) -> None:
    encoded = der.time(moment)
    assert reader(encoded).time() == moment
    assert (encoded[0] == der.GENERALIZED_TIME) is (moment >= calendar.timegm((2050, 1, 1, 0, 0, 0)))


@given(st.binary(max_size=20), st.integers(0, 7))
def test_a_bit_string_comes_back(data: bytes, unused: int) -> None:
    unused = unused if data else 0
    data = data[:-1] + bytes((data[-1] >> unused << unused,)) if data else data
    assert reader(der.bit_string(data, unused)).bit_string() == BitString(data, unused)


@given(st.lists(st.binary(max_size=5), max_size=6))
def test_a_set_comes_back_in_order(members: list[bytes]) -> None:
    encoded = der.set_of(*(der.octet_string(member) for member in members))
    taken = [element.octet_string() for element in reader(encoded).set_of()]
    assert sorted(taken) == sorted(members)


@pytest.mark.parametrize("value", [True, False])
def test_a_boolean_comes_back(value: bool) -> None:
    assert reader(der.boolean(value)).boolean() is value


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        ("", "der_truncated"),
        ("02", "der_truncated"),
        ("0201", "der_truncated"),
        ("020200", "der_truncated"),
        ("0200", "der_integer"),
        ("02020001", "der_minimal"),
        ("0202007f", "der_minimal"),
        ("0202ff80", "der_minimal"),
        ("02810101", "der_length"),
        ("0282000101", "der_length"),
        ("028001010000", "der_length"),
        ("02850000000001", "der_length"),
        ("02820100", "der_truncated"),
        ("0282", "der_truncated"),
        ("02ff", "der_length"),
        ("0301ff", "der_type"),
        ("2203020101", "der_type"),
        ("020101ff", "der_trailing"),
        ("1f0101", "der_type"),
    ],
)
def test_an_integer_has_one_encoding(data: str, rule: str) -> None:
    assert rule_of(bytes.fromhex(data), DerReader.integer) == rule


@pytest.mark.parametrize(("data", "rule"), [("1f8101020101", "der_tag"), ("bf2100", "der_tag")])
def test_a_tag_of_several_octets_is_refused(data: str, rule: str) -> None:
    assert rule_of(bytes.fromhex(data), DerReader.element) == rule


@pytest.mark.parametrize("data", ["010101", "0101fe", "0100", "01020000", "0102ffff"])
def test_a_boolean_is_00_or_ff(data: str) -> None:
    assert rule_of(bytes.fromhex(data), DerReader.boolean) == "der_boolean"


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        ("0300", "der_bit_string"),
        ("030101", "der_bit_string"),
        ("03020800", "der_bit_string"),
        ("03020101", "der_unused_bits"),
        ("0302077f", "der_unused_bits"),
        ("230403020001", "der_type"),
    ],
)
def test_unused_bits_are_counted_and_zero(data: str, rule: str) -> None:
    assert rule_of(bytes.fromhex(data), DerReader.bit_string) == rule


def test_a_bit_string_of_whole_octets_has_no_unused_bits() -> None:
    assert rule_of(bytes.fromhex("03020480"), DerReader.whole_bytes) == "der_unused_bits"
    assert reader(bytes.fromhex("03020080")).whole_bytes() == b"\x80"


@pytest.mark.parametrize(
    "data", ["0600", "060180", "06028001", "0603550480", "0604558001ff", "0641" + "55" + "01" * 64]
)
def test_an_object_identifier_has_minimal_arcs_and_ends(data: str) -> None:
    assert rule_of(bytes.fromhex(data), DerReader.oid) == "der_oid"


@pytest.mark.parametrize("dotted", ["", "1", "3.1", "1.40", "0.40.1", "1.2.", "1..2", "1.02", "1.2.-3", "a.b", "1.2 "])
def test_a_text_that_names_no_object_is_refused(dotted: str) -> None:
    with pytest.raises(EncodingRefused):
        der.oid(dotted)


@pytest.mark.parametrize(
    ("tag", "text", "rule"),
    [
        (der.UTC_TIME, "260229000000Z", "der_time"),
        (der.UTC_TIME, "261301000000Z", "der_time"),
        (der.UTC_TIME, "261122240000Z", "der_time"),
        (der.UTC_TIME, "261122000060Z", "der_time"),
        (der.UTC_TIME, "2611220000Z", "der_time"),
        (der.UTC_TIME, "261122000000+0800", "der_time"),
        (der.UTC_TIME, "261122000000", "der_time"),
        (der.UTC_TIME, "２６1122000000Z", "der_time"),
        (der.UTC_TIME, " 61122000000Z", "der_time"),
        (der.GENERALIZED_TIME, "20500101000000.5Z", "der_time"),
        (der.GENERALIZED_TIME, "00000101000000Z", "der_time"),
        (der.GENERALIZED_TIME, "20261122000000Z", "der_time_form"),
        (der.GENERALIZED_TIME, "20491231235959Z", "der_time_form"),
        (der.OCTET_STRING, "261122000000Z", "der_type"),
    ],
)
def test_a_time_has_one_form(tag: int, text: str, rule: str) -> None:
    assert rule_of(der.tlv(tag, text.encode()), DerReader.time) == rule


def test_a_two_digit_year_from_50_on_lies_in_the_last_century() -> None:
    assert reader(der.tlv(der.UTC_TIME, b"500101000000Z")).time() == calendar.timegm((1950, 1, 1, 0, 0, 0))
    assert reader(der.tlv(der.UTC_TIME, b"491231235959Z")).time() == calendar.timegm((2049, 12, 31, 23, 59, 59))


@pytest.mark.parametrize("moment", [-(2**62), 2**62, calendar.timegm((1949, 12, 31, 23, 59, 59))])
def test_a_time_outside_1950_to_9999_cannot_be_written(moment: int) -> None:
    with pytest.raises(EncodingRefused):
        der.time(moment)


def test_a_set_out_of_order_is_refused() -> None:
    def walk(outer: DerReader) -> list[DerReader]:
        return list(outer.set_of())

    assert rule_of(bytes.fromhex("3106020102020101"), walk) == "der_set_order"


def test_nesting_is_bounded() -> None:
    data = b""
    for _ in range(100):
        data = der.sequence(data)
    assert rule_of(data, walk_everything) == "der_depth"


def test_size_is_bounded() -> None:
    with pytest.raises(EncodingRefused) as refused:
        reader(bytes(der.MAX_DER_BYTES + 1))
    assert refused.value.rule == "der_too_large"


def walk_everything(walk: DerReader) -> None:
    """Take every element as the type its tag says."""
    takes: dict[int, Callable[[DerReader], object]] = {
        der.BOOLEAN: DerReader.boolean,
        der.INTEGER: DerReader.integer,
        der.BIT_STRING: DerReader.bit_string,
        der.NULL: DerReader.null,
        der.OBJECT_IDENTIFIER: DerReader.oid,
        der.ENUMERATED: DerReader.enumerated,
        der.UTC_TIME: DerReader.time,
        der.GENERALIZED_TIME: DerReader.time,
    }
    while not walk.at_end:
        for tag, take in takes.items():
            if walk.next_is(tag):
                take(walk)
                break
        else:
            if walk.next_is(der.SEQUENCE):
                walk_everything(walk.sequence())
            elif walk.next_is(der.SET):
                for element in walk.set_of():
                    walk_everything(element)
            else:
                walk.element()


@given(st.binary(max_size=200))
def test_whatever_bytes_come_only_a_refusal_comes_out(data: bytes) -> None:
    assert (rule_of(data, walk_everything) or "der_").startswith("der_")


@given(
    st.recursive(
        st.binary(max_size=6).map(der.octet_string),
        lambda inner: st.lists(inner).map(lambda parts: der.sequence(*parts)),
        max_leaves=20,
    ),
    st.data(),
)
def test_a_mutated_structure_is_read_or_refused(encoded: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(encoded) - 1))
    changed = encoded[:at] + bytes((data.draw(st.integers(0, 255)),)) + encoded[at + 1 :]
    assert (rule_of(changed, walk_everything) or "der_").startswith("der_")
