"""Names as GB 18030-2022 can write them."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.registry.errors import NameRefused, PhoneRefused
from idp.registry.names import (
    MAX_PERSON_NAME,
    default_display_name,
    parse_display_name,
    parse_foreign_name,
    parse_institution_name,
    parse_person_name,
    parse_phone,
)


def rule_of(call: Callable[[], object]) -> str | None:
    with pytest.raises(NameRefused) as caught:
        call()
    return caught.value.rule


@pytest.mark.parametrize(
    "name",
    [
        "王芳",
        "𠮷田禾",
        "李㐂",
        "张䶮",
        "刘𬭶",
        "王\U000323af",
        "李\U0002ebf0",
        "〇一",
        "阿依古丽·买买提",
        "Zhang San",
        "Mary-Ann O'Neil",
        "J. R. Smith",
        "José",
        "Мария Иванова",
    ],
)
def test_a_name_that_is_written_right_stays_as_it_is(name: str) -> None:
    assert parse_person_name(name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize("dot", list("•‧∙⋅・･·\u0387.．"))
def test_every_dot_between_the_parts_of_a_name_is_read_as_the_middle_dot(dot: str) -> None:
    assert parse_person_name(f"阿依古丽{dot}买买提") == "阿依古丽\u00b7买买提"


def test_letters_made_of_two_code_points_become_one() -> None:
    assert parse_person_name("Jose\u0301") == "José"


def test_blanks_around_a_name_are_dropped() -> None:
    assert parse_person_name(" 王芳\u3000") == "王芳"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "empty"),
        ("　", "empty"),
        ("王" * (MAX_PERSON_NAME + 1), "too_long"),
        ("王" * 100_000, "too_long"),
        ("王\u202e芳", "invisible"),
        ("王\u200b芳", "invisible"),
        ("王\u2066芳", "invisible"),
        ("王\ufeff芳", "invisible"),
        ("葛\U000e0100城", "invisible"),
        ("王\ufe00", "invisible"),
        ("王\u3164", "invisible"),
        ("王\u2028芳", "invisible"),
        ("王\x00芳", "control"),
        ("王\n芳", "control"),
        ("王\x85芳", "control"),
        ("王\ud842", "control"),
        ("王\U000e0fff", "control"),
        ("王\ue863", "private_use"),
        ("王\U000f0000", "private_use"),
        ("王1", "sign"),
        ("王 芳", "sign"),
        ("王😀", "sign"),
        ("<b>王</b>", "sign"),
        ("王_芳", "sign"),
        ("\u0301a", "sign"),
        ("·王芳", "separator"),
        ("王芳·", "separator"),
        ("王··芳", "separator"),
        ("Anna  Maria", "separator"),
        ("-Anna", "separator"),
    ],
)
def test_a_name_is_refused_by_the_rule_it_breaks(text: str, rule: str) -> None:
    assert rule_of(lambda: parse_person_name(text)) == rule


def test_a_refusal_does_not_repeat_the_name() -> None:
    with pytest.raises(NameRefused) as caught:
        parse_person_name("机密1")
    assert "机密" not in str(caught.value)
    assert "机密" not in repr(caught.value.args)


@given(st.text(max_size=60))
def test_reading_a_name_twice_changes_nothing_more(text: str) -> None:
    try:
        once = parse_person_name(text)
    except NameRefused:
        return
    assert parse_person_name(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert 1 <= len(once) <= MAX_PERSON_NAME


def test_a_foreign_name_is_in_latin_letters() -> None:
    assert parse_foreign_name("Ayshegül Memet") == "Ayshegül Memet"
    assert rule_of(lambda: parse_foreign_name("王芳")) == "sign"
    assert rule_of(lambda: parse_foreign_name("Мария")) == "sign"


def test_an_institution_may_have_digits_and_brackets() -> None:
    assert parse_institution_name("哈尔滨工业大学(威海)") == "哈尔滨工业大学（威海）"
    assert parse_institution_name("第101中学") == "第101中学"
    assert rule_of(lambda: parse_institution_name("第\u202e101中学")) == "invisible"


def test_a_display_name_may_be_anything_visible() -> None:
    assert parse_display_name(" 小鱼🐟 ") == "小鱼🐟"
    assert rule_of(lambda: parse_display_name("小\u202e鱼")) == "invisible"


def test_a_first_display_name_does_not_give_the_real_one_away() -> None:
    assert default_display_name(parse_person_name("𠮷田禾"), "同学") == "𠮷同学"
    assert "Smith" not in default_display_name(parse_person_name("John Smith"), "同学")


def test_a_mobile_number_is_read_in_its_usual_forms() -> None:
    assert {parse_phone(text) for text in ("13800138000", "+86 138 0013 8000", "138-0013-8000")} == {"13800138000"}


@pytest.mark.parametrize("text", ["", "1380013800", "12800138000", "23800138000", "1380013800０", "138001380000"])
def test_what_is_no_mobile_number_is_refused(text: str) -> None:
    with pytest.raises(PhoneRefused):
        parse_phone(text)
