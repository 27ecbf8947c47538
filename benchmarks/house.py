"""A small deployment in a temporary folder: the composition root's own parts, one school, two officers, one student."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from adapters.app import Application, build_application
from adapters.commands.migrate import migrate
from adapters.demo.population import DemoProvince, make_population
from adapters.kek import create_kek
from adapters.parts import Parts, open_parts
from adapters.records import open_records
from adapters.settings import check_settings
from crypto.password import hash_password
from idp.authority.assurance import ACR_TWO_FACTORS
from idp.authority.model import Actor
from idp.clients.registration import parse_clients
from idp.login.username import normalise
from idp.model import Account, AccountState
from idp.registry.model import Source
from idp.registry.person_number import PersonNumber

ISSUER: Final = "https://id.example.edu.cn"
CLIENT_ID: Final = "benchmark"
REDIRECT_URI: Final = "https://platform.example/callback"
STUDENT: Final = "a001"
SEED: Final = 20260901


@dataclass(frozen=True, slots=True)
class House:
    """What the measurements use."""

    parts: Parts
    application: Application
    province: DemoProvince
    registrar: Actor
    approver: Actor
    password: str
    client_secret: str


@asynccontextmanager
async def open_house(folder: Path) -> AsyncIterator[House]:
    """Open it on SQLite in `folder`; no worker runs, so a measurement drives the work itself."""
    settings = check_settings({"issuer": ISSUER, "data_dir": str(folder), "second_factor_for_all": False})
    create_kek(settings.kek_file, random_bytes=secrets.token_bytes)
    migrate(settings)
    async with open_parts(settings, clock=lambda: int(time.time()), random_bytes=secrets.token_bytes) as parts:
        application = build_application(parts, await open_records(parts), stated_acr={}, write_log=_drop)
        try:
            yield await _furnish(parts, application)
        finally:
            application.close()


def _drop(_line: str) -> None:
    """Take a line of the log and keep nothing."""


async def _furnish(parts: Parts, application: Application) -> House:
    now = parts.clock()
    province = make_population(seed=SEED, today=date(2026, 7, 1))
    await parts.registry.import_schools(province.schools, source=Source.DEMONSTRATION, now=now)
    student = await _enrol(parts, province, STUDENT)
    password, client_secret = secrets.token_urlsafe(12), secrets.token_urlsafe(32)
    account = Account(str(student), normalise(STUDENT), AccountState.ACTIVE, hash_password(password))
    await parts.access.create_account(account, now)
    registration = {
        "client_id": CLIENT_ID,
        "client_name": "Benchmark",
        "redirect_uris": [REDIRECT_URI],
        "client_secret": client_secret,
        "grant_types": ["authorization_code", "refresh_token"],
        "id_token_signed_response_alg": "SGD_SM3_SM2",
        "scopes_required": ["openid", "profile"],
    }
    await parts.access.register_clients(parse_clients(json.dumps([registration]).encode()), now)
    registrar, approver = [await _officer(parts, province, login) for login in ("a.registrar", "a.approver")]
    return House(parts, application, province, registrar, approver, password, client_secret)


async def _enrol(parts: Parts, province: DemoProvince, login: str) -> PersonNumber:
    return (await parts.registry.enrol_person(province.account(login).enrolment, now=parts.clock())).person.number


async def _officer(parts: Parts, province: DemoProvince, login: str) -> Actor:
    number, office = await _enrol(parts, province, login), province.account(login).office
    if office is not None:
        await parts.authority.grant_office(office.for_person(number), by=None, now=parts.clock())
    offices = tuple(await parts.authority.offices_of(number))
    return Actor(number, login, offices, ACR_TWO_FACTORS, parts.clock(), "benchmark")
