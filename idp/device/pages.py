"""`/device`: where a person types the code a device shows, sees whose device it is, and says yes or no.

The person is signed in first. Code → what asks, and "only if you started this yourself" → sign-in as strong as the platform
wants and the consent page, always (both by `idp.login`) → done. Opening an address changes nothing: the code in
`verification_uri_complete` is filled in and still has to be sent (RFC 8628 §3.3.1).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from crypto.encoding import json_strict
from crypto.errors import TrustError
from idp.audit import Acts
from idp.clients.model import Client, ClientState, GrantType
from idp.device.codes import shown, typed
from idp.device.endpoint import DEVICE_PATH
from idp.device.guesses import Guesses, TooManyTries
from idp.device.model import Approval
from idp.device.requests import DeviceRequests, Found
from idp.login.flow import Flows
from idp.login.transaction import Purpose, Release, Requirement
from idp.model import Clock, Session
from idp.pages.render import Render
from idp.parameters import parse_parameters, query_of, read_form
from idp.scopes import CLAIMS_OF_SCOPE
from idp.store import ClientStore, SessionStore
from idp.transient import TransientKind, TransientStore

ANSWER_LIFETIME_S = 5 * 60
"""To read one page and press a button."""

NO_STORE = {"Cache-Control": "no-store"}


class CodeRefused(TrustError):
    """A user code that is not in force: unknown, expired, answered already, or of a platform that is suspended."""

    code = "idp.device.code_refused"


class AnswerRefused(TrustError):
    """An answer that comes too late, a second time, or from another sign-in than the one the page was shown to."""

    code = "idp.device.answer_refused"


class DevicePages:
    """Handlers of `/device…`, and finisher of the sign-ins they begin."""

    def __init__(
        self,
        *,
        devices: DeviceRequests,
        guesses: Guesses,
        transient: TransientStore,
        clients: ClientStore,
        session_store: SessionStore,
        flows: Flows,
        acts: Acts,
        render: Render,
        clock: Clock,
    ) -> None:
        self._devices = devices
        self._guesses = guesses
        self._transient = transient
        self._clients = clients
        self._session_store = session_store
        self._flows = flows
        self._acts = acts
        self._render = render
        self._clock = clock

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(DEVICE_PATH, self.ask, methods=["GET"]),
            Route(DEVICE_PATH, self.look_up, methods=["POST"]),
            Route(f"{DEVICE_PATH}/answer", self.answer, methods=["POST"]),
            Route(f"{DEVICE_PATH}/done", self.done, methods=["GET"]),
        ]

    async def ask(self, request: Request) -> Response:
        """Ask for the code, filled in where the address brings one."""
        filled = typed(parse_parameters(query_of(request)).get("user_code", ""))
        if await self._flows.sessions.current(request) is None:
            return _sign_in(filled)
        return self._page(request, "idp/device.html", {"typed": "" if filled is None else shown(filled), "error": None})

    async def look_up(self, request: Request) -> Response:
        """Find what the code belongs to and show it, or say that there is no such code."""
        form = await read_form(request)
        session = await self._flows.sessions.current(request)
        if session is None:
            return _sign_in(typed(form.get("user_code", "")))
        try:
            user_code, found, client = await self._found(form, session)
        except (CodeRefused, TooManyTries) as refusal:
            await self._record(request, "idp.device.code_refused", session, session.person, refusal.code)
            status = 429 if isinstance(refusal, TooManyTries) else 422
            wrong = {"typed": form.get("user_code", "")[:40], "error": refusal}
            response = self._page(request, "idp/device.html", wrong, status)
            if isinstance(refusal, TooManyTries):
                response.headers["Retry-After"] = str(refusal.retry_after_s)
            return response
        shown_to = json.dumps({"request": found.handle, "session": session.reference}).encode()
        handle = await self._transient.put(TransientKind.DEVICE_ANSWER, shown_to, lifetime_s=ANSWER_LIFETIME_S)
        context = {
            "t_handle": handle,
            "user_code": shown(user_code),
            "asked": found.request,
            "client": client,
            "client_name": client.name(request.state.locale),
            "claims_of": CLAIMS_OF_SCOPE,
        }
        return self._page(request, "idp/device_confirm.html", context)

    async def _found(self, form: Mapping[str, str], session: Session) -> tuple[str, Found, Client]:
        user_code = typed(form.get("user_code", ""))
        if user_code is None:
            raise CodeRefused(field="user_code", rule="form")  # no guess: no code looks like it
        await self._guesses.spend(session.person)
        found = await self._devices.by_user_code(user_code)
        client = None if found is None else await self._active(found.request.client_id)
        if found is None or client is None:
            await self._guesses.wrong()
            raise CodeRefused(field="user_code", rule="not_in_force")
        return user_code, found, client

    async def _active(self, client_id: str) -> Client | None:
        client = await self._clients.client(client_id)
        usable = (
            client is not None and client.state is ClientState.ACTIVE and GrantType.DEVICE_CODE in client.grant_types
        )
        return client if usable else None

    async def answer(self, request: Request) -> Response:
        """Take the answer to the page: a no ends it, a yes leads to sign-in and consent."""
        form = await read_form(request)
        session = await self._flows.sessions.current(request)
        if session is None:
            return _sign_in(None)
        taken = await self._transient.take(TransientKind.DEVICE_ANSWER, form.get("t", ""))
        about: Any = {} if taken is None else json_strict(taken)
        # Another person at the same browser has not seen the page.
        if about.get("session") != session.reference:
            raise AnswerRefused(rule="session")
        found = await self._devices.by_handle(about["request"])
        client = None if found is None else await self._active(found.request.client_id)
        if found is None or client is None:
            raise AnswerRefused(rule="ended")
        if form.get("answer") != "yes":
            return await self._denied(request, found, session)
        requirement = Requirement(acr=client.acr_minimum, not_before=0, fresh=False, consent_again=True, login_hint="")
        browser = self._flows.browser_secret(request)
        release = Release(client.client_id, found.request.scope, "")
        transaction = self._flows.prepare(Purpose.DEVICE, requirement, release)
        return await self._flows.begin(transaction, found.handle, browser)

    async def __call__(
        self, request: Request, continuation: str, session: Session, granted: tuple[str, ...]
    ) -> Response:
        """Finish: keep the yes. The code and the client are looked at again; minutes may have passed."""
        found = await self._devices.by_handle(continuation)
        if found is None or await self._active(found.request.client_id) is None:
            raise AnswerRefused(rule="ended")
        # Before the yes: a device that asks at once must not get tokens of a session that will not say so at its end.
        await self._session_store.remember_client(session.reference, found.request.client_id, self._clock())
        approval = Approval(session.person, session.reference, session.authentication, granted)
        if not await self._devices.approve(found, approval):
            raise AnswerRefused(rule="ended")
        await self._record(
            request, "idp.device.approved", session, found.request.client_id, "ok", scope=" ".join(granted)
        )
        return _done("yes")

    async def cancelled(self, request: Request, continuation: str) -> Response:
        """Keep the no of somebody who turned back at sign-in or consent."""
        found = await self._devices.by_handle(continuation)
        return (
            _done("no")
            if found is None
            else await self._denied(request, found, await self._flows.sessions.current(request))
        )

    async def _denied(self, request: Request, found: Found, session: Session | None) -> Response:
        if await self._devices.deny(found):
            await self._record(request, "idp.device.denied", session, found.request.client_id, "ok")
        return _done("no")

    async def done(self, request: Request) -> Response:
        """Say that it is done and that the device goes on by itself."""
        said = parse_parameters(query_of(request)).get("answer")
        return self._page(request, "idp/device_done.html", {"approved": said == "yes"})

    def _page(self, request: Request, template: str, context: Mapping[str, object], status: int = 200) -> Response:
        response = self._render(request, template, context, status)
        response.headers.update(NO_STORE)
        return response

    async def _record(
        self, request: Request, action: str, session: Session | None, subject: str, result: str, **details: str
    ) -> None:
        await self._acts.record(
            action,
            actor="person" if session is None else session.person,
            subject=subject,
            result=result,
            connection=request,
            session_reference=None if session is None else session.reference,
            **details,
        )


def _sign_in(user_code: str | None) -> Response:
    page = DEVICE_PATH if user_code is None else f"{DEVICE_PATH}?{urlencode({'user_code': shown(user_code)})}"
    return RedirectResponse(f"/signin?return={quote(page, safe='/')}", status_code=303)


def _done(answer: str) -> Response:
    return RedirectResponse(f"{DEVICE_PATH}/done?answer={answer}", status_code=303)
