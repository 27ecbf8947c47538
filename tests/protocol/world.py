"""The provider as it stands, on a real database, with a browser and a platform to drive it. No part of it is a stand-in
but the frame of the web floor: the form token, the error page, and the built style sheet's address.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import html
import json
import random
import re
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, cast
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.passwords import PasswordPool
from adapters.sql.database import Database, Row, Transaction
from adapters.sql.idp_access import SqlAccessStore
from adapters.sql.idp_authority import SqlAuthorityStore
from adapters.sql.idp_keys import SqlKeyStore
from adapters.sql.idp_registry import SqlRegistryStore
from adapters.sql.idp_transient import SqlTransientStore
from adapters.web.render import Frame, Pages
from crypto.errors import TrustError
from crypto.jwk import SM2_CURVE
from crypto.keys import KeyRecord, KeyState, export_private, generate_signing_key
from crypto.otp import totp
from crypto.password import PasswordScheme, hash_password
from crypto.sealed import BlindIndex, ColumnSealer
from crypto.sm2 import Sm2Backend, select_backend
from crypto.suites import Purpose
from idp.clients.model import Client
from idp.clients.registration import parse_clients
from idp.keys import INTEROP_ALGORITHMS, NATIONAL_ALGORITHMS, OWNER, StoredIdpKeys, open_idp_keys
from idp.model import Account, AccountState
from idp.provider import Provider, ProviderSettings, build_provider
from idp.registry.model import Source
from idp.transient import TransientStore
from ledger.audit import AuditEvent
from tests.conftest import OpenDatabase
from tests.idp.registry.people import FIRST, REGION, id_number, request, school_row
from tests.protocol.web import Web
from tests.services.clock import StillClock
from tests.services.pages import plain_templates, translators

ISSUER = "https://id.example.edu.cn"
PASSWORD = "correct horse battery"
SECRET = "s" * 43
SESSION_COOKIE = "__Host-edutrust-session"
NOW = 1_782_864_000


def registration(client_id: str = "learning", /, **changes: Any) -> dict[str, object]:
    """Return an ordinary confidential client; `changes` replace members, None removes one."""
    base: dict[str, object] = {
        "client_id": client_id,
        "name_zh": "学习平台",
        "name_en": "Learning",
        "redirect_uris": [f"https://{client_id}.example/callback"],
        "post_logout_redirect_uris": [f"https://{client_id}.example/bye"],
        "backchannel_logout_uri": f"https://{client_id}.example/backchannel",
        "client_secret": SECRET,
        "grant_types": ["authorization_code", "refresh_token"],
        "id_token_signed_response_alg": "ES256",
        "scopes_required": ["openid", "profile"],
        "scopes_optional": ["edu", "offline_access"],
    }
    return {name: value for name, value in {**base, **changes}.items() if value is not None}


DEFAULT_CLIENTS = (
    registration(),
    registration("library", id_token_signed_response_alg="RS256", scopes_optional=["edu"]),
    registration("national", id_token_signed_response_alg="SGD_SM3_SM2", access_token_format="jwt"),
    registration("native", token_endpoint_auth_method="none", client_secret=None),
    registration("exempt", require_pkce=False),
)


@cache
def _backend() -> Sm2Backend:
    return select_backend(("libcrypto",))


def _sealer() -> ColumnSealer:
    return ColumnSealer({"k1": bytes(range(16))}, "k1", secrets.token_bytes)


@cache
def _key_records() -> tuple[KeyRecord, ...]:
    """Keys made once a test run: an RSA key costs more than the rest of a test."""
    records = []
    for alg in INTEROP_ALGORITHMS + NATIONAL_ALGORITHMS:
        key = generate_signing_key(alg, backend=_backend())
        sealed = _sealer().seal(export_private(key), aad=b"signing_key\x00sealed_private\x00" + key.kid.encode())
        end = NOW + 10**8
        records.append(
            KeyRecord(
                key.kid, Purpose.ID_TOKEN, alg, OWNER, KeyState.ACTIVE, NOW - 10, end, None, key.public.jwk, sealed
            )
        )
    return tuple(records)


@cache
def _password_hash() -> str:
    return hash_password(PASSWORD)


class Trail:
    """The audit port: keeps events for the tests to look at."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []

    async def record(self, event: AuditEvent) -> None:
        self.events.append(event)

    def actions(self) -> list[str]:
        return [event.action for event in self.events]


class _Frame:
    """What the web floor's middleware sets."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope.setdefault("state", {}).update({"csrf": "form-token", "locale": "zh-CN", "actor": None})
        await self._app(scope, receive, send)


async def _shown(request: Request, error: Exception) -> Response:
    refusal = cast("TrustError", error)
    body = {"shown": refusal.code, "field": refusal.field, "rule": refusal.rule}
    return JSONResponse(body, status_code=getattr(refusal, "status", 400))


class Interleaved:
    """A database that lets other requests run before each of its statements, as one on a network does.

    SQLite answers inline, so without this sixteen requests at once would be sixteen in a row.
    """

    def __init__(self, db: Database) -> None:
        self._db = db

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        return self._db.dialect

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        await asyncio.sleep(0)
        async with self._db.transaction() as tx:
            yield tx

    async def execute(self, sql: str, *args: Any) -> int:
        await asyncio.sleep(0)
        return await self._db.execute(sql, *args)

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        await asyncio.sleep(0)
        return await self._db.fetch(sql, *args)

    async def fetch_one(self, sql: str, *args: Any) -> Row | None:
        await asyncio.sleep(0)
        return await self._db.fetch_one(sql, *args)

    async def close(self) -> None:
        await self._db.close()


@dataclass
class Answer:
    """A response, with what tests ask of it."""

    status: int
    headers: httpx.Headers
    text: str
    content: bytes

    @property
    def location(self) -> str:
        return self.headers["location"]

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the redirect."""
        return {name: values[0] for name, values in parse_qs(urlsplit(self.location).query).items()}

    def json(self) -> Any:
        return json.loads(self.content)

    def hidden(self, name: str) -> str:
        found = re.search(rf'name="{name}" value="([^"]*)"', self.text)
        assert found is not None, self.text
        return html.unescape(found[1])


class Browser:
    """One person's browser: a cookie jar, forms, no script, no automatic redirects."""

    def __init__(self, app: ASGIApp) -> None:
        transport = httpx.ASGITransport(app=app)
        self.http = httpx.AsyncClient(transport=transport, base_url=ISSUER, follow_redirects=False)

    async def get(self, path: str, **parameters: str) -> Answer:
        url = f"{path}?{urlencode(parameters)}" if parameters else path
        return _answer(await self.http.get(url, headers={"user-agent": "Firefox Linux"}))

    async def post(self, path: str, form: dict[str, str], **headers: str) -> Answer:
        return _answer(await self.http.post(path, data=form, headers=headers))

    async def follow(self, answer: Answer) -> Answer:
        while answer.status == 303 and answer.location.startswith("/"):
            answer = await self.get(answer.location)
        return answer

    async def password(self, page: Answer, username: str, password: str = PASSWORD) -> Answer:
        form = {"t": page.hidden("t"), "csrf": "form-token", "username": username, "password": password}
        return await self.follow(await self.post("/signin/password", form))

    async def allow(self, page: Answer, *ticked: str) -> Answer:
        form = {"t": page.hidden("t"), "csrf": "form-token", **{f"scope_{scope}": "yes" for scope in ticked}}
        return await self.follow(await self.post("/signin/consent", form))

    @property
    def session_cookie(self) -> str | None:
        return self.http.cookies.get(SESSION_COOKIE)


def _answer(response: httpx.Response) -> Answer:
    return Answer(response.status_code, response.headers, response.text, response.content)


@dataclass
class World:
    """Everything a test may look at or change."""

    app: ASGIApp
    db: Database
    store: SqlAccessStore
    transient: TransientStore
    registry: SqlRegistryStore
    authority: SqlAuthorityStore
    keys: StoredIdpKeys
    provider: Provider
    clock: StillClock
    trail: Trail
    web: Web
    people: dict[str, str] = field(default_factory=dict)
    seeds: dict[str, bytes] = field(default_factory=dict)

    def browser(self) -> Browser:
        return Browser(self.app)

    async def client(self, client_id: str) -> Client:
        found = await self.store.client(client_id)
        assert found is not None
        return found

    async def register(self, *clients: dict[str, object]) -> None:
        await self.store.register_clients(parse_clients(json.dumps(clients).encode()), self.clock())

    async def add_person(self, username: str, sequence: int) -> str:
        enrolment = await self.registry.enrol_person(request("张·𠮷禾", number=id_number(sequence)), now=self.clock())
        number = enrolment.person.number.value
        await self.store.create_account(Account(number, username, AccountState.ACTIVE, _password_hash()), self.clock())
        self.people[username] = number
        return number

    def code_of(self, seed: bytes) -> str:
        """Return what the phone shows."""
        return totp(seed, self.clock())

    async def sign_in(self, browser: Browser, username: str = "lin") -> Answer:
        """Sign in first-party; return the last answer."""
        page = await browser.follow(await browser.get("/signin"))
        return await browser.password(page, username)

    async def enrol(self, browser: Browser, page: Answer) -> Answer:
        """Enrol a phone on the page that shows a seed, with its first code; return the last answer."""
        found = re.search(r'id="totp-seed">([A-Z2-7 ]+)<', page.text)
        assert found is not None, page.text
        bare = found[1].replace(" ", "")
        seed = base64.b32decode(bare + "=" * (-len(bare) % 8))
        form = {"t": page.hidden("t"), "csrf": "form-token", "code": self.code_of(seed)}
        return await browser.follow(await browser.post("/signin/enrol", form))

    async def authorize(self, browser: Browser, client_id: str = "learning", **changes: Any) -> Answer:
        """Ask for a code; `changes` replace parameters, None removes one."""
        return await browser.get("/authorize", **authorization(client_id, **changes))

    async def code(self, browser: Browser, client_id: str = "learning", **changes: Any) -> str:
        """Get a code, signing in and allowing everything on the way as needed."""
        answer = await browser.follow(await self.authorize(browser, client_id, **changes))
        if answer.status == 200 and "/signin/password" in answer.text:
            answer = await browser.password(answer, "lin")
        if answer.status == 200 and "/signin/consent" in answer.text:
            answer = await browser.allow(answer, "edu", "offline_access")
        assert "code" in answer.query, answer.text or answer.location
        return answer.query["code"]

    async def redeem(self, code: str, client_id: str = "learning", **changes: Any) -> Answer:
        """Redeem a code as its client does."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": f"https://{client_id}.example/callback",
            "code_verifier": VERIFIER,
            **changes,
        }
        return await self.token(form, client_id)

    async def refresh(self, token: str, client_id: str = "learning", **changes: Any) -> Answer:
        return await self.token({"grant_type": "refresh_token", "refresh_token": token, **changes}, client_id)

    async def token(self, form: dict[str, Any], client_id: str = "learning", **headers: str) -> Answer:
        """POST to the token endpoint with the client's usual authentication."""
        sent = {name: value for name, value in form.items() if value is not None}
        if client_id == "native":
            sent = {"client_id": client_id, **sent}
        elif "authorization" not in headers:
            headers = {"authorization": basic(client_id, SECRET), **headers}
        return await self.browser().post("/token", sent, **headers)

    async def tokens(self, browser: Browser, client_id: str = "learning", **changes: Any) -> dict[str, Any]:
        """Go the whole way: code, then tokens."""
        answer = await self.redeem(await self.code(browser, client_id, **changes), client_id)
        assert answer.status == 200, answer.text
        return cast("dict[str, Any]", answer.json())

    async def userinfo(self, access_token: str) -> Answer:
        response = await self.browser().http.get("/userinfo", headers={"authorization": f"Bearer {access_token}"})
        return _answer(response)


VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


def authorization(client_id: str = "learning", **changes: Any) -> dict[str, str]:
    """Return the parameters of an ordinary authorization request."""
    base: dict[str, str | None] = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": f"https://{client_id}.example/callback",
        "scope": "openid profile",
        "state": "the-state",
        "nonce": "the-nonce",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **changes,
    }
    return {name: value for name, value in base.items() if value is not None}


def basic(client_id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


def claims_of(token: str) -> dict[str, Any]:
    """Return the payload of a JWT, unverified: for tests that look at what was said."""
    segment = token.split(".")[1]
    return cast("dict[str, Any]", json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))))


def header_of(token: str) -> dict[str, Any]:
    segment = token.split(".", maxsplit=1)[0]
    return cast("dict[str, Any]", json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))))


OpenWorld = Callable[..., AbstractAsyncContextManager[World]]


@asynccontextmanager
async def open_world(
    migrated: OpenDatabase,
    *,
    second_factor_for_all: bool = False,
    issuer: str = ISSUER,
    before_sql: Callable[[TransientStore, StillClock], TransientStore] | None = None,
    web: Web | None = None,
) -> AsyncIterator[World]:
    """Open the provider over an empty database with one student, `lin`, and the usual clients."""
    async with migrated("registry", "access") as opened:
        db = Interleaved(opened)
        clock, trail, web = StillClock(NOW), Trail(), web or Web()
        seeded = random.Random(7).randbytes
        sealer = _sealer()
        registry = SqlRegistryStore(db, sealer=sealer, index=BlindIndex(b"i" * 32), random_bytes=seeded, region=REGION)
        await registry.import_schools([school_row(2, FIRST.value)], source=Source.OFFICIAL_LIST, now=NOW)
        keystore = SqlKeyStore(db)
        for record in _key_records():
            await keystore.add(record)
        keys = await open_idp_keys(keystore, sealer=sealer, backend=_backend(), clock=clock)
        store = SqlAccessStore(db, region=REGION)
        transient: TransientStore = SqlTransientStore(db, clock=clock, random_bytes=secrets.token_bytes)
        if before_sql is not None:
            transient = before_sql(transient, clock)
        authority = SqlAuthorityStore(db, random_bytes=seeded, region=REGION)
        passwords = PasswordPool(PasswordScheme.ARGON2ID, random_bytes=secrets.token_bytes)
        frame = Frame(None, None, lambda _request: (), "/signout", "/")
        provider = build_provider(
            ProviderSettings(issuer, "教育数字认证", second_factor_for_all, SM2_CURVE, {}),
            store=store,
            transient=transient,
            registry=registry,
            authority=authority,
            keys=keys,
            sealer=sealer,
            subject_key=b"subject key of the tests, 32 b..",
            step_key=b"step key of the tests, 32 bytes.",
            passwords=passwords,
            audit=trail,
            render=Pages(plain_templates(), translators(), frame),
            fetch=web.client().get,
            clock=clock,
            random_bytes=secrets.token_bytes,
        )
        app = Starlette(
            routes=provider.routes, middleware=[Middleware(_Frame)], exception_handlers={TrustError: _shown}
        )
        world = World(app, db, store, transient, registry, authority, keys, provider, clock, trail, web)
        await world.register(*DEFAULT_CLIENTS)
        await world.add_person("lin", 1)
        try:
            yield world
        finally:
            passwords.close()
