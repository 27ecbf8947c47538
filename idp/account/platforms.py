"""`/account/platforms`: what the person allowed whom, and taking it back: one optional scope, or all."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from idp.account.pages import private, record_own_act, to_sign_in
from idp.audit import Acts
from idp.clients.model import Client
from idp.consent import Consents
from idp.pages.render import Render
from idp.parameters import read_form
from idp.scopes import CLAIMS_OF_SCOPE, OPENID
from idp.session.sign_in import Sessions
from idp.store import ClientStore, Consent

PATH = "/account/platforms"


@dataclass(frozen=True, slots=True)
class AllowedPlatform:
    """One entry of the page. `required` came with the platform; each of `optional` can be taken back alone.

    `last_used` is when the platform last got tokens, in seconds; None when nothing of it is kept any more.
    """

    client: Client
    name: str
    consent: Consent
    required: tuple[str, ...]
    optional: tuple[str, ...]
    last_used: int | None


class PlatformList:
    """Handlers of the list of platforms."""

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
            Route(PATH, self.show, methods=["GET"]),
            Route(f"{PATH}/withdraw", self.withdraw, methods=["POST"]),
            Route(f"{PATH}/untick", self.untick, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """Show which platforms the person allowed what."""
        session = await self._sessions.current(request)
        if session is None:
            return to_sign_in(PATH)
        uses = await self._consents.last_uses(session.person)
        platforms: list[AllowedPlatform] = []
        for consent in await self._consents.of(session.person):
            client = await self._clients.client(consent.client_id)
            if client is None:
                continue
            kept = {OPENID, *client.scopes_required}
            platforms.append(
                AllowedPlatform(
                    client=client,
                    name=client.name(request.state.locale),
                    consent=consent,
                    required=tuple(scope for scope in consent.granted if scope in kept),
                    optional=tuple(scope for scope in consent.granted if scope not in kept),
                    last_used=uses.get(client.client_id),
                )
            )
        context = {"platforms": platforms, "claims_of": CLAIMS_OF_SCOPE}
        return private(self._render(request, "idp/platforms.html", context, 200))

    async def withdraw(self, request: Request) -> Response:
        """Withdraw a consent; the platform's tokens are dead when the page comes back."""
        session = await self._sessions.current(request)
        if session is None:
            return to_sign_in(PATH)
        client_id = (await read_form(request)).get("client_id", "")
        if await self._consents.withdraw(session.person, client_id):
            await record_own_act(self._acts, request, "idp.consent.withdrawn", session, client_id)
        return RedirectResponse(PATH, status_code=303)

    async def untick(self, request: Request) -> Response:
        """Take one optional scope back; tokens that carry it are dead when the page comes back."""
        session = await self._sessions.current(request)
        if session is None:
            return to_sign_in(PATH)
        form = await read_form(request)
        client = await self._clients.client(form.get("client_id", ""))
        scope = form.get("scope", "")
        if client is not None and await self._consents.withdraw_scope(session.person, client, scope):
            await record_own_act(
                self._acts, request, "idp.consent.scope_withdrawn", session, client.client_id, scope=scope
            )
        return RedirectResponse(PATH, status_code=303)
