"""One good token of every kind there is, and every place that takes one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import urlencode

from idp.authorize.pushed import REQUEST_URI_PREFIX
from tests.idp.clients.assertions import asserting, assertion
from tests.protocol.devices import GRANT as DEVICE_GRANT
from tests.protocol.devices import connect, type_code
from tests.protocol.registering import initial_token, post, registered, send
from tests.protocol.world import SESSION_COOKIE, VERIFIER, Answer, Browser, World, authorization

CLIENT = "robot"
CALLBACK = f"https://{CLIENT}.example/callback"
_serial = count()
RESOURCE = "https://grades.example/api"


def fresh(world: World, **form: Any) -> dict[str, Any]:
    """Return a form of the client's, authenticated by an assertion of its own."""
    return asserting(assertion(world, CLIENT), **form)


async def answered(world: World, path: str, form: dict[str, Any]) -> Any:
    """POST a form; return what came back where it was accepted, else None."""
    answer = await world.browser().post(path, form)
    return answer.json() if answer.status in {200, 201} and answer.content else None


def redemption(world: World, code: str) -> dict[str, Any]:
    return fresh(world, grant_type="authorization_code", code=code, redirect_uri=CALLBACK, code_verifier=VERIFIER)


@dataclass(frozen=True)
class Kinds:
    """A token of every kind, all of one client and one person where they have such; the second client, which the
    registration access token is of; and the browser that has begun the sign-in under way.
    """

    tokens: dict[str, str]
    registered: str
    beginner: Browser


async def kinds(world: World) -> Kinds:
    """Make one of each."""
    platform = await registered(world, **{"client_name": f"Courses {next(_serial)}", "client_name#zh-CN": None})
    browser = world.browser()
    body = await answered(world, "/token", redemption(world, await world.code(browser, CLIENT)))
    elsewhere = await world.code(browser, CLIENT, resource=RESOURCE)
    for_resource = await answered(world, "/token", redemption(world, elsewhere))
    own = await answered(world, "/token", fresh(world, grant_type="client_credentials"))
    device = await answered(world, "/device_authorization", fresh(world, scope="openid"))
    waiting = await answered(world, "/device_authorization", fresh(world, scope="openid"))
    await connect(browser, device["user_code"])
    pushed = await answered(world, "/par", fresh(world, **authorization(CLIENT)))
    beginner = world.browser()
    step = await world.authorize(beginner, CLIENT)
    leaving = world.browser()
    await world.code(leaving, CLIENT)
    tokens = {
        "id": body["id_token"],
        "access": body["access_token"],
        "access for a resource": for_resource["access_token"],
        "client's own": own["access_token"],
        "refresh": body["refresh_token"],
        "code": await world.code(browser, CLIENT),
        "device code": device["device_code"],
        "user code": waiting["user_code"],
        "pushed": pushed["request_uri"],
        "logout": await _logout_token(world),
        "sign-in under way": step.location.partition("t=")[2].partition("&")[0],
        "confirmation": (await leaving.get("/end-session")).hidden("t"),
        "session": browser.session_cookie or "",
        "assertion": assertion(world, CLIENT),
        "registration": platform["registration_access_token"],
        "initial": await initial_token(world),
        "userinfo": (await world.userinfo(body["access_token"])).text,
    }
    return Kinds(tokens, platform["client_id"], beginner)


async def _logout_token(world: World) -> str:
    got: list[str] = []

    async def deliver(_url: str, token: str) -> None:
        got.append(token)

    browser = world.browser()
    await answered(world, "/token", redemption(world, await world.code(browser, CLIENT)))
    await browser.post("/signout", {"csrf": "f"})
    await world.provider.logout.drain(deliver)
    return got[0]


async def passes_unspent(world: World, token: str, beside: Kinds) -> set[str]:
    """Return where a token passes without being used up."""
    passed = set()
    if (await world.userinfo(token)).status == 200:
        passed.add("userinfo")
    if (await answered(world, "/introspect", fresh(world, token=token)))["active"]:
        passed.add("introspect")
    passed |= await _passes_in_a_browser(world, token)
    if (await send(world, "GET", f"/register/{beside.registered}", token)).status == 200:
        passed.add("configuration")
    if (await beside.beginner.get("/signin/step", t=token)).status == 200:
        passed.add("step")
    return passed


async def _passes_in_a_browser(world: World, token: str) -> set[str]:
    passed = set()
    browser = world.browser()
    if (await browser.get("/end-session", id_token_hint=token)).status != 400:
        passed.add("hint at sign-out")
    browser.http.cookies.set(SESSION_COOKIE, token)
    if (await browser.get("/account/sessions")).status == 200:
        passed.add("cookie")
    signed_in = world.browser()
    await world.sign_in(signed_in)
    hinted = await world.authorize(signed_in, CLIENT, prompt="none", id_token_hint=token)
    if "code" in hinted.query:
        passed.add("hint at sign-in")
    confirmed = await signed_in.post("/end-session/confirm", {"t": token, "csrf": "f"})
    if confirmed.status != 400 or confirmed.json()["rule"] == "session":  # known, and another session's
        passed.add("confirm")
    return passed


async def passes_spent(world: World, token: str) -> set[str]:
    """Return where a token passes and is used up."""
    passed = set()
    for path, form in (("/token", {"grant_type": "client_credentials"}), ("/introspect", {"token": "x"})):
        if await answered(world, path, asserting(token, **form)) is not None:
            passed.add("authentication")
    if await answered(world, "/token", fresh(world, grant_type="refresh_token", refresh_token=token)) is not None:
        passed.add("refresh grant")
    if await answered(world, "/token", redemption(world, token)) is not None:
        passed.add("code grant")
    if await answered(world, "/token", fresh(world, grant_type=DEVICE_GRANT, device_code=token)) is not None:
        passed.add("device grant")
    for request_uri in {token, REQUEST_URI_PREFIX + token}:
        answer = await world.browser().get(f"/authorize?{urlencode({'client_id': CLIENT, 'request_uri': request_uri})}")
        if answer.status == 303 and "error" not in answer.query:
            passed.add("pushed request")
    document = {"redirect_uris": ["https://more.example/cb"], "client_name": f"More {next(_serial)}"}
    if (await post(world, token, document)).status == 201:
        passed.add("registration")
    before = world.trail.actions().count("idp.token.revoked")
    assert (await world.browser().post("/revoke", fresh(world, token=token))).status == 200
    if world.trail.actions().count("idp.token.revoked") > before:
        passed.add("revoke")
    return passed


async def passes_as_user_code(world: World, username: str, tokens: dict[str, str]) -> set[str]:
    """Return the kinds that somebody can type at `/device`. A person has ten tries."""
    browser = world.browser()
    await world.sign_in(browser, username)
    passed = set()
    for kind, token in tokens.items():
        answer: Answer = await type_code(browser, token)
        assert answer.status != 429
        if "/device/answer" in answer.text:
            passed.add(kind)
    return passed
