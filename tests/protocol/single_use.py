"""What may be used once, how it is made, and sixteen requests that all want to be the one; over two processes."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from crypto.encoding import b64u_encode
from crypto.keys import SigningKey, generate_signing_key
from crypto.otp import totp
from crypto.sm2 import select_backend
from crypto.suites import Alg
from tests.protocol.fleet import Answer, Browser, Fleet
from tests.protocol.world import SECRET, VERIFIER, authorization, basic, registration

TAKERS = 16
KINDS = (
    *("code", "refresh token", "pushed request", "device code", "assertion", "one-time password", "sign-out question"),
)
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
TRY_S = 61
"""Ten codes may be typed in ten minutes."""
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
STEP_S = 30
USERNAMES = ["lin", "totp"]
SESSION = "edutrust-session"

Winners = Callable[[list[Answer]], list[Answer]]


@dataclass(frozen=True, slots=True)
class OneUse:
    """A thing to be used once: the request that uses it up, and which answers say that it was given."""

    request: bytes
    won: Callable[[Answer], bool]
    refused: Callable[[Answer], bool]
    after: Callable[[Answer], Awaitable[None]] | None = None
    many: tuple[bytes, ...] = ()
    """Sixteen requests of their own, where the thing used up is behind the request and not in it."""


def robot_key() -> SigningKey:
    """Return a key for the client that signs assertions."""
    return generate_signing_key(Alg.ES256, backend=select_backend(("libcrypto",)))


def clients(key: SigningKey) -> list[dict[str, object]]:
    """Return the platforms of the trials."""
    scopes = {"scopes_required": ["openid"], "scopes_optional": ["profile", "offline_access"]}
    robot = {
        "client_secret": None,
        "redirect_uris": None,
        "post_logout_redirect_uris": None,
        "backchannel_logout_uri": None,
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [dict(key.public.jwk)]},
        "grant_types": ["client_credentials"],
        "scopes_required": None,
        "scopes_optional": None,
        "scopes_client": ["roster.read"],
        "id_token_signed_response_alg": None,
    }
    screen: dict[str, object] = {
        "grant_types": [DEVICE_GRANT, "refresh_token"],
        "redirect_uris": None,
        "post_logout_redirect_uris": None,
        "backchannel_logout_uri": None,
        "sector_identifier": "screen.example",
        **scopes,
    }
    return [
        registration("learning", backchannel_logout_uri=None, **scopes),
        registration("robot", **robot),
        registration("screen", **screen),
    ]


@dataclass
class Stage:
    """The processes, who is signed in to them, and everything that was used up so far."""

    fleet: Fleet
    key: SigningKey
    rng: random.Random
    person: Browser
    serial: int = 0
    ahead: int = 0
    seed: bytes = b""
    spent: list[OneUse] = field(default_factory=list)

    def member(self) -> int:
        """Return one of the processes."""
        return self.rng.randrange(len(self.fleet.members))

    def now(self) -> int:
        """Return the time of the processes."""
        return int(time.time()) + self.ahead

    async def authorize(self, **changes: str) -> Answer:
        """Ask for a code; sign in and allow where that is needed."""
        at = self.member()
        asked = authorization("learning", scope="openid", **changes)
        answer = await self.person.get(at, "/authorize", asked)
        if b"/signin/password" in answer.body:
            answer = await self.person.password(at, answer, "lin")
        if b"/signin/consent" in answer.body:
            answer = await self.person.allow(at, answer)
        return _prepared(answer, "code=" in answer.headers.get("location", ""), "a code")

    async def made(self, kind: str) -> OneUse:
        """Make one thing of this kind."""
        return await _MAKERS[kind](self)

    async def contested(self, thing: OneUse) -> list[Answer]:
        """Let sixteen use it at once, at both processes."""
        requests = thing.many or (thing.request,) * TAKERS
        asked = [(number % len(self.fleet.members), request) for number, request in enumerate(requests)]
        self.rng.shuffle(asked)
        answers = await self.fleet.at_once(asked)
        won = [answer for answer in answers if thing.won(answer)]
        lost = [answer for answer in answers if not thing.won(answer)]
        told = [_told(answer) for answer in answers]
        # Whoever is turned away by the limit of a network has not tried to use anything: there were not sixteen.
        assert all(answer.status != 429 for answer in answers), ("turned away before it was tried", told)
        assert len(won) == 1, (len(won), told)
        assert all(thing.refused(answer) for answer in lost), told
        if thing.after is not None:
            await thing.after(won[0])
        if thing.request:
            self.spent.append(thing)
        return answers

    async def nothing_spent_comes_back(self) -> int:
        """Try everything used up so far once more, at either process; return how many were tried."""
        tried = self.spent[-200:]
        for thing in tried:
            answer = await self.fleet.ask(self.member(), thing.request)
            assert not thing.won(answer), (answer.status, answer.body[:300])
        return len(tried)

    def passes(self, seconds: int) -> None:
        """Let time pass in the processes."""
        self.ahead += seconds
        self.fleet.ahead(self.ahead)

    def token_request(self, form: dict[str, str], client_id: str = "learning") -> bytes:
        """Return a token request of a platform."""
        return self.fleet.request("POST", "/token", form, authorization=basic(client_id, SECRET))

    def redeeming(self, code: str) -> bytes:
        """Return the redemption of a code."""
        form = {"grant_type": "authorization_code", "code": code, "code_verifier": VERIFIER}
        return self.token_request({**form, "redirect_uri": "https://learning.example/callback"})

    def refreshing(self, token: str) -> bytes:
        """Return the use of a refresh token."""
        return self.token_request({"grant_type": "refresh_token", "refresh_token": token})

    async def is_dead(self, body: dict[str, str]) -> bool:
        """Whether neither process takes what was issued."""
        asks = [
            *(
                (at, self.fleet.request("GET", "/userinfo", authorization=f"Bearer {body['access_token']}"))
                for at in (0, 1)
            ),
            *((at, self.refreshing(body["refresh_token"])) for at in (0, 1)),
        ]
        statuses = [(await self.fleet.ask(at, request)).status for at, request in asks]
        return statuses == [401, 401, 400, 400]


def _told(answer: Answer) -> tuple[int, str]:
    """Return what an answer says, in short; of a page, under which reference the log says why."""
    if answer.headers.get("content-type", "").startswith("text/html"):
        return answer.status, f"reference {answer.headers.get('x-correlation-id')}"
    return answer.status, answer.headers.get("location") or answer.body[:200].decode("utf-8", "replace")


def _prepared(answer: Answer, holds: bool, what: str) -> Answer:
    """Return the answer that a trial goes on from; say so where the service refused to bring it so far."""
    assert holds, ("not prepared", what, _told(answer))
    return answer


def _issued(answer: Answer) -> bool:
    return answer.status == 200


def _invalid_grant(answer: Answer) -> bool:
    return answer.status == 400 and answer.json()["error"] == "invalid_grant"


def _signed_in(answer: Answer) -> bool:
    return any(cookie.startswith(f"{SESSION}=") for cookie in answer.cookies)


async def _code(stage: Stage) -> OneUse:
    async def family_dead(winner: Answer) -> None:
        # RFC 6749 §4.1.2: the others were second uses, so what the first got is revoked.
        assert await stage.is_dead(winner.json())

    code = (await stage.authorize()).query["code"]
    return OneUse(stage.redeeming(code), _issued, _invalid_grant, family_dead)


async def _refresh(stage: Stage) -> OneUse:
    async def family_dead(winner: Answer) -> None:
        assert await stage.is_dead(winner.json())

    code = (await stage.authorize()).query["code"]
    answer = await stage.fleet.ask(stage.member(), stage.redeeming(code))
    tokens = _prepared(answer, _issued(answer), "a refresh token").json()
    return OneUse(stage.refreshing(tokens["refresh_token"]), _issued, _invalid_grant, family_dead)


async def _pushed(stage: Stage) -> OneUse:
    await stage.authorize()  # signed in and allowed, so that the pushed request is answered at once
    form = authorization("learning", scope="openid")
    request = stage.fleet.request("POST", "/par", form, authorization=basic("learning", SECRET))
    answer = await stage.fleet.ask(stage.member(), request)
    _prepared(answer, answer.status == 201, "a pushed request")
    query = {"client_id": "learning", "request_uri": answer.json()["request_uri"]}
    return OneUse(
        stage.person.get_bytes("/authorize", query),
        lambda got: got.status == 303 and "code=" in got.headers["location"],
        lambda got: got.status == 400,
    )


async def _device(stage: Stage) -> OneUse:
    stage.passes(TRY_S)
    await stage.authorize()  # signed in
    at, screen = stage.member(), {"authorization": basic("screen", SECRET)}
    asked = stage.fleet.request("POST", "/device_authorization", {"scope": "openid"}, **screen)
    answer = await stage.fleet.ask(stage.member(), asked)
    given = _prepared(answer, _issued(answer), "a device code").json()
    csrf = (await stage.person.get(at, "/device")).hidden("csrf")
    page = await stage.person.post(at, "/device", {"csrf": csrf, "user_code": given["user_code"]})
    form = {"csrf": page.hidden("csrf"), "t": page.hidden("t"), "answer": "yes"}
    page = await stage.person.post(stage.member(), "/device/answer", form)
    if b"/signin/consent" in page.body:
        page = await stage.person.allow(stage.member(), page)
    _prepared(page, page.status == 200, "a device that is allowed")

    async def tokens_work(winner: Answer) -> None:
        # RFC 8628 has no replay to punish: a device that asks again too soon is no thief.
        token = winner.json()["access_token"]
        userinfo = stage.fleet.request("GET", "/userinfo", authorization=f"Bearer {token}")
        assert (await stage.fleet.ask(stage.member(), userinfo)).status in {200, 401}

    form = {"grant_type": DEVICE_GRANT, "device_code": given["device_code"]}
    return OneUse(stage.token_request(form, "screen"), _issued, lambda got: got.status == 400, tokens_work)


async def _assertion(stage: Stage) -> OneUse:
    stage.serial += 1
    head = {"alg": "ES256", "kid": stage.key.kid, "typ": "JWT"}
    claims = {
        "iss": "robot",
        "sub": "robot",
        "aud": stage.fleet.issuer,
        "exp": stage.now() + 240,
        "jti": f"{stage.serial}-{stage.rng.random()}",
    }
    text = ".".join(b64u_encode(json.dumps(part).encode()) for part in (head, claims))
    signed = f"{text}.{b64u_encode(stage.key.sign(text.encode()))}"
    form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}
    return OneUse(
        stage.fleet.request("POST", "/token", form),
        _issued,
        lambda got: got.status == 401 and got.json()["error"] == "invalid_client",
    )


async def _password_of_the_moment(stage: Stage) -> OneUse:
    """Sixteen sign-ins of one person, each of which still wants the code that the phone shows now."""
    # A fresh step; no delay left from the last trial, and nothing left of what it spent of the limit of its network.
    stage.passes(2 * STEP_S)
    browser, at = Browser(stage.fleet), stage.member()
    if not stage.seed:
        page = await browser.password(at, await browser.get(at, "/signin", {"acr": "2"}), "totp")
        shown = re.search(rb'id="totp-seed">([A-Z2-7 ]+)<', page.body)
        assert shown is not None, ("not prepared", "a seed for the phone", _told(page))
        bare = shown[1].replace(b" ", b"").decode()
        stage.seed = base64.b32decode(bare + "=" * (-len(bare) % 8))
        form = {"t": page.hidden("t"), "csrf": page.hidden("csrf"), "code": totp(stage.seed, stage.now())}
        answer = await browser.post(at, "/signin/enrol", form)
        _prepared(answer, answer.status == 200, "a phone that is enrolled")
        return await _password_of_the_moment(stage)
    answer = await browser.password(at, await browser.get(at, "/signin"), "totp")
    _prepared(answer, SESSION in browser.cookies, "somebody whose password was taken")
    pages = [await browser.get(number % 2, "/signin", {"acr": "2"}) for number in range(TAKERS)]
    for page in pages:
        _prepared(page, b"/signin/totp" in page.body, "a page that asks for the code")
    code = totp(stage.seed, stage.now())
    requests = tuple(
        browser.post_bytes("/signin/totp", {"t": page.hidden("t"), "csrf": page.hidden("csrf"), "code": code})
        for page in pages
    )
    return OneUse(
        b"",
        _signed_in,
        # A wrong code is told so on the page. The winner's session took the place of the one that all of them came with:
        # who comes later is sent back to the password.
        lambda got: got.status == 422 or (got.status == 303 and got.headers["location"].startswith("/signin/step?")),
        many=requests,
    )


async def _sign_out_question(stage: Stage) -> OneUse:
    await stage.authorize()
    page = await stage.person.get(stage.member(), "/end-session")
    # The answer "no" uses the question up and leaves the session, so that the losers are told what is wrong.
    form = {"t": page.hidden("t"), "csrf": page.hidden("csrf"), "answer": "no"}
    return OneUse(
        stage.person.post_bytes("/end-session/confirm", form),
        lambda got: got.status == 303 and got.headers["location"] == "/",
        lambda got: got.status == 400,
    )


_MAKERS: dict[str, Callable[[Stage], Awaitable[OneUse]]] = {
    "code": _code,
    "refresh token": _refresh,
    "pushed request": _pushed,
    "device code": _device,
    "assertion": _assertion,
    "one-time password": _password_of_the_moment,
    "sign-out question": _sign_out_question,
}


async def settle() -> None:
    """Let closed connections go, so that the event loop ends without any."""
    await asyncio.sleep(0.05)
