"""`/userinfo`: what the granted scopes release, to whoever holds the access token (OpenID Connect Core §5.3).

As JSON, or where the client is registered so as a JWT signed for it (§5.3.2). That JWT has a type of its own and neither
`exp` nor `sid`: nobody takes it for an ID token, and it is no hint and no access token of ours.

Any page in a browser may ask (`Access-Control-Allow-Origin: *`): the answer depends on the token the page already holds and
on no cookie, and credentials are not allowed with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from crypto.jws import sign_jwt
from crypto.suites import Purpose, policy
from idp.claims import released_claims
from idp.clients.model import Client
from idp.keys import IdpKeys
from idp.model import Clock
from idp.oauth_errors import InsufficientScope, InvalidRequest, InvalidToken, OAuthError
from idp.parameters import ParametersRefused, parse_parameters, query_of, read_form
from idp.people import People
from idp.registry.model import SealedPerson
from idp.scopes import CONTACT_SCOPES, EDU, OPENID
from idp.subject import SubjectIdentifiers
from idp.token.access_token import AccessTokens

TOKEN_CHARS_MAX = 4096
"""A JWT access token is about 1 KB."""

PREFLIGHT_MAX_AGE_S = 600
"""How long a browser may remember that a page may ask; browsers themselves keep it no longer than that or two hours."""

HEADERS: Mapping[str, str] = MappingProxyType({"Cache-Control": "no-store", "Access-Control-Allow-Origin": "*"})
_PREFLIGHT: Mapping[str, str] = MappingProxyType(
    {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": "Authorization, Content-Type",
        "Access-Control-Max-Age": str(PREFLIGHT_MAX_AGE_S),
    }
)


class UserinfoEndpoint:
    """Handler of `/userinfo`."""

    def __init__(
        self,
        issuer: str,
        *,
        access_tokens: AccessTokens,
        people: People,
        subjects: SubjectIdentifiers,
        keys: IdpKeys,
        clock: Clock,
    ) -> None:
        self._issuer = issuer
        self._access_tokens = access_tokens
        self._people = people
        self._subjects = subjects
        self._keys = keys
        self._clock = clock
        self._policy = policy(Purpose.USERINFO)

    def routes(self) -> list[Route]:
        """Return the routes; §5.3.1 asks for both methods, a browser's page for OPTIONS."""
        return [
            Route("/userinfo", self.userinfo, methods=["GET", "POST"]),
            Route("/userinfo", self.preflight, methods=["OPTIONS"]),
        ]

    async def preflight(self, _request: Request) -> Response:
        """Tell a browser that a page may send its token along (Fetch standard, CORS-preflight)."""
        return Response(status_code=204, headers=_PREFLIGHT)

    async def userinfo(self, request: Request) -> Response:
        """Answer with the claims, or with a challenge (RFC 6750 §3)."""
        try:
            token = await bearer_token(request)
            grant, person, client = await self._access_tokens.resolve(token)
            if OPENID not in grant.scope:
                raise InsufficientScope(rule="openid")
            claims = await self._claims(person, grant.scope, client)
        except OAuthError as error:
            return _challenge(error)
        if client.userinfo_signed_response_alg is None:
            return JSONResponse(claims, headers=HEADERS)
        return Response(self._signed(claims, client), media_type="application/jwt", headers=HEADERS)

    async def _claims(self, person: SealedPerson, scope: tuple[str, ...], client: Client) -> dict[str, object]:
        profile = await self._people.profile_of(person, affiliations=EDU in scope)
        if profile is None:
            raise InvalidToken(rule="not_in_force")
        contact = None if CONTACT_SCOPES.isdisjoint(scope) else await self._people.contact(person.number)
        return {"sub": self._subjects.sub(person.number, client), **released_claims(profile, contact, scope)}

    def _signed(self, claims: Mapping[str, object], client: Client) -> str:
        alg = client.userinfo_signed_response_alg or client.id_token_signed_response_alg
        body = {**claims, "iss": self._issuer, "aud": client.client_id, "iat": self._clock()}
        return sign_jwt(body, key=self._keys.active(alg), policy=self._policy)


async def bearer_token(request: Request) -> str:
    """Return the bearer token of the header or the form (RFC 6750 §2.1, §2.2); one in the address is never taken.

    Raises `InvalidRequest` for two of them, `InvalidToken` without a rule for none.
    """
    presented = request.headers.getlist("authorization")
    form_token = None
    try:
        if request.method == "POST" and request.headers.get("content-type", "").startswith("application/x-www-form"):
            form_token = (await read_form(request)).get("access_token")
        in_address = "access_token" in parse_parameters(query_of(request))
    except ParametersRefused as refused:
        raise InvalidRequest(field=refused.field, rule=refused.rule) from None
    # RFC 6750 §2: one method in each request. The address, where tokens end up in logs, is none (§2.3, §5.3).
    if len(presented) + (form_token is not None) + in_address > 1:
        raise InvalidRequest(field="access_token", rule="several")
    token = form_token
    if presented:
        scheme, _, token = presented[0].partition(" ")
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
    if isinstance(error, InsufficientScope):
        challenge += f', scope="{OPENID}"'  # §3: the scope that is needed
    return JSONResponse(
        {"error": error.error} if error.rule is not None else {},
        status_code=error.status,
        headers={**HEADERS, "WWW-Authenticate": challenge, "Access-Control-Expose-Headers": "WWW-Authenticate"},
    )
