"""Rosters: the file by which a school registers its people (无需注册即开通).

One row a person: 姓名, 证件号码, 类别, 学号/工号, 入学日期/入职日期, and if the school likes 手机号 and 外文姓名. Each row becomes an
enrolment request or a refusal with line, field and rule; a bad row never stops the good ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from crypto.errors import TrustError
from idp.registry.dates import parse_date
from idp.registry.errors import RowRefused
from idp.registry.id_number import IdNumber, parse_id_number, refuse_future_birth
from idp.registry.model import (
    AffiliationKind,
    EnrolmentRequest,
    NewAffiliation,
    ProofingLevel,
    RefusedRow,
    Source,
)
from idp.registry.names import default_display_name, parse_foreign_name, parse_person_name, parse_phone
from idp.registry.school_code import SchoolCode
from idp.registry.text_file import Table, TableRow, read_table

NAME = "姓名"
ID_NUMBER = "证件号码"
KIND = "类别"
LOCAL_NUMBER = "学号/工号"
SINCE = "入学/入职日期"
PHONE = "手机号"
FOREIGN_NAME = "外文姓名"

REQUIRED = (NAME, ID_NUMBER, KIND, LOCAL_NUMBER, SINCE)
OPTIONAL = (PHONE, FOREIGN_NAME)

KINDS = {"学生": AffiliationKind.STUDENT, "教师": AffiliationKind.TEACHER, "职工": AffiliationKind.STAFF}
_SUFFIX = {AffiliationKind.STUDENT: "同学", AffiliationKind.TEACHER: "老师", AffiliationKind.STAFF: "老师"}

MAX_LOCAL_NUMBER = 40


@dataclass(frozen=True, slots=True)
class RosterRow:
    """One good row: its line in the file and what it asks for."""

    line: int
    request: EnrolmentRequest


def read_roster(text: str, *, school: SchoolCode, source: Source, today: date) -> Iterator[RosterRow | RefusedRow]:
    """Read a school's roster row by row, in bounded memory beside the text.

    `today` refuses births and entries in the future. Raises `FileRefused` for a header or a file that is no table.
    """
    return _each(read_table(text, required=REQUIRED, optional=OPTIONAL), school, source, today)


def _each(table: Table, school: SchoolCode, source: Source, today: date) -> Iterator[RosterRow | RefusedRow]:
    # First line of each ID number and local number: twice in one file is a mistake even where the store would cope.
    seen: dict[tuple[str, str], int] = {}
    for row in table.rows:
        if isinstance(row, RefusedRow):
            yield row
            continue
        try:
            request = _request(row, school, source, today)
            _refuse_repeated(seen, row.line, request)
        except TrustError as refusal:
            yield RefusedRow(row.line, refusal.field or "", refusal.code, refusal.rule or "")
        else:
            yield RosterRow(row.line, request)


def _refuse_repeated(seen: dict[tuple[str, str], int], line: int, request: EnrolmentRequest) -> None:
    keys = []
    if request.id_number is not None:
        keys.append((ID_NUMBER, request.id_number.value))
    if request.affiliation is not None and request.affiliation.local_number is not None:
        keys.append((LOCAL_NUMBER, f"{request.affiliation.kind}/{request.affiliation.local_number}"))
    for key in keys:
        if key in seen:
            raise RowRefused(field=key[0], rule="repeated_in_file")
    for key in keys:
        seen[key] = line


def _request(row: TableRow, school: SchoolCode, source: Source, today: date) -> EnrolmentRequest:
    real_name = parse_person_name(row.get(NAME), field=NAME)
    id_number = _id_number(row.get(ID_NUMBER), today)
    kind = KINDS.get(row.get(KIND))
    if kind is None:
        raise RowRefused(field=KIND, rule="kind")
    local_number = parse_local_number(row.get(LOCAL_NUMBER), field=LOCAL_NUMBER)
    since = parse_date(row.get(SINCE), field=SINCE)
    if since > today:
        raise RowRefused(field=SINCE, rule="in_future")
    if id_number is None and local_number is None:
        raise RowRefused(field=ID_NUMBER, rule="no_identifier")
    return EnrolmentRequest(
        real_name=real_name,
        foreign_name=parse_foreign_name(row.get(FOREIGN_NAME), field=FOREIGN_NAME) if row.get(FOREIGN_NAME) else None,
        display_name=default_display_name(real_name, _SUFFIX[kind]),
        id_number=id_number,
        birth=id_number.birth if id_number else None,
        phone=parse_phone(row.get(PHONE), field=PHONE) if row.get(PHONE) else None,
        affiliation=NewAffiliation(school, kind, local_number, since),
        proofing=ProofingLevel.ROSTER,
        source=source,
    )


def _id_number(text: str, today: date) -> IdNumber | None:
    if not text:
        return None
    try:
        return refuse_future_birth(parse_id_number(text), today=today)
    except TrustError as refusal:
        # The same refusal, under the title of the column.
        raise type(refusal)(field=ID_NUMBER, rule=refusal.rule) from None


def parse_local_number(text: str, *, field: str) -> str | None:
    """Read a school's own number: 1–40 visible ASCII signs; "" is None. Raises `RowRefused(rule="local_number")`."""
    if not text:
        return None
    if len(text) > MAX_LOCAL_NUMBER or not (text.isascii() and text.isprintable()) or " " in text:
        raise RowRefused(field=field, rule="local_number")
    return text
