"""Diplomas: what a graduate's row must say, and what of it a diploma carries.

学历证书电子注册号 (18 digits): 高校代码 5, 办学类型 1, year 4, 培养层次 2, sequence 6. 学位证书编号: letters, then 16 digits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final, TypeVar

from credentials.errors import RecordRefused
from credentials.kind import Kind, plain_text
from credentials.model import Draft, HolderFacts, RowNote, UniqueKey
from crypto.errors import TrustError
from idp.registry.dates import parse_date
from idp.registry.id_number import IdNumber, parse_id_number, refuse_future_birth
from idp.registry.model import RefusedRow, School
from idp.registry.names import parse_person_name
from idp.registry.school_code import SchoolCode, parse_listed
from idp.registry.text_file import TableRow

NAME: Final = "姓名"
ID_NUMBER: Final = "证件号码"
STUDENT_NUMBER: Final = "学号"
SCHOOL_CODE: Final = "学校标识码"
MAJOR: Final = "专业名称"
MAJOR_CODE: Final = "专业代码"
LEVEL: Final = "培养层次"
DURATION: Final = "学制"
ENROLMENT: Final = "入学日期"
GRADUATION: Final = "毕业日期"
NUMBER: Final = "证书编号"
DEGREE_NUMBER: Final = "学位证书编号"
T = TypeVar("T")

REQUIRED_COLUMNS: Final = (
    NAME, ID_NUMBER, STUDENT_NUMBER, SCHOOL_CODE, MAJOR, MAJOR_CODE, LEVEL, DURATION, ENROLMENT, GRADUATION, NUMBER,
)  # fmt: skip
OPTIONAL_COLUMNS: Final = (DEGREE_NUMBER,)

KIND: Final = Kind(
    name="diploma",
    vct="urn:edutrust:vct:diploma:1",
    # Without its level nobody could tell whether the school may issue it (accreditation is by level).
    always=frozenset({"level"}),
    selectable=(
        "name", "school_name", "school_code", "major", "major_code", "student_number", "duration_years",
        "enrolment_date", "graduation_date", "certificate_number", "degree_certificate_number",
    ),
    required=frozenset({"level", "name", "school_name", "certificate_number", "graduation_date"}),
)  # fmt: skip

# 培养层次 codes within the registration number, and the words registrars write (教育部 学历证书电子注册).
LEVEL_CODES: Final[Mapping[str, str]] = {
    "doctor": "01",
    "master": "02",
    "second_bachelor": "04",
    "bachelor": "05",
    "associate": "06",
}
_LEVEL_WORDS: Final[Mapping[str, str]] = {
    "博士": "doctor",
    "博士研究生": "doctor",
    "硕士": "master",
    "硕士研究生": "master",
    "第二学士学位": "second_bachelor",
    "第二学士": "second_bachelor",
    "本科": "bachelor",
    "专升本": "bachelor",
    "专科": "associate",
    "高职": "associate",
    "专科(高职)": "associate",
    "专科（高职）": "associate",
}
LEVELS: Final = frozenset(LEVEL_CODES)
# 办学类型: 1 普通, 5 成人, 6 自学考试, 7 网络; 自考 numbers are laid out otherwise and are not issued by schools.
_PROGRAMME_TYPES: Final = frozenset("157")
_NUMBER = re.compile(r"[0-9]{18}")
_DEGREE_NUMBER = re.compile(r"[A-Z]{0,2}[0-9]{16}")
_MAJOR_CODE = re.compile(r"[0-9]{4}(?:[0-9]{2})?(?:T|K|TK)?")
_DURATION = re.compile(r"([1-9](?:\.5)?)年?")
_STUDENT_NUMBER = re.compile(r"[0-9A-Za-z-]{1,30}")
# A certificate may be prepared before the ceremony, but not for a class that has yet to finish its last year.
MAX_DAYS_AHEAD: Final = 366


@dataclass(frozen=True, slots=True)
class Parsed:
    """What came of a file: good rows, refused rows, and rows that are good but unusual."""

    drafts: tuple[Draft, ...] = field(repr=False)
    refusals: tuple[RowNote, ...]
    warnings: tuple[RowNote, ...]


def school_codes(rows: Iterable[TableRow | RefusedRow]) -> frozenset[str]:
    """Return the distinct well-formed school codes of a file, for the caller to look up."""
    return frozenset(
        text
        for row in rows
        if isinstance(row, TableRow) and len(text := row.get(SCHOOL_CODE)) == 10 and text.isascii() and text.isdigit()
    )


class _RowRefusedError(Exception):
    """One row's refusal on its way to the report, carrying the column it belongs to."""

    def __init__(self, error: TrustError, column: str) -> None:
        super().__init__()
        self.error = error
        self.column = column


def _cell(column: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except TrustError as error:
        raise _RowRefusedError(error, column) from error


def _broken(column: str, rule: str, **params: str | int) -> _RowRefusedError:
    return _RowRefusedError(RecordRefused(field=column, rule=rule, **params), column)


def _matched(row: TableRow, column: str, shape: re.Pattern[str], rule: str) -> re.Match[str]:
    text = row.get(column)
    if not text:
        raise _broken(column, "missing")
    found = shape.fullmatch(text)
    if found is None:
        raise _broken(column, rule)
    return found


def _school(row: TableRow, own: School, registered: Callable[[SchoolCode], bool]) -> SchoolCode:
    code = _cell(SCHOOL_CODE, lambda: parse_listed(row.get(SCHOOL_CODE)))
    if code == own.code:
        return code
    raise _broken(SCHOOL_CODE, "other_school" if registered(code) else "school_unknown")


def _level(row: TableRow) -> str:
    word = row.get(LEVEL)
    if word not in _LEVEL_WORDS:
        raise _broken(LEVEL, "level_unknown")
    return _LEVEL_WORDS[word]


def _dates(row: TableRow, birth: date, today: date) -> tuple[date, date]:
    enrolment = _cell(ENROLMENT, lambda: parse_date(row.get(ENROLMENT), field=ENROLMENT))
    graduation = _cell(GRADUATION, lambda: parse_date(row.get(GRADUATION), field=GRADUATION))
    if enrolment <= birth:
        raise _broken(ENROLMENT, "before_birth")
    if graduation <= enrolment:
        raise _broken(GRADUATION, "before_enrolment")
    if (graduation - today).days > MAX_DAYS_AHEAD:
        raise _broken(GRADUATION, "too_far_ahead")
    return enrolment, graduation


def _number(row: TableRow, own: School, level: str, graduation: date) -> str:
    number = _matched(row, NUMBER, _NUMBER, "number_form")[0]
    # The five digits are the 高校代码; a school outside higher education, or one listed under an odd category,
    # is known by the same five last digits of its code.
    if number[:5] != own.code.value[5:]:
        raise _broken(NUMBER, "number_school")
    if number[5] not in _PROGRAMME_TYPES:
        raise _broken(NUMBER, "number_type")
    if number[6:10] != f"{graduation.year:04}":
        raise _broken(NUMBER, "number_year")
    if number[10:12] != LEVEL_CODES[level]:
        raise _broken(NUMBER, "number_level")
    return number


def _id_number(row: TableRow, today: date) -> IdNumber:
    if not row.get(ID_NUMBER):
        raise _broken(ID_NUMBER, "missing")
    return _cell(ID_NUMBER, lambda: refuse_future_birth(parse_id_number(row.get(ID_NUMBER)), today=today))


def _draft(row: TableRow, own: School, registered: Callable[[SchoolCode], bool], today: date) -> Draft:
    """Read one row. Raises `_RowRefusedError` for the first rule it breaks, in the order of the columns."""
    name = _cell(NAME, lambda: parse_person_name(row.get(NAME), field=NAME))
    id_number = _id_number(row, today)
    student_number = _matched(row, STUDENT_NUMBER, _STUDENT_NUMBER, "student_number_form")[0]
    code = _school(row, own, registered)
    major = _cell(MAJOR, lambda: plain_text(row.get(MAJOR), field=MAJOR))
    major_code = _matched(row, MAJOR_CODE, _MAJOR_CODE, "major_code_form")[0]
    level = _level(row)
    duration = _matched(row, DURATION, _DURATION, "duration_form")[1]
    enrolment, graduation = _dates(row, id_number.birth, today)
    number = _number(row, own, level, graduation)
    claims = {
        "name": str(name),
        "school_name": own.name,
        "school_code": code.value,
        "major": major,
        "major_code": major_code,
        "level": level,
        "student_number": student_number,
        "duration_years": duration,
        "enrolment_date": enrolment.isoformat(),
        "graduation_date": graduation.isoformat(),
        "certificate_number": number,
    }
    unique = [UniqueKey("diploma.certificate_number", number)]
    fields = [NUMBER]
    degree_number = row.get(DEGREE_NUMBER)
    if degree_number:
        claims["degree_certificate_number"] = _cell(
            DEGREE_NUMBER, lambda: plain_text(degree_number, field=DEGREE_NUMBER, most=24)
        )
        unique.append(UniqueKey("diploma.degree_certificate_number", degree_number))
        fields.append(DEGREE_NUMBER)
    holder = HolderFacts(id_number, str(name), student_number, enrolment.isoformat(), None)
    return Draft(row.line, number, holder, claims, tuple(unique), tuple(fields))


def parse_rows(
    rows: Iterable[TableRow | RefusedRow],
    *,
    school: School,
    registered: Callable[[SchoolCode], bool],
    today: date,
) -> Parsed:
    """Read a file of graduates of `school`; each bad row is noted with its line, column and rule, the good ones go on.

    `registered` says whether a school code is in the register. A number twice in the file is noted at its later lines.
    """
    drafts: list[Draft] = []
    refusals: list[RowNote] = []
    warnings: list[RowNote] = []
    seen: dict[UniqueKey, int] = {}
    for row in rows:
        if isinstance(row, RefusedRow):
            refusals.append(RowNote(row.line, row.field, row.code, row.rule, {}))
            continue
        try:
            draft = _draft(row, school, registered, today)
            for key, column in zip(draft.unique, draft.unique_fields, strict=True):
                if key in seen:
                    raise _broken(column, "duplicate_in_file", line=seen[key])
        except _RowRefusedError as refused:
            error = refused.error
            note = RowNote(row.line, refused.column, error.code, error.rule or "", dict(error.params))
            refusals.append(note)
            continue
        seen.update(dict.fromkeys(draft.unique, row.line))
        drafts.append(draft)
        degree_number = row.get(DEGREE_NUMBER)
        # Prefixes and special forms are not fully published, so an unusual number is shown, not refused.
        if degree_number and not _DEGREE_NUMBER.fullmatch(degree_number):
            warnings.append(RowNote(row.line, DEGREE_NUMBER, RecordRefused.code, "degree_number_unusual", {}))
    return Parsed(tuple(drafts), tuple(refusals), tuple(warnings))
