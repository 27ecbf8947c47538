"""A province of invented people: two universities, their officers, teachers and students; three hundred in all.

Everything comes from one seed, so two runs make the same people. The records are what a roster would state; whoever
loads them draws the person numbers and chooses the passwords.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date, timedelta

from faker import Faker

from idp.authority.model import Duty, Level, NewOffice, OfficeKind, Unit
from idp.registry.contact import ContactStatement, PostalAddress
from idp.registry.division import NATION
from idp.registry.id_number import IdNumber, check_sign, parse_id_number
from idp.registry.model import (
    AffiliationKind,
    EnrolmentRequest,
    NewAffiliation,
    ProofingLevel,
    SchoolRow,
    Source,
)
from idp.registry.names import default_display_name, parse_person_name
from idp.registry.person_number import PersonNumber
from idp.registry.school_code import SchoolCode, parse_strict

REGION = "500000"
PEOPLE = 300
STUDENTS_FIRST_SCHOOL = 215
STUDENTS_SECOND_SCHOOL = 65
TEACHERS = 10
OFFICERS = 10

# Names of the people of the whole country: beyond the first plane (𠮷, 𬭶), four bytes in GB 18030 (㐂, 䶮), several parts.
RARE_NAMES = (
    "𠮷田禾",
    "李㐂",
    "阿依古丽·买买提",
    "王𠮷祥",
    "张䶮",
    "迪丽努尔·艾合买提",
    "陈㐂乐",
    "刘𬭶",
    "次仁·卓玛",
    "古丽娜尔·吐尔逊江",
)
_EVERY = 20  # one rare name in twenty students

# 500000 is the province itself: no ID number was ever issued under it. 1540000 is with no operator.
_ID_DIVISION = REGION
_PHONE_PREFIX = "1540000"


@dataclass(frozen=True, slots=True)
class DemoOffice:
    """The office a demo account is given once its person is registered."""

    unit: Unit
    kind: OfficeKind
    duties: frozenset[Duty]

    def for_person(self, person: PersonNumber) -> NewOffice:
        """Return the office as the authority store takes it."""
        return NewOffice(person, self.unit, self.kind, self.duties)


@dataclass(frozen=True, slots=True)
class DemoPerson:
    """One invented person: the account name to sign in with, what a roster states of them, and their office if any."""

    login: str
    enrolment: EnrolmentRequest = field(repr=False)
    office: DemoOffice | None

    @property
    def contact(self) -> ContactStatement:
        """What the person states of how to reach them; `.example` is nobody's domain (RFC 2606 §2)."""
        address = PostalAddress(f"演示市演示区大学路1号 {self.login} 室", "重庆市", "演示区", "400000")
        return ContactStatement(f"{self.login}@mail.example", self.enrolment.phone, address, "zh-CN", "Asia/Shanghai")

    @property
    def school(self) -> SchoolCode | None:
        """The school of the affiliation asked for; None for officers of the bureau."""
        return None if self.enrolment.affiliation is None else self.enrolment.affiliation.school


@dataclass(frozen=True, slots=True)
class DemoProvince:
    """The whole invention. `graduation_year` is the last year whose June lies behind."""

    region: str
    graduation_year: int
    schools: tuple[SchoolRow, ...]
    people: tuple[DemoPerson, ...]

    def students(self, school: SchoolCode) -> tuple[DemoPerson, ...]:
        """Return the students of one school in the order of their student numbers."""
        return tuple(
            person
            for person in self.people
            if (place := person.enrolment.affiliation) is not None
            and place.school == school
            and place.kind is AffiliationKind.STUDENT
        )

    def account(self, login: str) -> DemoPerson:
        """Return the person of an account name. Raises `KeyError`."""
        return {person.login: person for person in self.people}[login]


def demo_schools() -> tuple[SchoolRow, ...]:
    """Return the two invented universities; the higher-education codes 99901 and 99902 are nobody's."""
    stated = (
        ("4150099901", "渝州大学（演示）", "500106", "本科"),
        ("4150099902", "巴渝职业技术学院（演示）", "500112", "专科"),
    )
    return tuple(
        SchoolRow(
            line=line,
            code=parse_strict(code),
            name=name,
            uscc=None,
            division=division,
            supervisor=REGION,
            stage=stage,
            governing_body="演示省教育厅",
            remarks="演示数据",
        )
        for line, (code, name, division, stage) in enumerate(stated, start=1)
    )


def make_population(*, seed: int, today: date) -> DemoProvince:
    """Make the province. Whoever studies at the first school graduates in the last June that lies behind `today`."""
    schools = demo_schools()
    year = today.year if today >= date(today.year, 7, 1) else today.year - 1
    maker = _Maker(seed, year)
    first, second = (school.code for school in schools)
    people = [
        *maker.officers(None, "province"),
        *maker.officers(first, "a"),
        *maker.officers(second, "b"),
        *maker.teachers(first, "a", TEACHERS - TEACHERS // 2),
        *maker.teachers(second, "b", TEACHERS // 2),
        *maker.students(first, "a", STUDENTS_FIRST_SCHOOL),
        *maker.students(second, "b", STUDENTS_SECOND_SCHOOL),
    ]
    return DemoProvince(REGION, year, schools, tuple(people))


class _Maker:
    def __init__(self, seed: int, graduation_year: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  # invented people must come out the same every time
        self._faker = Faker("zh_CN")
        self._faker.seed_instance(seed)
        self._year = graduation_year
        self._made = 0

    def officers(self, school: SchoolCode | None, prefix: str) -> list[DemoPerson]:
        """Make one officer an office: four at a school; at the bureau a system officer and an auditor."""
        if school is None:
            unit = Unit(Level.PROVINCE, REGION, (NATION,))
        else:
            unit = Unit(Level.SCHOOL, school.value, (NATION, REGION))
        offices = {
            "system": DemoOffice(unit, OfficeKind.SYSTEM, frozenset()),
            "registrar": DemoOffice(unit, OfficeKind.INFORMATION, frozenset({Duty.REGISTRAR})),
            "approver": DemoOffice(unit, OfficeKind.INFORMATION, frozenset({Duty.APPROVER})),
            "auditor": DemoOffice(unit, OfficeKind.QUERY, frozenset({Duty.AUDITOR})),
        }
        if school is None:
            del offices["registrar"], offices["approver"]
        made = []
        for position, (role, office) in enumerate(offices.items(), start=1):
            place = None if school is None else self._place(school, AffiliationKind.STAFF, f"G{position:04}", 10)
            made.append(self._person(f"{prefix}.{role}", self._name(), self._year - 45, place, office))
        return made

    def teachers(self, school: SchoolCode, prefix: str, count: int) -> list[DemoPerson]:
        """Make teachers."""
        return [
            self._person(
                f"{prefix}.teacher{position}",
                self._name(),
                self._year - 40,
                self._place(school, AffiliationKind.TEACHER, f"T{position:04}", 8),
                None,
            )
            for position in range(1, count + 1)
        ]

    def students(self, school: SchoolCode, prefix: str, count: int) -> list[DemoPerson]:
        """Make students of one year; every twentieth bears a rare name."""
        made = []
        for position in range(1, count + 1):
            rare, left = divmod(position - 1, _EVERY)
            name = RARE_NAMES[rare % len(RARE_NAMES)] if left == 0 else self._name()
            number = f"{self._year - 4}{position:05}"
            place = self._place(school, AffiliationKind.STUDENT, number, 4)
            made.append(self._person(f"{prefix}{position:03}", name, self._year - 22, place, None))
        return made

    def _name(self) -> str:
        return str(self._faker.name())

    def _place(self, school: SchoolCode, kind: AffiliationKind, number: str, years: int) -> NewAffiliation:
        return NewAffiliation(school, kind, number, date(self._year - years, 9, 1))

    def _person(
        self, login: str, name: str, born: int, place: NewAffiliation | None, office: DemoOffice | None
    ) -> DemoPerson:
        self._made += 1
        real_name = parse_person_name(name)
        suffix = "同学" if place is not None and place.kind is AffiliationKind.STUDENT else "老师"
        id_number = self._id_number(born)
        enrolment = EnrolmentRequest(
            real_name=real_name,
            foreign_name=None,
            display_name=default_display_name(real_name, suffix),
            id_number=id_number,
            birth=id_number.birth,
            phone=f"{_PHONE_PREFIX}{self._made:04}",
            affiliation=place,
            proofing=ProofingLevel.ROSTER,
            source=Source.DEMONSTRATION,
        )
        return DemoPerson(login, enrolment, office)

    def _id_number(self, born: int) -> IdNumber:
        birth = date(born, 1, 1) + timedelta(days=self._random.randrange(365))
        # The running number is the sequence, so no two are alike whatever the birth date.
        payload = f"{_ID_DIVISION}{birth:%Y%m%d}{self._made:03}"
        return parse_id_number(payload + check_sign(payload))
