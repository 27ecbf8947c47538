"""Every way to get, use or keep something at the provider, taken up to its last request; and every way to lose the right.

A path is prepared while all is well, then the loss happens, then the last request is made and put into words.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from crypto.password import hash_password
from idp.clients.model import ClientState
from idp.model import AccountState
from idp.registry.model import AccountStatus
from idp.registry.person_number import parse_person_number
from tests.protocol.devices import GRANT, Device, connect, to_consent, type_code
from tests.protocol.registering import manage, registered
from tests.protocol.world import (
    PASSWORD,
    SECRET,
    Answer,
    Browser,
    World,
    authorization,
    basic,
    registration,
)

Act = Callable[[], Awaitable[str]]


@dataclass
class Case:
    """One person, one platform, one browser, all of this case alone."""

    world: World
    username: str
    client_id: str
    browser: Browser
    password: str = PASSWORD
    answers: list[Answer] = field(default_factory=list)

    @property
    def person(self) -> str:
        return self.world.people[self.username]

    async def sign_in(self) -> None:
        await self.world.sign_in(self.browser, self.username)

    async def code(self, **changes: Any) -> str:
        return await self.world.code(self.browser, self.client_id, **changes)

    async def tokens(self, **changes: Any) -> dict[str, Any]:
        await self.sign_in()
        answer = await self.world.redeem(await self.code(**changes), self.client_id)
        assert answer.status == 200, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def post(self, path: str, form: dict[str, str]) -> Answer:
        return await self.world.browser().post(path, form, authorization=basic(self.client_id, SECRET))

    def form(self, page: Answer, **fields: str) -> dict[str, str]:
        return {"t": page.hidden("t"), "csrf": "form-token", **fields}

    async def password_page(self, **changes: Any) -> Answer:
        return await self.browser.follow(await self.world.authorize(self.browser, self.client_id, **changes))


def put_into_words(answer: Answer) -> str:
    """Say what an answer is: its error, where it is one; what it gives or asks for, where it is not."""
    if "location" in answer.headers:
        query = answer.query
        return f"redirect: {query['error']}" if "error" in query else "a code" if "code" in query else "redirect"
    if answer.headers.get("content-type", "").startswith("application/json"):
        body = answer.json()
        for name in ("error", "shown"):
            if name in body:
                return f"{answer.status} {body[name]}"
        for name, words in (("active", "active" if body.get("active") else "inactive"), ("access_token", "tokens")):
            if name in body:
                return words
        return "claims" if "sub" in body else "a request_uri" if "request_uri" in body else f"{answer.status} ?"
    for action, words in (
        ("/signin/password", "the password is asked for"),
        ("/signin/totp", "the second factor is asked for"),
        ("/signin/consent", "consent is asked for"),
        ("/device/answer", "the device is shown"),
        ("/account/sessions/end", "the page is shown"),
    ):
        if f'action="{action}"' in answer.text:
            return f"{answer.status} {words}" if answer.status >= 400 else words
    return str(answer.status)


def _registered(client_id: str, **changes: Any) -> dict[str, object]:
    grants = ["authorization_code", "refresh_token", "client_credentials", GRANT]
    return registration(client_id, grant_types=grants, scopes_client=["roster.read"], **changes)


async def new_case(world: World, number: int, **changes: Any) -> Case:
    """Add a person and a platform that nobody else uses."""
    username, client_id = f"person{number}", f"platform-{number}"
    await world.register(_registered(client_id, **changes))
    await world.add_person(username, 100 + number)
    return Case(world, username, client_id, world.browser())


# --- ways to lose the right -----------------------------------------------------------------------------------------------


@cache
def _other_password() -> str:
    return hash_password("battery horse correct")


async def _account(case: Case, state: AccountState) -> None:
    await case.world.store.set_account_state(case.person, state, case.world.clock())


async def _registry(case: Case, status: AccountStatus) -> None:
    await case.world.registry.set_status(parse_person_number(case.person), status, now=case.world.clock())


async def _session_ended(case: Case) -> None:
    for session in await case.world.store.sessions_of(case.person, case.world.clock()):
        await case.world.store.end_session(session.reference, case.world.clock())


LOSSES: dict[str, Callable[[Case], Awaitable[object]]] = {
    "account locked": lambda case: _account(case, AccountState.LOCKED),
    "account disabled": lambda case: _account(case, AccountState.DISABLED),
    "account deleted": lambda case: _account(case, AccountState.DELETED),
    "person locked": lambda case: _registry(case, AccountStatus.LOCKED),
    "person disabled": lambda case: _registry(case, AccountStatus.DISABLED),
    "person deleted": lambda case: _registry(case, AccountStatus.DELETED),
    "consent withdrawn": lambda case: case.world.store.withdraw_consent(
        case.person, case.client_id, case.world.clock()
    ),
    "client disabled": lambda case: case.world.store.set_client_state(
        case.client_id, ClientState.DISABLED, case.world.clock()
    ),
    "session ended": _session_ended,
    "password changed": lambda case: case.world.store.set_password(case.person, _other_password(), case.world.clock()),
}


# --- ways to use it -------------------------------------------------------------------------------------------------------


async def _code_redemption(case: Case) -> Act:
    await case.sign_in()
    code = await case.code()

    async def act() -> str:
        return put_into_words(await case.world.redeem(code, case.client_id))

    return act


async def _refresh(case: Case, **changes: Any) -> Act:
    token = (await case.tokens(**changes))["refresh_token"]

    async def act() -> str:
        return put_into_words(await case.world.refresh(token, case.client_id))

    return act


async def _offline_refresh(case: Case) -> Act:
    return await _refresh(case, scope="openid profile offline_access")


async def _device_poll(case: Case) -> Act:
    await case.sign_in()
    device = Device(case.world, case.client_id)
    await device.ask()
    await connect(case.browser, device.user_code)

    async def act() -> str:
        return put_into_words(await device.poll())

    return act


async def _client_credentials(case: Case) -> Act:
    await case.tokens()

    async def act() -> str:
        return put_into_words(await case.post("/token", {"grant_type": "client_credentials"}))

    return act


async def _userinfo(case: Case) -> Act:
    token = (await case.tokens())["access_token"]

    async def act() -> str:
        return put_into_words(await case.world.userinfo(token))

    return act


async def _introspection(case: Case, kind: str = "access_token") -> Act:
    token = (await case.tokens())[kind]

    async def act() -> str:
        return put_into_words(await case.post("/introspect", {"token": token}))

    return act


async def _introspection_of_refresh(case: Case) -> Act:
    return await _introspection(case, "refresh_token")


async def _authorize(case: Case, **changes: Any) -> Act:
    await case.tokens()

    async def act() -> str:
        answer = await case.world.authorize(case.browser, case.client_id, **changes)
        return put_into_words(await case.browser.follow(answer))

    return act


async def _silent_authorize(case: Case) -> Act:
    return await _authorize(case, prompt="none")


async def _push(case: Case) -> Act:
    await case.tokens()

    async def act() -> str:
        return put_into_words(await case.post("/par", authorization(case.client_id)))

    return act


async def _pushed_authorize(case: Case) -> Act:
    await case.tokens()
    pushed = (await case.post("/par", authorization(case.client_id))).json()["request_uri"]

    async def act() -> str:
        answer = await case.browser.get("/authorize", client_id=case.client_id, request_uri=pushed)
        return put_into_words(await case.browser.follow(answer))

    return act


async def _allowed_before(case: Case) -> None:
    """Sign in and allow, in another browser, so that there is a consent to withdraw and a session to end."""
    first = case.browser
    case.browser = case.world.browser()
    await case.tokens()
    case.browser = first


async def _password_step(case: Case) -> Act:
    await _allowed_before(case)
    page = await case.password_page()

    async def act() -> str:
        return put_into_words(await case.browser.password(page, case.username))

    return act


async def _totp_step(case: Case) -> Act:
    await case.world.register(_registered(case.client_id, acr_minimum="urn:edutrust:acr:2"))
    other = case.world.browser()
    page = await other.password(await _page_of(case, other), case.username)
    shown = re.search(r'id="totp-seed">([A-Z2-7 ]+)<', page.text)
    assert shown is not None
    await other.allow(await case.world.enrol(other, page))
    case.world.clock.advance(30)  # the next code
    page = await case.browser.password(await case.password_page(), case.username)
    code = case.world.code_of(base64.b32decode(shown[1].replace(" ", "")))

    async def act() -> str:
        answer = await case.browser.post("/signin/totp", case.form(page, code=code))
        return put_into_words(await case.browser.follow(answer))

    return act


async def _page_of(case: Case, browser: Browser) -> Answer:
    return await browser.follow(await case.world.authorize(browser, case.client_id))


async def _consent_page(case: Case) -> Act:
    await case.tokens()
    page = await case.password_page(prompt="consent")

    async def act() -> str:
        return put_into_words(await case.browser.allow(page))

    return act


async def _device_page(case: Case) -> Act:
    await case.tokens()
    device = Device(case.world, case.client_id)
    await device.ask()

    async def act() -> str:
        answer = await type_code(case.browser, device.user_code)
        return put_into_words(await case.browser.follow(answer))

    return act


async def _device_consent(case: Case) -> Act:
    await case.tokens()
    device = Device(case.world, case.client_id)
    await device.ask()
    page = await to_consent(case.browser, device.user_code)

    async def act() -> str:
        answer = await case.browser.allow(page)
        told = await device.poll()
        return put_into_words(told) if told.status == 200 else put_into_words(answer)

    return act


async def _own_pages(case: Case) -> Act:
    await case.tokens()

    async def act() -> str:
        return put_into_words(await case.browser.follow(await case.browser.get("/account/sessions")))

    return act


async def _chosen_account(case: Case) -> Act:
    await case.tokens()
    page = await case.password_page(prompt="select_account")
    shown_session = page.hidden("session")

    async def act() -> str:
        form = case.form(page, session=shown_session, choice="continue")
        return put_into_words(await case.browser.follow(await case.browser.post("/signin/account", form)))

    return act


async def _change_of_password(case: Case) -> Act:
    await case.tokens()
    new = "another horse, another battery"

    async def act() -> str:
        form = {"csrf": "form-token", "old_password": PASSWORD, "new_password": new, "new_password_again": new}
        answer = await case.browser.post("/account/password", form)
        if "done=yes" in answer.headers.get("location", ""):
            return "changed"
        return put_into_words(await case.browser.follow(answer))

    return act


async def _registration(case: Case) -> Act:
    await case.tokens()
    # Names that look alike are refused, so each is spelt with letters that no digit looks like.
    name = "".join("bcdfhkmnrt"[int(digit)] for digit in case.username.removeprefix("person"))
    body = await registered(case.world, **{"client_name": f"Courses {name}", "client_name#zh-CN": None})
    case.client_id = body["client_id"]

    async def act() -> str:
        return str((await manage(case.world, "GET", body)).status)

    return act


async def _logout(case: Case) -> Act:
    hint = (await case.tokens())["id_token"]

    async def act() -> str:
        answer = await case.browser.get(
            "/end-session",
            id_token_hint=hint,
            post_logout_redirect_uri=f"https://{case.client_id}.example/bye",
            state="s",
        )
        live = await case.world.store.sessions_of(case.person, case.world.clock())
        return f"{put_into_words(answer)}, {len(live)} sessions left"

    return act


PATHS: dict[str, Callable[[Case], Awaitable[Act]]] = {
    "code redemption": _code_redemption,
    "refresh": _refresh,
    "refresh while away": _offline_refresh,
    "device poll": _device_poll,
    "client credentials": _client_credentials,
    "userinfo": _userinfo,
    "introspection of an access token": _introspection,
    "introspection of a refresh token": _introspection_of_refresh,
    "authorize": _authorize,
    "authorize in silence": _silent_authorize,
    "push": _push,
    "authorize what was pushed": _pushed_authorize,
    "password": _password_step,
    "one-time code": _totp_step,
    "consent page": _consent_page,
    "device page": _device_page,
    "consent page of a device": _device_consent,
    "chosen account": _chosen_account,
    "own pages": _own_pages,
    "change of password": _change_of_password,
    "registration by its token": _registration,
    "sign-out": _logout,
}


async def outcome(world: World, number: int, path: str, loss: str | None) -> str:
    """Go a path to its last request, lose the right, make the request, and say what came of it."""
    jwt = {"access_token_format": "jwt"} if number % 2 else {}  # both formats, by turns
    case = await new_case(world, number, **jwt)
    act = await PATHS[path](case)
    if loss is not None:
        await LOSSES[loss](case)
    return await act()
