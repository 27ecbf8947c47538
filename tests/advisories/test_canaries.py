"""Secrets and personal data stay where they belong (class 37): canary values pushed through every flow of the whole
service, then looked for in the log, the addresses it makes, the pages of errors, the audit trail, the data folder, every table and
Redis (ASVS 5.0 §16.2.5, §14.2.1; CVE-2024-1132's siblings that logged tokens).
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import asyncpg
import pytest

from crypto.encoding import b64u_encode
from idp.clients.registration import parse_clients
from idp.clients.registration_tokens import InitialToken, initial_token_digest, new_initial_token
from idp.model import Account, AccountState
from idp.registry.contact import ContactStatement, PostalAddress
from ledger.audit import AuditEvent
from tests.advisories.canaries import Canaries, Given, Recording, files_of, redis_of, rows_of
from tests.idp.registry.people import id_number, request
from tests.protocol.full_service import Browser, Page, Service, full_service
from tests.protocol.world import CHALLENGE, VERIFIER, basic, registration
from tests.services import loops

ADVISORY_CLASSES: tuple[int, ...] = (37,)

SEEN_RED: dict[str, str] = {
    "test_the_log_holds_none_of_them": "adapters/observe/log.py: a request was logged by its path instead of its route",
    "test_no_address_the_service_makes_holds_one_but_the_code_at_the_platforms_own": (
        "idp/login/flow.py: the hint of who signs in went along in the address of the first step"
    ),
    "test_no_answer_holds_one_that_it_is_not_there_to_hand_out": (
        "idp/userinfo.py: the refusal repeated the token that was refused"
    ),
    "test_the_audit_trail_holds_none_of_them": (
        "idp/clients/requests.py: what a caller typed as its client id was written down, its secret if it was that"
    ),
    "test_no_file_of_the_data_folder_and_no_table_holds_one_in_the_clear": (
        "adapters/sql/idp_registry_sealing.py: the columns of a person were written unsealed"
    ),
    "test_redis_holds_none_of_them_in_the_clear": "adapters/redis/transient.py: an entry was kept under its handle itself",
}

CLIENT = "watched"
CALLBACK = f"https://{CLIENT}.example/callback"
EVERY_SCOPE = "openid profile email phone address edu offline_access"
TRAIL_MAX = 10_000

OWN_FACTS = ("real name", "e-mail address", "telephone number", "postal address")
# What each answer is there to hand out, to whom it belongs.
HANDED_OUT: dict[str, tuple[str, ...]] = {
    "POST /token": ("access_token", "refresh_token", "id_token"),
    "GET /userinfo": OWN_FACTS,
    "POST /userinfo": OWN_FACTS,
    "POST /device_authorization": ("device code",),
    "POST /register": ("registered secret", "registration token"),
    "GET /signin/step": ("seed", "login hint"),
    "POST /signin/enrol": ("session cookie",),
    "GET /account/profile": OWN_FACTS,
}
# A form that is refused comes back as it was typed: the name's field (into which somebody typed the password), the hint
# it began with; the seed that is still to be confirmed.
TYPED_BACK: dict[str, tuple[str, ...]] = {
    "POST /signin/password": ("password", "login hint"),
    "POST /signin/enrol": ("seed",),
}
OWN_ADDRESS = re.compile(r'href="[^"]*[?;](?:ui_locales|text_size)=[^"]*"')
"""The links that change language and size lead to the page's own address, which the reader's browser shows anyway."""

UNDER_WAY = frozenset({"login hint"})
"""Kept with a sign-in under way, for at most fifteen minutes, as the platform sent it."""


class Story:
    """One person, one platform, and all they tell the service."""

    def __init__(self, service: Service, canaries: Canaries) -> None:
        self.service = service
        self.canaries = canaries
        self.recording = Recording(service.app)
        self.browser = Browser(self.recording)
        self.plain = Browser(self.recording).http
        self.secret = canaries.add("client secret", b64u_encode(secrets.token_bytes(32)))
        self.password = canaries.add("password", f"pw-{secrets.token_hex(12)}")
        self.authorized = {"authorization": basic(CLIENT, self.secret)}

    async def prepare(self) -> None:
        parts, add = self.service.parts, self.canaries.add
        now = parts.clock()
        client = registration(
            CLIENT,
            client_secret=self.secret,
            grant_types=[
                "authorization_code",
                "refresh_token",
                "client_credentials",
                "urn:ietf:params:oauth:grant-type:device_code",
            ],
            scopes_required=EVERY_SCOPE.split()[:-1],
            scopes_optional=["offline_access"],
            scopes_client=["roster.read"],
        )
        await parts.access.register_clients(parse_clients(json.dumps([client]).encode()), now)
        held = id_number(777, born="20030405")
        add("ID number", held.value)
        enrolled = await parts.registry.enrol_person(request("欧阳·测试𠮷", number=held, local="8877665544"), now=now)
        add("real name", "欧阳·测试𠮷")
        number = enrolled.person.number
        stated = ContactStatement(
            email=add("e-mail address", f"{secrets.token_hex(8)}@mail.example"),
            phone=add("telephone number", f"154{secrets.randbelow(10**8):08}"),
            address=PostalAddress(add("postal address", f"测试路{secrets.token_hex(6)}号"), "", "", ""),
            locale="zh-CN",
            zoneinfo=None,
        )
        await parts.registry.state_contact(number, stated, proven={}, now=now)
        hashed = await parts.passwords.hash(self.password)
        await parts.access.create_account(Account(number.value, "watched", AccountState.ACTIVE, hashed), now)

    async def authorize(self, **changes: str) -> Page:
        asked = {
            "response_type": "code",
            "client_id": CLIENT,
            "redirect_uri": CALLBACK,
            "scope": EVERY_SCOPE,
            "state": "the-state",
            "nonce": "the-nonce",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            **changes,
        }
        return await self.browser.get("/authorize", **{name: value for name, value in asked.items() if value})

    async def sign_in(self) -> None:
        """Type the password wrongly, into the wrong field, then rightly; enrol a phone and type its code."""
        hint = self.canaries.add("login hint", f"{secrets.token_hex(8)}@hint.example")
        page = await self.authorize(acr_values="urn:edutrust:acr:2", login_hint=hint)
        wrong = self.canaries.add("wrong password", f"pw-{secrets.token_hex(12)}")
        page = await self.browser.send(page, "/signin/password", username="watched", password=wrong)
        page = await self.browser.send(page, "/signin/password", username=self.password, password="x")
        page = await self.browser.send(page, "/signin/password", username="watched", password=self.password)
        shown = re.search(r'id="totp-seed">([A-Z2-7 ]+)<', page.response.text)
        assert shown is not None, page.response.text
        seed = self.canaries.add("seed", shown[1].replace(" ", ""))
        self.canaries.add("seed in bytes", base64.b32decode(seed + "=" * (-len(seed) % 8)).hex())
        page = await self.browser.send(page, "/signin/enrol", code="000000")
        self.browser._seed = base64.b32decode(seed + "=" * (-len(seed) % 8))
        code = self.browser._code()
        self.canaries.add("one-time code", code)
        page = await self.browser.send(page, "/signin/enrol", code=code)
        self.canaries.add("session cookie", self.browser.http.cookies["__Host-edutrust-session"])
        page = await self.browser.send(page, "/signin/consent", scope_offline_access="yes")
        await self.redeem(self.code_of(page))

    def code_of(self, page: Page) -> str:
        answer = dict(parse_qsl(urlsplit(page.response.headers["location"]).query))
        assert "code" in answer, answer
        return self.canaries.add(f"code {len(self.canaries.by_name)}", answer["code"])

    async def token(self, **form: str) -> dict[str, Any]:
        body: dict[str, Any] = (await self.plain.post("/token", data=form, headers=self.authorized)).json()
        for kind in ("access_token", "refresh_token", "id_token"):
            if kind in body:
                self.canaries.add(f"{kind} {len(self.canaries.by_name)}", body[kind])
        return body

    async def redeem(self, code: str) -> dict[str, Any]:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
        return await self.token(**form, code_verifier=self.canaries.add("verifier", VERIFIER))

    async def use_tokens(self) -> None:
        """Every endpoint that takes a token, rightly, wrongly, and in the address, where no token belongs."""
        page = await self.authorize()
        code = self.code_of(page)
        bad = {"authorization": basic(CLIENT, self.canaries.add("wrong secret", b64u_encode(secrets.token_bytes(32))))}
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        assert (await self.plain.post("/token", data=form, headers=bad)).status_code == 401
        body = await self.redeem(code)
        access, refresh = body["access_token"], body["refresh_token"]
        await self.plain.get("/userinfo", headers={"authorization": f"Bearer {access}"})
        await self.plain.post("/userinfo", data={"access_token": access})
        await self.plain.get("/userinfo", params={"access_token": access})
        for path in ("/introspect", "/revoke", "/token"):
            await self.plain.get(path, params={"token": access, "client_secret": self.secret})
        for token in (access, refresh, body["id_token"]):
            await self.plain.post("/introspect", data={"token": token}, headers=self.authorized)
        renewed = await self.token(grant_type="refresh_token", refresh_token=refresh)
        await self.token(grant_type="refresh_token", refresh_token=refresh)  # replayed: the family dies
        await self.plain.post("/revoke", data={"token": renewed["access_token"]}, headers=self.authorized)
        await self.token(grant_type="client_credentials")
        await self.redeem(code)  # replayed
        pushed = await self.plain.post("/par", data={"client_id": CLIENT, "scope": "openid"}, headers=self.authorized)
        assert pushed.status_code in {201, 400}

    async def use_device(self) -> None:
        asked = {"scope": "openid email"}
        answer = (await self.plain.post("/device_authorization", data=asked, headers=self.authorized)).json()
        device_code = self.canaries.add("device code", answer["device_code"])
        grant = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": device_code}
        await self.token(**grant)
        page = await self.browser.get("/device")
        page = await self.browser.send(page, "/device", user_code=answer["user_code"])
        page = await self.browser.send(page, "/device/answer", answer="yes")
        if "/signin/consent" in page.forms:
            await self.browser.send(page, "/signin/consent")
        await self.token(**grant)

    async def register(self) -> None:
        parts = self.service.parts
        initial = self.canaries.add("initial token", new_initial_token(secrets.token_bytes))
        given = InitialToken("canary", "standard", 5, parts.clock() + 600, "a test")
        await parts.access.add_initial_token(given, initial_token_digest(initial), parts.clock())
        document = {"redirect_uris": ["https://courses.example/callback"], "client_name": "Courses of Lin"}
        bearer = {"authorization": f"Bearer {initial}"}
        made = (await self.plain.post("/register", json=document, headers=bearer)).json()
        self.canaries.add("registered secret", made["client_secret"])
        own = {"authorization": f"Bearer {self.canaries.add('registration token', made['registration_access_token'])}"}
        path = urlsplit(made["registration_client_uri"]).path
        await self.plain.get(path, headers=own)
        await self.plain.get(path, headers=bearer)
        await self.plain.delete(path, headers=own)
        await self.plain.post("/register", json={**document, "client_secret": self.secret}, headers=bearer)

    async def go_wrong(self) -> None:
        """Send everything everywhere, as people and programs do by mistake."""
        everything = dict(self.canaries.by_name)
        for value in everything.values():
            await self.plain.get(f"/verify/{value}")
            ascii_only = quoted(value)
            path = value.replace("/", "")
            await self.plain.get(f"/nothing/{path}", headers={"referer": f"https://x.example/{ascii_only}"})
            asked = {"client_id": value, "redirect_uri": f"https://x.example/{value}", value: value}
            await self.plain.get("/authorize", params=asked)
            await self.authorize(redirect_uri=f"{CALLBACK}?{value}")
            await self.authorize(scope=f"openid {value}", prompt=value, claims=value, id_token_hint=value)
            for path in ("/token", "/introspect", "/revoke", "/par", "/device_authorization"):
                await self.plain.post(path, data={"client_id": value, "client_secret": value, value: value})
                await self.plain.post(path, content=json.dumps({value: value}))
            await self.plain.get("/userinfo", headers={"authorization": f"Bearer {ascii_only}"})
            await self.plain.post("/register", json={value: value}, headers={"authorization": f"Bearer {ascii_only}"})
            await self.plain.get("/account/sessions", headers={"cookie": f"__Host-edutrust-session={ascii_only}"})
            for method in ("GET", "DELETE"):
                await self.plain.request(method, f"/register/{path}", headers={"authorization": "Bearer x"})
            await self.plain.get("/end-session", params={"id_token_hint": value, "post_logout_redirect_uri": value})
            await self.plain.get("/signin/step", params={"t": value})
            await self.plain.post("/signin/password", data={"t": value, "username": value, "password": value})

    async def leave(self) -> None:
        page = await self.browser.get("/account/profile")
        assert page.response.status_code == 200
        await self.browser.get("/account/platforms")
        page = await self.browser.get("/account/sessions")
        await self.browser.send(page, "/account/sessions/end-all")


def quoted(value: str) -> str:
    """Return the value as a header may hold it."""
    return value if value.isascii() else value.encode().hex()


@dataclass(frozen=True, slots=True)
class Evidence:
    """All the service has left behind after the story."""

    canaries: Canaries
    given: list[Given]
    log: list[str]
    printed: str
    trail: list[AuditEvent]
    kept: dict[str, bytes]
    redis: dict[str, bytes]
    paths: set[str]


async def gathered(folder: Path, **urls: str) -> Evidence:
    """Tell the service everything in every flow, and gather what it kept and said."""
    printed = StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        async with full_service(folder, **urls) as service:
            story = Story(service, Canaries())
            await story.prepare()
            await story.sign_in()
            await story.use_tokens()
            await story.use_device()
            await story.register()
            await story.go_wrong()
            await story.leave()
            trail = [event for _, event in await service.parts.audit.latest(TRAIL_MAX)]
            in_redis = await redis_of(urls["redis_url"]) if urls else {}
            paths = {route.path for route in service.routes()}
            kept = dict(files_of(folder))
    kept |= {f"{name} after the end": data for name, data in files_of(folder)}
    kept |= await rows_of(urls["database_url"]) if urls else {}
    log, given = service.log, story.recording.given
    return Evidence(story.canaries, given, log, printed.getvalue(), trail, kept, in_redis, paths)


@pytest.fixture(scope="module", params=["embedded", "postgresql+redis"])
def left(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """Run the story once on the embedded deployment and once on PostgreSQL and Redis."""
    folder = tmp_path_factory.mktemp("canaries")
    if request.param == "embedded":
        return loops.run(gathered(folder))
    server = request.getfixturevalue("postgres_server")
    name = f"t_{secrets.token_hex(8)}"
    loops.run(_statement(server, f"CREATE DATABASE {name}"))
    url = f"{server.rpartition('/')[0]}/{name}"
    try:
        return loops.run(gathered(folder, database_url=url, redis_url=request.getfixturevalue("redis_url")))
    finally:
        loops.run(_statement(server, f"DROP DATABASE {name} WITH (FORCE)"))


async def _statement(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


def test_the_story_went_through_every_flow(left: Evidence) -> None:
    """What never happened leaves no trace: the other tests mean nothing without this one."""
    succeeded = {(given.asked, given.status) for given in left.given}
    assert {
        ("GET /authorize", 303),
        ("POST /signin/password", 422),
        ("POST /signin/password", 303),
        ("POST /signin/enrol", 422),
        ("POST /signin/enrol", 303),
        ("POST /signin/consent", 303),
        ("POST /token", 200),
        ("POST /token", 400),
        ("POST /token", 401),
        ("GET /userinfo", 200),
        ("GET /userinfo", 401),
        ("POST /userinfo", 200),
        ("POST /introspect", 200),
        ("POST /revoke", 200),
        ("POST /device_authorization", 200),
        ("POST /device/answer", 303),
        ("POST /register", 201),
        ("POST /register", 401),
        ("GET /end-session", 400),
        ("GET /account/profile", 200),
        ("POST /account/sessions/end-all", 303),
    } <= succeeded
    assert not {given.asked for given in left.given if given.status >= 500}
    kinds = {name.rstrip("0123456789").strip() for name in left.canaries.by_name}
    assert len(kinds) >= 20, sorted(kinds)
    assert {"code", "access_token", "refresh_token", "id_token", "device code", "seed", "one-time code"} <= kinds
    assert {"ID number", "real name", "e-mail address", "telephone number", "postal address"} <= kinds


def test_the_log_holds_none_of_them(left: Evidence) -> None:
    assert len(left.log) > 100
    for line in left.log:
        # Of numbers (how long a request took) any may look like a short code.
        words = json.dumps([value for value in json.loads(line).values() if not isinstance(value, int | float)])
        assert left.canaries.found_in(words.encode()) == set(), line
    assert left.canaries.found_in(left.printed.encode()) == set()


def test_no_address_the_service_makes_holds_one_but_the_code_at_the_platforms_own(left: Evidence) -> None:
    assert any(given.location.startswith(f"{CALLBACK}?code=") for given in left.given)
    for given in left.given:
        found = left.canaries.found_in(given.location.encode())
        if given.location.startswith(f"{CALLBACK}?code="):
            found = {name for name in found if not name.startswith("code ")}
        assert found == set(), given.asked


def allowed(given: Given) -> tuple[str, ...]:
    """Return the beginnings of the names an answer may hold: what it is there to hand out, to whom it belongs."""
    if given.asked.startswith("GET /register/") and given.status == 200:
        return ("registration token",)  # RFC 7592 §3: as it was sent
    if given.asked.startswith("GET /verify/"):
        return ("",)  # the employer's form: the code comes back as it was typed
    if given.status >= 400:
        return TYPED_BACK.get(given.asked, ())
    return HANDED_OUT.get(given.asked, ())


def test_no_answer_holds_one_that_it_is_not_there_to_hand_out(left: Evidence) -> None:
    for given in left.given:
        text = OWN_ADDRESS.sub("", given.text.replace(f"location: {given.location}", ""))
        found = left.canaries.found_in(text.encode())
        assert {name for name in found if not name.startswith(allowed(given) or "\0")} == set(), given.asked


def test_the_audit_trail_holds_none_of_them(left: Evidence) -> None:
    actions = {event.action for event in left.trail}
    assert {"idp.login.signed_in", "idp.token.issued", "idp.token.refused", "idp.authorize.refused"} <= actions
    for event in left.trail:
        assert left.canaries.found_in(repr(event).encode()) == set(), event.action


def test_no_file_of_the_data_folder_and_no_table_holds_one_in_the_clear(left: Evidence) -> None:
    assert {"idp.sqlite3", "idp.person"} & left.kept.keys()
    for name, data in left.kept.items():
        assert left.canaries.found_in(data, but=UNDER_WAY) == set(), name


def test_redis_holds_none_of_them_in_the_clear(left: Evidence) -> None:
    for name, data in left.redis.items():
        assert left.canaries.found_in(data, but=UNDER_WAY) == set(), name


def test_there_are_no_metrics_and_no_traces_to_hold_any(left: Evidence) -> None:
    assert not [path for path in left.paths if "metric" in path or "trace" in path or "debug" in path]
