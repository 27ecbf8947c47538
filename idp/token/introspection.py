"""`/introspect`: what one of its own tokens is good for at this moment, told to a confidential client (RFC 7662).

Whatever is not a token in force of the very client that asks is `{"active": false}`, and nothing says why (§2.2).
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from idp.clients.authentication import Endpoint
from idp.clients.model import Client
from idp.clients.requests import NO_STORE, ClientRequests, oauth_json
from idp.model import AccountState, Clock
from idp.oauth_errors import InvalidRequest, InvalidToken, OAuthError
from idp.store import ClientToken, Family, TokenStore
from idp.subject import SubjectIdentifiers
from idp.token.access_token import AccessTokens, audience_claim
from idp.token.refresh_token import refresh_token_hash


class IntrospectionEndpoint:
    """Handler of `/introspect`."""

    def __init__(
        self,
        issuer: str,
        *,
        requests: ClientRequests,
        access_tokens: AccessTokens,
        tokens: TokenStore,
        subjects: SubjectIdentifiers,
        clock: Clock,
    ) -> None:
        self._issuer = issuer
        self._requests = requests
        self._access_tokens = access_tokens
        self._tokens = tokens
        self._subjects = subjects
        self._clock = clock

    def routes(self) -> list[Route]:
        """Return the route."""
        return [Route("/introspect", self.introspect, methods=["POST"])]

    async def introspect(self, request: Request) -> Response:
        """Describe the token, or say that it is not active."""
        try:
            form, client = await self._requests.read(request, endpoint=Endpoint.INTROSPECT)
            token = form.get("token")
            if token is None:
                raise InvalidRequest(field="token", rule="missing")
        except OAuthError as error:
            return oauth_json(error)
        # `token_type_hint` only says where to look first (§2.1); our two sorts are told apart by their form.
        refresh_hash = refresh_token_hash(token)
        if refresh_hash is None:
            described = await self._access(client, token)
        else:
            described = await self._refresh(client, refresh_hash)
        answer = {"active": False} if described is None else {"active": True, **described}
        return JSONResponse(answer, headers=NO_STORE)

    async def _access(self, caller: Client, token: str) -> dict[str, object] | None:
        try:
            grant, owner = await self._access_tokens.resolve_any(token)
        except InvalidToken:
            return None
        if owner.client_id != caller.client_id:
            return None
        described: dict[str, object] = {
            "token_type": "Bearer",
            "exp": grant.expires_at,
            "aud": audience_claim(grant.audience),
        }
        if isinstance(grant, ClientToken):
            return {**described, **self._about(caller, caller.client_id, grant.scope)}
        return {**described, **self._about_person(caller, grant.family, grant.scope)}

    async def _refresh(self, caller: Client, refresh_hash: bytes) -> dict[str, object] | None:
        found = await self._tokens.refresh_grant(refresh_hash)
        if (
            found is None
            or found.family.client_id != caller.client_id
            or found.used
            or found.family_revoked
            or found.account_state is not AccountState.ACTIVE
            or self._clock() >= found.expires_at
        ):
            return None
        return {"exp": found.expires_at, **self._about_person(caller, found.family, found.family.scope)}

    def _about_person(self, caller: Client, family: Family, scope: tuple[str, ...]) -> dict[str, object]:
        return {
            **self._about(caller, self._subjects.sub(family.person, caller), scope),
            # RFC 9470 §6.2: what a resource server needs to ask for a step-up.
            "acr": family.authentication.acr.value,
            "auth_time": family.authentication.time,
        }

    def _about(self, caller: Client, subject: str, scope: tuple[str, ...]) -> dict[str, object]:
        described: dict[str, object] = {"iss": self._issuer, "client_id": caller.client_id, "sub": subject}
        if scope:
            described["scope"] = " ".join(scope)
        return described
