"""The contract of `RegistryStore` for divisions and schools, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from adapters.demo.divisions import read_divisions
from adapters.demo.institutions import read_institutions
from idp.registry.division import Division
from idp.registry.errors import SchoolRefused, SchoolUnknown
from idp.registry.model import RefusedRow, SchoolStatus, Source
from idp.registry.school_code import SchoolCode
from idp.registry.school_list import read_schools
from idp.registry.uscc import parse_uscc
from tests.conftest import OpenDatabase
from tests.idp.registry.people import FIRST, NOW, SECOND, THIRD, registry, registry_of, request, school_row
from tests.vectors_dir import shared

Run = Callable[[Coroutine[Any, Any, None]], None]
CODE = "registry.school_refused"


def test_the_ministrys_list_is_imported_whole_and_again_without_a_change(migrated: OpenDatabase, run: Run) -> None:
    shared("data/higher-education-institutions-2017.csv")

    async def story() -> None:
        async with migrated("registry") as db:
            store = registry_of(db)
            divisions = read_divisions()
            assert await store.load_divisions(divisions.all(), revision=divisions.revision) == 3219
            loaded = await store.divisions()
            assert (loaded.revision, loaded.all()) == ("201904", divisions.all())
            stated = read_institutions(loaded)
            first = await store.import_schools(
                read_schools(stated, divisions=loaded), source=Source.OFFICIAL_LIST, now=NOW
            )
            assert (first.added, first.updated, first.unchanged, first.refused) == (2631, 0, 0, ())
            again = await store.import_schools(
                read_schools(stated, divisions=loaded), source=Source.OFFICIAL_LIST, now=NOW + 1
            )
            assert (again.added, again.updated, again.unchanged, again.refused) == (0, 0, 2631, ())
            assert await store.count_schools() == 2631
            odd = await store.school(SchoolCode("3643000496"))
            assert (odd.name, odd.region, odd.division) == ("湘中幼儿师范高等专科学校", "430000", "430500")
            assert odd.provenance.verified_at == NOW + 1

    run(story())


def test_a_re_import_updates_and_keeps_the_history_of_names(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with registry(migrated) as (store, _):
            for later, name in ((10, "新名大学"), (20, "学校4150099901")):
                row = school_row(2, FIRST.value, name=name)
                report = await store.import_schools([row], source=Source.OFFICIAL_LIST, now=NOW + later)
                assert (report.added, report.updated, report.unchanged) == (0, 1, 0)
            names = await store.school_names(FIRST)
            assert [(n.name, n.since - NOW, n.until and n.until - NOW) for n in names] == [
                ("学校4150099901", 0, 10),
                ("新名大学", 10, 20),
                ("学校4150099901", 20, None),
            ]
            assert await store.school_names(SchoolCode("1150000001")) == ()

    run(story())


def test_bad_rows_are_reported_in_order_and_the_good_ones_go_in(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with registry(migrated) as (store, _):
            uscc = parse_uscc("12100000400002259P")
            passed_through = RefusedRow(3, "school_code", "registry.school_code_refused", "province")
            report = await store.import_schools(
                [
                    school_row(2, "4150099903", uscc=uscc),
                    passed_through,
                    school_row(4, "4150099903"),
                    school_row(5, "4150099904", uscc=uscc),
                    school_row(6, "4150099905"),
                ],
                source=Source.OFFICIAL_LIST,
                now=NOW,
            )
            assert (report.added, report.updated) == (2, 0)
            assert report.refused == (
                passed_through,
                RefusedRow(4, "school_code", CODE, "duplicate"),
                RefusedRow(5, "uscc", CODE, "uscc_taken"),
            )
            assert (await store.school(SchoolCode("4150099903"))).uscc == uscc

    run(story())


def test_a_lower_source_does_not_overwrite_a_higher_one(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with registry(migrated) as (store, _):
            row = school_row(2, FIRST.value, name="自封大学")
            report = await store.import_schools([row], source=Source.SELF_STATED, now=NOW + 1)
            assert report.refused == (RefusedRow(2, "source", CODE, "source_outranked"),)
            same = await store.import_schools(
                [replace(row, name="学校4150099901")], source=Source.SELF_STATED, now=NOW + 1
            )
            assert same.unchanged == 1
            school = await store.school(FIRST)
            assert (school.name, school.provenance.source, school.provenance.verified_at) == (
                "学校4150099901",
                Source.OFFICIAL_LIST,
                NOW,
            )

    run(story())


def test_a_closed_code_is_void_for_good_and_a_restored_school_regains_its_own(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with registry(migrated) as (store, _):
            person = (await store.enrol_person(request(local="1"), now=NOW)).person
            closed = await store.close_school(FIRST, on=date(2026, 1, 1), successor=SECOND, now=NOW)
            assert (closed.status, closed.successor, closed.closed_on) == (
                SchoolStatus.CLOSED,
                SECOND,
                date(2026, 1, 1),
            )
            report = await store.import_schools([school_row(2, FIRST.value)], source=Source.OFFICIAL_LIST, now=NOW)
            assert report.refused == (RefusedRow(2, "school_code", CODE, "code_closed"),)
            # Its people are still found: old credentials stay verifiable.
            assert (await store.people_of_school(FIRST, kind=None, after=None, limit=9))[0][0].number == person.number
            restored = await store.restore_school(FIRST, now=NOW)
            assert (restored.code, restored.status, restored.closed_on) == (FIRST, SchoolStatus.OPEN, None)

    run(story())


def test_closing_and_restoring_are_refused_by_the_rule_they_break(migrated: OpenDatabase, run: Run) -> None:
    async def refused(call: Coroutine[Any, Any, object]) -> str | None:
        with pytest.raises(SchoolRefused) as caught:
            await call
        return caught.value.rule

    async def story() -> None:
        async with registry(migrated) as (store, _):
            day, unknown = date(2026, 1, 1), SchoolCode("1150000009")
            assert await refused(store.restore_school(FIRST, now=NOW)) == "not_closed"
            for successor in (FIRST, unknown):
                assert await refused(store.close_school(FIRST, on=day, successor=successor, now=NOW)) == "successor"
            await store.close_school(FIRST, on=day, successor=None, now=NOW)
            assert await refused(store.close_school(FIRST, on=day, successor=None, now=NOW)) == "already_closed"
            assert await refused(store.close_school(SECOND, on=day, successor=FIRST, now=NOW)) == "successor"
            with pytest.raises(SchoolUnknown):
                await store.close_school(unknown, on=day, successor=None, now=NOW)
            with pytest.raises(SchoolUnknown):
                await store.school(unknown)

    run(story())


def test_schools_of_a_region_come_in_pages(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with registry(migrated) as (store, _):
            await store.import_schools([school_row(2, "4111010001")], source=Source.OFFICIAL_LIST, now=NOW)
            page = await store.find_schools(region="500000", after=None, limit=2)
            rest = await store.find_schools(region="500000", after=page[-1].code, limit=2)
            assert [school.code for school in (*page, *rest)] == [THIRD, FIRST, SECOND]
            assert [s.code.value for s in await store.find_schools(region="110000", after=None, limit=0)] == [
                "4111010001"
            ]

    run(story())


def test_imports_at_once_add_each_school_once(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with migrated("registry") as one, migrated("registry") as other:
            rows = [school_row(line, f"41500{line:05}") for line in range(2, 60)]
            reports = await asyncio.gather(
                *(registry_of(db).import_schools(rows, source=Source.OFFICIAL_LIST, now=NOW) for db in (one, other))
            )
            assert sorted((r.added, r.unchanged) for r in reports) == [(0, 58), (58, 0)]

    run(story())


def test_loading_divisions_replaces_the_older_revision(migrated: OpenDatabase, run: Run) -> None:
    async def story() -> None:
        async with migrated("registry") as db:
            store = registry_of(db)
            assert len(await store.divisions()) == 0
            await store.load_divisions([Division("500000", "重庆市"), Division("500106", "沙坪坝区")], revision="1")
            await store.load_divisions([Division("500000", "重庆市")], revision="2")
            table = await store.divisions()
            assert (table.revision, len(table)) == ("2", 1)

    run(story())
