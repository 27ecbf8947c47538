"""The contract of the register's store.

Every method is one transaction: it happens whole or not at all, and what it returns is committed and durable. Two calls
at once end as if one had come after the other. `now` is the caller's clock in seconds since the epoch. Adapters are held
to this text by one conformance suite.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Protocol

from idp.registry.contact import Contact, ContactStatement, NameParts, Provable
from idp.registry.division import Division, DivisionTable
from idp.registry.errors import RegistryRefused
from idp.registry.id_number import IdNumber
from idp.registry.model import (
    AccountStatus,
    Affiliation,
    AffiliationKind,
    Conflict,
    Enrolment,
    EnrolmentRequest,
    ImportReport,
    NamedPerson,
    Person,
    ProofingLevel,
    RefusedRow,
    School,
    SchoolName,
    SchoolRow,
    SealedPerson,
    Source,
)
from idp.registry.person_number import PersonNumber
from idp.registry.school_code import SchoolCode

MAX_PAGE = 500
"""Records one listing returns at most; the callers page on with `after`."""


class RegistryStore(Protocol):
    """Schools, people and affiliations."""

    # Divisions

    async def load_divisions(self, divisions: Iterable[Division], *, revision: str) -> int:
        """Replace the table of divisions by this revision; return how many there are."""
        ...

    async def divisions(self) -> DivisionTable:
        """Return the loaded table; an empty one with revision "" before the first load."""
        ...

    # Schools

    async def import_schools(self, rows: Iterable[SchoolRow | RefusedRow], *, source: Source, now: int) -> ImportReport:
        """Add or update schools by code; the good rows are stored, the refused ones reported in the order of the rows.

        A re-import is an update: same facts count as unchanged, a changed name is kept in the history. Refused rows of
        the input pass through; added to them are a code twice in one import (`duplicate`), a closed code
        (`code_closed`: never reused), a unified social credit code another school holds (`uscc_taken`), a change stated
        by a source that ranks below the recorded one (`source_outranked`).
        """
        ...

    async def close_school(self, code: SchoolCode, *, on: date, successor: SchoolCode | None, now: int) -> School:
        """Close a school (撤销, or 合并 with a successor). Its people and credentials stay; its code is void for good.

        Raises `SchoolUnknown`; `SchoolRefused`: already_closed, successor (unknown, closed, or itself).
        """
        ...

    async def restore_school(self, code: SchoolCode, *, now: int) -> School:
        """Give a restored school its own old code back. Raises `SchoolUnknown`, `SchoolRefused(rule="not_closed")`."""
        ...

    async def school(self, code: SchoolCode) -> School:
        """Return the school, open or closed. Raises `SchoolUnknown`."""
        ...

    async def find_schools(self, *, region: str, after: SchoolCode | None, limit: int) -> tuple[School, ...]:
        """Return schools of a province (six digits) by ascending code, past `after`, at most `limit` ≤ MAX_PAGE."""
        ...

    async def school_names(self, code: SchoolCode) -> tuple[SchoolName, ...]:
        """Return every name the school has borne, oldest first; empty for an unknown code."""
        ...

    async def count_schools(self) -> int:
        """Return how many schools are registered, closed ones included."""
        ...

    # People

    async def enrol_person(self, request: EnrolmentRequest, *, now: int) -> Enrolment:
        """Register a person, or recognise one, and give them the affiliation asked for.

        The same ID number is the same person, also under concurrent enrolments: one number, one more affiliation.
        Without an ID number a person is recognised by an open affiliation with the same school, kind and local number.
        A recognised person's number and facts stay; a real name or birth date that differs raises a `Conflict` (once,
        however often it is stated) and changes nothing; an ID number, phone, birth date or foreign name not yet known is
        added; the proofing level rises, never falls; an open affiliation of the same school and kind is reused and
        takes the local number stated.

        Raises `SchoolUnknown`; `AffiliationRefused`: school_closed, local_number_taken; `StatusRefused(rule="disabled")`
        for a recognised person who is disabled.
        """
        ...

    async def enrol_people(
        self, requests: Sequence[EnrolmentRequest], *, now: int
    ) -> tuple[Enrolment | RegistryRefused, ...]:
        """Enrol up to `MAX_PAGE` people in one transaction, in order, each as `enrol_person` does.

        Who is refused comes back as the refusal, in their place, and the others are enrolled. A roster is enrolled in
        batches of this size: a crash loses the batch under way, and enrolling all again changes nothing.
        Raises `RowRefused(rule="batch_too_large")` for more.
        """
        ...

    async def end_affiliation(self, affiliation_id: str, *, until: date, reason: str, now: int) -> Affiliation:
        """End an open affiliation; the person, the number and all else stay.

        Raises `AffiliationUnknown`; `AffiliationRefused`: already_ended, until_before_since.
        """
        ...

    async def person(self, number: PersonNumber) -> Person:
        """Return the person whatever the status. Raises `PersonUnknown`."""
        ...

    async def named(self, number: PersonNumber) -> NamedPerson:
        """Return the person by name, whatever the status, opening nothing else. Raises `PersonUnknown`."""
        ...

    def opened(self, sealed: SealedPerson) -> NamedPerson:
        """Return by name a person who was read already, with a token say. Raises `DecryptionFailed`."""
        ...

    async def status(self, number: PersonNumber) -> AccountStatus:
        """Return the person's status and open nothing: asked at every request. Raises `PersonUnknown`."""
        ...

    async def find_by_id_number(self, id_number: IdNumber) -> Person | None:
        """Return the person with this ID number, found by its blind index, or None."""
        ...

    async def affiliations(self, number: PersonNumber, *, current_only: bool) -> tuple[Affiliation, ...]:
        """Return the person's affiliations by `since`; empty for an unknown number."""
        ...

    async def people_of_school(
        self, code: SchoolCode, *, kind: AffiliationKind | None, after: PersonNumber | None, limit: int
    ) -> tuple[tuple[Person, Affiliation], ...]:
        """Return people with an open affiliation, by ascending number past `after`, at most `limit` ≤ MAX_PAGE people."""
        ...

    async def find_by_local_number(
        self, code: SchoolCode, kind: AffiliationKind, local_number: str
    ) -> tuple[Person, Affiliation] | None:
        """Return the person who holds this local number (学号, 工号) in an open affiliation, or None."""
        ...

    async def id_number(self, number: PersonNumber) -> IdNumber | None:
        """Open the sealed ID number. Raises `PersonUnknown`. The caller records the act in the audit log."""
        ...

    async def phone(self, number: PersonNumber) -> str | None:
        """Open the sealed phone number. Raises `PersonUnknown`."""
        ...

    async def set_phone(self, number: PersonNumber, phone: str | None, *, now: int) -> None:
        """Replace or remove the phone number; the new one is not proven.

        Raises `PersonUnknown`, `StatusRefused(rule="deleted")`.
        """
        ...

    async def contact(self, number: PersonNumber) -> Contact:
        """Open how the person is reached; of a deleted person nothing is stated. Raises `PersonUnknown`."""
        ...

    async def state_contact(
        self, number: PersonNumber, stated: ContactStatement, *, proven: Mapping[Provable, bool], now: int
    ) -> tuple[str, ...]:
        """Replace everything stated of how the person is reached; return the names of the facts that changed.

        `proven` says of a fact whether it is verified; where it says nothing, a fact that was verified and stays what it
        was still is, and no other. Nothing is written where nothing changes. Raises `PersonUnknown`, `StatusRefused(rule="deleted")`.
        """
        ...

    async def set_name_parts(self, number: PersonNumber, parts: NameParts, *, now: int) -> bool:
        """Replace given and family name; return whether one changed.

        Raises `PersonUnknown`, `StatusRefused(rule="deleted")`.
        """
        ...

    async def set_display_name(self, number: PersonNumber, display_name: str, *, now: int) -> Person:
        """Replace the name the person shows. Raises `PersonUnknown`, `StatusRefused(rule="deleted")`."""
        ...

    async def record_proofing(self, number: PersonNumber, level: ProofingLevel, *, source: Source, now: int) -> Person:
        """Raise the proofing level; a lower one changes nothing. Raises `PersonUnknown`, `StatusRefused(rule="deleted")`."""
        ...

    async def set_status(self, number: PersonNumber, status: AccountStatus, *, now: int) -> Person:
        """Change the account status.

        ACTIVE, LOCKED and DISABLED change into one another; any of them into DELETED, which is final: the sealed facts,
        the blind index and the chosen name are destroyed, open affiliations and offices end, the number stays and is
        never given again; the same ID number enrolled later is a new person.
        Raises `PersonUnknown`, `StatusRefused(rule="deleted")`.
        """
        ...

    # Conflicts between sources

    async def conflicts(self, *, after: str | None, limit: int) -> tuple[Conflict, ...]:
        """Return open conflicts in the order of their identifiers, past `after`, at most `limit` ≤ MAX_PAGE."""
        ...

    async def settle_conflict(self, conflict_id: str, *, accept: bool, by: PersonNumber, now: int) -> Person:
        """Close a conflict: with `accept` the stated value replaces the recorded one, else it is dropped.

        Raises `ConflictUnknown` for an unknown or settled one; deleting a person settles theirs.
        """
        ...


def page_limit(limit: int) -> int:
    """Clamp a caller's page size to 1 … `MAX_PAGE`."""
    return max(1, min(limit, MAX_PAGE))
