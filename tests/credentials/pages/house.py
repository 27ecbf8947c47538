"""The pages over the real services on SQLite, with the real HTTP floor; only who is signed in is said by a header.

`async with open_house(tmp_path) as house: page = await house.get("/batches", as_who=REGISTRAR)`
"""

from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from html import unescape
from itertools import count
from pathlib import Path

import httpx
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp

from adapters.certificate_press import PooledCertificatePress
from adapters.http.rate_limit import LocalRateLimiter
from adapters.http.stack import HttpRules, build_stack
from adapters.kek import create_kek
from adapters.observe.log import Log
from adapters.pages import audit_pages, home_pages, log_files, log_pages, text_pages
from adapters.parts import Parts, open_parts
from adapters.records import Records, open_records
from adapters.settings import check_settings
from adapters.web.render import Frame, Pages
from credentials.pages import (
    batch_forms,
    batch_pages,
    record_pages,
    share_pages,
    verify_api,
    verify_pages,
    wallet_pages,
)
from credentials.services import Services
from credentials.store import CredentialStore
from idp.authority.assurance import ACR_ONE_FACTOR, ACR_TWO_FACTORS
from idp.authority.model import Actor, Duty, Level, NewOffice, OfficeKind, Unit
from idp.registry.id_number import check_sign, parse_id_number
from idp.registry.model import (
    AffiliationKind,
    EnrolmentRequest,
    NewAffiliation,
    ProofingLevel,
    SchoolRow,
    Source,
)
from idp.registry.names import parse_person_name
from idp.registry.person_number import PersonNumber
from idp.registry.school_code import SchoolCode, parse_listed
from tests.services.clock import StillClock
from tests.services.pages import assets, templates, translators
from tests.services.tables import make_tables

ORIGIN = "http://127.0.0.1:8080"
SCHOOL = SchoolCode("4150010611")
OTHER_SCHOOL = SchoolCode("4150010617")
SCHOOL_NAME = "重庆示范大学"
NOW = 1_782_864_000  # 2026-07-01
REGISTRAR, APPROVER, STUDENT, AUDITOR, STRANGER = "registrar", "approver", "student", "auditor", "stranger"
ONE_FACTOR_REGISTRAR = "registrar-one-factor"
NAMES = {
    REGISTRAR: "王经办",
    APPROVER: "李审批",
    STUDENT: "𠮷田禾",
    AUDITOR: "陈审计",
    STRANGER: "迪丽热巴·迪力木拉提",
}
HEADER = "x-who"
STUDENT_ID_SEQUENCE = 903
"""`graduate(..., id_sequence=STUDENT_ID_SEQUENCE)` is a row of STUDENT's own."""
CSV_COLUMNS = "姓名,证件号码,学号,学校标识码,专业名称,专业代码,培养层次,学制,入学日期,毕业日期,证书编号,学位证书编号"
_FIELD = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')


def id_number_of(sequence: int) -> str:
    payload = f"500106200401{sequence // 1000 + 1:02}{sequence % 1000:03}"
    return payload + check_sign(payload)


def graduate(sequence: int, *, name: str = "张三", id_sequence: int | None = None, **cells: str) -> str:
    """Return one row of the registrar's file; `cells` replace columns by title."""
    values = {
        "姓名": name,
        "证件号码": id_number_of(sequence if id_sequence is None else id_sequence),
        "学号": f"2022{sequence:04}",
        "学校标识码": SCHOOL.value,
        "专业名称": "计算机科学与技术",
        "专业代码": "080901",
        "培养层次": "本科",
        "学制": "4",
        "入学日期": "2022-09-01",
        "毕业日期": "2026-06-30",
        "证书编号": f"106111202605{sequence:06}",
        "学位证书编号": f"1061142026{sequence:06}",
    } | cells
    return ",".join(values[column] for column in CSV_COLUMNS.split(","))


def graduates(*rows: str) -> bytes:
    return "\r\n".join((CSV_COLUMNS, *rows, "")).encode()


@dataclass
class House:
    """The pages and what stands behind them."""

    app: ASGIApp
    client: httpx.AsyncClient
    parts: Parts
    records: Services
    store: CredentialStore
    clock: StillClock
    people: dict[str, PersonNumber]
    actors: dict[str, Actor] = field(default_factory=dict)

    async def get(self, path: str, *, as_who: str | None = None, language: str = "zh-CN") -> httpx.Response:
        return await self.client.get(path, headers=self._headers(as_who, language))

    async def post(
        self,
        path: str,
        data: Mapping[str, str | list[str]],
        *,
        as_who: str | None = None,
        form: str | None = None,
        files: Mapping[str, tuple[str, bytes, str]] | None = None,
        language: str = "zh-CN",
    ) -> httpx.Response:
        """Send a form as the browser would: with the token of the page `form` (where it stands; default the path)."""
        page = await self.get(form or path, as_who=as_who, language=language)
        token = dict(_FIELD.findall(page.text))["csrf"]
        return await self.client.post(
            path, data={"csrf": token, **data}, files=files, headers=self._headers(as_who, language)
        )

    def _headers(self, as_who: str | None, language: str) -> dict[str, str]:
        return {"accept-language": language, "accept": "text/html", **({} if as_who is None else {HEADER: as_who})}

    async def issue(self, rows: bytes) -> str:
        """Take a file of graduates the whole way through the pages; return the batch's id."""
        files = {"file": ("名单.csv", rows, "text/csv")}
        made = await self.post("/batches/new/diploma", {"school": SCHOOL.value}, as_who=REGISTRAR, files=files)
        assert made.status_code == 303, words(made)
        address = made.headers["location"]
        sent = await self.post(f"{address}/submit", {}, as_who=REGISTRAR, form=address)
        assert sent.status_code == 303, words(sent)
        approved = await self.post(f"{address}/approve", {"looked": "yes"}, as_who=APPROVER, form=address)
        assert approved.status_code == 303, words(approved)
        await self.finish()
        return str(address.rpartition("/")[2])

    async def share(self, credential_id: str, **typed: str | list[str]) -> httpx.Response:
        """Send STUDENT's check page of a share; `typed` replaces its fields."""
        form: dict[str, str | list[str]] = {
            "step": "create",
            "fields": ["name", "major"],
            "days_choice": "7",
            "days": "",
            "views": "",
        }
        return await self.post(f"/credentials/{credential_id}/share", {**form, **typed}, as_who=STUDENT)

    async def student_credential(self) -> str:
        """Issue one diploma to STUDENT; return its id."""
        await self.issue(graduates(graduate(1, name=NAMES[STUDENT], id_sequence=STUDENT_ID_SEQUENCE), graduate(2)))
        (held,) = await self.records.wallet.credentials(self.actors[STUDENT])
        return held.id

    async def finish(self) -> None:
        """Do the worker's part until nothing is left."""
        for _ in range(1000):
            if await self.records.issuance.work() == 0:
                return
            await self.parts.ledger.anchor_now()
        raise AssertionError("the batches do not come to an end")


def words(response: httpx.Response) -> str:
    """Return what a reader sees of a page: its text without tags, blanks gathered."""
    body = re.sub(r"(?s)<(script|style)\b.*?</\1>", "", response.text.partition("<main")[2] or response.text)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


@asynccontextmanager
async def open_house(folder: Path, *, origin: str = ORIGIN) -> AsyncIterator[House]:
    clock = StillClock(NOW)
    draw = random.Random(7)
    settings = check_settings({"data_dir": str(folder), "issuer": origin})
    create_kek(settings.kek_file, random_bytes=draw.randbytes)
    make_tables(settings.database_url)
    async with open_parts(settings, clock=clock, random_bytes=draw.randbytes) as parts:
        opened = await open_records(parts)
        records = opened.services
        people = await _people(parts)
        actors = await _actors(parts, people)
        press = PooledCertificatePress(
            wallet=records.wallet,
            sharing=records.sharing,
            keys=opened.keys,
            issuers=opened.issuers,
            translators=translators(),
            clock=clock,
        )
        app = _application(parts, opened, actors, press, clock)
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
        try:
            async with httpx.AsyncClient(transport=transport, base_url=origin) as client:
                yield House(app, client, parts, records, opened.store, clock, people, actors)
        finally:
            press.close()


async def _people(parts: Parts) -> dict[str, PersonNumber]:
    rows = [
        SchoolRow(line, parse_listed(code.value), name, None, "500106", "500000", "本科", "重庆市", "")
        for line, code, name in ((2, SCHOOL, SCHOOL_NAME), (3, OTHER_SCHOOL, "渝州第二大学"))
    ]
    await parts.registry.import_schools(rows, source=Source.OFFICIAL_LIST, now=NOW)
    people = {}
    for sequence, (who, name) in zip(count(901), NAMES.items(), strict=False):
        kind = AffiliationKind.STUDENT if who in {STUDENT, STRANGER} else AffiliationKind.STAFF
        request = EnrolmentRequest(
            real_name=parse_person_name(name),
            foreign_name=None,
            display_name=None,
            id_number=parse_id_number(id_number_of(sequence)),
            birth=None,
            phone=None,
            affiliation=NewAffiliation(SCHOOL, kind, f"N{sequence}", date(2022, 9, 1)),
            proofing=ProofingLevel.ROSTER,
            source=Source.SCHOOL_ROSTER,
        )
        people[who] = (await parts.registry.enrol_person(request, now=NOW)).person.number
    return people


async def _actors(parts: Parts, people: Mapping[str, PersonNumber]) -> dict[str, Actor]:
    unit = Unit(Level.SCHOOL, SCHOOL.value, ("000000", "500000"))
    offices = {
        REGISTRAR: (OfficeKind.INFORMATION, frozenset({Duty.REGISTRAR})),
        APPROVER: (OfficeKind.INFORMATION, frozenset({Duty.APPROVER})),
        AUDITOR: (OfficeKind.QUERY, frozenset({Duty.AUDITOR})),
    }
    for who, (kind, duties) in offices.items():
        await parts.authority.grant_office(NewOffice(people[who], unit, kind, duties), by=None, now=NOW)
    actors = {}
    for who, number in people.items():
        held = await parts.authority.offices_of(number)
        person = await parts.registry.person(number)
        actors[who] = Actor(number, person.display_name, held, ACR_TWO_FACTORS, NOW, f"session-{who}")
    first = actors[REGISTRAR]
    actors[ONE_FACTOR_REGISTRAR] = Actor(
        first.person, first.display_name, first.offices, ACR_ONE_FACTOR, NOW, "session-one-factor"
    )
    return actors


def _application(
    parts: Parts, opened: Records, actors: Mapping[str, Actor], press: PooledCertificatePress, clock: StillClock
) -> ASGIApp:
    frame = Frame(None, None, lambda _request: (), "/signout", "/home")
    pages = Pages(templates(), translators(), frame)
    records, issuers, store, register = opened.services, opened.issuers, opened.store, parts.registry
    verify = verify_pages.VerifyDeps(pages, records.desk, clock)
    batch = batch_pages.BatchDeps(pages, records.issuance, register, issuers, clock)
    wallet = wallet_pages.WalletDeps(pages, records.wallet, records.sharing, press, store.changes_of, clock)
    routes = [
        *home_pages.routes(home_pages.HomeDeps(pages, records.wallet, records.issuance, register, parts.ledger)),
        *verify_pages.routes(verify),
        *verify_api.routes(verify),
        *wallet_pages.routes(wallet),
        *share_pages.routes(share_pages.ShareDeps(pages, records.wallet, records.sharing, issuers, clock)),
        *batch_forms.routes(batch),
        *batch_pages.routes(batch),
        *record_pages.routes(record_pages.RecordDeps(pages, store, records.statuses, register, issuers, clock)),
        *log_files.routes(parts.log_folder),
        *log_pages.routes(log_pages.LogDeps(pages, parts.ledger, parts.log_trust)),
        *audit_pages.routes(audit_pages.AuditDeps(pages, parts.audit, parts.authority)),
        *text_pages.routes(pages),
    ]

    async def resolve(connection: HTTPConnection) -> Actor | None:
        return actors.get(connection.headers.get(HEADER, ""))

    large = 80 << 20
    rules = HttpRules(
        origin=parts.settings.issuer,
        proxies=[],
        programs=("/api/",),
        own_sessions=(),
        token_authenticated=("/api/verify",),
        uploads={"/verify": large, "/api/verify": large, "/batches/new/": large},
        rates=[],
        same_for_all=(),
        revision=lambda: 0,
    )
    ticks = count()
    return build_stack(
        routes,
        rules=rules,
        pages=pages,
        translators=translators(),
        assets=assets(),
        log=Log(clock=clock, write=lambda _line: None),
        limiter=LocalRateLimiter(lambda: float(next(ticks))),
        resolve_actor=resolve,
        form_key=b"f" * 32,
        random_bytes=random.Random(11).randbytes,
        monotonic=lambda: 0.0,
    )
