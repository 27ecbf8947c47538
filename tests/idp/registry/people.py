"""What the tests of the register share: the store under test, and people to put into it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date

from adapters.sql.database import Database
from adapters.sql.idp_registry import SqlRegistryStore
from crypto.sealed import BlindIndex, ColumnSealer
from idp.registry.id_number import IdNumber, check_sign, parse_id_number
from idp.registry.model import (
    AffiliationKind,
    EnrolmentRequest,
    NewAffiliation,
    ProofingLevel,
    SchoolRow,
    Source,
)
from idp.registry.names import parse_foreign_name, parse_person_name
from idp.registry.school_code import SchoolCode, parse_listed
from idp.registry.store import RegistryStore
from tests.conftest import OpenDatabase

NOW = 1_782_864_000
REGION = "500000"
FIRST = SchoolCode("4150099901")
SECOND = SchoolCode("4150099902")
THIRD = SchoolCode("2150000003")


def registry_of(db: Database, *, seed: int = 1) -> RegistryStore:
    random_bytes = random.Random(seed).randbytes
    sealer = ColumnSealer({"k1": bytes(range(16))}, "k1", random_bytes)
    return SqlRegistryStore(db, sealer=sealer, index=BlindIndex(b"i" * 32), random_bytes=random_bytes, region=REGION)


@asynccontextmanager
async def registry(migrated: OpenDatabase) -> AsyncIterator[tuple[RegistryStore, Database]]:
    """Open the store with three schools in it."""
    async with migrated("registry") as db:
        store = registry_of(db)
        rows = [school_row(line, code.value) for line, code in enumerate((FIRST, SECOND, THIRD), start=2)]
        report = await store.import_schools(rows, source=Source.OFFICIAL_LIST, now=NOW)
        assert report.added == 3
        yield store, db


def school_row(line: int, code: str, **changes: object) -> SchoolRow:
    facts: dict[str, object] = {
        "line": line,
        "code": parse_listed(code),
        "name": f"学校{code}",
        "uscc": None,
        "division": "500106",
        "supervisor": "500000",
        "stage": "本科",
        "governing_body": "重庆市",
        "remarks": "",
    }
    return SchoolRow(**{**facts, **changes})  # type: ignore[arg-type]  # the tests name the fields they change


def id_number(sequence: int, born: str = "20040102") -> IdNumber:
    payload = f"500000{born}{sequence:03}"
    return parse_id_number(payload + check_sign(payload))


def request(
    name: str = "𠮷田禾",
    *,
    number: IdNumber | None = None,
    school: SchoolCode | None = FIRST,
    local: str | None = None,
    kind: AffiliationKind = AffiliationKind.STUDENT,
    phone: str | None = None,
    foreign: str | None = None,
    birth: date | None = None,
    proofing: ProofingLevel = ProofingLevel.ROSTER,
    source: Source = Source.SCHOOL_ROSTER,
) -> EnrolmentRequest:
    return EnrolmentRequest(
        real_name=parse_person_name(name),
        foreign_name=None if foreign is None else parse_foreign_name(foreign),
        display_name=None,
        id_number=number,
        birth=birth,
        phone=phone,
        affiliation=None if school is None else NewAffiliation(school, kind, local, date(2022, 9, 1)),
        proofing=proofing,
        source=source,
    )
