"""Codes and numbers: what GB 11643, GB 32100, ISO 7064 and the school code rules accept, and what they refuse."""

from __future__ import annotations

import csv
from collections.abc import Callable
from contextlib import suppress
from datetime import date

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from crypto.errors import TrustError
from idp.registry import id_number, person_number, uscc
from idp.registry.dates import parse_date
from idp.registry.errors import (
    DateRefused,
    IdNumberRefused,
    PersonNumberRefused,
    SchoolCodeRefused,
    UsccRefused,
)
from idp.registry.id_number import IdNumberKind, Sex, parse_id_number, refuse_future_birth
from idp.registry.person_number import new_person_number, parse_person_number
from idp.registry.school_code import CATEGORIES, parse_listed, parse_strict
from idp.registry.uscc import parse_uscc
from tests.vectors_dir import shared

DIGITS = st.text(alphabet="0123456789", min_size=1, max_size=24)
PAYLOAD_17 = st.text(alphabet="0123456789", min_size=17, max_size=17)


def rule_of(call: Callable[[], object], kind: type[TrustError]) -> str | None:
    with pytest.raises(kind) as caught:
        call()
    return caught.value.rule


# School codes


def test_a_school_code_states_category_province_and_the_five_digits_of_higher_education() -> None:
    code = parse_strict("4111010001")
    assert (code.category, code.province, code.higher_education_code, code.region) == ("41", "11", "10001", "110000")
    assert code.is_province_run
    assert parse_strict("2150000123").higher_education_code is None


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("411101000", "length"),
        ("41110100011", "length"),
        ("411101000a", "characters"),
        ("４１１１０１０００１", "characters"),
        ("411101000\u0661", "characters"),
        ("4110010001", "province"),
        ("4199010001", "province"),
        ("1211000001", "category"),
        ("9911000001", "category"),
        ("4111110001", "sequence"),
        ("4211910001", "sequence"),
    ],
)
def test_a_typed_school_code_is_refused_by_the_rule_it_breaks(text: str, rule: str) -> None:
    assert rule_of(lambda: parse_strict(text), SchoolCodeRefused) == rule


def test_the_corps_code_66_belongs_to_the_region_of_xinjiang() -> None:
    assert parse_strict("3466000001").region == "650000"


def test_a_listed_code_of_an_unknown_category_is_kept_as_it_is() -> None:
    assert parse_listed("1211000001").value == "1211000001"
    assert parse_listed("4111110001").higher_education_code is None


def test_every_code_of_the_ministrys_list_is_read_exactly() -> None:
    with shared("data/higher-education-institutions-2017.csv").open(encoding="utf-8") as file:
        codes = [row["school_code"] for row in csv.DictReader(file)]
    assert len(codes) == 2631
    assert [parse_listed(code).value for code in codes] == codes
    odd = [code for code in codes if parse_listed(code).higher_education_code is None]
    assert len(odd) == 6
    assert {code[:2] for code in odd} == {"36"}


@given(st.sampled_from(sorted(CATEGORIES)), st.integers(0, 99_999))
def test_what_the_strict_reading_accepts_the_listed_one_reads_alike(category: str, sequence: int) -> None:
    text = f"{category}50{sequence:06}"
    assert parse_strict(text) == parse_listed(text)


@given(st.text(max_size=14))
def test_no_text_breaks_the_reading_of_a_school_code(text: str) -> None:
    with suppress(SchoolCodeRefused):
        assert parse_strict(text).value == text


# Unified social credit codes


@pytest.mark.parametrize("text", ["12100000400002259P", "12100000400000624D", "91110000802100433B"])
def test_published_credit_codes_are_read(text: str) -> None:
    assert parse_uscc(text).value == text


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("12100000400002259", "length"),
        ("12100000400002259p", "characters"),
        ("1210000040000225IP", "characters"),
        ("12A00000400002259P", "division"),
        ("12100000400002258P", "organisation_code"),
        ("12100000400002259Q", "check_sign"),
    ],
)
def test_a_credit_code_is_refused_by_the_rule_it_breaks(text: str, rule: str) -> None:
    assert rule_of(lambda: parse_uscc(text), UsccRefused) == rule


@given(st.integers(0, 17), st.sampled_from(uscc.ALPHABET))
def test_any_single_changed_sign_of_a_credit_code_is_refused(position: int, sign: str) -> None:
    good = "12100000400002259P"
    assume(good[position] != sign)
    with pytest.raises(UsccRefused):
        parse_uscc(good[:position] + sign + good[position + 1 :])


# ID numbers


def test_an_id_number_tells_division_birth_and_sex() -> None:
    # The example of GB 11643-1999 annex: 11010519491231002X.
    number = parse_id_number("11010519491231002x")
    assert number.value == "11010519491231002X"
    assert (number.division, number.birth, number.sex) == ("110105", date(1949, 12, 31), Sex.FEMALE)
    assert parse_id_number("440524188001010014").sex is Sex.MALE


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "length"),
        ("110105491231002", "length"),
        ("11010519491231002Y", "characters"),
        ("1101051949123100２X", "characters"),
        ("X1010519491231002X", "characters"),
        ("010105194912310024", "division"),
        ("110105194902310023", "birth_date"),
        ("110105190002290021", "birth_date"),
        ("110105186912310021", "birth_date"),
        ("110105194912310021", "check_digit"),
    ],
)
def test_an_id_number_is_refused_by_the_rule_it_breaks(text: str, rule: str) -> None:
    assert rule_of(lambda: parse_id_number(text), IdNumberRefused) == rule


def test_a_birth_in_the_future_is_refused_by_whoever_has_a_clock() -> None:
    payload = "11010520991231002"
    number = parse_id_number(payload + id_number.check_sign(payload))
    assert rule_of(lambda: refuse_future_birth(number, today=date(2026, 7, 1)), IdNumberRefused) == "birth_in_future"
    assert refuse_future_birth(number, today=date(2099, 12, 31)) is number


@pytest.mark.parametrize(
    ("division", "kind"),
    [
        ("110105", IdNumberKind.RESIDENT),
        ("810000", IdNumberKind.HK_MACAO_TAIWAN),
        ("830000", IdNumberKind.HK_MACAO_TAIWAN),
        ("931156", IdNumberKind.FOREIGNER),
    ],
)
def test_residence_permits_share_the_check(division: str, kind: IdNumberKind) -> None:
    payload = f"{division}19900101001"
    assert parse_id_number(payload + id_number.check_sign(payload)).kind is kind


def test_an_id_number_does_not_show_itself() -> None:
    number = parse_id_number("11010519491231002X")
    assert "1949" not in repr(number)
    assert number.masked == "11**************2X"


@given(
    st.dates(date(1900, 1, 1), date(2026, 1, 1)), st.integers(0, 999), st.integers(0, 17), st.sampled_from("0123456789")
)
def test_any_single_wrong_digit_of_an_id_number_is_refused(born: date, sequence: int, at: int, digit: str) -> None:
    payload = f"110105{born:%Y%m%d}{sequence:03}"
    good = payload + id_number.check_sign(payload)
    assert parse_id_number(good).birth == born
    assume(good[at] != digit)
    with pytest.raises(IdNumberRefused):
        parse_id_number(good[:at] + digit + good[at + 1 :])


@given(PAYLOAD_17, st.integers(0, 15))
def test_two_swapped_neighbours_of_an_id_number_change_the_check_sign(payload: str, at: int) -> None:
    assume(payload[at] != payload[at + 1])
    swapped = payload[:at] + payload[at + 1] + payload[at] + payload[at + 2 :]
    assert id_number.check_sign(payload) != id_number.check_sign(swapped)


# Person numbers


def test_the_check_digit_is_the_one_of_iso_7064() -> None:
    # ISO/IEC 7064 MOD 11,10: "0794" takes 5.
    assert person_number.check_digit("0794") == "5"


@given(st.randoms(use_true_random=False))
def test_a_new_person_number_is_well_formed(random_source: object) -> None:
    number = new_person_number(random_source.randbytes)  # type: ignore[attr-defined]  # hypothesis' Random
    assert parse_person_number(number.value) == number


@given(st.randoms(use_true_random=False), st.integers(0, 15), st.sampled_from("0123456789"))
def test_any_single_wrong_digit_of_a_person_number_is_refused(random_source: object, at: int, digit: str) -> None:
    good = new_person_number(random_source.randbytes).value  # type: ignore[attr-defined]  # hypothesis' Random
    assume(good[at] != digit)
    with pytest.raises(PersonNumberRefused):
        parse_person_number(good[:at] + digit + good[at + 1 :])


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("123", "length"),
        ("0234567890123456", "characters"),
        ("12345678901234５6", "characters"),
        ("+234567890123456", "characters"),
    ],
)
def test_a_person_number_is_refused_by_the_rule_it_breaks(text: str, rule: str) -> None:
    assert rule_of(lambda: parse_person_number(text), PersonNumberRefused) == rule


def test_biased_bytes_are_not_used_for_a_person_number() -> None:
    # 252–255 for the first digit and 250–255 for the others would make some digits likelier.
    blocks = iter([bytes([255, 253, 8]) + bytes([251] * 29), bytes([0] * 32)])
    assert new_person_number(lambda _: next(blocks)).value[:15] == "900000000000000"


# Dates


@pytest.mark.parametrize("text", ["2026-06-30", "20260630", "2026/6/30", "2026/06/30"])
def test_the_three_written_forms_of_a_date_are_one_day(text: str) -> None:
    assert parse_date(text, field="d") == date(2026, 6, 30)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("2026-06-31", "impossible"),
        ("2025-02-29", "impossible"),
        ("0000-01-01", "impossible"),
        ("2026-6-30", "form"),
        ("30.06.2026", "form"),
        ("２０２６-06-30", "form"),
        ("", "form"),
        ("46203", "form"),
    ],
)
def test_a_date_is_refused_by_the_rule_it_breaks(text: str, rule: str) -> None:
    assert rule_of(lambda: parse_date(text, field="d"), DateRefused) == rule
