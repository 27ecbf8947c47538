"""A small real deployment for the tests of credentials: real stores, real keys, a real log with a file anchor."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import astuple, dataclass
from datetime import date
from pathlib import Path

from adapters.chain.file import FileAnchor
from adapters.ledger_service import AuditService, LedgerService
from adapters.sql.credentials_keys import SqlIssuerKeys
from adapters.sql.credentials_store import SqlCredentialStore
from adapters.sql.engine import open_database
from adapters.sql.idp_registry import SqlRegistryStore
from adapters.sql.ledger_audit import SqlAuditStore
from adapters.sql.ledger_open import open_ledger_database
from adapters.sql.ledger_store import SqlLedgerStore
from credentials.model import BatchState, HeldCredential, Preview
from credentials.ports import Issuers
from credentials.services import Services, open_services
from crypto.keys import generate_signing_key
from crypto.sealed import BlindIndex, ColumnSealer
from crypto.sm2 import BACKENDS, select_backend
from crypto.suites import Alg
from idp.authority.assurance import ACR_TWO_FACTORS
from idp.authority.model import Actor, Duty, Level, Office, OfficeKind, Unit
from idp.registry.id_number import check_sign
from idp.registry.model import (
    AffiliationKind,
    EnrolmentRequest,
    NewAffiliation,
    ProofingLevel,
    SchoolRow,
    Source,
)
from idp.registry.names import parse_person_name
from idp.registry.person_number import PersonNumber, new_person_number
from idp.registry.school_code import SchoolCode, parse_listed
from ledger.checkpoint import LogIdentity
from ledger.receipt import LogTrust
from tests.services.clock import StillClock
from tests.services.tables import make_tables

BASE = "https://trust.example"
ORIGIN = "trust.example/log/43-2026"
SCHOOL = parse_listed("4143010532")
OTHER_SCHOOL = parse_listed("4143010533")
BACKEND = select_backend(BACKENDS)

COLUMNS = "姓名,证件号码,学号,学校标识码,专业名称,专业代码,培养层次,学制,入学日期,毕业日期,证书编号,学位证书编号"


def id_number(sequence: int) -> str:
    payload = f"430102{2003}0{sequence % 9 + 1}15{sequence % 1000:03}"
    return payload + check_sign(payload)


@dataclass(frozen=True)
class Graduate:
    """One row; every field may be replaced to break a rule."""

    name: str = "李明"
    id_number: str = ""
    student_number: str = "202201001"
    school: str = SCHOOL.value
    major: str = "软件工程"
    major_code: str = "080902"
    level: str = "本科"
    duration: str = "4"
    enrolment: str = "2022-09-01"
    graduation: str = "2026-06-20"
    number: str = ""
    degree_number: str = ""

    def row(self) -> str:
        return ",".join(astuple(self))


def graduate(sequence: int, **changes: str) -> Graduate:
    defaults = {
        "id_number": id_number(sequence),
        "student_number": f"2022{sequence:05}",
        "number": f"10532120260500{sequence:04}",
        "degree_number": f"1053242026{sequence:06}",
    }
    return Graduate(**(defaults | changes))


def csv_of(graduates: Sequence[Graduate], encoding: str = "utf-8") -> bytes:
    return "\n".join([COLUMNS, *(one.row() for one in graduates), ""]).encode(encoding)


def officer(person: PersonNumber, *duties: Duty, school: SchoolCode = SCHOOL) -> Actor:
    unit = Unit(Level.SCHOOL, school.value, ("000000", "430000"))
    kind = OfficeKind.QUERY if duties == (Duty.AUDITOR,) else OfficeKind.INFORMATION
    office = Office("o1", person, unit, kind, frozenset(duties), None, 0, None)
    return Actor(person, "officer", (office,), ACR_TWO_FACTORS, 0, "session")


def holder(person: PersonNumber) -> Actor:
    return Actor(person, "holder", (), ACR_TWO_FACTORS, 0, "session")


@dataclass
class World:
    clock: StillClock
    registry: SqlRegistryStore
    store: SqlCredentialStore
    keys: SqlIssuerKeys
    ledger: LedgerService
    audit: AuditService
    services: Services
    log_trust: LogTrust
    registrar: Actor
    approver: Actor
    auditor: Actor

    async def enrol(self, name: str, sequence: int) -> PersonNumber:
        request = EnrolmentRequest(
            parse_person_name(name), None, None, None, None, None,
            NewAffiliation(SCHOOL, AffiliationKind.TEACHER, f"T{sequence}", date(2020, 9, 1)),
            ProofingLevel.ROSTER, Source.SCHOOL_ROSTER,
        )  # fmt: skip
        return (await self.registry.enrol_person(request, now=self.clock())).person.number

    async def finish(self, batch_id: str) -> None:
        for _ in range(100):
            progress = await self.services.issuance.advance(batch_id)
            if progress.batch.state is BatchState.DONE:
                assert progress.percent == 100
                return
            if progress.batch.state is BatchState.LOGGED:
                await self.ledger.anchor_now()
        raise AssertionError(f"batch {batch_id} did not finish")

    async def issue(self, preview: Preview) -> list[HeldCredential]:
        issuance = self.services.issuance
        await issuance.submit(self.registrar, preview.batch.id)
        await issuance.approve(self.approver, preview.batch.id)
        await self.finish(preview.batch.id)
        numbers = {item.number for item in preview.items}
        held = await self.services.statuses.credentials_of(self.approver, SCHOOL, after=None)
        return [one for one in held if one.number in numbers]

    async def diplomas(self, *graduates: Graduate) -> list[HeldCredential]:
        preview = await self.services.issuance.draft_diplomas(self.registrar, SCHOOL, csv_of(graduates))
        assert not preview.refusals, preview.refusals
        return await self.issue(preview)


def _school(line: int, code: SchoolCode, name: str) -> SchoolRow:
    return SchoolRow(line, code, name, None, "430000", "430000", "本科", "教育部", "")


@asynccontextmanager
async def world(url: str, folder: Path, clock: StillClock) -> AsyncIterator[World]:
    make_tables(url, "registry", "credentials", "ledger")
    async with AsyncExitStack() as stack:
        idp = await open_database(url, "idp")
        stack.push_async_callback(idp.close)
        database = await open_database(url, "credentials")
        stack.push_async_callback(database.close)
        sealer = ColumnSealer({"k1": b"k" * 16}, "k1", secrets.token_bytes)
        index = BlindIndex(b"i" * 32)
        registry = SqlRegistryStore(idp, sealer=sealer, index=index, random_bytes=secrets.token_bytes, region="430000")
        schools = [_school(2, SCHOOL, "湖南大学"), _school(3, OTHER_SCHOOL, "中南大学")]
        await registry.import_schools(schools, source=Source.OFFICIAL_LIST, now=clock())
        sm2, ed25519, witness = (
            generate_signing_key(alg, backend=BACKEND) for alg in (Alg.SGD_SM3_SM2, Alg.EDDSA, Alg.SGD_SM3_SM2)
        )
        identity = LogIdentity(ORIGIN, sm2.public, ed25519.public)
        ledger_database = open_ledger_database(url)
        stack.callback(ledger_database.close)
        ledger = LedgerService(
            SqlLedgerStore(ledger_database, ORIGIN),
            identity=identity,
            sm2_key=sm2,
            ed25519_key=ed25519,
            clock=clock,
            drivers=[FileAnchor(folder / "anchors", witness=witness, clock=clock)],
        )
        await ledger.start()
        stack.push_async_callback(ledger.close)
        audit = AuditService(SqlAuditStore(ledger_database, f"{ORIGIN}/audit"))
        audit.start()
        stack.push_async_callback(audit.close)
        store = SqlCredentialStore(database, sealer=sealer, index=index)
        keys = SqlIssuerKeys(database, sealer=sealer, backend=BACKEND, clock=clock)
        log_trust = LogTrust({ORIGIN: identity}, {witness.kid: witness.public})
        services = await open_services(
            store=store,
            keys=keys,
            ledger=ledger,
            people=registry,
            audit=audit,
            issuers=Issuers(BASE),
            province=("430000", {"zh-CN": "湖南省教育厅", "en": "Hunan Provincial Department of Education"}),
            ministry_names={"zh-CN": "教育部", "en": "Ministry of Education"},
            log_trust=log_trust,
            clock=clock,
            random_bytes=secrets.token_bytes,
        )
        people = [new_person_number(secrets.token_bytes) for _ in range(3)]
        yield World(
            clock, registry, store, keys, ledger, audit, services, log_trust,
            officer(people[0], Duty.REGISTRAR), officer(people[1], Duty.APPROVER), officer(people[2], Duty.AUDITOR),
        )  # fmt: skip


def play(url: str, folder: Path, clock: StillClock, story: Callable[[World], Awaitable[None]]) -> None:
    """Run `story(world)` in a fresh deployment."""

    async def run() -> None:
        async with world(url, folder, clock) as made:
            await story(made)

    asyncio.run(run())
