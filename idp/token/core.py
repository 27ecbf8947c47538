"""Authlib's authorization server core, fed with what was fetched before and staging what is written after.

The core is synchronous and does no I/O here: `Prefetched` holds all it may ask for, `Staged` all it makes. It orders the
checks of RFC 6749 §4.1.3 and §6 (grant type, code, redirect URI, then PKCE) and shapes the errors of §5.2. The client is
authenticated before it runs (`idp.clients.authentication`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from authlib.oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import OAuth2Request
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant, RefreshTokenGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc7636.challenge import compare_s256_code_challenge

from idp.authorize.code import AuthorizationGrant
from idp.clients.model import Client
from idp.store import RefreshGrant


@dataclass(frozen=True, slots=True)
class Prefetched:
    """Everything the core may look up: None where there is nothing good for a grant.

    `client` is authenticated. `code` and `refresh` are only set when person, account and session behind them are in force.
    """

    client: Client
    code: AuthorizationGrant | None
    refresh: RefreshGrant | None


Issue = Callable[[Client, Prefetched, tuple[str, ...]], dict[str, Any]]
"""Makes the body of the token response for the granted scope, staging the rows to write."""


class _ClientView:
    """A client as Authlib's `ClientMixin` has it."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in {known.value for known in self.client.grant_types}


class _CodeView:
    """An authorization code as Authlib's `AuthorizationCodeMixin` has it."""

    def __init__(self, grant: AuthorizationGrant) -> None:
        self.grant = grant
        self.code_challenge = grant.code_challenge
        self.code_challenge_method = "S256"

    def get_redirect_uri(self) -> str:
        return self.grant.redirect_uri

    def get_scope(self) -> str:
        return " ".join(self.grant.scope)


class _RefreshView:
    """A refresh token as Authlib's `TokenMixin` has it."""

    def __init__(self, grant: RefreshGrant) -> None:
        self.grant = grant

    def check_client(self, client: _ClientView) -> bool:
        return self.grant.family.client_id == client.client.client_id

    def get_scope(self) -> str:
        return " ".join(self.grant.family.scope)


class CoreRequest(OAuth2Request):  # type: ignore[misc]  # Authlib publishes no types
    """One token request, with what was fetched for it."""

    def __init__(self, form: Mapping[str, str], prefetched: Prefetched) -> None:
        # The core refuses an http address; whether there is TLS is decided at the edge, not from a string.
        super().__init__("POST", "https://token.invalid/token", headers={})
        self.payload = BasicOAuth2Payload(dict(form))
        self.auth_method = prefetched.client.token_endpoint_auth_method.value
        self.prefetched = prefetched

    @property
    def form(self) -> Mapping[str, str]:
        """The form, as the grants read it."""
        form: Mapping[str, str] = self.payload.data
        return form


class _S256Only(CodeChallenge):  # type: ignore[misc]  # Authlib publishes no types
    """RFC 7636 with `plain` taken out (RFC 9700 §2.1.1)."""

    DEFAULT_CODE_CHALLENGE_METHOD = None
    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)
    CODE_CHALLENGE_METHODS = {"S256": compare_s256_code_challenge}  # noqa: RUF012  # the shape Authlib overrides by


class _CodeGrant(AuthorizationCodeGrant):  # type: ignore[misc]  # Authlib publishes no types
    def query_authorization_code(self, _code: str, client: _ClientView) -> _CodeView | None:
        grant: AuthorizationGrant | None = self.request.prefetched.code
        # RFC 6749 §4.1.3: issued to this client. A wrong client takes nothing and learns nothing.
        if grant is None or grant.client_id != client.client.client_id:
            return None
        return _CodeView(grant)

    def authenticate_user(self, authorization_code: _CodeView) -> str:
        return authorization_code.grant.person

    def delete_authorization_code(self, authorization_code: _CodeView) -> None:
        """Nothing here: the endpoint takes the code, atomically, before anything of this is written."""


class _RefreshGrant(RefreshTokenGrant):  # type: ignore[misc]  # Authlib publishes no types
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, _refresh_token: str) -> _RefreshView | None:
        grant: RefreshGrant | None = self.request.prefetched.refresh
        return None if grant is None else _RefreshView(grant)

    def authenticate_user(self, refresh_token: _RefreshView) -> str:
        return refresh_token.grant.family.person

    def revoke_old_credential(self, refresh_token: _RefreshView) -> None:
        """Nothing here: the endpoint rotates the token, atomically."""


class TokenCore(AuthorizationServer):  # type: ignore[misc]  # Authlib publishes no types
    """One core a request: it holds the request's prefetched values and no others."""

    def __init__(self, prefetched: Prefetched, issue: Issue) -> None:
        super().__init__()
        self._prefetched = prefetched
        self._issue = issue
        self.register_grant(_CodeGrant, [_S256Only(required=True)])
        self.register_grant(_RefreshGrant)

    def authenticate_client(self, *_presented: Any, **_named: Any) -> _ClientView:
        """Return the client that was authenticated before the core was made; no other is ever looked at."""
        return _ClientView(self._prefetched.client)

    def create_oauth2_request(self, request: CoreRequest) -> CoreRequest:
        """Return the request, which arrives made."""
        return request

    def generate_token(self, **kwargs: Any) -> dict[str, Any]:
        """Make the response's body; `scope` is what the grant's checks left."""
        client: Client = kwargs["client"].client
        scope = tuple(str(kwargs["scope"] or "").split())
        return self._issue(client, self._prefetched, scope)

    def save_token(self, token: Any, request: Any) -> None:
        """Nothing here: the endpoint writes what was staged."""

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """No signals: audit events are written by the endpoint, after the write."""

    def handle_response(
        self, status: int, body: Mapping[str, Any], headers: list[tuple[str, str]]
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        """Return status, JSON body, headers."""
        return status, dict(body), dict(headers)
