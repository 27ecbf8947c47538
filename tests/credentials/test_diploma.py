"""A graduate's row: every rule is told with its line and column, and the good rows go on."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credentials.copyright.registration import WorkForm, draft_registration
from credentials.creditbank.record import CreditForm, draft_credit_record, parse_credits, show_credits
from credentials.diploma import (
    OPTIONAL_COLUMNS,
    REQUIRED_COLUMNS,
    Parsed,
    parse_rows,
    school_codes,
)
from credentials.errors import RecordRefused
from credentials.formats.disclosures import Disclosable
from credentials.kind import plain_text
from credentials.kinds import KINDS
from crypto.sm3 import sm3
from idp.registry.model import Provenance, School, SchoolStatus, Source
from idp.registry.person_number import PersonNumber
from idp.registry.text_file import decode_upload, read_table
from tests.credentials.world import OTHER_SCHOOL, SCHOOL, Graduate, csv_of, graduate

TODAY = date(2026, 7, 1)
OWN = School(
    SCHOOL, "湖南大学", None, "430000", "430000", "本科", "教育部", "", SchoolStatus.OPEN, None, None,
    Provenance(Source.OFFICIAL_LIST, 0), "430000", 0,
)  # fmt: skip


def parsed(*rows: Graduate, encoding: str = "utf-8") -> Parsed:
    text = decode_upload(csv_of(rows, encoding)).text
    table = read_table(text, required=REQUIRED_COLUMNS, optional=OPTIONAL_COLUMNS)
    return parse_rows(table.rows, school=OWN, registered={OTHER_SCHOOL}.__contains__, today=TODAY)


def test_a_good_row_becomes_a_draft_without_its_id_number_in_any_claim() -> None:
    row = graduate(1, name="艾力·买买提𠮷")
    (draft,) = parsed(row).drafts
    assert draft.claims == {
        "name": "艾力·买买提𠮷",
        "school_name": "湖南大学",
        "school_code": SCHOOL.value,
        "major": "软件工程",
        "major_code": "080902",
        "level": "bachelor",
        "student_number": "202200001",
        "duration_years": "4",
        "enrolment_date": "2022-09-01",
        "graduation_date": "2026-06-20",
        "certificate_number": row.number,
        "degree_certificate_number": row.degree_number,
    }
    assert row.id_number not in str(draft.claims)
    assert draft.holder.id_number is not None
    assert row.id_number not in repr(draft)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_names_beyond_the_bmp_survive_every_encoding(encoding: str) -> None:
    (draft,) = parsed(graduate(1, name="𠮷㐂·艾力"), encoding=encoding).drafts
    assert draft.claims["name"] == "𠮷㐂·艾力"


RULES: list[tuple[dict[str, str], str, str]] = [
    ({"name": ""}, "姓名", "empty"),
    ({"name": "李\u202e明"}, "姓名", "invisible"),
    ({"id_number": ""}, "证件号码", "missing"),
    ({"id_number": "43010220030215001"}, "证件号码", "length"),
    ({"id_number": "430102200302150010"}, "证件号码", "check_digit"),
    ({"id_number": "430102200302300019"}, "证件号码", "birth_date"),
    ({"student_number": ""}, "学号", "missing"),
    ({"student_number": "20 22"}, "学号", "student_number_form"),
    ({"school": "4143019999"}, "学校标识码", "school_unknown"),
    ({"school": OTHER_SCHOOL.value}, "学校标识码", "other_school"),
    ({"school": "41430"}, "学校标识码", "length"),
    ({"major": ""}, "专业名称", "missing"),
    ({"major": "字" * 201}, "专业名称", "too_long"),
    ({"major_code": "80902"}, "专业代码", "major_code_form"),
    ({"level": "小学"}, "培养层次", "level_unknown"),
    ({"level": ""}, "培养层次", "level_unknown"),
    ({"duration": "四"}, "学制", "duration_form"),
    ({"enrolment": "2022-02-30"}, "入学日期", "impossible"),
    ({"enrolment": "next year"}, "入学日期", "form"),
    ({"enrolment": "2002-09-01"}, "入学日期", "before_birth"),
    ({"graduation": "2026-06-31"}, "毕业日期", "impossible"),
    ({"graduation": "2022-08-31"}, "毕业日期", "before_enrolment"),
    ({"graduation": "2022-09-01"}, "毕业日期", "before_enrolment"),
    ({"graduation": "2027-07-03"}, "毕业日期", "too_far_ahead"),
    ({"number": ""}, "证书编号", "missing"),
    ({"number": "1053212026050001"}, "证书编号", "number_form"),
    ({"number": "105331202605000001"}, "证书编号", "number_school"),
    ({"number": "105329202605000001"}, "证书编号", "number_type"),
    ({"number": "105321202505000001"}, "证书编号", "number_year"),
    ({"number": "105321202606000001"}, "证书编号", "number_level"),
    ({"degree_number": "字" * 30}, "学位证书编号", "too_long"),
]


@pytest.mark.parametrize(("changes", "column", "rule"), RULES, ids=[f"{n}-{r[2]}" for n, r in enumerate(RULES)])
def test_a_bad_row_is_told_by_line_column_and_rule_and_the_others_go_on(
    changes: dict[str, str], column: str, rule: str
) -> None:
    found = parsed(graduate(1), graduate(2, **changes), graduate(3))
    assert [draft.line for draft in found.drafts] == [2, 4]
    (note,) = found.refusals
    assert (note.line, note.field, note.rule) == (3, column, rule)


def test_a_number_twice_in_a_file_is_told_at_its_later_line() -> None:
    first = graduate(1)
    found = parsed(first, graduate(2, number=first.number), graduate(3, degree_number=first.degree_number))
    assert [(note.line, note.field, note.rule, note.params) for note in found.refusals] == [
        (3, "证书编号", "duplicate_in_file", {"line": 2}),
        (4, "学位证书编号", "duplicate_in_file", {"line": 2}),
    ]


def test_a_row_refused_for_another_reason_claims_no_number() -> None:
    first = graduate(1, level="小学")
    found = parsed(first, graduate(2, number=first.number))
    assert [draft.line for draft in found.drafts] == [3]


@pytest.mark.parametrize(
    ("word", "level", "digits"),
    [("博士研究生", "doctor", "01"), ("硕士", "master", "02"), ("第二学士学位", "second_bachelor", "04"),
     ("专升本", "bachelor", "05"), ("专科(高职)", "associate", "06")],
)  # fmt: skip
def test_levels_are_read_as_registrars_write_them(word: str, level: str, digits: str) -> None:
    (draft,) = parsed(graduate(1, level=word, number=f"105321{2026}{digits}000001")).drafts
    assert draft.claims["level"] == level


def test_an_unusual_degree_number_is_shown_not_refused() -> None:
    found = parsed(graduate(1, degree_number="T10532-4"), graduate(2, degree_number=""))
    assert [(note.line, note.rule) for note in found.warnings] == [(2, "degree_number_unusual")]
    assert "degree_certificate_number" not in found.drafts[1].claims


def test_the_school_codes_of_a_file_are_found_for_looking_up() -> None:
    table = read_table(
        csv_of([graduate(1), graduate(2, school="x"), graduate(3, school="4143019999")]).decode(),
        required=REQUIRED_COLUMNS,
        optional=OPTIONAL_COLUMNS,
    )
    assert school_codes(table.rows) == {SCHOOL.value, "4143019999"}


# Kinds


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_kind_conceals_what_its_holder_may_keep_back_and_nothing_else(name: str) -> None:
    kind = KINDS[name]
    claims = dict.fromkeys([*kind.always, *kind.selectable], "x")
    concealed = kind.conceal(claims)
    assert {n for n, v in concealed.items() if not isinstance(v, Disclosable)} == kind.always
    for bad in ({**claims, "id_number": "x"}, {n: v for n, v in claims.items() if n != min(kind.required)}):
        with pytest.raises(RecordRefused):
            kind.conceal(bad)


def test_no_kind_has_a_claim_for_an_id_number() -> None:
    for kind in KINDS.values():
        assert not {"id_number", "id", "identity", "person", "birth", "birth_date"} & (
            kind.always | set(kind.selectable)
        )


@pytest.mark.parametrize(
    "text", ["a\u202eb", "a\u200bb", "a\x00b", "\ue000", "a" * 19 + "\u202e" + "b" * 40, "a\u2028b"]
)
def test_texts_with_signs_that_deceive_are_refused(text: str) -> None:
    with pytest.raises(RecordRefused):
        plain_text(text, field="title")


PERSON = PersonNumber("1" * 16)


def credit(**changes: str) -> CreditForm:
    fields = {
        "achievement": "数据结构",
        "achievement_code": "CS-201",
        "credits": "3.5",
        "hours_learned": "56",
        "grade": "优",
    }
    return CreditForm(PERSON, "李明", **(fields | changes), recognised_on=date(2026, 6, 1))


def test_credits_are_whole_hundredths() -> None:
    draft = draft_credit_record(credit(), school=OWN, today=TODAY, random=bytes(range(10)))
    assert draft.claims["credits_hundredths"] == 350
    assert draft.claims["number"] == draft.number == "XF2026-10532-23456789AB"


@pytest.mark.parametrize(
    "text", ["", "0", "0.00", "-1", "1.234", "1e2", "１", "100.01", "NaN", "1.", ".5", "01", "1,5"]
)
def test_malformed_credits_are_refused(text: str) -> None:
    with pytest.raises(RecordRefused):
        parse_credits(text)


@settings(max_examples=100)
@given(st.integers(1, 10_000))
def test_credits_are_shown_and_read_back(hundredths: int) -> None:
    assert parse_credits(show_credits(hundredths)) == hundredths


@pytest.mark.parametrize(
    ("changes", "rule"),
    [({"achievement_code": "数"}, "achievement_code_form"), ({"achievement": " "}, "missing"),
     ({"hours_learned": "5.5"}, "hours_form"), ({"hours_learned": "9999"}, "hours_form")],
)  # fmt: skip
def test_malformed_credit_records_are_refused(changes: dict[str, str], rule: str) -> None:
    with pytest.raises(RecordRefused) as caught:
        draft_credit_record(credit(**changes), school=OWN, today=TODAY, random=bytes(10))
    assert caught.value.rule == rule


def test_a_registration_names_the_sm3_digest_and_size_of_the_file() -> None:
    form = WorkForm(PERSON, "李明", "离散数学讲义", "CC-BY-4.0")
    draft = draft_registration(form, b"abc", school=OWN, today=TODAY, random=bytes(10))
    assert draft.claims["file_sm3"] == sm3(b"abc").hex() == draft.unique[1].value
    assert draft.claims["file_size"] == 3


@pytest.mark.parametrize(
    ("file", "licence", "title", "rule"),
    [(b"", "CC0-1.0", "t", "file_empty"), (b"x", "free", "t", "licence_unknown"), (b"x", "CC0-1.0", "", "missing")],
)
def test_malformed_registrations_are_refused(file: bytes, licence: str, title: str, rule: str) -> None:
    with pytest.raises(RecordRefused) as caught:
        draft_registration(WorkForm(PERSON, "李明", title, licence), file, school=OWN, today=TODAY, random=bytes(10))
    assert caught.value.rule == rule
