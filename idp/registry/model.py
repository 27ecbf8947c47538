"""What the registry keeps: schools, people, affiliations, each with the source it came from.

All values are parsed already (codes, numbers, names); nothing here reads text. Times are seconds since the epoch, UTC;
dates are calendar dates. `region` is the six-digit code of the province that keeps the record and `shard` a small number
fixed when the record is made: both are in every table from the first migration.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import IntEnum, StrEnum

from idp.registry.id_number import IdNumber
from idp.registry.names import PersonName
from idp.registry.person_number import PersonNumber
from idp.registry.school_code import SchoolCode
from idp.registry.uscc import Uscc

SHARDS = 256
"""Fixed for the life of the data: a record never changes its shard. 256 splits evenly over 2, 4, 8 … machines."""

GUARDIAN_CONSENT_AGE = 14
"""未成年人 below 14: personal information is sensitive, a guardian consents (PIPL Art 28, 31)."""
ADULT_AGE = 18


class Source(StrEnum):
    """Where a fact came from (一数一源). The order of trust is `SOURCE_RANK`."""

    OFFICIAL_LIST = "official_list"
    STUDENT_REGISTER = "student_register"
    TEACHER_REGISTER = "teacher_register"
    NETWORK_IDENTITY = "network_identity"
    SCHOOL_ROSTER = "school_roster"
    SELF_STATED = "self_stated"
    DEMONSTRATION = "demonstration"


SOURCE_RANK: dict[Source, int] = {
    Source.DEMONSTRATION: 0,
    Source.SELF_STATED: 1,
    Source.SCHOOL_ROSTER: 2,
    Source.NETWORK_IDENTITY: 3,
    Source.TEACHER_REGISTER: 3,
    Source.STUDENT_REGISTER: 3,
    Source.OFFICIAL_LIST: 4,
}


class ProofingLevel(IntEnum):
    """How far a person's real identity was established (后台实名)."""

    NONE = 0
    ROSTER = 1  # matched with a school's roster
    DOCUMENT = 2  # the ID document was checked
    IN_PERSON = 3  # face to face, or through the national network identity service


class SchoolStatus(StrEnum):
    """A closed school keeps its code forever; nobody else gets it."""

    OPEN = "open"
    CLOSED = "closed"


class AccountStatus(StrEnum):
    """Whether the person may use the service. DELETED is final: the number stays as a tombstone, the facts are gone."""

    ACTIVE = "active"
    LOCKED = "locked"
    DISABLED = "disabled"
    DELETED = "deleted"


class AffiliationKind(StrEnum):
    """What the person is at the school."""

    STUDENT = "student"
    TEACHER = "teacher"
    STAFF = "staff"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a record came from and when it was last confirmed by that source."""

    source: Source
    verified_at: int


@dataclass(frozen=True, slots=True)
class School:
    """A school of the register. `division` is where it stands; `supervisor` the division whose bureau administers it.

    `stage` is what the list says it teaches (本科, 专科, 小学 …), as published; `governing_body` likewise.
    """

    code: SchoolCode
    name: str
    uscc: Uscc | None
    division: str
    supervisor: str
    stage: str
    governing_body: str
    remarks: str
    status: SchoolStatus
    successor: SchoolCode | None
    closed_on: date | None
    provenance: Provenance
    region: str
    shard: int

    @property
    def is_open(self) -> bool:
        """Whether people may be enrolled and credentials issued."""
        return self.status is SchoolStatus.OPEN


@dataclass(frozen=True, slots=True)
class SchoolName:
    """One name a school has borne, with the time it was first recorded and, unless current, the time it was replaced."""

    name: str
    since: int
    until: int | None


@dataclass(frozen=True, slots=True)
class Person:
    """A registered person. Real name and birth date are stored sealed; ID number and phone are not carried here.

    `display_name` is the person's own choice (前台自愿) and may be shown; `real_name` only where the purpose allows it.
    `given_name` and `family_name` are None unless a source states them apart; `locale` and `zoneinfo` unless the person
    chose them. `updated_at` is when anything recorded of the person last changed. Of a deleted person `real_name` is
    empty and `birth` None.
    """

    number: PersonNumber
    display_name: str
    real_name: PersonName = field(repr=False)
    foreign_name: PersonName | None = field(repr=False)
    given_name: PersonName | None = field(repr=False)
    family_name: PersonName | None = field(repr=False)
    birth: date | None = field(repr=False)
    locale: str | None
    zoneinfo: str | None
    has_id_number: bool
    has_phone: bool
    proofing: ProofingLevel
    status: AccountStatus
    created_at: int
    updated_at: int
    provenance: Provenance
    region: str
    shard: int

    def age_on(self, day: date) -> int | None:
        """Return completed years on `day`, or None where the birth date is not known."""
        if self.birth is None:
            return None
        return day.year - self.birth.year - ((day.month, day.day) < (self.birth.month, self.birth.day))

    def needs_guardian_on(self, day: date) -> bool:
        """Whether a guardian must consent. An unknown age does not count as young; proofing is asked elsewhere."""
        age = self.age_on(day)
        return age is not None and age < GUARDIAN_CONSENT_AGE


@dataclass(frozen=True, slots=True)
class SealedPerson:
    """What a `NamedPerson` is made of, as it lies in the register: the names are sealed. `RegistryStore.opened` opens them."""

    number: str
    status: AccountStatus
    display_name: str
    real_name: bytes | None = field(repr=False)
    given_name: bytes | None = field(repr=False)
    family_name: bytes | None = field(repr=False)
    locale: str | None
    zoneinfo: str | None
    updated_at: int


@dataclass(frozen=True, slots=True)
class NamedPerson:
    """A registered person by name, as far as a platform may be told of one: no more is opened than that.

    `real_name` None: deleted. `updated_at` in seconds since the epoch.
    """

    number: PersonNumber
    status: AccountStatus
    display_name: str
    real_name: str | None = field(repr=False)
    given_name: str | None = field(repr=False)
    family_name: str | None = field(repr=False)
    locale: str | None
    zoneinfo: str | None
    updated_at: int


@dataclass(frozen=True, slots=True)
class Affiliation:
    """A person's place at a school: `local_number` is the school's own number (学号, 工号)."""

    id: str
    person: PersonNumber
    school: SchoolCode
    kind: AffiliationKind
    local_number: str | None
    since: date
    until: date | None
    end_reason: str | None
    provenance: Provenance
    region: str
    shard: int

    @property
    def is_current(self) -> bool:
        """Whether the affiliation has not been ended."""
        return self.until is None


@dataclass(frozen=True, slots=True)
class NewAffiliation:
    """The affiliation an enrolment asks for."""

    school: SchoolCode
    kind: AffiliationKind
    local_number: str | None
    since: date


@dataclass(frozen=True, slots=True)
class EnrolmentRequest:
    """One person as one source states them, all values parsed.

    `id_number` may be None: someone proofed by the national network identity is never asked for it. `affiliation` may be
    None for officers of a bureau.
    """

    real_name: PersonName = field(repr=False)
    foreign_name: PersonName | None = field(repr=False)
    display_name: str | None
    id_number: IdNumber | None = field(repr=False)
    birth: date | None = field(repr=False)
    phone: str | None = field(repr=False)
    affiliation: NewAffiliation | None
    proofing: ProofingLevel
    source: Source


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two sources disagree on a fact. What is recorded stays until a person settles it."""

    id: str
    person: PersonNumber
    fact: str
    recorded: str = field(repr=False)
    stated: str = field(repr=False)
    source: Source
    raised_at: int


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an enrolment did."""

    person: Person
    affiliation: Affiliation | None
    new_person: bool
    new_affiliation: bool
    conflicts: tuple[Conflict, ...]


@dataclass(frozen=True, slots=True)
class SchoolRow:
    """One school as a list states it, all values parsed; `line` is its line in the file, counted from 1."""

    line: int
    code: SchoolCode
    name: str
    uscc: Uscc | None
    division: str
    supervisor: str
    stage: str
    governing_body: str
    remarks: str


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that was not taken: its line, the field at fault, and the code and rule of the refusal. No value in it."""

    line: int
    field: str
    code: str
    rule: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """The outcome of an import of schools."""

    added: int
    updated: int
    unchanged: int
    refused: tuple[RefusedRow, ...]


def shard_of(digits: str) -> int:
    """Return the shard of a person number or a school code: its digits without the check digit, modulo `SHARDS`."""
    return int(digits[:-1]) % SHARDS
