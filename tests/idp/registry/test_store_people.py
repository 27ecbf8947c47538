"""The contract of `RegistryStore` for people: one person one number, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from datetime import date
from typing import Any

import pytest

from adapters.sql.idp_registry import SqlRegistryStore
from crypto.errors import DecryptionFailed, TrustError
from crypto.sealed import BlindIndex, ColumnSealer
from idp.registry.errors import (
    AffiliationRefused,
    AffiliationUnknown,
    ConflictUnknown,
    PersonUnknown,
    RowRefused,
    SchoolUnknown,
    StatusRefused,
)
from idp.registry.model import AccountStatus, AffiliationKind, Enrolment, ProofingLevel, Source
from idp.registry.person_number import PersonNumber, new_person_number
from idp.registry.school_code import SchoolCode
from idp.registry.store import MAX_PAGE
from tests.conftest import OpenDatabase
from tests.idp.registry.people import FIRST, NOW, REGION, SECOND, THIRD, id_number, registry, registry_of, request

Run = Callable[[Coroutine[Any, Any, None]], None]
NOBODY = new_person_number(random.Random(99).randbytes)


async def refused(call: Coroutine[Any, Any, object], kind: type[TrustError]) -> str | None:
    with pytest.raises(kind) as caught:
        await call
    return caught.value.rule


def test_the_same_id_number_in_two_schools_is_one_person_with_two_affiliations(
    migrated: OpenDatabase, run: Run
) -> None:
    async def story() -> None:
        async with registry(migrated) as (store, _):
            one = await store.enrol_person(request(number=id_number(1), local="1"), now=NOW)
            two = await store.enrol_person(request(number=id_number(1), school=SECOND, local="1"), now=NOW + 9)
            assert (one.new_person, two.new_person, two.new_affiliation, two.conflicts) == (True, False, True, ())
            assert one.person.number == two.person.number
            places = await store.affiliations(one.person.number, current_only=True)
            assert {place.school for place in places} == {FIRST, SECOND}
            found = await store.find_by_id_number(id_number(1))
            assert found == two.person
            assert await store.find_by_id_number(id_number(2)) is None

    run(story())


def test_the_number_reveals_no_digit_of_the_id_number_and_survives_a_transfer(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with registry(migrated) as (store, _):
            # Another draw gives the same ID number another person number: it is drawn, not derived.
            number = (await store.enrol_person(request(number=id_number(1), school=None), now=NOW)).person.number
            assert number.value != id_number(1).value[:16]
            enrolled = await store.enrol_person(request(number=id_number(1), school=THIRD, local="7"), now=NOW)
            assert enrolled.affiliation is not None
            ended = await store.end_affiliation(
                enrolled.affiliation.id, until=date(2026, 6, 30), reason="转学", now=NOW
            )
            assert (ended.until, ended.end_reason, ended.is_current) == (date(2026, 6, 30), "转学", False)
            moved = await store.enrol_person(request(number=id_number(1), school=FIRST, local="8"), now=NOW)
            assert moved.person.number == number
            assert [p.school for p in await store.affiliations(number, current_only=True)] == [FIRST]
            assert len(await store.affiliations(number, current_only=False)) == 2

    run(story())


def test_two_stores_draw_different_numbers_for_the_same_id_number(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with registry(migrated) as (_, db):
            first = await registry_of(db, seed=5).enrol_person(request(number=id_number(1), school=None), now=NOW)
            await registry_of(db).set_status(first.person.number, AccountStatus.DELETED, now=NOW)
            second = await registry_of(db, seed=6).enrol_person(request(number=id_number(1), school=None), now=NOW)
            assert first.person.number != second.person.number

    run(story())


def test_sixteen_enrolments_at_once_of_one_id_number_make_one_person(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with registry(migrated), migrated("registry") as db:
            stores = [registry_of(db, seed=seed) for seed in range(100, 116)]
            schools = (FIRST, SECOND, THIRD)
            done = await asyncio.gather(
                *(
                    store.enrol_person(request(number=id_number(1), school=schools[i % 3], local="1"), now=NOW)
                    for i, store in enumerate(stores)
                )
            )
            assert len({enrolment.person.number for enrolment in done}) == 1
            assert sum(enrolment.new_person for enrolment in done) == 1
            assert sum(enrolment.new_affiliation for enrolment in done) == 3

    run(story())


def test_a_number_already_given_is_drawn_again(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with registry(migrated) as (_, db):
            draws: list[bytes] = [b"\x00" * 32, b"\x00" * 32, b"\x01" * 32]

            def random_bytes(count: int) -> bytes:
                return draws.pop(0) if count == 32 else random.Random(len(draws)).randbytes(count)

            sealer = ColumnSealer({"k": b"k" * 16}, "k", random.Random(3).randbytes)
            index = BlindIndex(b"i" * 32)
            store = SqlRegistryStore(db, sealer=sealer, index=index, random_bytes=random_bytes, region=REGION)
            first = await store.enrol_person(request(school=None), now=NOW)
            second = await store.enrol_person(request(school=None), now=NOW)
            assert first.person.number.value[:15] == "1" + "0" * 14
            assert second.person.number.value[:15] == "2" + "1" * 14
            assert draws == []

    run(story())


def test_what_is_known_of_a_person_comes_back_with_four_byte_characters(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with registry(migrated) as (store, _):
            asked = request("𠮷㐂·𬭶", number=id_number(3), local="20220001", phone="15400000001", foreign="Ji Xi")
            person = (await store.enrol_person(asked, now=NOW)).person
            assert person == await store.person(person.number)
            assert (person.real_name, person.foreign_name, person.birth) == ("𠮷㐂·𬭶", "Ji Xi", date(2004, 1, 2))
            assert (person.has_id_number, person.has_phone, person.region) == (True, True, REGION)
            assert (person.proofing, person.status) == (ProofingLevel.ROSTER, AccountStatus.ACTIVE)
            assert await store.id_number(person.number) == id_number(3)
            assert await store.phone(person.number) == "15400000001"
            assert person.real_name not in person.display_name
            assert person.real_name not in repr(person)
            by_local = await store.find_by_local_number(FIRST, AffiliationKind.STUDENT, "20220001")
            assert by_local is not None
            assert by_local[0] == person
            assert await store.find_by_local_number(SECOND, AffiliationKind.STUDENT, "20220001") is None

    run(story())


def test_the_database_holds_no_real_name_id_number_birth_or_phone_in_the_clear(
    migrated: OpenDatabase, run: Run
) -> None:
    async def story() -> None:
        async with registry(migrated) as (store, db):
            asked = request("欧阳𠮷", number=id_number(4), phone="15400000002", foreign="Ouyang Ji")
            await store.enrol_person(asked, now=NOW)
            await store.enrol_person(request("欧阳吉", number=id_number(4)), now=NOW)
            stored = b""
            for table in ("person", "affiliation", "registry_conflict"):
                for row in await db.fetch("SELECT * FROM " + table):  # noqa: S608  # the three names above
                    stored += b"|".join(v if isinstance(v, bytes) else str(v).encode() for v in row.values())
            for secret in (id_number(4).value, "20040102", "2004-01-02", "15400000002", "欧阳𠮷", "欧阳吉", "Ouyang"):
                assert secret.encode() not in stored

    run(story())


def test_a_sealed_value_moved_to_another_row_or_column_does_not_open(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with registry(migrated) as (store, db):
            one = (await store.enrol_person(request("王芳", number=id_number(1)), now=NOW)).person.number.value
            two = (await store.enrol_person(request("李明", number=id_number(2)), now=NOW)).person.number
            sql = "UPDATE person SET real_name = (SELECT {} FROM person WHERE number = $1) WHERE number = $2"
            await db.execute(sql.format("real_name"), one, two.value)
            with pytest.raises(DecryptionFailed):
                await store.person(two)
            await db.execute(sql.format("birth"), two.value, two.value)
            with pytest.raises(DecryptionFailed):
                await store.person(two)

    run(story())


def test_a_name_that_differs_raises_one_conflict_and_changes_nothing(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with registry(migrated) as (store, _):
            person = (await store.enrol_person(request("王𠮷", number=id_number(1)), now=NOW)).person
            for later in (1, 2):
                again = await store.enrol_person(request("王吉", number=id_number(1)), now=NOW + later)
                assert [(c.fact, c.recorded, c.stated) for c in again.conflicts] == [("real_name", "王𠮷", "王吉")]
            assert (await store.person(person.number)).real_name == "王𠮷"
            assert (await store.person(person.number)).provenance.verified_at == NOW
            (conflict,) = await store.conflicts(after=None, limit=10)
            assert "王" not in repr(conflict)
            kept = await store.settle_conflict(conflict.id, accept=False, by=person.number, now=NOW)
            assert kept.real_name == "王𠮷"
            assert await store.conflicts(after=None, limit=10) == ()
            assert (
                await refused(
                    store.settle_conflict(conflict.id, accept=True, by=person.number, now=NOW), ConflictUnknown
                )
                == "unknown"
            )
            raised = await store.enrol_person(
                request("王吉", number=id_number(1), source=Source.STUDENT_REGISTER), now=NOW + 3
            )
            changed = await store.settle_conflict(raised.conflicts[0].id, accept=True, by=person.number, now=NOW + 4)
            assert (changed.real_name, changed.provenance.source) == ("王吉", Source.STUDENT_REGISTER)

    run(story())


def test_an_enrolment_adds_what_was_not_known_and_lowers_nothing(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with registry(migrated) as (store, _):
            first = await store.enrol_person(request("王芳", local="1", proofing=ProofingLevel.DOCUMENT), now=NOW)
            assert (first.person.has_id_number, first.person.birth) == (False, None)
            asked = request("王芳", number=id_number(1), local="1", phone="15400000001", foreign="Wang Fang")
            second = await store.enrol_person(asked, now=NOW + 1)
            assert second.person.number == first.person.number
            assert (second.new_person, second.new_affiliation) == (False, False)
            assert (second.person.has_id_number, second.person.has_phone) == (True, True)
            assert (second.person.birth, second.person.foreign_name) == (date(2004, 1, 2), "Wang Fang")
            assert second.person.proofing is ProofingLevel.DOCUMENT
            assert await store.id_number(first.person.number) == id_number(1)
            third = await store.enrol_person(request("王芳", number=id_number(1), phone="15400000009"), now=NOW + 2)
            assert await store.phone(third.person.number) == "15400000001"

    run(story())


def test_a_roster_without_id_numbers_comes_twice_without_doubling_anyone(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with registry(migrated) as (store, _):
            one = await store.enrol_person(request("王芳", local="1"), now=NOW)
            same = await store.enrol_person(request("王芳", local="1"), now=NOW + 1)
            elsewhere = await store.enrol_person(request("王芳", local="1", school=SECOND), now=NOW + 1)
            assert (same.person.number, same.new_person) == (one.person.number, False)
            assert elsewhere.new_person

    run(story())


def test_a_local_number_belongs_to_one_person_of_the_school(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with registry(migrated) as (store, _):
            first = await store.enrol_person(request("王芳", number=id_number(1), local="1"), now=NOW)
            taken = "local_number_taken"
            new = request("李明", number=id_number(2), local="1")
            assert await refused(store.enrol_person(new, now=NOW), AffiliationRefused) == taken
            await store.enrol_person(request("李明", number=id_number(2), local="2"), now=NOW)
            swapped = request("李明", number=id_number(2), local="1")
            assert await refused(store.enrol_person(swapped, now=NOW), AffiliationRefused) == taken
            nameless = await store.enrol_person(request("赵强", local="3"), now=NOW)
            other_name = request("钱多", number=id_number(5), local="3")
            assert await refused(store.enrol_person(other_name, now=NOW), AffiliationRefused) == taken
            assert await store.find_by_id_number(id_number(5)) is None
            assert not (await store.person(nameless.person.number)).has_id_number
            # Given back when the affiliation ends.
            assert first.affiliation is not None
            await store.end_affiliation(first.affiliation.id, until=date(2026, 1, 1), reason="毕业", now=NOW)
            assert (await store.enrol_person(new, now=NOW)).new_affiliation is False
            # The same student with a new number of their own.
            renumbered = await store.enrol_person(request("李明", number=id_number(2), local="9"), now=NOW)
            assert renumbered.affiliation is not None
            assert renumbered.affiliation.local_number == "9"

    run(story())


def test_nobody_is_enrolled_at_an_unknown_or_closed_school(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with registry(migrated) as (store, _):
            unknown = request(school=SchoolCode("1150000001"), number=id_number(1))
            assert await refused(store.enrol_person(unknown, now=NOW), SchoolUnknown) == "unknown"
            await store.close_school(FIRST, on=date(2026, 1, 1), successor=None, now=NOW)
            closed = request(number=id_number(1))
            assert await refused(store.enrol_person(closed, now=NOW), AffiliationRefused) == "school_closed"
            assert await store.find_by_id_number(id_number(1)) is None

    run(story())


def test_a_batch_enrols_the_good_and_returns_the_refused_in_their_place(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with registry(migrated) as (store, _):
            batch = [
                request("王芳", number=id_number(1), local="1"),
                request("李明", number=id_number(2), local="1"),
                request("赵强", number=id_number(3), school=SchoolCode("1150000001")),
                request("王芳", number=id_number(1), school=SECOND),
            ]
            one, taken, nowhere, same = await store.enrol_people(batch, now=NOW)
            assert isinstance(one, Enrolment)
            assert isinstance(same, Enrolment)
            assert same.person.number == one.person.number
            assert isinstance(taken, AffiliationRefused)
            assert isinstance(nowhere, SchoolUnknown)
            assert await store.find_by_id_number(id_number(2)) is None
            assert await store.find_by_id_number(id_number(3)) is None
            again = await store.enrol_people(batch, now=NOW + 1)
            assert [isinstance(o, Enrolment) and (o.new_person, o.new_affiliation) for o in again] == [
                (False, False),
                False,
                False,
                (False, False),
            ]
            assert await store.enrol_people([], now=NOW) == ()
            with pytest.raises(RowRefused):
                await store.enrol_people([batch[0]] * (MAX_PAGE + 1), now=NOW)

    run(story())


def test_batches_at_once_in_opposite_orders_do_not_wait_in_a_circle(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with registry(migrated), migrated("registry") as db:
            people = [request(number=id_number(i), school=(FIRST, SECOND)[i % 2], local=f"{i}") for i in range(40)]
            for _ in range(3):  # the first round opens the connections, the later ones meet at once
                stores = [registry_of(db, seed=seed) for seed in range(6)]
                done = await asyncio.gather(
                    *(s.enrol_people(people[:: (-1) ** i], now=NOW) for i, s in enumerate(stores))
                )
                numbers = {o.person.number for batch in done for o in batch if isinstance(o, Enrolment)}
                assert len(numbers) == 40

    run(story())


def test_an_affiliation_ends_once_and_not_before_it_began(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with registry(migrated) as (store, _):
            place = (await store.enrol_person(request(), now=NOW)).affiliation
            assert place is not None
            early = store.end_affiliation(place.id, until=date(2022, 8, 31), reason="x", now=NOW)
            assert await refused(early, AffiliationRefused) == "until_before_since"
            await store.end_affiliation(place.id, until=date(2022, 9, 1), reason="x", now=NOW)
            twice = store.end_affiliation(place.id, until=date(2026, 1, 1), reason="x", now=NOW)
            assert await refused(twice, AffiliationRefused) == "already_ended"
            nowhere = store.end_affiliation("none", until=date(2026, 1, 1), reason="x", now=NOW)
            assert await refused(nowhere, AffiliationUnknown) == "unknown"

    run(story())


@pytest.mark.parametrize("status", [AccountStatus.LOCKED, AccountStatus.DISABLED])
def test_a_status_can_be_set_and_taken_back(migrated: OpenDatabase, run: Run, status: AccountStatus) -> None:
    async def story() -> None:
        async with registry(migrated) as (store, _):
            number = (await store.enrol_person(request(number=id_number(1)), now=NOW)).person.number
            assert (await store.set_status(number, status, now=NOW)).status is status
            again = request(number=id_number(1), school=SECOND)
            if status is AccountStatus.DISABLED:
                assert await refused(store.enrol_person(again, now=NOW), StatusRefused) == "disabled"
            else:
                assert (await store.enrol_person(again, now=NOW)).person.status is status
            assert (await store.set_status(number, AccountStatus.ACTIVE, now=NOW)).status is AccountStatus.ACTIVE

    run(story())


def test_deletion_destroys_what_is_known_and_the_number_is_never_given_again(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with registry(migrated) as (store, db):
            enrolled = await store.enrol_person(
                request("王芳", number=id_number(1), local="1", phone="15400000001"), now=NOW
            )
            number = enrolled.person.number
            await store.enrol_person(request("王方", number=id_number(1)), now=NOW)
            gone = await store.set_status(number, AccountStatus.DELETED, now=NOW)
            assert (gone.status, gone.real_name, gone.birth, gone.has_id_number, gone.has_phone) == (
                AccountStatus.DELETED,
                "",
                None,
                False,
                False,
            )
            row = await db.fetch_one("SELECT * FROM person WHERE number = $1", number.value)
            assert row is not None
            assert [row[c] for c in ("real_name", "foreign_name", "birth", "id_number", "id_index", "phone")] == [
                None
            ] * 6
            assert await store.find_by_id_number(id_number(1)) is None
            assert await store.affiliations(number, current_only=True) == ()
            assert [p.local_number for p in await store.affiliations(number, current_only=False)] == [None]
            assert await store.conflicts(after=None, limit=10) == ()
            assert await store.status(number) is AccountStatus.DELETED
            assert await refused(store.status(NOBODY), PersonUnknown) == "unknown"
            for call in (
                store.set_status(number, AccountStatus.ACTIVE, now=NOW),
                store.set_status(number, AccountStatus.DELETED, now=NOW),
                store.set_phone(number, "15400000001", now=NOW),
                store.set_display_name(number, "x", now=NOW),
                store.record_proofing(number, ProofingLevel.IN_PERSON, source=Source.SCHOOL_ROSTER, now=NOW),
            ):
                assert await refused(call, StatusRefused) == "deleted"
            anew = await store.enrol_person(request("王芳", number=id_number(1), local="1"), now=NOW)
            assert anew.new_person
            assert anew.person.number != number

    run(story())


def test_proofing_rises_and_never_falls(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with registry(migrated) as (store, _):
            number = (await store.enrol_person(request(), now=NOW)).person.number
            up = await store.record_proofing(
                number, ProofingLevel.IN_PERSON, source=Source.NETWORK_IDENTITY, now=NOW + 1
            )
            assert (up.proofing, up.provenance.source) == (ProofingLevel.IN_PERSON, Source.NETWORK_IDENTITY)
            down = await store.record_proofing(number, ProofingLevel.ROSTER, source=Source.SCHOOL_ROSTER, now=NOW + 2)
            assert down == up

    run(story())


def test_a_person_chooses_the_name_and_phone_they_show(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with registry(migrated) as (store, _):
            number = (await store.enrol_person(request(), now=NOW)).person.number
            assert (await store.set_display_name(number, "小鱼🐟", now=NOW)).display_name == "小鱼🐟"
            await store.set_phone(number, "15400000003", now=NOW)
            assert await store.phone(number) == "15400000003"
            await store.set_phone(number, None, now=NOW)
            assert await store.phone(number) is None

    run(story())


def test_people_of_a_school_come_in_pages_cut_between_people(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with registry(migrated) as (store, _):
            for i in range(5):
                await store.enrol_person(request(number=id_number(i), local=f"{i}"), now=NOW)
                await store.enrol_person(request(number=id_number(i), kind=AffiliationKind.STAFF), now=NOW)
            await store.enrol_person(request(number=id_number(9), school=SECOND), now=NOW)
            seen: list[tuple[PersonNumber, AffiliationKind]] = []
            after = None
            while page := await store.people_of_school(FIRST, kind=None, after=after, limit=2):
                assert len(page) in {2, 4}
                seen += [(person.number, place.kind) for person, place in page]
                after = page[-1][0].number
            assert len(seen) == len(set(seen)) == 10
            assert seen == sorted(seen, key=lambda pair: (pair[0], pair[1]))
            only = await store.people_of_school(FIRST, kind=AffiliationKind.STAFF, after=None, limit=500)
            assert {place.kind for _, place in only} == {AffiliationKind.STAFF}
            assert len(only) == 5

    run(story())


def test_an_unknown_person_is_said_to_be_unknown(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with registry(migrated) as (store, _):
            for call in (
                store.person(NOBODY),
                store.id_number(NOBODY),
                store.phone(NOBODY),
                store.set_phone(NOBODY, None, now=NOW),
                store.set_display_name(NOBODY, "x", now=NOW),
                store.set_status(NOBODY, AccountStatus.DELETED, now=NOW),
                store.record_proofing(NOBODY, ProofingLevel.ROSTER, source=Source.SCHOOL_ROSTER, now=NOW),
            ):
                assert await refused(call, PersonUnknown) == "unknown"
            assert await store.affiliations(NOBODY, current_only=False) == ()

    run(story())


def test_the_age_decides_who_needs_a_guardian(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with registry(migrated) as (store, _):
            asked = request(number=id_number(1, "20120229"))
            person = (await store.enrol_person(asked, now=NOW)).person
            assert person.age_on(date(2026, 2, 28)) == 13
            assert person.needs_guardian_on(date(2026, 2, 28))
            assert person.age_on(date(2026, 3, 1)) == 14
            assert not person.needs_guardian_on(date(2026, 3, 1))
            unknown = (await store.enrol_person(request(school=None), now=NOW)).person
            assert unknown.age_on(date(2026, 1, 1)) is None

    run(story())
