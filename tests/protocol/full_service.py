"""The whole service in this process, without a socket: every floor, every room, real databases; and people signed in to it."""

from __future__ import annotations

import base64
import json
import os
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
from starlette.routing import Route, Router
from starlette.types import ASGIApp

from adapters.kek import create_kek
from adapters.parts import Parts
from adapters.server import service
from adapters.settings import Settings, check_settings
from crypto.otp import totp
from idp.authority.model import Duty, Level, NewOffice, OfficeKind, Unit
from idp.clients.registration import parse_clients
from idp.model import Account, AccountState
from idp.registry.model import Source
from tests.idp.registry.people import FIRST, id_number, request, school_row
from tests.protocol.world import CHALLENGE, DEFAULT_CLIENTS, PASSWORD, VERIFIER, basic, registration
from tests.services.tables import make_tables

ISSUER = "https://id.example.edu.cn"
SECRET = "s" * 43
OPERATOR = "operator"
PEOPLE = ("lin", "zhao", OPERATOR)
CALLBACK = "https://learning.example/callback"


@dataclass
class Page:
    """An answer as a browser without scripts sees it: `fields` are those of the form that posts to `action`."""

    response: httpx.Response
    forms: dict[str, dict[str, str]] = field(default_factory=dict)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, dict[str, str]] = {}
        self._open: dict[str, str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open = self.found.setdefault(given.get("action", ""), {})
        elif tag == "input" and self._open is not None and "name" in given:
            self._open[given["name"]] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None


class Browser:
    """A cookie jar and forms; it follows redirects inside the service."""

    def __init__(self, app: ASGIApp, issuer: str = ISSUER) -> None:
        self.issuer = issuer
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url=issuer, headers={"accept": "text/html"}
        )
        self._seed = b""
        self._step = 0

    async def get(self, address: str, **query: str) -> Page:
        """Open an address of the service."""
        return await self._on(await self.http.get(f"{address}?{urlencode(query)}" if query else address))

    async def send(self, page: Page, action: str, **typed: str) -> Page:
        """Send the page's form that posts to `action`."""
        return await self._on(await self.http.post(action, data={**page.forms[action], **typed}))

    async def _on(self, response: httpx.Response) -> Page:
        while response.status_code == 303:
            target = response.headers["location"]
            if urlsplit(target).netloc not in {"", urlsplit(self.issuer).netloc}:
                break
            response = await self.http.get(target)
        forms = _Forms()
        forms.feed(response.text)
        return Page(response, forms.found)

    async def sign_in(self, page: Page, username: str) -> Page:
        """Fill in whatever pages come until the sign-in is over."""
        if "/signin/password" in page.forms:
            page = await self.send(page, "/signin/password", username=username, password=PASSWORD)
        if "/signin/enrol" in page.forms:
            shown = re.search(r'id="totp-seed">([A-Z2-7 ]+)<', page.response.text)
            assert shown is not None
            bare = shown[1].replace(" ", "")
            self._seed = base64.b32decode(bare + "=" * (-len(bare) % 8))
            page = await self.send(page, "/signin/enrol", code=self._code())
        if "/signin/totp" in page.forms:
            page = await self.send(page, "/signin/totp", code=self._code())
        if "/signin/consent" in page.forms:
            page = await self.send(page, "/signin/consent", scope_edu="yes", scope_offline_access="yes")
        return page

    def _code(self) -> str:
        """Return a code that was not used yet: that of now, or the next one, which clocks apart allow."""
        self._step = max(self._step + 1, int(time.time()) // 30)
        return totp(self._seed, self._step * 30)

    def cookie_header(self) -> bytes:
        """Return the jar as one header."""
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.http.cookies.jar).encode()


@dataclass
class Service:
    """The application, its parts and its log."""

    app: ASGIApp
    parts: Parts
    log: list[str]

    def faults(self) -> list[str]:
        """Return the lines in which the service says that it failed, not its caller."""
        return [line for line in self.log if json.loads(line).get("event") == "fault"]

    def routes(self) -> list[Route]:
        """Return every route of the service."""
        return [route for route in _router(self.app).routes if isinstance(route, Route)]

    def browser(self) -> Browser:
        """Open a fresh browser."""
        return Browser(self.app)


def _router(app: object) -> Router:
    """Find the router under the middleware, by whatever name each of them holds the next."""
    seen: set[int] = set()
    waiting: list[object] = [app]
    while waiting:
        at = waiting.pop()
        if isinstance(at, Router):
            return at
        if id(at) in seen or not type(at).__module__.startswith("adapters.http"):
            continue
        seen.add(id(at))
        waiting += _attributes(at)
    raise AssertionError("the application has no router")


def _attributes(at: object) -> Iterator[object]:
    slots = [name for kind in type(at).__mro__ for name in getattr(kind, "__slots__", ())]
    for name in {*getattr(at, "__dict__", {}), *slots}:
        yield getattr(at, name, None)


def settings_of(folder: Path, **changes: Any) -> Settings:
    """Return settings of a deployment in this folder, its key file and databases made."""
    made = check_settings({"issuer": ISSUER, "data_dir": str(folder), "second_factor_for_all": False, **changes})
    create_kek(made.kek_file, random_bytes=os.urandom)
    make_tables(made.database_url)
    return made


@asynccontextmanager
async def full_service(folder: Path, **changes: Any) -> AsyncIterator[Service]:
    """Open the service with the usual clients and three people, one of them holding offices."""
    log: list[str] = []
    async with service(settings_of(folder, **changes), write_log=log.append) as (parts, application):
        await _populate(parts)
        yield Service(application.asgi, parts, log)


async def _populate(parts: Parts) -> None:
    now = parts.clock()
    clients = [
        *DEFAULT_CLIENTS,
        registration(
            "pushing", grant_types=["authorization_code", "client_credentials"], scopes_client=["roster.read"]
        ),
    ]
    await parts.access.register_clients(parse_clients(json.dumps(clients).encode()), now)
    await parts.registry.import_schools([school_row(2, FIRST.value)], source=Source.OFFICIAL_LIST, now=now)
    hashed = await parts.passwords.hash(PASSWORD)
    for sequence, username in enumerate(PEOPLE, start=1):
        enrolled = await parts.registry.enrol_person(request("张·𠮷禾", number=id_number(sequence)), now=now)
        number = enrolled.person.number
        if username == OPERATOR:
            unit = Unit(Level.SCHOOL, FIRST.value, ("000000", "500000"))
            duties = frozenset({Duty.REGISTRAR, Duty.APPROVER})
            await parts.authority.grant_office(
                NewOffice(number, unit, OfficeKind.INFORMATION, duties), by=None, now=now
            )
        await parts.access.create_account(Account(number.value, username, AccountState.ACTIVE, hashed), now)


def authorization(**changes: str) -> dict[str, str]:
    """Return the parameters of an ordinary authorization request of `learning`."""
    return {
        "response_type": "code",
        "client_id": "learning",
        "redirect_uri": CALLBACK,
        "scope": "openid profile edu offline_access",
        "state": "the-state",
        "nonce": "the-nonce",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **changes,
    }


@dataclass
class Held:
    """What one signed-in person and one platform hold: the stuff that malformed requests are made of."""

    cookies: bytes = b""
    csrf: str = ""
    values: dict[str, str] = field(default_factory=dict)


async def hold(service: Service, browser: Browser, username: str) -> Held:
    """Sign in where that is needed, and return fresh ones of everything that is used up."""
    held = Held()
    page = await browser.sign_in(await browser.get("/authorize", **authorization()), username)
    assert page.response.status_code == 303, (page.response.status_code, page.response.text[:300])
    code = dict(parse_qsl(urlsplit(page.response.headers["location"]).query))["code"]
    home = await browser.get("/account/sessions")
    held.csrf = next(fields["csrf"] for fields in home.forms.values() if "csrf" in fields)
    held.cookies = browser.cookie_header()
    plain = service.browser()
    authorized = {"authorization": basic("learning", SECRET)}
    redeemed = {"grant_type": "authorization_code", "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    tokens = (await plain.http.post("/token", data={**redeemed, "code": code}, headers=authorized)).json()
    page = await browser.get("/authorize", **authorization())
    second = dict(parse_qsl(urlsplit(page.response.headers["location"]).query))["code"]
    pushed = (await plain.http.post("/par", data=authorization(), headers=authorized)).json()
    login = await browser.get("/authorize", **authorization(prompt="login"))
    held.values = {
        "code": second,
        "code_verifier": VERIFIER,
        "access_token": tokens["access_token"],
        "refresh_token": tokens["refresh_token"],
        "id_token_hint": tokens["id_token"],
        "token": tokens["access_token"],
        "request_uri": pushed["request_uri"],
        "t": login.forms["/signin/password"]["t"],
        "csrf": held.csrf,
    }
    return held
