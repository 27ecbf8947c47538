"""`/userinfo`: what the granted scopes release, to whoever holds the access token (OpenID Connect Core §5.3)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from idp.claims import released_claims
from idp.oauth_errors import InsufficientScope, InvalidRequest, InvalidToken, OAuthError
from idp.parameters import ParametersRefused, read_form
from idp.people import People
from idp.scopes import OPENID
from idp.subject import SubjectIdentifiers
from idp.token.access_token import AccessTokens

TOKEN_CHARS_MAX = 4096
"""A JWT access token is about 1 KB."""


class UserinfoEndpoint:
    """Handler of `/userinfo`."""

    def __init__(self, *, access_tokens: AccessTokens, people: People, subjects: SubjectIdentifiers) -> None:
        self._access_tokens = access_tokens
        self._people = people
        self._subjects = subjects

    def routes(self) -> list[Route]:
        """Return the route; §5.3.1 asks for both methods."""
        return [Route("/userinfo", self.userinfo, methods=["GET", "POST"])]

    async def userinfo(self, request: Request) -> Response:
        """Answer with the claims, or with a challenge (RFC 6750 §3)."""
        try:
            token = await bearer_token(request)
            grant, client = await self._access_tokens.resolve(token)
            if OPENID not in grant.scope:
                raise InsufficientScope(rule="openid")
            profile = await self._people.profile(grant.family.person)
            if profile is None:
                raise InvalidToken(rule="not_in_force")
        except OAuthError as error:
            return _challenge(error)
        claims = {"sub": self._subjects.sub(profile.person, client), **released_claims(profile, grant.scope)}
        return JSONResponse(claims, headers={"Cache-Control": "no-store", "Access-Control-Allow-Origin": "*"})


async def bearer_token(request: Request) -> str:
    """Return the bearer token of the header or the form (RFC 6750 §2.1, §2.2); one in the address is never read.

    Raises `InvalidRequest` for two of them, `InvalidToken` without a rule for none.
    """
    headers = request.headers.getlist("authorization")
    form_token = None
    if request.method == "POST" and request.headers.get("content-type", "").startswith("application/x-www-form"):
        try:
            form_token = (await read_form(request)).get("access_token")
        except ParametersRefused as refused:
            raise InvalidRequest(field=refused.field, rule=refused.rule) from None
    if len(headers) + (form_token is not None) > 1:
        raise InvalidRequest(field="access_token", rule="several")
    token = form_token
    if headers:
        scheme, _, token = headers[0].partition(" ")
        if scheme.lower() != "bearer":
            raise InvalidToken
    if not token:
        raise InvalidToken
    if len(token) > TOKEN_CHARS_MAX or not token.isascii():
        raise InvalidToken(rule="form")
    return token


def _challenge(error: OAuthError) -> Response:
    challenge = 'Bearer realm="userinfo"'
    if error.rule is not None:  # RFC 6750 §3.1: no error code when the request held no token at all
        challenge += f', error="{error.error}"'
    body = {"error": error.error} if error.rule is not None else {}
    return JSONResponse(
        body,
        status_code=error.status,
        headers={"WWW-Authenticate": challenge, "Cache-Control": "no-store", "Access-Control-Allow-Origin": "*"},
    )
