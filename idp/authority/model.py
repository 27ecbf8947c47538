"""Units, offices and actors (五级 × 三员).

A unit is a division's education bureau or a school. It carries the path of its superiors, so that scope is decided from
the values at hand: `a` covers `b` when `a` is `b` or stands in `b`'s path.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from idp.authority.errors import OfficeRefused
from idp.registry.division import NATION, DivisionTable, division_level
from idp.registry.model import School
from idp.registry.person_number import PersonNumber


class Level(StrEnum):
    """The five levels of 《全国教师管理信息系统暂行办法》 Art 13."""

    NATION = "nation"
    PROVINCE = "province"
    CITY = "city"
    COUNTY = "county"
    SCHOOL = "school"


class OfficeKind(StrEnum):
    """SYSTEM 系统管理员 appoints and touches no data; INFORMATION 信息管理员 enters and reviews; QUERY 信息查询员 reads."""

    SYSTEM = "system"
    INFORMATION = "information"
    QUERY = "query"


class Duty(StrEnum):
    """What an office may do to records: draft them, approve them, or read the trail of both."""

    REGISTRAR = "registrar"
    APPROVER = "approver"
    AUDITOR = "auditor"


DUTIES_OF_KIND: dict[OfficeKind, frozenset[Duty]] = {
    OfficeKind.SYSTEM: frozenset(),
    OfficeKind.INFORMATION: frozenset({Duty.REGISTRAR, Duty.APPROVER}),
    OfficeKind.QUERY: frozenset({Duty.AUDITOR}),
}
"""The duties a kind of office may carry. A system officer has none (“不得超业务范围配置权限”)."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A bureau or a school. `code`: six digits of a division (000000 the nation) or ten of a school.

    `path`: the codes of its superiors from the nation down to the direct one; empty for the nation.
    """

    level: Level
    code: str
    path: tuple[str, ...]

    def __post_init__(self) -> None:
        digits = 10 if self.level is Level.SCHOOL else 6
        if not (len(self.code) == digits and self.code.isascii() and self.code.isdigit()):
            raise OfficeRefused(field="unit", rule="code")
        if (self.level is Level.NATION) != (self.code == NATION) or (self.path[:1] != (NATION,)) != (
            self.code == NATION
        ):
            raise OfficeRefused(field="unit", rule="path")

    @property
    def superior(self) -> str | None:
        """The code of the unit directly above; None for the nation."""
        return self.path[-1] if self.path else None

    def covers(self, other: Unit) -> bool:
        """Whether `other` is this unit or stands below it."""
        return self.code == other.code or self.code in other.path


def unit_of_division(table: DivisionTable, code: str) -> Unit:
    """Return the unit of a division's bureau. Raises `DivisionRefused` for a code the table lacks."""
    return Unit(Level(division_level(code).value), code, table.ancestors(code))


def unit_of_school(table: DivisionTable, school: School) -> Unit:
    """Return the unit of a school, under the bureau that administers it. Raises `DivisionRefused`."""
    above = table.ancestors(school.supervisor)
    return Unit(Level.SCHOOL, school.code.value, (*above, school.supervisor))


@dataclass(frozen=True, slots=True)
class NewOffice:
    """An office about to be granted."""

    person: PersonNumber
    unit: Unit
    kind: OfficeKind
    duties: frozenset[Duty]

    def __post_init__(self) -> None:
        if not self.duties <= DUTIES_OF_KIND[self.kind]:
            raise OfficeRefused(field="duties", rule="kind")


@dataclass(frozen=True, slots=True)
class Office:
    """An office someone holds, or held when `revoked_at` is set. `granted_by` is None only for the first of all."""

    id: str
    person: PersonNumber
    unit: Unit
    kind: OfficeKind
    duties: frozenset[Duty]
    granted_by: PersonNumber | None
    granted_at: int
    revoked_at: int | None

    @property
    def level(self) -> Level:
        """The level of the unit."""
        return self.unit.level

    @property
    def is_active(self) -> bool:
        """Whether the office has not been revoked."""
        return self.revoked_at is None


@dataclass(frozen=True, slots=True)
class Actor:
    """Who stands behind a request: the signed-in person with the offices in force when it began.

    `acr` and `auth_time` are of the sign-in; `session_ref` is an opaque reference for the audit trail, never the cookie.
    """

    person: PersonNumber
    display_name: str
    offices: tuple[Office, ...]
    acr: str
    auth_time: int
    session_ref: str
