"""Divisions and schools in SQL. The contract is in `idp/registry/store.py`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from adapters.sql.database import Database, Row, Transaction
from adapters.sql.idp_registry_sealing import provenance_of
from idp.registry.division import Division, DivisionTable
from idp.registry.errors import SchoolRefused, SchoolUnknown
from idp.registry.model import (
    SOURCE_RANK,
    ImportReport,
    RefusedRow,
    School,
    SchoolName,
    SchoolRow,
    SchoolStatus,
    Source,
    shard_of,
)
from idp.registry.school_code import SchoolCode
from idp.registry.store import page_limit
from idp.registry.uscc import Uscc

_LOCK = "registry/schools"


def school_of(row: Row) -> School:
    """Read a row of `school`."""
    return School(
        code=SchoolCode(row["code"]),
        name=row["name"],
        uscc=None if row["uscc"] is None else Uscc(row["uscc"]),
        division=row["division"],
        supervisor=row["supervisor"],
        stage=row["stage"],
        governing_body=row["governing_body"],
        remarks=row["remarks"],
        status=SchoolStatus(row["status"]),
        successor=None if row["successor"] is None else SchoolCode(row["successor"]),
        closed_on=None if row["closed_on"] is None else date.fromisoformat(row["closed_on"]),
        provenance=provenance_of(row),
        region=row["region"],
        shard=row["shard"],
    )


async def school_in(tx: Transaction, code: SchoolCode) -> School:
    """Return a school inside a transaction. Raises `SchoolUnknown`."""
    row = await tx.fetch_one("SELECT * FROM school WHERE code = $1", code.value)
    if row is None:
        raise SchoolUnknown(field="school_code", rule="unknown")
    return school_of(row)


def _facts(row: SchoolRow) -> tuple[str, str | None, str, str, str, str, str]:
    uscc = None if row.uscc is None else row.uscc.value
    return row.name, uscc, row.division, row.supervisor, row.stage, row.governing_body, row.remarks


def _recorded(school: School) -> tuple[str, str | None, str, str, str, str, str]:
    uscc = None if school.uscc is None else school.uscc.value
    return school.name, uscc, school.division, school.supervisor, school.stage, school.governing_body, school.remarks


class _SchoolImport:
    """One import: what it has counted so far. Lives for one transaction."""

    def __init__(self, tx: Transaction, source: Source, now: int) -> None:
        self._tx = tx
        self._source = source
        self._now = now
        self._seen: set[SchoolCode] = set()
        self._counts = {"added": 0, "updated": 0, "unchanged": 0}
        self._refused: list[RefusedRow] = []

    async def take(self, row: SchoolRow | RefusedRow) -> None:
        if isinstance(row, RefusedRow):
            self._refused.append(row)
        elif row.code in self._seen:
            self._refuse(row, "school_code", "duplicate")
        else:
            self._seen.add(row.code)
            await self._store(row)

    def report(self) -> ImportReport:
        return ImportReport(**self._counts, refused=tuple(self._refused))

    def _refuse(self, row: SchoolRow, field: str, rule: str) -> None:
        self._refused.append(RefusedRow(row.line, field, SchoolRefused.code, rule))

    async def _store(self, row: SchoolRow) -> None:
        found = await self._tx.fetch_one("SELECT * FROM school WHERE code = $1", row.code.value)
        if row.uscc is not None:
            holder = await self._tx.fetch_one("SELECT code FROM school WHERE uscc = $1", row.uscc.value)
            if holder is not None and holder["code"] != row.code.value:
                return self._refuse(row, "uscc", "uscc_taken")
        if found is None:
            return await self._add(row)
        school = school_of(found)
        if not school.is_open:
            return self._refuse(row, "school_code", "code_closed")
        if _recorded(school) == _facts(row):
            self._counts["unchanged"] += 1
            if SOURCE_RANK[self._source] >= SOURCE_RANK[school.provenance.source]:
                await self._tx.execute(
                    "UPDATE school SET source = $2, verified_at = $3 WHERE code = $1",
                    row.code.value,
                    self._source.value,
                    self._now,
                )
            return None
        if SOURCE_RANK[self._source] < SOURCE_RANK[school.provenance.source]:
            return self._refuse(row, "source", "source_outranked")
        return await self._update(row, school)

    async def _add(self, row: SchoolRow) -> None:
        await self._tx.execute(
            "INSERT INTO school (code, name, uscc, division, supervisor, stage, governing_body, remarks, status,"
            " source, verified_at, region, shard)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'open', $9, $10, $11, $12)",
            row.code.value,
            *_facts(row),
            self._source.value,
            self._now,
            row.code.region,
            shard_of(row.code.value),
        )
        await self._name(row, position=0)
        self._counts["added"] += 1

    async def _update(self, row: SchoolRow, school: School) -> None:
        await self._tx.execute(
            "UPDATE school SET name = $2, uscc = $3, division = $4, supervisor = $5, stage = $6, governing_body = $7,"
            " remarks = $8, source = $9, verified_at = $10 WHERE code = $1",
            row.code.value,
            *_facts(row),
            self._source.value,
            self._now,
        )
        if row.name != school.name:
            closed = await self._tx.fetch_one(
                "UPDATE school_name SET until = $2 WHERE school = $1 AND until IS NULL RETURNING position",
                row.code.value,
                self._now,
            )
            await self._name(row, position=0 if closed is None else closed["position"] + 1)
        self._counts["updated"] += 1

    async def _name(self, row: SchoolRow, *, position: int) -> None:
        await self._tx.execute(
            "INSERT INTO school_name (school, position, name, since) VALUES ($1, $2, $3, $4)",
            row.code.value,
            position,
            row.name,
            self._now,
        )


class SqlSchools:
    """The school half of `RegistryStore`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def load_divisions(self, divisions: Iterable[Division], *, revision: str) -> int:
        """See `RegistryStore.load_divisions`."""
        table = DivisionTable(divisions, revision=revision)
        async with self._db.transaction() as tx:
            await tx.lock(_LOCK)
            await tx.execute("DELETE FROM division")
            await tx.execute_many(
                "INSERT INTO division (code, name, revision) VALUES ($1, $2, $3)",
                [(division.code, division.name, revision) for division in table.all()],
            )
        return len(table)

    async def divisions(self) -> DivisionTable:
        """See `RegistryStore.divisions`."""
        rows = await self._db.fetch("SELECT code, name, revision FROM division")
        revision = rows[0]["revision"] if rows else ""
        return DivisionTable((Division(row["code"], row["name"]) for row in rows), revision=revision)

    async def import_schools(self, rows: Iterable[SchoolRow | RefusedRow], *, source: Source, now: int) -> ImportReport:
        """See `RegistryStore.import_schools`."""
        async with self._db.transaction() as tx:
            await tx.lock(_LOCK)
            one = _SchoolImport(tx, source, now)
            for row in rows:
                await one.take(row)
        return one.report()

    async def close_school(self, code: SchoolCode, *, on: date, successor: SchoolCode | None, now: int) -> School:
        """See `RegistryStore.close_school`."""
        async with self._db.transaction() as tx:
            await tx.lock(_LOCK)
            # Enrolments of this school hold this lock: none slips in behind the closing.
            await tx.lock(school_lock(code))
            if not (await school_in(tx, code)).is_open:
                raise SchoolRefused(field="school_code", rule="already_closed")
            if successor is not None:
                row = await tx.fetch_one(
                    "SELECT code FROM school WHERE code = $1 AND status = 'open' AND code <> $2",
                    successor.value,
                    code.value,
                )
                if row is None:
                    raise SchoolRefused(field="successor", rule="successor")
            await tx.execute(
                "UPDATE school SET status = 'closed', closed_on = $2, successor = $3, verified_at = $4 WHERE code = $1",
                code.value,
                on.isoformat(),
                None if successor is None else successor.value,
                now,
            )
            return await school_in(tx, code)

    async def restore_school(self, code: SchoolCode, *, now: int) -> School:
        """See `RegistryStore.restore_school`."""
        async with self._db.transaction() as tx:
            await tx.lock(_LOCK)
            if (await school_in(tx, code)).is_open:
                raise SchoolRefused(field="school_code", rule="not_closed")
            await tx.execute(
                "UPDATE school SET status = 'open', closed_on = NULL, successor = NULL, verified_at = $2 WHERE code = $1",
                code.value,
                now,
            )
            return await school_in(tx, code)

    async def school(self, code: SchoolCode) -> School:
        """See `RegistryStore.school`."""
        row = await self._db.fetch_one("SELECT * FROM school WHERE code = $1", code.value)
        if row is None:
            raise SchoolUnknown(field="school_code", rule="unknown")
        return school_of(row)

    async def find_schools(self, *, region: str, after: SchoolCode | None, limit: int) -> tuple[School, ...]:
        """See `RegistryStore.find_schools`."""
        rows = await self._db.fetch(
            "SELECT * FROM school WHERE region = $1 AND code > $2 ORDER BY code LIMIT $3",
            region,
            "" if after is None else after.value,
            page_limit(limit),
        )
        return tuple(school_of(row) for row in rows)

    async def school_names(self, code: SchoolCode) -> tuple[SchoolName, ...]:
        """See `RegistryStore.school_names`."""
        rows = await self._db.fetch(
            "SELECT name, since, until FROM school_name WHERE school = $1 ORDER BY position", code.value
        )
        return tuple(SchoolName(row["name"], row["since"], row["until"]) for row in rows)

    async def count_schools(self) -> int:
        """See `RegistryStore.count_schools`."""
        row = await self._db.fetch_one("SELECT COUNT(*) AS schools FROM school")
        return 0 if row is None else int(row["schools"])


def school_lock(code: SchoolCode) -> str:
    """Return the name of the lock that whoever changes a school's enrolments or its closing holds."""
    return f"registry/school/{code.value}"
