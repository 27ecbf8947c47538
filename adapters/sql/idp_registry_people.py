"""People and their affiliations in SQL: reading, changing, deleting. Enrolment is in `idp_registry_enrol.py`."""

from __future__ import annotations

from datetime import UTC, date, datetime

from adapters.sql.database import Database, Row, Transaction
from adapters.sql.idp_registry_sealing import SEALED_PERSON, PersonSealer, affiliation_of, sealed_person
from idp.registry.errors import AffiliationRefused, AffiliationUnknown, ConflictUnknown, PersonUnknown, StatusRefused
from idp.registry.id_number import IdNumber
from idp.registry.model import (
    AccountStatus,
    Affiliation,
    AffiliationKind,
    Conflict,
    NamedPerson,
    Person,
    ProofingLevel,
    SealedPerson,
    Source,
)
from idp.registry.person_number import PersonNumber
from idp.registry.school_code import SchoolCode
from idp.registry.store import page_limit

DELETED_DISPLAY_NAME = "—"
ENDED_BY_DELETION = "deleted"

# Facts a source may state otherwise; each is a sealed column of `person` of the same name.
FACTS = ("real_name", "birth")
_ACCEPT = {
    "real_name": "UPDATE person SET real_name = $2, source = $3, verified_at = $4, updated_at = $4 WHERE number = $1",
    "birth": "UPDATE person SET birth = $2, source = $3, verified_at = $4, updated_at = $4 WHERE number = $1",
}


async def person_in(tx: Transaction, number: PersonNumber) -> Row:
    """Return a person's row inside a transaction. Raises `PersonUnknown`."""
    row = await tx.fetch_one("SELECT * FROM person WHERE number = $1", number.value)
    if row is None:
        raise PersonUnknown(field="person_number", rule="unknown")
    return row


def _living(row: Row | None) -> Row:
    """Return the row an `UPDATE … WHERE status <> 'deleted' RETURNING` gave; refuse where there was none."""
    if row is None:
        raise StatusRefused(field="status", rule="deleted")
    return row


class SqlPeople:
    """The half of `RegistryStore` about people already registered."""

    def __init__(self, db: Database, sealer: PersonSealer) -> None:
        self._db = db
        self._sealer = sealer

    async def _row(self, number: PersonNumber) -> Row:
        row = await self._db.fetch_one("SELECT * FROM person WHERE number = $1", number.value)
        if row is None:
            raise PersonUnknown(field="person_number", rule="unknown")
        return row

    async def person(self, number: PersonNumber) -> Person:
        """See `RegistryStore.person`."""
        return self._sealer.person(await self._row(number))

    async def named(self, number: PersonNumber) -> NamedPerson:
        """See `RegistryStore.named`."""
        row = await self._db.fetch_one(
            f"SELECT {SEALED_PERSON} FROM person p WHERE p.number = $1",  # noqa: S608  # constants
            number.value,
        )
        if row is None:
            raise PersonUnknown(field="person_number", rule="unknown")
        return self.opened(sealed_person(row))

    def opened(self, sealed: SealedPerson) -> NamedPerson:
        """See `RegistryStore.opened`."""
        return NamedPerson(
            number=PersonNumber(sealed.number),
            status=sealed.status,
            display_name=sealed.display_name,
            real_name=self._name(sealed, "real_name", sealed.real_name),
            given_name=self._name(sealed, "given_name", sealed.given_name),
            family_name=self._name(sealed, "family_name", sealed.family_name),
            locale=sealed.locale,
            zoneinfo=sealed.zoneinfo,
            updated_at=sealed.updated_at,
        )

    def _name(self, sealed: SealedPerson, column: str, value: bytes | None) -> str | None:
        return None if value is None else self._sealer.open(sealed.number, column, value)

    async def status(self, number: PersonNumber) -> AccountStatus:
        """See `RegistryStore.status`."""
        row = await self._db.fetch_one("SELECT status FROM person WHERE number = $1", number.value)
        if row is None:
            raise PersonUnknown(field="person_number", rule="unknown")
        return AccountStatus(row["status"])

    async def find_by_id_number(self, id_number: IdNumber) -> Person | None:
        """See `RegistryStore.find_by_id_number`."""
        row = await self._db.fetch_one("SELECT * FROM person WHERE id_index = $1", self._sealer.id_index(id_number))
        return None if row is None else self._sealer.person(row)

    async def affiliations(self, number: PersonNumber, *, current_only: bool) -> tuple[Affiliation, ...]:
        """See `RegistryStore.affiliations`."""
        rows = await self._db.fetch("SELECT * FROM affiliation WHERE person = $1 ORDER BY since, id", number.value)
        return tuple(affiliation_of(row) for row in rows if row["until"] is None or not current_only)

    async def people_of_school(
        self, code: SchoolCode, *, kind: AffiliationKind | None, after: PersonNumber | None, limit: int
    ) -> tuple[tuple[Person, Affiliation], ...]:
        """See `RegistryStore.people_of_school`."""
        wanted = None if kind is None else kind.value
        past = "" if after is None else after.value
        # The page is cut between people, never between two affiliations of one.
        page = (
            "SELECT DISTINCT person FROM affiliation WHERE school = $1 AND until IS NULL AND person > $2"
            " AND kind = COALESCE(CAST($3 AS TEXT), kind) ORDER BY person LIMIT $4"
        )
        args = (code.value, past, wanted, page_limit(limit))
        async with self._db.transaction() as tx:
            people = await tx.fetch(f"SELECT * FROM person WHERE number IN ({page})", *args)  # noqa: S608  # `page` is the constant above
            places = await tx.fetch(
                "SELECT * FROM affiliation WHERE school = $1 AND until IS NULL"  # noqa: S608  # the same constant
                f" AND kind = COALESCE(CAST($3 AS TEXT), kind) AND person IN ({page}) ORDER BY person, kind",
                *args,
            )
        by_number = {row["number"]: self._sealer.person(row) for row in people}
        return tuple(
            (by_number[place["person"]], affiliation_of(place)) for place in places if place["person"] in by_number
        )

    async def find_by_local_number(
        self, code: SchoolCode, kind: AffiliationKind, local_number: str
    ) -> tuple[Person, Affiliation] | None:
        """See `RegistryStore.find_by_local_number`."""
        async with self._db.transaction() as tx:
            place = await tx.fetch_one(
                "SELECT * FROM affiliation WHERE school = $1 AND kind = $2 AND local_number = $3 AND until IS NULL",
                code.value,
                kind.value,
                local_number,
            )
            if place is None:
                return None
            row = await person_in(tx, PersonNumber(place["person"]))
        return self._sealer.person(row), affiliation_of(place)

    async def id_number(self, number: PersonNumber) -> IdNumber | None:
        """See `RegistryStore.id_number`."""
        return self._sealer.id_number(await self._row(number))

    async def phone(self, number: PersonNumber) -> str | None:
        """See `RegistryStore.phone`."""
        return self._sealer.open_optional(await self._row(number), "phone")

    async def set_phone(self, number: PersonNumber, phone: str | None, *, now: int) -> None:
        """See `RegistryStore.set_phone`."""
        sealed = self._sealer.seal_optional(number.value, "phone", phone)
        async with self._db.transaction() as tx:
            await person_in(tx, number)
            _living(
                await tx.fetch_one(
                    "UPDATE person SET phone = $2, phone_verified_at = NULL, updated_at = $3"
                    " WHERE number = $1 AND status <> 'deleted'"
                    " RETURNING number",
                    number.value,
                    sealed,
                    now,
                )
            )

    async def set_display_name(self, number: PersonNumber, display_name: str, *, now: int) -> Person:
        """See `RegistryStore.set_display_name`."""
        async with self._db.transaction() as tx:
            await person_in(tx, number)
            row = await tx.fetch_one(
                "UPDATE person SET display_name = $2, updated_at = $3 WHERE number = $1 AND status <> 'deleted'"
                " RETURNING *",
                number.value,
                display_name,
                now,
            )
        return self._sealer.person(_living(row))

    async def record_proofing(self, number: PersonNumber, level: ProofingLevel, *, source: Source, now: int) -> Person:
        """See `RegistryStore.record_proofing`."""
        async with self._db.transaction() as tx:
            before = await person_in(tx, number)
            if before["status"] == AccountStatus.DELETED:
                raise StatusRefused(field="status", rule="deleted")
            await tx.execute(
                "UPDATE person SET proofing = $2, source = $3, verified_at = $4, updated_at = $4"
                " WHERE number = $1 AND proofing < $2 AND status <> 'deleted'",
                number.value,
                int(level),
                source.value,
                now,
            )
            row = await person_in(tx, number)
        return self._sealer.person(row)

    async def set_status(self, number: PersonNumber, status: AccountStatus, *, now: int) -> Person:
        """See `RegistryStore.set_status`."""
        async with self._db.transaction() as tx:
            await person_in(tx, number)
            if status is AccountStatus.DELETED:
                row = await _delete(tx, number, now)
            else:
                row = await tx.fetch_one(
                    "UPDATE person SET status = $2, updated_at = $3 WHERE number = $1 AND status <> 'deleted'"
                    " RETURNING *",
                    number.value,
                    status.value,
                    now,
                )
        return self._sealer.person(_living(row))

    async def end_affiliation(self, affiliation_id: str, *, until: date, reason: str, now: int) -> Affiliation:
        """See `RegistryStore.end_affiliation`."""
        async with self._db.transaction() as tx:
            before = await tx.fetch_one("SELECT * FROM affiliation WHERE id = $1", affiliation_id)
            if before is None:
                raise AffiliationUnknown(field="affiliation", rule="unknown")
            if until.isoformat() < before["since"]:
                raise AffiliationRefused(field="until", rule="until_before_since")
            row = await tx.fetch_one(
                "UPDATE affiliation SET until = $2, end_reason = $3, verified_at = $4 WHERE id = $1 AND until IS NULL"
                " RETURNING *",
                affiliation_id,
                until.isoformat(),
                reason,
                now,
            )
        if row is None:
            raise AffiliationRefused(field="affiliation", rule="already_ended")
        return affiliation_of(row)

    async def conflicts(self, *, after: str | None, limit: int) -> tuple[Conflict, ...]:
        """See `RegistryStore.conflicts`."""
        async with self._db.transaction() as tx:
            rows = await tx.fetch(
                "SELECT * FROM registry_conflict WHERE settled_at IS NULL AND id > $1 ORDER BY id LIMIT $2",
                after or "",
                page_limit(limit),
            )
            found = [self._sealer.conflict(row, await person_in(tx, PersonNumber(row["person"]))) for row in rows]
        return tuple(found)

    async def settle_conflict(self, conflict_id: str, *, accept: bool, by: PersonNumber, now: int) -> Person:
        """See `RegistryStore.settle_conflict`."""
        async with self._db.transaction() as tx:
            found = await tx.fetch_one("SELECT person FROM registry_conflict WHERE id = $1", conflict_id)
            if found is None:
                raise ConflictUnknown(field="conflict", rule="unknown")
            number = PersonNumber(found["person"])
            # The person first, then the conflict: the order in which a deletion takes them.
            await tx.execute("UPDATE person SET updated_at = $2 WHERE number = $1", number.value, now)
            row = await tx.fetch_one(
                "UPDATE registry_conflict SET settled_at = $2, settled_by = $3, accepted = $4"
                " WHERE id = $1 AND settled_at IS NULL RETURNING *",
                conflict_id,
                now,
                by.value,
                int(accept),
            )
            if row is None:
                raise ConflictUnknown(field="conflict", rule="unknown")
            if accept:
                stated = self._sealer.open(row["id"], "stated", row["stated"], table="registry_conflict")
                sealed = self._sealer.seal(number.value, row["fact"], stated)
                await tx.execute(_ACCEPT[row["fact"]], number.value, sealed, row["source"], now)
            after = await person_in(tx, number)
        return self._sealer.person(after)


async def _delete(tx: Transaction, number: PersonNumber, now: int) -> Row | None:
    """Destroy what is known of a person and end what they hold; return the tombstone, None where it is one already."""
    row = await tx.fetch_one(
        "UPDATE person SET status = 'deleted', display_name = $2, real_name = NULL, foreign_name = NULL, birth = NULL,"
        " id_number = NULL, id_index = NULL, phone = NULL, phone_verified_at = NULL, email = NULL,"
        " email_verified_at = NULL, address = NULL, given_name = NULL, family_name = NULL, locale = NULL,"
        " zoneinfo = NULL, updated_at = $3"
        " WHERE number = $1 AND status <> 'deleted' RETURNING *",
        number.value,
        DELETED_DISPLAY_NAME,
        now,
    )
    # An affiliation that begins later than today ends on the day it would have begun.
    await tx.execute(
        "UPDATE affiliation SET until = CASE WHEN since > $2 THEN since ELSE $2 END, end_reason = $3, verified_at = $4"
        " WHERE person = $1 AND until IS NULL",
        number.value,
        datetime.fromtimestamp(now, UTC).date().isoformat(),
        ENDED_BY_DELETION,
        now,
    )
    await tx.execute("UPDATE affiliation SET local_number = NULL WHERE person = $1", number.value)
    await tx.execute(
        "UPDATE registry_conflict SET stated = NULL, settled_at = COALESCE(settled_at, $2) WHERE person = $1",
        number.value,
        now,
    )
    await tx.execute("UPDATE office SET revoked_at = $2 WHERE person = $1 AND revoked_at IS NULL", number.value, now)
    return row
