"""`/developer`: the pages of somebody whom the operator allowed sandbox clients.

A secret is shown once, in the answer to the form that made it: a page to be fetched later would need the secret kept in the
clear until then. Whoever sends that form again gets another secret, or is told that the places are taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from crypto.errors import TrustError
from idp.account.pages import private, record_own_act, to_sign_in
from idp.audit import Acts
from idp.clients.model import Client, ClientState
from idp.clients.sandbox_store import RequestNote, SandboxStore
from idp.clients.secrets import hash_client_secret, new_client_secret
from idp.clients.store import RegistrationStore
from idp.developer.hints import hint_of
from idp.developer.sandbox import (
    ALGORITHMS,
    CLIENTS_MAX,
    METHODS,
    TEST_CALLBACK,
    WITH_SECRET,
    NotADeveloper,
    SandboxRefused,
    SandboxUnknown,
    Wish,
    sandbox_client,
    wish_for,
    wish_of,
)
from idp.developer.trial import Trials
from idp.developer.watch import NOTE_LIFETIME_S, SANDBOX_PREFIX
from idp.model import Clock, RandomBytes, Session
from idp.pages.render import Render
from idp.parameters import ParametersRefused, parse_parameters, query_of
from idp.routes import without_head
from idp.session.sign_in import Sessions
from idp.store import ClientStore

PATH = "/developer"
ID_BYTES = 8
"""64 bits: ids are public, and two must only not meet."""

FIELDS_MAX = 12
"""The form has eight."""


@dataclass(frozen=True, slots=True)
class NoteLine:
    """One note with the code of its hint, None where there is nothing to mend."""

    note: RequestNote
    hint: str | None


class DeveloperClients(ClientStore, RegistrationStore, Protocol):
    """Clients, to be registered and removed."""


class DeveloperPages:
    """Handlers of `/developer…`."""

    def __init__(
        self,
        issuer: str,
        *,
        sessions: Sessions,
        clients: DeveloperClients,
        sandboxes: SandboxStore,
        trials: Trials,
        acts: Acts,
        render: Render,
        clock: Clock,
        random_bytes: RandomBytes,
    ) -> None:
        self._issuer = issuer
        self._sessions = sessions
        self._clients = clients
        self._sandboxes = sandboxes
        self._trials = trials
        self._acts = acts
        self._render = render
        self._clock = clock
        self._random_bytes = random_bytes

    def routes(self) -> list[Route]:
        """Return the routes."""
        one = f"{PATH}/clients/{{client_id}}"
        return [
            Route(PATH, self.show, methods=["GET"]),
            Route(f"{PATH}/clients", self.create, methods=["POST"]),
            without_head(Route(TEST_CALLBACK, self.tested, methods=["GET"])),
            Route(one, self.show_client, methods=["GET"]),
            Route(one, self.change, methods=["POST"]),
            Route(f"{one}/secret", self.renew, methods=["POST"]),
            Route(f"{one}/test", self.test, methods=["POST"]),
            Route(f"{one}/end", self.end, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """Show the developer's clients, and a form for another."""
        session = await self._sessions.current(request)
        if session is None:
            return to_sign_in(PATH)
        allowed = await self._sandboxes.is_developer(session.person)
        return await self._overview(request, session, allowed=allowed, wish=_EMPTY, error=None)

    async def create(self, request: Request) -> Response:
        """Make a client, and show its secret."""
        session = await self._developer(request)
        if session is None:
            return to_sign_in(PATH)
        wish, secret = wish_of(await _form(request)), new_client_secret(self._random_bytes)
        client_id = f"{SANDBOX_PREFIX}{self._random_bytes(ID_BYTES).hex()}"
        try:
            client = sandbox_client(
                wish, issuer=self._issuer, client_id=client_id, owner=session.person, secret=secret, before=None
            )
        except TrustError as error:  # pure: whatever it refuses stands in the form
            return await self._overview(request, session, allowed=True, wish=wish, error=error)
        now = self._clock()
        if not await self._sandboxes.reserve_sandbox(session.person, client_id, limit=CLIENTS_MAX, now=now):
            raise SandboxRefused(rule="limit", limit=CLIENTS_MAX)
        await self._clients.register_clients((client,), now)
        await self._record(request, "idp.developer.client_made", session, client_id)
        return await self._page(request, client, secret=secret if client.secret_hash is not None else None)

    async def show_client(self, request: Request) -> Response:
        """Show one client: its registration, and what its last requests met."""
        session = await self._developer(request)
        if session is None:
            return to_sign_in(PATH)
        return await self._page(request, await self._own(request, session))

    async def change(self, request: Request) -> Response:
        """Change the registration; a method that needs a secret where there was none gets one, shown once."""
        session = await self._developer(request)
        if session is None:
            return to_sign_in(PATH)
        before = await self._own(request, session)
        wish, secret = wish_of(await _form(request)), new_client_secret(self._random_bytes)
        try:
            client = sandbox_client(
                wish,
                issuer=self._issuer,
                client_id=before.client_id,
                owner=session.person,
                secret=secret,
                before=before,
            )
        except TrustError as error:  # pure: whatever it refuses stands in the form
            return await self._page(request, before, wish=wish, error=error)
        await self._clients.register_clients((client,), self._clock())
        await self._record(request, "idp.developer.client_changed", session, client.client_id)
        if client.secret_hash is not None and before.secret_hash is None:
            return await self._page(request, client, secret=secret)
        return RedirectResponse(f"{PATH}/clients/{client.client_id}", status_code=303)

    async def renew(self, request: Request) -> Response:
        """Give the client a new secret; the old one is dead when the page comes back."""
        session = await self._developer(request)
        if session is None:
            return to_sign_in(PATH)
        before = await self._own(request, session)
        if before.token_endpoint_auth_method not in WITH_SECRET:
            raise SandboxRefused(rule="no_secret")
        secret = new_client_secret(self._random_bytes)
        client = replace(before, secret_hash=hash_client_secret(secret))
        await self._clients.register_clients((client,), self._clock())
        await self._record(request, "idp.developer.secret_renewed", session, client.client_id)
        return await self._page(request, client, secret=secret)

    async def end(self, request: Request) -> Response:
        """End the client: it is removed with its tokens, people's consents and notes, and its place is free."""
        session = await self._developer(request)
        if session is None:
            return to_sign_in(PATH)
        client = await self._own(request, session)
        await self._clients.delete_client(client.client_id)
        await self._sandboxes.release_sandbox(session.person, client.client_id)
        await self._record(request, "idp.developer.client_ended", session, client.client_id)
        return RedirectResponse(PATH, status_code=303)

    async def test(self, request: Request) -> Response:
        """Start a test sign-in in this browser."""
        session = await self._developer(request)
        if session is None:
            return to_sign_in(PATH)
        client = await self._own(request, session)
        return RedirectResponse(await self._trials.start(client, session), status_code=303)

    async def tested(self, request: Request) -> Response:
        """Show how the test sign-in went, step by step."""
        session = await self._developer(request)
        if session is None:
            return to_sign_in(PATH)
        answer = parse_parameters(query_of(request))
        started = await self._trials.started(answer.get("state", ""), session)
        if started is None:
            raise SandboxRefused(field="state", rule="not_in_force")
        client = await self._clients.client(started.client_id)
        if client is None or client.owner != session.person or client.state is not ClientState.ACTIVE:
            raise SandboxUnknown
        steps = await self._trials.judge(client, started, answer)
        result = "ok" if all(step.passed for step in steps) else steps[-1].rule
        await self._record(request, "idp.developer.sign_in_tested", session, client.client_id, result=result)
        return private(self._render(request, "idp/developer_test.html", {"client": client, "steps": steps}, 200))

    async def _developer(self, request: Request) -> Session | None:
        """Return the session of a developer, None without one. Raises `NotADeveloper`."""
        session = await self._sessions.current(request)
        if session is not None and not await self._sandboxes.is_developer(session.person):
            raise NotADeveloper
        return session

    async def _own(self, request: Request, session: Session) -> Client:
        client = await self._clients.client(request.path_params["client_id"])
        if client is None or client.owner != session.person or client.state is not ClientState.ACTIVE:
            raise SandboxUnknown
        return client

    async def _overview(
        self, request: Request, session: Session, *, allowed: bool, wish: Wish, error: TrustError | None
    ) -> Response:
        owned = [await self._clients.client(listed) for listed in await self._sandboxes.sandboxes_of(session.person)]
        context = {
            "allowed": allowed,
            "clients": [client for client in owned if client is not None and client.state is ClientState.ACTIVE],
            "limit": CLIENTS_MAX,
            **_form_context(wish, error),
        }
        status = 422 if error is not None else 200 if allowed else 403
        return private(self._render(request, "idp/developer.html", context, status))

    async def _page(
        self,
        request: Request,
        client: Client,
        *,
        secret: str | None = None,
        wish: Wish | None = None,
        error: TrustError | None = None,
    ) -> Response:
        notes = await self._sandboxes.notes_of(client.client_id, since=self._clock() - NOTE_LIFETIME_S)
        context = {
            "client": client,
            "secret": secret,
            "issuer": self._issuer,
            "notes": [NoteLine(note, hint_of(note)) for note in notes],
            "own_callback": self._issuer + TEST_CALLBACK,
            "with_secret": client.token_endpoint_auth_method in WITH_SECRET,
            **_form_context(wish or wish_for(client, self._issuer), error),
        }
        return private(self._render(request, "idp/developer_client.html", context, 200 if error is None else 422))

    async def _record(
        self, request: Request, action: str, session: Session, client_id: str, *, result: str = "ok"
    ) -> None:
        await record_own_act(self._acts, request, action, session, client_id, result=result)


_EMPTY = Wish("", "", "", "", METHODS[0].value, ALGORITHMS[0].value, "")


def _form_context(wish: Wish, error: TrustError | None) -> Mapping[str, object]:
    return {
        "wish": wish,
        "error": error,
        "methods": [method.value for method in METHODS],
        "algorithms": [alg.value for alg in ALGORITHMS],
    }


async def _form(request: Request) -> Mapping[str, str]:
    """Read a form whose fields may hold several lines, each field once. Raises `ParametersRefused`."""
    values: dict[str, str] = {}
    for name, value in (await request.form(max_files=0, max_fields=FIELDS_MAX)).multi_items():
        if isinstance(value, UploadFile) or name in values:
            raise ParametersRefused(rule="duplicate")
        values[name] = value
    return values
