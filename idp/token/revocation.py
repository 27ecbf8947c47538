"""`/revoke`: a client gives back a token it no longer needs (RFC 7009)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from idp.audit import Acts
from idp.clients.authentication import Endpoint
from idp.clients.model import Client
from idp.clients.requests import NO_STORE, ClientRequests, oauth_json
from idp.model import Clock
from idp.oauth_errors import InvalidRequest, OAuthError
from idp.store import TokenStore
from idp.token.access_token import access_token_hash
from idp.token.refresh_token import refresh_token_hash


class RevocationEndpoint:
    """Handler of `/revoke`."""

    def __init__(self, *, requests: ClientRequests, tokens: TokenStore, acts: Acts, clock: Clock) -> None:
        self._requests = requests
        self._tokens = tokens
        self._acts = acts
        self._clock = clock

    def routes(self) -> list[Route]:
        """Return the route."""
        return [Route("/revoke", self.revoke, methods=["POST"])]

    async def revoke(self, request: Request) -> Response:
        """Revoke a token of the client's own; 200 also for one that is unknown or another's (RFC 7009 §2.2)."""
        try:
            form, client = await self._requests.read(request, endpoint=Endpoint.REVOKE)
            token = form.get("token")
            if token is None:
                raise InvalidRequest(field="token", rule="missing")
        except OAuthError as error:
            return oauth_json(error)
        # `token_type_hint` only says where to look first (§2.1); our two sorts are told apart by their form.
        if await self._revoke(client, token):
            await self._acts.record(
                "idp.token.revoked", actor=client.client_id, subject=client.client_id, result="ok", connection=request
            )
        return Response(status_code=200, headers=NO_STORE)

    async def _revoke(self, client: Client, token: str) -> bool:
        refresh_hash = refresh_token_hash(token)
        if refresh_hash is None:
            return await self._tokens.revoke_access_token(access_token_hash(token), client.client_id)
        found = await self._tokens.refresh_grant(refresh_hash)
        if found is None or found.family.client_id != client.client_id:
            return False
        # A spent one too: whoever holds any token of the family may end it, access tokens included (§2.1).
        await self._tokens.revoke_family(found.family.family_id, self._clock())
        return True
