"""Enrolment in SQL: one transaction that recognises or registers a person and gives them a place at a school.

Enrolments meet at three kinds of lock, always taken in this order: ID numbers, schools, then the person's row, which the
first UPDATE of a recognised person holds to the end. A batch takes all its ID numbers and schools first, each kind
sorted, so no two batches wait for each other in a circle. So the same person enrolled at two schools at once is one
person, and a local number is given once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adapters.sql.database import Row, Transaction
from adapters.sql.idp_registry_people import FACTS
from adapters.sql.idp_registry_schools import school_in, school_lock
from adapters.sql.idp_registry_sealing import PersonSealer, affiliation_of
from idp.registry.errors import AffiliationRefused, RegistryRefused, StatusRefused
from idp.registry.model import (
    SOURCE_RANK,
    AccountStatus,
    Affiliation,
    Conflict,
    Enrolment,
    EnrolmentRequest,
    NewAffiliation,
    Source,
    shard_of,
)
from idp.registry.names import default_display_name
from idp.registry.person_number import RandomBytes, new_person_number

ID_BYTES = 12
"""96 random bits an identifier; nothing secret hangs on it."""


@dataclass(frozen=True, slots=True)
class EnrolmentDesk:
    """What an enrolment needs beside its transaction. `region` is the six-digit province this deployment serves."""

    sealer: PersonSealer
    random_bytes: RandomBytes
    region: str


async def enrol(
    desk: EnrolmentDesk, tx: Transaction, requests: Sequence[EnrolmentRequest], now: int
) -> tuple[Enrolment | RegistryRefused, ...]:
    """Do what `RegistryStore.enrol_people` promises, inside `tx`."""
    for name in lock_names(desk, requests):
        await tx.lock(name)
    done: list[Enrolment | RegistryRefused] = []
    for request in requests:
        try:
            done.append(await _Enrolment(desk, tx, request, now).run())
        except RegistryRefused as refusal:
            # Every refusal of an enrolment comes before its first write, so the others' transaction is untouched.
            done.append(refusal)
    return tuple(done)


def lock_names(desk: EnrolmentDesk, requests: Sequence[EnrolmentRequest]) -> list[str]:
    """Return the locks of these enrolments in the order in which everybody takes them."""
    people = {desk.sealer.id_index(r.id_number).hex() for r in requests if r.id_number is not None}
    schools = {r.affiliation.school for r in requests if r.affiliation is not None}
    return [*(f"registry/id/{index}" for index in sorted(people)), *(school_lock(code) for code in sorted(schools))]


class _Enrolment:
    def __init__(self, desk: EnrolmentDesk, tx: Transaction, request: EnrolmentRequest, now: int) -> None:
        self._desk = desk
        self._sealer = desk.sealer
        self._tx = tx
        self._request = request
        self._now = now
        self._index = None if request.id_number is None else desk.sealer.id_index(request.id_number)
        birth = request.birth if request.id_number is None else request.id_number.birth
        self._stated = {"real_name": request.real_name, "birth": None if birth is None else birth.isoformat()}

    async def run(self) -> Enrolment:
        place = self._request.affiliation
        if place is not None and not (await school_in(self._tx, place.school)).is_open:
            raise AffiliationRefused(field="school_code", rule="school_closed")
        recognised = await self._recognise(place)
        conflicts: tuple[Conflict, ...] = ()
        if recognised is None:
            row = await self._register()
        else:
            if recognised["status"] == AccountStatus.DISABLED:
                raise StatusRefused(field="status", rule="disabled")
            conflicts = await self._compare(recognised)
            row = await self._complete(recognised, agreed=not conflicts)
        affiliation, added = (None, False) if place is None else await self._affiliate(row, place)
        return Enrolment(self._sealer.person(row), affiliation, recognised is None, added, conflicts)

    # Who is it?

    async def _recognise(self, place: NewAffiliation | None) -> Row | None:
        by_id = None
        if self._index is not None:
            by_id = await self._tx.fetch_one("SELECT * FROM person WHERE id_index = $1", self._index)
        by_local = None
        if place is not None and place.local_number is not None:
            by_local = await self._tx.fetch_one(
                "SELECT p.* FROM affiliation a JOIN person p ON p.number = a.person"
                " WHERE a.school = $1 AND a.kind = $2 AND a.local_number = $3 AND a.until IS NULL",
                place.school.value,
                place.kind.value,
                place.local_number,
            )
        if by_local is None or (by_id is not None and by_id["number"] == by_local["number"]):
            return by_id
        # The local number is someone's. With an ID number stated it must be theirs: theirs is not known yet, nobody else
        # has the stated one, and the name agrees. Otherwise two people claim one local number.
        if self._index is not None:
            same_name = self._sealer.open_optional(by_local, "real_name") == self._request.real_name
            if by_id is not None or by_local["id_index"] is not None or not same_name:
                raise AffiliationRefused(field="local_number", rule="local_number_taken")
        return by_local

    async def _register(self) -> Row:
        request = self._request
        suffix = "用户"
        row = None
        while row is None:  # a number already given is drawn again
            number = new_person_number(self._desk.random_bytes).value
            seal = self._sealer.seal_optional
            row = await self._tx.fetch_one(
                "INSERT INTO person (number, display_name, real_name, foreign_name, birth, id_number, id_index, phone,"
                " proofing, status, created_at, updated_at, source, verified_at, region, shard)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'active', $10, $10, $11, $10, $12, $13)"
                " ON CONFLICT (number) DO NOTHING RETURNING *",
                number,
                request.display_name or default_display_name(request.real_name, suffix),
                seal(number, "real_name", request.real_name),
                seal(number, "foreign_name", request.foreign_name),
                seal(number, "birth", self._stated["birth"]),
                seal(number, "id_number", None if request.id_number is None else request.id_number.value),
                self._index,
                seal(number, "phone", request.phone),
                int(request.proofing),
                self._now,
                request.source.value,
                self._desk.region,
                shard_of(number),
            )
        return row

    # What does the source say otherwise?

    async def _compare(self, row: Row) -> tuple[Conflict, ...]:
        raised = []
        for fact in FACTS:
            recorded, stated = self._sealer.open_optional(row, fact), self._stated[fact]
            if recorded is not None and stated is not None and recorded != stated:
                raised.append(await self._conflict(row, fact, stated))
        return tuple(raised)

    async def _conflict(self, person: Row, fact: str, stated: str) -> Conflict:
        known = await self._tx.fetch(
            "SELECT * FROM registry_conflict WHERE person = $1 AND fact = $2 AND settled_at IS NULL ORDER BY id",
            person["number"],
            fact,
        )
        for row in known:
            conflict = self._sealer.conflict(row, person)
            if conflict.stated == stated:
                return conflict
        # Begins with the time, so that a work-list in the order of identifiers is oldest first.
        conflict_id = f"{self._now:012x}{self._desk.random_bytes(ID_BYTES).hex()}"
        row = await self._insert_conflict(conflict_id, person, fact, stated)
        return self._sealer.conflict(row, person)

    async def _insert_conflict(self, conflict_id: str, person: Row, fact: str, stated: str) -> Row:
        rows = await self._tx.fetch(
            "INSERT INTO registry_conflict (id, person, fact, stated, source, raised_at, region, shard)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING *",
            conflict_id,
            person["number"],
            fact,
            self._sealer.seal(conflict_id, "stated", stated, table="registry_conflict"),
            self._request.source.value,
            self._now,
            person["region"],
            person["shard"],
        )
        return rows[0]

    # What was not known yet?

    async def _complete(self, row: Row, *, agreed: bool) -> Row:
        number, request = row["number"], self._request
        seal = self._sealer.seal_optional
        confirms = agreed and SOURCE_RANK[request.source] >= SOURCE_RANK[Source(row["source"])]
        updated = await self._tx.fetch_one(
            "UPDATE person SET foreign_name = COALESCE(foreign_name, $2), birth = COALESCE(birth, $3),"
            " phone = COALESCE(phone, $4), id_number = COALESCE(id_number, $5), id_index = COALESCE(id_index, $6),"
            " proofing = CASE WHEN proofing < $7 THEN $7 ELSE proofing END, source = $8, verified_at = $9,"
            " updated_at = $10 WHERE number = $1 AND status <> 'deleted' RETURNING *",
            number,
            seal(number, "foreign_name", request.foreign_name),
            seal(number, "birth", self._stated["birth"]),
            seal(number, "phone", request.phone),
            seal(number, "id_number", None if request.id_number is None else request.id_number.value),
            self._index,
            int(request.proofing),
            request.source.value if confirms else row["source"],
            self._now if confirms else row["verified_at"],
            self._now,
        )
        # None: deleted since it was read, by a transaction this UPDATE waited for. Then it is nobody we know.
        return await self._register() if updated is None else updated

    # Where do they belong?

    async def _affiliate(self, person: Row, place: NewAffiliation) -> tuple[Affiliation, bool]:
        found = await self._tx.fetch_one(
            "SELECT * FROM affiliation WHERE person = $1 AND school = $2 AND kind = $3 AND until IS NULL",
            person["number"],
            place.school.value,
            place.kind.value,
        )
        if found is None:
            return affiliation_of(await self._add_affiliation(person, place)), True
        updated = await self._tx.fetch_one(
            "UPDATE affiliation SET local_number = COALESCE($2, local_number), source = $3, verified_at = $4"
            " WHERE id = $1 RETURNING *",
            found["id"],
            place.local_number,
            self._request.source.value,
            self._now,
        )
        return affiliation_of(updated or found), False

    async def _add_affiliation(self, person: Row, place: NewAffiliation) -> Row:
        rows = await self._tx.fetch(
            "INSERT INTO affiliation (id, person, school, kind, local_number, since, source, verified_at, region, shard)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING *",
            self._desk.random_bytes(ID_BYTES).hex(),
            person["number"],
            place.school.value,
            place.kind.value,
            place.local_number,
            place.since.isoformat(),
            self._request.source.value,
            self._now,
            person["region"],
            person["shard"],
        )
        return rows[0]
