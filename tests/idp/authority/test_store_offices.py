"""The contract of `AuthorityStore`, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from adapters.sql.database import Database
from adapters.sql.idp_authority import SqlAuthorityStore
from idp.authority.assurance import ACR_TWO_FACTORS
from idp.authority.errors import NotAuthorised, OfficeUnknown, SeparationOfDuties, SystemOfficeTaken
from idp.authority.model import (
    Actor,
    Duty,
    Level,
    NewOffice,
    Office,
    OfficeKind,
    Unit,
    unit_of_division,
    unit_of_school,
)
from idp.authority.store import AuthorityStore, appoint, dismiss
from idp.registry.division import Division, DivisionTable
from idp.registry.errors import DivisionRefused, PersonUnknown
from idp.registry.model import AccountStatus
from idp.registry.person_number import PersonNumber, new_person_number
from idp.registry.store import RegistryStore
from tests.conftest import OpenDatabase
from tests.idp.registry.people import FIRST, NOW, REGION, THIRD, id_number, registry, request

Run = Callable[[Coroutine[Any, Any, None]], None]

TABLE = DivisionTable(
    [Division("500000", "重庆市"), Division("500106", "沙坪坝区"), Division("500112", "渝北区")], revision="test"
)
PROVINCE = unit_of_division(TABLE, "500000")
COUNTY = unit_of_division(TABLE, "500106")
OTHER_COUNTY = unit_of_division(TABLE, "500112")
INFORMATION, QUERY, SYSTEM = OfficeKind.INFORMATION, OfficeKind.QUERY, OfficeKind.SYSTEM


@dataclass
class Scene:
    offices: AuthorityStore
    people: RegistryStore
    db: Database
    anna: PersonNumber
    ben: PersonNumber
    carl: PersonNumber
    university: Unit
    school: Unit


@asynccontextmanager
async def scene(migrated: OpenDatabase) -> AsyncIterator[Scene]:
    async with registry(migrated) as (people, db):
        anna, ben, carl = [
            (await people.enrol_person(request(number=id_number(i), school=None), now=NOW)).person.number
            for i in range(1, 4)
        ]
        store = SqlAuthorityStore(db, random_bytes=random.Random(2).randbytes, region=REGION)
        university = unit_of_school(TABLE, await people.school(FIRST))
        below = await people.school(THIRD)
        school = Unit(Level.SCHOOL, below.code.value, (*COUNTY.path, COUNTY.code))
        yield Scene(store, people, db, anna, ben, carl, university, school)


def new(person: PersonNumber, unit: Unit, kind: OfficeKind, *duties: Duty) -> NewOffice:
    return NewOffice(person, unit, kind, frozenset(duties))


def actor(person: PersonNumber, *offices: Office) -> Actor:
    return Actor(person, "x", offices, ACR_TWO_FACTORS, NOW, "s")


def test_a_school_stands_under_the_bureau_that_administers_it(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with scene(migrated) as s:
            assert s.university == Unit(Level.SCHOOL, FIRST.value, ("000000", "500000"))
            assert (COUNTY.level, COUNTY.path) == (Level.COUNTY, ("000000", "500000"))
            with pytest.raises(DivisionRefused):
                unit_of_division(TABLE, "500199")

    run(story())


def test_an_office_comes_back_as_it_was_granted(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with scene(migrated) as s:
            granted = await s.offices.grant_office(
                new(s.anna, s.university, INFORMATION, Duty.REGISTRAR, Duty.APPROVER), by=s.ben, now=NOW
            )
            assert await s.offices.offices_of(s.anna) == (granted,)
            assert await s.offices.office(granted.id) == granted
            assert (granted.unit, granted.level, granted.granted_by) == (s.university, Level.SCHOOL, s.ben)
            assert granted.duties == {Duty.REGISTRAR, Duty.APPROVER}
            plain = await s.offices.grant_office(new(s.anna, COUNTY, SYSTEM), by=None, now=NOW + 1)
            assert await s.offices.offices_of(s.anna) == (granted, plain)
            assert plain.duties == frozenset()

    run(story())


def test_a_unit_has_one_active_system_officer(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with scene(migrated) as s:
            first = await s.offices.grant_office(new(s.anna, COUNTY, SYSTEM), by=None, now=NOW)
            with pytest.raises(SystemOfficeTaken):
                await s.offices.grant_office(new(s.ben, COUNTY, SYSTEM), by=None, now=NOW)
            await s.offices.grant_office(new(s.ben, OTHER_COUNTY, SYSTEM), by=None, now=NOW)
            await s.offices.revoke_office(first.id, by=None, now=NOW)
            after = await s.offices.grant_office(new(s.carl, COUNTY, SYSTEM), by=None, now=NOW)
            assert await s.offices.officers_of(COUNTY.code, kind=SYSTEM) == (after,)

    run(story())


def test_of_many_grants_at_once_one_system_officer_is_seated(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with scene(migrated) as s, migrated("registry") as other_db:
            other = SqlAuthorityStore(other_db, random_bytes=random.Random(3).randbytes, region=REGION)
            # Several rounds: the first opens the connections, the later ones meet at once.
            for code in range(500201, 500213):
                unit = Unit(Level.COUNTY, str(code), COUNTY.path)
                outcomes = await asyncio.gather(
                    *(
                        store.grant_office(new(person, unit, SYSTEM), by=None, now=NOW)
                        for person in (s.anna, s.ben, s.carl)
                        for store in (s.offices, other)
                    ),
                    return_exceptions=True,
                )
                assert len({o.id for o in outcomes if isinstance(o, Office)}) == 1
                assert all(isinstance(o, Office | SystemOfficeTaken) for o in outcomes)

    run(story())


def test_a_person_holds_one_kind_of_office_in_a_unit(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with scene(migrated) as s:
            first = await s.offices.grant_office(new(s.anna, s.school, INFORMATION, Duty.REGISTRAR), by=None, now=NOW)
            for other in (new(s.anna, s.school, QUERY, Duty.AUDITOR), new(s.anna, s.school, SYSTEM)):
                with pytest.raises(SeparationOfDuties):
                    await s.offices.grant_office(other, by=None, now=NOW)
            again = await s.offices.grant_office(
                new(s.anna, s.school, INFORMATION, Duty.APPROVER), by=None, now=NOW + 5
            )
            assert (again.id, again.duties, again.granted_at) == (first.id, frozenset({Duty.APPROVER}), NOW)

    run(story())


def test_a_revoked_office_is_gone_and_is_not_revoked_twice(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with scene(migrated) as s:
            granted = await s.offices.grant_office(new(s.anna, s.school, QUERY, Duty.AUDITOR), by=None, now=NOW)
            ended = await s.offices.revoke_office(granted.id, by=s.ben, now=NOW + 1)
            assert (ended.revoked_at, ended.is_active) == (NOW + 1, False)
            assert await s.offices.offices_of(s.anna) == ()
            with pytest.raises(OfficeUnknown):
                await s.offices.revoke_office(granted.id, by=s.ben, now=NOW + 2)
            with pytest.raises(OfficeUnknown):
                await s.offices.office(granted.id)

    run(story())


@pytest.mark.parametrize("status", [AccountStatus.LOCKED, AccountStatus.DISABLED, AccountStatus.DELETED])
def test_whoever_is_not_active_holds_no_office(migrated: OpenDatabase, run: Run, status: AccountStatus) -> None:
    async def story() -> None:
        async with scene(migrated) as s:
            await s.offices.grant_office(new(s.anna, COUNTY, SYSTEM), by=None, now=NOW)
            await s.people.set_status(s.anna, status, now=NOW)
            assert await s.offices.offices_of(s.anna) == ()
            if status is AccountStatus.DELETED:
                # The seat is free again, and a deleted person is never seated.
                await s.offices.grant_office(new(s.ben, COUNTY, SYSTEM), by=None, now=NOW)
                with pytest.raises(PersonUnknown):
                    await s.offices.grant_office(new(s.anna, OTHER_COUNTY, SYSTEM), by=None, now=NOW)

    run(story())


def test_nobody_unknown_is_seated(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with scene(migrated) as s:
            nobody = new_person_number(random.Random(99).randbytes)
            with pytest.raises(PersonUnknown):
                await s.offices.grant_office(new(nobody, COUNTY, SYSTEM), by=None, now=NOW)
            assert await s.offices.offices_of(nobody) == ()

    run(story())


def test_a_listing_shows_a_unit_and_what_is_below_in_pages(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with scene(migrated) as s:
            units = (PROVINCE, COUNTY, OTHER_COUNTY, s.university, s.school)
            granted = {u.code: await s.offices.grant_office(new(s.anna, u, QUERY), by=None, now=NOW) for u in units}

            async def within(unit: Unit) -> set[str]:
                return {o.unit.code for o in await s.offices.offices_within(unit, after=None, limit=100)}

            assert await within(PROVINCE) == set(granted)
            assert await within(COUNTY) == {COUNTY.code, s.school.code}
            assert await within(OTHER_COUNTY) == {OTHER_COUNTY.code}
            assert await within(s.university) == {s.university.code}
            first = await s.offices.offices_within(PROVINCE, after=None, limit=3)
            rest = await s.offices.offices_within(PROVINCE, after=first[-1].id, limit=3)
            assert [o.id for o in (*first, *rest)] == sorted(o.id for o in granted.values())

    run(story())


def test_a_county_officer_cannot_seat_or_remove_officers_of_another_county(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with scene(migrated) as s:
            seat = await s.offices.grant_office(new(s.anna, COUNTY, SYSTEM), by=None, now=NOW)
            anna = actor(s.anna, seat)
            theirs = await s.offices.grant_office(new(s.carl, OTHER_COUNTY, SYSTEM), by=None, now=NOW)
            with pytest.raises(NotAuthorised):
                await appoint(s.offices, anna, new(s.ben, OTHER_COUNTY, INFORMATION), now=NOW)
            with pytest.raises(NotAuthorised):
                await dismiss(s.offices, anna, theirs.id, now=NOW)
            with pytest.raises(NotAuthorised):
                # A school of her own county: only its system officer is hers to seat.
                await appoint(s.offices, anna, new(s.ben, s.school, INFORMATION), now=NOW)
            made = await appoint(s.offices, anna, new(s.ben, s.school, SYSTEM), now=NOW)
            assert made.granted_by == s.anna
            assert (await dismiss(s.offices, anna, made.id, now=NOW)).revoked_at == NOW
            row = await s.db.fetch_one("SELECT revoked_by FROM office WHERE id = $1", made.id)
            assert row is not None
            assert row["revoked_by"] == s.anna.value

    run(story())
