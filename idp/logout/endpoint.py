"""`/end-session`: a platform, or the person, ends the session (OpenID Connect RP-Initiated Logout 1.0)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from crypto.encoding import json_strict
from crypto.errors import TrustError
from idp.audit import Acts
from idp.clients.model import Client, ClientState
from idp.clients.redirect_uris import web_origin
from idp.id_token import Hint, HintRefused, IdTokens
from idp.logout.frontchannel import SIGNED_OUT_PATH, FrontchannelLogout
from idp.model import Session
from idp.pages.render import Render
from idp.parameters import ParametersRefused, parse_parameters, query_of, read_form
from idp.routes import without_head
from idp.session.sign_in import Sessions
from idp.store import ClientStore
from idp.subject import SubjectIdentifiers
from idp.transient import TransientKind, TransientStore

CONFIRMATION_LIFETIME_S = 10 * 60
"""Time to read one sentence and press a button."""

STATE_CHARS_MAX = 1024
"""As for the state of an authorization request."""


class LogoutRefused(TrustError):
    """A logout request that cannot be followed; shown, never redirected."""

    code = "idp.logout.refused"


@dataclass(frozen=True, slots=True)
class _Wish:
    """A logout request that has been checked: where to return to (already proven), for whom, ending which session."""

    client_id: str
    return_to: str
    state: str
    session_reference: str


class EndSession:
    """Handlers of signing out."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        clients: ClientStore,
        transient: TransientStore,
        id_tokens: IdTokens,
        subjects: SubjectIdentifiers,
        frontchannel: FrontchannelLogout,
        acts: Acts,
        render: Render,
    ) -> None:
        self._sessions = sessions
        self._clients = clients
        self._transient = transient
        self._id_tokens = id_tokens
        self._subjects = subjects
        self._frontchannel = frontchannel
        self._acts = acts
        self._render = render

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            without_head(Route("/end-session", self.end_session, methods=["GET", "POST"])),
            Route("/end-session/confirm", self.confirm, methods=["POST"]),
            Route("/signout", self.sign_out, methods=["POST"]),
            Route(SIGNED_OUT_PATH, self.signed_out, methods=["GET"]),
        ]

    async def end_session(self, request: Request) -> Response:
        """End the session the hint names, or ask. Raises `LogoutRefused`, `ParametersRefused`."""
        if request.method == "POST" and request.scope["query_string"]:
            raise ParametersRefused(rule="query_and_form")
        form = request.method == "POST"
        parameters = await read_form(request) if form else parse_parameters(query_of(request))
        hint = self._hint(parameters)
        client = await self._client(parameters, hint)
        return_to = _proven_return(parameters, client)
        session = await self._sessions.held(request)
        wish = _Wish(
            client_id="" if client is None else client.client_id,
            return_to=return_to,
            state=parameters.get("state", ""),
            session_reference="" if session is None else session.reference,
        )
        if session is None:
            # Nothing to end. Only a token of ours proves that the request comes from the platform (§3).
            return await self._frontchannel.leave(request, None, _return_address(wish if hint is not None else None))
        if hint is not None and client is not None and self._names(hint, client, session):
            return await self._end(request, session, wish)
        return await self._ask(request, wish, client)

    async def confirm(self, request: Request) -> Response:
        """Follow the person's answer. Raises `LogoutRefused` when the question is gone or was another session's."""
        form = await read_form(request)
        payload = await self._transient.take(TransientKind.LOGOUT, form.get("t", ""))
        session = await self._sessions.held(request)
        if payload is None and session is None:
            return await self._frontchannel.leave(request, None)  # answered already, and the page read again
        if payload is None:
            raise LogoutRefused(rule="ended")
        raw: Any = json_strict(payload)
        wish = _Wish(**raw)
        if session is None:
            return await self._frontchannel.leave(request, None, _return_address(wish))
        if session.reference != wish.session_reference:
            raise LogoutRefused(rule="session")
        if form.get("answer") != "yes":
            return RedirectResponse("/", status_code=303)
        return await self._end(request, session, wish)

    async def sign_out(self, request: Request) -> Response:
        """End this browser's session from the frame of our own pages."""
        session = await self._sessions.held(request)
        if session is None:
            return await self._frontchannel.leave(request, None)
        return await self._end(request, session, None)

    async def signed_out(self, request: Request) -> Response:
        """Say that it is done."""
        return self._render(request, "idp/signed_out.html", {}, 200)

    def _hint(self, parameters: Mapping[str, str]) -> Hint | None:
        token = parameters.get("id_token_hint")
        if token is None:
            return None
        try:
            return self._id_tokens.read_hint(token)
        except HintRefused:
            raise LogoutRefused(field="id_token_hint", rule="not_ours") from None

    async def _client(self, parameters: Mapping[str, str], hint: Hint | None) -> Client | None:
        client_id = parameters.get("client_id")
        if hint is not None and client_id not in {None, hint.client_id}:
            raise LogoutRefused(field="client_id", rule="conflict")  # §2
        wanted = client_id if hint is None else hint.client_id
        if wanted is None:
            return None
        client = await self._clients.client(wanted)
        if client is None or client.state is not ClientState.ACTIVE:
            raise LogoutRefused(field="client_id", rule="unknown")
        return client

    def _names(self, hint: Hint, client: Client, session: Session) -> bool:
        return hint.sub == self._subjects.sub(session.person, client) and hint.sid == self._subjects.sid(
            session.reference, client.client_id
        )

    async def _ask(self, request: Request, wish: _Wish, client: Client | None) -> Response:
        payload = json.dumps(asdict(wish)).encode()
        handle = await self._transient.put(TransientKind.LOGOUT, payload, lifetime_s=CONFIRMATION_LIFETIME_S)
        name = "" if client is None else client.name(request.state.locale)
        if wish.return_to and (origin := web_origin(wish.return_to)):
            # Browsers apply form-action to the redirect after a form: the page says where its form may lead.
            request.state.form_action = (origin,)
        response = self._render(request, "idp/confirm_sign_out.html", {"t_handle": handle, "client_name": name}, 200)
        response.headers["Cache-Control"] = "no-store"
        return response

    async def _end(self, request: Request, session: Session, wish: _Wish | None) -> Response:
        ended = await self._sessions.end(session.reference)
        await self._acts.record(
            "idp.session.ended",
            actor=session.person,
            subject=session.person,
            result="ok",
            connection=request,
            session_reference=session.reference,
            platforms=str(0 if ended is None else len(ended.client_ids)),
        )
        response = await self._frontchannel.leave(request, ended, _return_address(wish))
        self._sessions.cookies.clear_session(response)
        return response


def _proven_return(parameters: Mapping[str, str], client: Client | None) -> str:
    """Return the registered address asked for, or nothing; anything else is refused and shown (§3.1)."""
    if len(parameters.get("state", "")) > STATE_CHARS_MAX:
        raise LogoutRefused(field="state", rule="too_long")
    wanted = parameters.get("post_logout_redirect_uri")
    if wanted is None:
        return ""
    if client is None:
        raise LogoutRefused(field="post_logout_redirect_uri", rule="client_missing")
    if wanted not in client.post_logout_redirect_uris:
        raise LogoutRefused(field="post_logout_redirect_uri", rule="not_registered")
    return wanted


def _return_address(wish: _Wish | None) -> str:
    """Return where the browser goes afterwards, with the platform's state (§3), or nothing."""
    if wish is None or not wish.return_to or not wish.state:
        return "" if wish is None else wish.return_to
    return wish.return_to + ("&" if "?" in wish.return_to else "?") + urlencode({"state": wish.state})
