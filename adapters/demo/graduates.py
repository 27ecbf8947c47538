"""The registrar's file of the demonstration: two hundred graduates as comma-separated text, with faults on request.

The columns are those the diploma rules read. 证书编号 follows the ministry's eighteen digits: five of the school, one of the
kind of study (1 普通), four of the year, two of the level, six of sequence; 学位证书编号 its sixteen: five of the unit, one of
the degree (2 博士 3 硕士 4 学士), four of the year, six of sequence.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from adapters.demo.population import DemoPerson, DemoProvince
from idp.registry.school_code import SchoolCode
from idp.registry.text_file import Encoding, encode_gb18030

COLUMNS = (
    "姓名",
    "证件号码",
    "学号",
    "学校标识码",
    "专业名称",
    "专业代码",
    "培养层次",
    "学制",
    "入学日期",
    "毕业日期",
    "证书编号",
    "学位证书编号",
)
NAME, ID_NUMBER, _, SCHOOL, _, _, LEVEL, _, ENTRY, GRADUATION, CERTIFICATE, _ = range(len(COLUMNS))

GRADUATES = 200
ENCODING_OF_FILE: Mapping[str, Encoding] = {"graduates.csv": "UTF-8", "graduates-gb18030.csv": "GB18030"}

# Majors with their codes in the undergraduate catalogue (普通高等学校本科专业目录), level, and years of study.
_BACHELOR = (
    ("计算机科学与技术", "080901", "本科", "4"),
    ("汉语言文学", "050101", "本科", "4"),
    ("数学与应用数学", "070101", "本科", "4"),
    ("学前教育", "040106", "本科", "4"),
    ("法学", "030101K", "本科", "4"),
)
_LEVEL_DIGITS = {"本科": "05"}
_DEGREE_DIGIT = {"本科": "4"}


class BadRow(StrEnum):
    """A fault a row can be given. The value is the name of the rule it breaks."""

    CHECK_DIGIT = "check_digit"
    IMPOSSIBLE_DATE = "impossible_date"
    DUPLICATE_NUMBER = "duplicate_number"
    UNKNOWN_LEVEL = "unknown_level"
    UNKNOWN_SCHOOL = "unknown_school"
    GRADUATED_BEFORE_ENTRY = "graduated_before_entry"
    NO_NAME = "no_name"


@dataclass(frozen=True, slots=True)
class GraduatesFile:
    """The file, how many good rows it has, and the line of each bad one."""

    data: bytes
    encoding: Encoding
    good: int
    bad: tuple[tuple[int, BadRow], ...]


def certificate_number(school: SchoolCode, *, year: int, level: str, sequence: int) -> str:
    """Build the eighteen digits for ordinary study. `level` is 培养层次 in two digits (05 本科). Raises `KeyError`."""
    return f"{_five_digits(school)}1{year:04}{level}{sequence:06}"


def degree_number(school: SchoolCode, *, year: int, degree: str, sequence: int) -> str:
    """Build the sixteen digits of a degree certificate. `degree` is one digit (4 学士)."""
    return f"{_five_digits(school)}{degree}{year:04}{sequence:06}"


def _five_digits(school: SchoolCode) -> str:
    digits = school.higher_education_code
    if digits is None:
        raise KeyError(school.value)
    return digits


def graduates_csv(
    school: SchoolCode,
    people: Sequence[DemoPerson],
    *,
    year: int,
    encoding: Encoding,
    bad_rows: Iterable[BadRow],
) -> GraduatesFile:
    """Make the file: the first two hundred of `people`, then one more row a fault, in the order of `bad_rows`."""
    rows = [_row(school, person, year, sequence) for sequence, person in enumerate(people[:GRADUATES], start=1)]
    good = len(rows)
    bad = []
    for position, fault in enumerate(bad_rows):
        # Taken from those left over, so that a row breaks its own rule and no other.
        person = people[(GRADUATES + position) % len(people)]
        rows.append(_spoil(_row(school, person, year, good + position + 1), fault, first=rows[0]))
        bad.append((len(rows) + 1, fault))
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    encoded = encode_gb18030(text.getvalue()) if encoding == "GB18030" else text.getvalue().encode("utf-8-sig")
    return GraduatesFile(encoded, encoding, good, tuple(bad))


def _row(school: SchoolCode, person: DemoPerson, year: int, sequence: int) -> list[str]:
    request = person.enrolment
    major, major_code, level, years = _BACHELOR[sequence % len(_BACHELOR)]
    place, id_number = request.affiliation, request.id_number
    return [
        request.real_name,
        "" if id_number is None else id_number.value,
        "" if place is None or place.local_number is None else place.local_number,
        school.value,
        major,
        major_code,
        level,
        years,
        f"{year - int(years)}-09-01",
        f"{year}-06-30",
        certificate_number(school, year=year, level=_LEVEL_DIGITS[level], sequence=sequence),
        degree_number(school, year=year, degree=_DEGREE_DIGIT[level], sequence=sequence),
    ]


def _spoil(row: list[str], fault: BadRow, *, first: list[str]) -> list[str]:
    changes = {
        # Seventeen digits ask for one check sign only, so any other is wrong.
        BadRow.CHECK_DIGIT: (ID_NUMBER, row[ID_NUMBER][:-1] + ("0" if row[ID_NUMBER][-1] != "0" else "1")),
        BadRow.IMPOSSIBLE_DATE: (GRADUATION, f"{row[GRADUATION][:4]}-06-31"),
        BadRow.DUPLICATE_NUMBER: (CERTIFICATE, first[CERTIFICATE]),
        BadRow.UNKNOWN_LEVEL: (LEVEL, "超级本科"),
        BadRow.UNKNOWN_SCHOOL: (SCHOOL, "4150099999"),
        BadRow.GRADUATED_BEFORE_ENTRY: (ENTRY, f"{row[GRADUATION][:4]}-07-01"),
        BadRow.NO_NAME: (NAME, ""),
    }
    column, value = changes[fault]
    return [*row[:column], value, *row[column + 1 :]]


def write_graduates(folder: Path, province: DemoProvince) -> Path:
    """Put the first school's list, with one row a fault, into the folder in both encodings; return the UTF-8 one."""
    school = province.schools[0].code
    people = province.students(school)
    for name, encoding in ENCODING_OF_FILE.items():
        made = graduates_csv(school, people, year=province.graduation_year, encoding=encoding, bad_rows=BadRow)
        (folder / name).write_bytes(made.data)
    return folder / next(iter(ENCODING_OF_FILE))
