"""`/account/sessions`: where the person is signed in, and the end of one, of the others, of all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from idp.account.pages import private, record_own_act, to_sign_in
from idp.audit import Acts
from idp.logout.frontchannel import FrontchannelLogout
from idp.model import Session
from idp.origin import Device, device_named, place_of
from idp.pages.render import Render
from idp.parameters import read_form
from idp.session.sign_in import Sessions
from idp.store import ClientStore

PATH = "/account/sessions"

SHOWN_MAX = 50
"""More than anybody's browsers; a script that signs in all day must not make the page endless."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """One entry of the page. `here`: this browser's own; `same_network`: it came from where this request comes from."""

    session: Session
    device: Device
    platforms: tuple[str, ...]
    here: bool
    same_network: bool


class SignInList:
    """Handlers of the list of sign-ins."""

    def __init__(
        self, *, sessions: Sessions, clients: ClientStore, frontchannel: FrontchannelLogout, acts: Acts, render: Render
    ) -> None:
        self._sessions = sessions
        self._clients = clients
        self._frontchannel = frontchannel
        self._acts = acts
        self._render = render

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(PATH, self.show, methods=["GET"]),
            Route(f"{PATH}/end", self.end_one, methods=["POST"]),
            Route(f"{PATH}/end-others", self.end_others, methods=["POST"]),
            Route(f"{PATH}/end-all", self.end_all, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """Show where the person is signed in, this browser first."""
        session = await self._sessions.current(request)
        if session is None:
            return to_sign_in(PATH)
        listed = await self._sessions.of(session.person)
        clients = await self._sessions.clients_of(session.person)
        names = await self._names(request, clients)
        network = place_of(request)
        entries = [
            SignIn(
                session=found,
                device=device_named(found.device),
                platforms=tuple(names[each] for each in clients.get(found.reference, ()) if each in names),
                here=found.reference == session.reference,
                same_network=found.place == network,
            )
            for found in sorted(listed, key=lambda each: each.reference != session.reference)[:SHOWN_MAX]
        ]
        context = {"sign_ins": entries, "more": len(listed) - len(entries)}
        return private(self._render(request, "idp/sessions.html", context, 200))

    async def end_one(self, request: Request) -> Response:
        """End one session of the person; the reference of another's is as if unknown."""
        session = await self._sessions.current(request)
        if session is None:
            return to_sign_in(PATH)
        wanted = (await read_form(request)).get("reference", "")
        ended = None
        if wanted in {listed.reference for listed in await self._sessions.of(session.person)}:
            ended = await self._sessions.end(wanted)
            await record_own_act(self._acts, request, "idp.session.ended", session, session.person)
        if wanted != session.reference:
            return RedirectResponse(PATH, status_code=303)
        response = await self._frontchannel.leave(request, ended)
        self._sessions.cookies.clear_session(response)
        return response

    async def end_others(self, request: Request) -> Response:
        """End every other session; this one stays, and so do tokens that work while the person is away."""
        session = await self._sessions.current(request)
        if session is None:
            return to_sign_in(PATH)
        ended = await self._sessions.end_others(session)
        await record_own_act(
            self._acts, request, "idp.session.ended_others", session, session.person, sessions=str(len(ended))
        )
        return RedirectResponse(PATH, status_code=303)

    async def end_all(self, request: Request) -> Response:
        """End every session and every platform's tokens, also those that work while the person is away."""
        session = await self._sessions.current(request)
        if session is None:
            return to_sign_in(PATH)
        ended = await self._sessions.end_all(session.person)
        await record_own_act(self._acts, request, "idp.session.ended_all", session, session.person)
        # Frames reach this browser only; the platforms of the other sign-ins hear of it over the back channel.
        here = next((each for each in ended if each.reference == session.reference), None)
        response = await self._frontchannel.leave(request, here)
        self._sessions.cookies.clear_session(response)
        return response

    async def _names(self, request: Request, clients: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
        names: dict[str, str] = {}
        for client_id in dict.fromkeys(each for listed in clients.values() for each in listed):
            client = await self._clients.client(client_id)
            if client is not None:
                names[client_id] = client.name(request.state.locale)
        return names
