"""Telling platforms through the browser that a session has ended (OpenID Connect Front-Channel Logout 1.0).

The page that follows a sign-out holds one invisible frame for each platform of the session that registered a
`frontchannel_logout_uri`, and moves on when they have loaded. It reaches only what the browser's cookies reach: where
a browser keeps the platform's cookie out of frames, the back channel is what ends the session there.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from idp.clients.model import Client, ClientState
from idp.clients.redirect_uris import web_origin
from idp.model import EndedSession
from idp.pages.render import Render
from idp.store import ClientStore
from idp.subject import SubjectIdentifiers

SIGNED_OUT_PATH = "/signed-out"

FRAMES_MAX = 30
"""More platforms than a person visits in one sign-in; a page with hundreds of frames would never finish loading."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One platform to be told: its registration and the address its frame opens, with its own `iss` and `sid`."""

    client: Client
    address: str


class FrontchannelLogout:
    """Answers a browser whose session has just ended."""

    def __init__(self, issuer: str, *, clients: ClientStore, subjects: SubjectIdentifiers, render: Render) -> None:
        self._issuer = issuer
        self._clients = clients
        self._subjects = subjects
        self._render = render

    async def leave(self, request: Request, ended: EndedSession | None, return_to: str = "") -> Response:
        """Answer with the page that tells the platforms, or, where none wants to hear, go on at once.

        `return_to` is a proven address of a platform with its state, or nothing: then the person stays with us.
        """
        notices = () if ended is None else await self._notices(ended)
        request.state.actor = None  # nobody is signed in any more, and the frame of the page says so
        if not notices:
            response: Response = RedirectResponse(return_to or SIGNED_OUT_PATH, status_code=303)
        else:
            # The policy of this page alone lets these origins be framed.
            request.state.frame_src = tuple(dict.fromkeys(web_origin(notice.address) for notice in notices))
            names = [notice.client.name(request.state.locale) for notice in notices]
            context = {"notices": notices, "names": names, "return_to": return_to}
            response = self._render(request, "idp/signing_out.html", context, 200)
        response.headers["Cache-Control"] = "no-store"
        return response

    async def _notices(self, ended: EndedSession) -> tuple[Notice, ...]:
        found: list[Notice] = []
        for client_id in ended.client_ids:
            client = await self._clients.client(client_id)
            if client is None or client.frontchannel_logout_uri is None or client.state is not ClientState.ACTIVE:
                continue
            found.append(Notice(client, self._address(client, client.frontchannel_logout_uri, ended.reference)))
        return tuple(found[:FRAMES_MAX])

    def _address(self, client: Client, uri: str, reference: str) -> str:
        """Add `iss` and `sid` to the registered address, keeping its query (§2). Both are sent whether asked for or not."""
        told = urlencode({"iss": self._issuer, "sid": self._subjects.sid(reference, client.client_id)})
        return f"{uri}{'&' if '?' in uri else '?'}{told}"
