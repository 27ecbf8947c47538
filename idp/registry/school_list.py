"""Lists of schools: from stated facts to rows the store imports.

An official list is taken at its word for codes (`parse_listed`); a unified social credit code, where stated, must be
well-formed. The division is the one stated, or the province in the code where the list states none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from crypto.errors import TrustError
from idp.registry.division import DivisionTable
from idp.registry.errors import DivisionRefused, NameRefused
from idp.registry.model import RefusedRow, SchoolRow
from idp.registry.names import parse_institution_name
from idp.registry.school_code import SchoolCode, parse_listed
from idp.registry.uscc import parse_uscc

MAX_NOTE = 100
"""Signs of stage, governing body and remarks; the longest of the ministry's list has eleven."""


@dataclass(frozen=True, slots=True)
class StatedSchool:
    """One school as a list states it, unread: all text, "" where the list says nothing."""

    line: int
    code: str
    name: str
    uscc: str
    division: str
    stage: str
    governing_body: str
    remarks: str


def read_schools(stated: Iterable[StatedSchool], *, divisions: DivisionTable) -> Iterator[SchoolRow | RefusedRow]:
    """Read each school; one that breaks a rule comes out as a `RefusedRow` with its line, field and rule."""
    for school in stated:
        try:
            yield _read(school, divisions)
        except TrustError as refusal:
            yield RefusedRow(school.line, refusal.field or "", refusal.code, refusal.rule or "")


def _read(school: StatedSchool, divisions: DivisionTable) -> SchoolRow:
    code = parse_listed(school.code)
    division = _division(school.division or code.region, divisions)
    return SchoolRow(
        line=school.line,
        code=code,
        name=parse_institution_name(school.name),
        uscc=parse_uscc(school.uscc) if school.uscc else None,
        division=division,
        supervisor=supervisor_of(code, division),
        stage=_note(school.stage, "stage"),
        governing_body=_note(school.governing_body, "governing_body"),
        remarks=_note(school.remarks, "remarks"),
    )


def supervisor_of(code: SchoolCode, division: str) -> str:
    """Return the division whose bureau administers the school: the province for the categories a province runs."""
    return code.region if code.is_province_run else division


def _division(code: str, divisions: DivisionTable) -> str:
    if divisions.find(code) is None:
        raise DivisionRefused(field="division", rule="unknown")
    return code


def _note(text: str, field: str) -> str:
    if len(text) > MAX_NOTE:
        raise NameRefused(field=field, rule="too_long")
    return parse_institution_name(text, field=field) if text.strip() else ""
