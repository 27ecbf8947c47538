"""The person's own list of sign-ins and of platforms, with a way to end each."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from idp.audit import Acts
from idp.clients.model import Client
from idp.consent import Consents
from idp.model import Session
from idp.pages.render import Render
from idp.parameters import read_form
from idp.scopes import CLAIMS_OF_SCOPE
from idp.session.sign_in import Sessions
from idp.store import ClientStore, Consent


@dataclass(frozen=True, slots=True)
class AllowedPlatform:
    """One line of the platforms page."""

    client: Client
    name: str
    consent: Consent


class AccountPages:
    """Handlers of `/account/…`."""

    def __init__(
        self, *, sessions: Sessions, clients: ClientStore, consents: Consents, acts: Acts, render: Render
    ) -> None:
        self._sessions = sessions
        self._clients = clients
        self._consents = consents
        self._acts = acts
        self._render = render

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/account/sessions", self.list_sessions, methods=["GET"]),
            Route("/account/sessions/end", self.end_one, methods=["POST"]),
            Route("/account/sessions/end-all", self.end_all, methods=["POST"]),
            Route("/account/platforms", self.list_platforms, methods=["GET"]),
            Route("/account/platforms/withdraw", self.withdraw, methods=["POST"]),
        ]

    async def list_sessions(self, request: Request) -> Response:
        """Show where the person is signed in."""
        session = await self._sessions.current(request)
        if session is None:
            return _sign_in(request)
        listed = await self._sessions.of(session.person)
        context = {"sessions": listed, "current": session.reference}
        return _private(self._render(request, "idp/sessions.html", context, 200))

    async def end_one(self, request: Request) -> Response:
        """End one session of the person; the reference of another's is as if unknown."""
        session = await self._sessions.current(request)
        if session is None:
            return _sign_in(request)
        wanted = (await read_form(request)).get("reference", "")
        if wanted in {listed.reference for listed in await self._sessions.of(session.person)}:
            await self._sessions.end(wanted)
            await self._record(request, "idp.session.ended", session, session.person)
        response = RedirectResponse("/account/sessions", status_code=303)
        if wanted == session.reference:
            self._sessions.cookies.clear_session(response)
        return response

    async def end_all(self, request: Request) -> Response:
        """End every session and every platform's tokens, also those that work while the person is away."""
        session = await self._sessions.current(request)
        if session is None:
            return _sign_in(request)
        await self._sessions.end_all(session.person)
        await self._record(request, "idp.session.ended_all", session, session.person)
        response = RedirectResponse("/signed-out", status_code=303)
        self._sessions.cookies.clear_session(response)
        return response

    async def list_platforms(self, request: Request) -> Response:
        """Show which platforms the person allowed what."""
        session = await self._sessions.current(request)
        if session is None:
            return _sign_in(request)
        platforms: list[AllowedPlatform] = []
        for consent in await self._consents.of(session.person):
            client = await self._clients.client(consent.client_id)
            if client is not None:
                platforms.append(AllowedPlatform(client, client.name(request.state.locale), consent))
        context = {"platforms": platforms, "claims_of": CLAIMS_OF_SCOPE}
        return _private(self._render(request, "idp/platforms.html", context, 200))

    async def withdraw(self, request: Request) -> Response:
        """Withdraw a consent; the platform's tokens are dead when the page comes back."""
        session = await self._sessions.current(request)
        if session is None:
            return _sign_in(request)
        client_id = (await read_form(request)).get("client_id", "")
        if await self._consents.withdraw(session.person, client_id):
            await self._record(request, "idp.consent.withdrawn", session, client_id)
        return RedirectResponse("/account/platforms", status_code=303)

    async def _record(self, request: Request, action: str, session: Session, subject: str) -> None:
        await self._acts.record(
            action,
            actor=session.person,
            subject=subject,
            result="ok",
            connection=request,
            session_reference=session.reference,
        )


def _sign_in(request: Request) -> Response:
    page = "platforms" if request.url.path.startswith("/account/platforms") else "sessions"
    return RedirectResponse(f"/signin?return=/account/{page}", status_code=303)


def _private(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response
