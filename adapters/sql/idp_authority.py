"""`AuthorityStore` in SQL, on SQLite and PostgreSQL."""

from __future__ import annotations

from adapters.sql.database import Database, Row, Transaction
from idp.authority.errors import OfficeUnknown, SeparationOfDuties, SystemOfficeTaken
from idp.authority.model import Duty, Level, NewOffice, Office, OfficeKind, Unit
from idp.registry.errors import PersonUnknown
from idp.registry.model import shard_of
from idp.registry.person_number import PersonNumber, RandomBytes
from idp.registry.store import page_limit

ID_BYTES = 12
"""96 random bits an identifier; nothing secret hangs on it."""


def _office(row: Row) -> Office:
    return Office(
        id=row["id"],
        person=PersonNumber(row["person"]),
        unit=Unit(Level(row["unit_level"]), row["unit_code"], tuple(row["unit_path"].split("/")[1:-1])),
        kind=OfficeKind(row["kind"]),
        duties=frozenset(Duty(duty) for duty in row["duties"].split()),
        granted_by=None if row["granted_by"] is None else PersonNumber(row["granted_by"]),
        granted_at=row["granted_at"],
        revoked_at=row["revoked_at"],
    )


def _path(unit: Unit) -> str:
    return "/".join(("", *unit.path, ""))


def _duties(duties: frozenset[Duty]) -> str:
    return " ".join(sorted(duty.value for duty in duties))


class SqlAuthorityStore:
    """Offices of one deployment. `region` is the six-digit code of the province it serves."""

    def __init__(self, db: Database, *, random_bytes: RandomBytes, region: str) -> None:
        self._db = db
        self._random_bytes = random_bytes
        self._region = region

    async def grant_office(self, new: NewOffice, *, by: PersonNumber | None, now: int) -> Office:
        """See `AuthorityStore.grant_office`."""
        async with self._db.transaction() as tx:
            await tx.lock(f"authority/{new.unit.code}")
            # FOR UPDATE is PostgreSQL's alone; this write of nothing holds the row against a deletion on both.
            holder = await tx.fetch_one(
                "UPDATE person SET status = status WHERE number = $1 AND status <> 'deleted' RETURNING number",
                new.person.value,
            )
            if holder is None:
                raise PersonUnknown(field="person_number", rule="unknown")
            held = await self._held(tx, new)
            if held is not None:
                return held
            row = await tx.fetch_one(
                "INSERT INTO office (id, person, unit_code, unit_level, unit_path, kind, duties, granted_by, granted_at,"
                " region, shard) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING *",
                self._random_bytes(ID_BYTES).hex(),
                new.person.value,
                new.unit.code,
                new.unit.level.value,
                _path(new.unit),
                new.kind.value,
                _duties(new.duties),
                None if by is None else by.value,
                now,
                self._region,
                shard_of(new.person.value),
            )
            if row is None:
                raise OfficeUnknown(field="office", rule="unknown")
            return _office(row)

    async def _held(self, tx: Transaction, new: NewOffice) -> Office | None:
        """Apply the rules that span offices; return the same office, with its new duties, where it is held already."""
        if new.kind is OfficeKind.SYSTEM:
            other = await tx.fetch_one(
                "SELECT id FROM office WHERE unit_code = $1 AND kind = 'system' AND revoked_at IS NULL AND person <> $2",
                new.unit.code,
                new.person.value,
            )
            if other is not None:
                raise SystemOfficeTaken(field="unit", rule="one_system_officer")
        held = await tx.fetch_one(
            "SELECT id, kind FROM office WHERE person = $1 AND unit_code = $2 AND revoked_at IS NULL",
            new.person.value,
            new.unit.code,
        )
        if held is None:
            return None
        if held["kind"] != new.kind.value:
            raise SeparationOfDuties(field="kind", rule="one_kind_a_unit")
        row = await tx.fetch_one(
            "UPDATE office SET duties = $2 WHERE id = $1 RETURNING *", held["id"], _duties(new.duties)
        )
        return None if row is None else _office(row)

    async def revoke_office(self, office_id: str, *, by: PersonNumber | None, now: int) -> Office:
        """See `AuthorityStore.revoke_office`."""
        row = await self._db.fetch_one(
            "UPDATE office SET revoked_at = $2, revoked_by = $3 WHERE id = $1 AND revoked_at IS NULL RETURNING *",
            office_id,
            now,
            None if by is None else by.value,
        )
        if row is None:
            raise OfficeUnknown(field="office", rule="unknown")
        return _office(row)

    async def office(self, office_id: str) -> Office:
        """See `AuthorityStore.office`."""
        row = await self._db.fetch_one("SELECT * FROM office WHERE id = $1 AND revoked_at IS NULL", office_id)
        if row is None:
            raise OfficeUnknown(field="office", rule="unknown")
        return _office(row)

    async def offices_of(self, person: PersonNumber) -> tuple[Office, ...]:
        """See `AuthorityStore.offices_of`."""
        rows = await self._db.fetch(
            "SELECT o.* FROM office o JOIN person p ON p.number = o.person WHERE o.person = $1 AND o.revoked_at IS NULL"
            " AND p.status = 'active' ORDER BY o.granted_at, o.id",
            person.value,
        )
        return tuple(_office(row) for row in rows)

    async def officers_of(self, unit_code: str, *, kind: OfficeKind | None) -> tuple[Office, ...]:
        """See `AuthorityStore.officers_of`."""
        rows = await self._db.fetch(
            "SELECT * FROM office WHERE unit_code = $1 AND revoked_at IS NULL"
            " AND kind = COALESCE(CAST($2 AS TEXT), kind) ORDER BY granted_at, id",
            unit_code,
            None if kind is None else kind.value,
        )
        return tuple(_office(row) for row in rows)

    async def offices_within(self, unit: Unit, *, after: str | None, limit: int) -> tuple[Office, ...]:
        """See `AuthorityStore.offices_within`."""
        rows = await self._db.fetch(
            "SELECT * FROM office WHERE revoked_at IS NULL AND (unit_code = $1 OR unit_path LIKE $2) AND id > $3"
            " ORDER BY id LIMIT $4",
            unit.code,
            f"%/{unit.code}/%",  # digits only, by the rule of Unit: no wildcard can hide in it
            after or "",
            page_limit(limit),
        )
        return tuple(_office(row) for row in rows)
