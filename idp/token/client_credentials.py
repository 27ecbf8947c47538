"""The grant of a client for itself (RFC 6749 §4.4): no person, so no ID token, no refresh token, no scope of a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from idp.authorize.resources import check_registered, parse_resources
from idp.clients.model import Client, GrantType
from idp.model import Clock
from idp.oauth_errors import InvalidClient, InvalidScope, UnauthorizedClient
from idp.scopes import parse_scope
from idp.store import TokenStore
from idp.token.access_token import AccessTokens


class ClientCredentials:
    """Grants authenticated clients what they are registered for."""

    def __init__(self, issuer: str, *, access_tokens: AccessTokens, tokens: TokenStore, clock: Clock) -> None:
        self._issuer = issuer
        self._access_tokens = access_tokens
        self._tokens = tokens
        self._clock = clock

    async def grant(self, client: Client, form: Mapping[str, str]) -> dict[str, Any]:
        """Return the body of the token response, its token written.

        Raises `UnauthorizedClient` (public, or not registered for the grant), `InvalidScope`, `InvalidTarget`, or
        `InvalidClient` when the client was disabled in the meantime.
        """
        if client.public or GrantType.CLIENT_CREDENTIALS not in client.grant_types:
            raise UnauthorizedClient(rule="grant_type")
        asked = parse_scope(form.get("scope", ""))
        if not set(asked) <= set(client.scopes_client):
            raise InvalidScope(field="scope", rule="not_registered")
        scope = asked or client.scopes_client  # RFC 6749 §3.3: a default where none is asked
        resources = parse_resources(form)
        check_registered(resources, client, issuer=self._issuer)
        issued = self._access_tokens.issue_to_client(client, scope, resources or (self._issuer,))
        if not await self._tokens.write_client_token(issued.row):
            raise InvalidClient(rule="credentials")
        body: dict[str, Any] = {
            "access_token": issued.token,
            "token_type": "Bearer",
            "expires_in": issued.row.expires_at - self._clock(),
        }
        if scope:
            body["scope"] = " ".join(scope)
        return body
