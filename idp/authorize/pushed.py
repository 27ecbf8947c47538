"""Pushed authorization requests (RFC 9126): the request comes from the platform's server, checked before a browser sees it.

`/par` authenticates the client, runs the redirect proof and every check of `/authorize`, and keeps the parsed request under
a one-time handle. The browser then brings only the client's id and that handle, so nothing of the request can be read or
altered on the way.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from idp.audit import Acts
from idp.authorize.checks import check_request, prove_redirect
from idp.authorize.request import AuthorizationRequest, load_authorization_request, parse_authorization_request
from idp.clients.authentication import Endpoint
from idp.clients.model import Client, GrantType
from idp.clients.requests import NO_STORE, ClientRequests, oauth_json
from idp.oauth_errors import InvalidRequest, InvalidRequestUri, OAuthError, RequestShown, UnauthorizedClient
from idp.transient import TransientKind, TransientStore

PUSHED_LIFETIME_S = 60
"""RFC 9126 §2.2: 5 to 600 seconds. It only has to last from the platform's answer to the browser's arrival here."""

REQUEST_URI_PREFIX = "urn:ietf:params:oauth:request_uri:"
"""RFC 9126 §2.2."""


class PushedRequests:
    """Keeps pushed requests and gives each out once, to the browser that names the right client."""

    def __init__(self, transient: TransientStore) -> None:
        self._transient = transient

    async def keep(self, asked: AuthorizationRequest) -> str:
        """Keep a checked request; return its `request_uri`."""
        payload = asked.dump().encode()
        handle = await self._transient.put(TransientKind.PUSHED_REQUEST, payload, lifetime_s=PUSHED_LIFETIME_S)
        return REQUEST_URI_PREFIX + handle

    async def take(self, parameters: Mapping[str, str], duplicate: str | None) -> AuthorizationRequest:
        """Return the request that `/authorize` was called for and forget it (RFC 9126 §4).

        Parameters beside `client_id` and `request_uri` are not looked at (RFC 9101 §6.3), but none may come twice. Raises
        `RequestShown` or `InvalidRequestUri`: shown, for there is no proven redirect URI. Another client's name takes
        nothing, and is told nothing else than an unknown or used handle is.
        """
        if duplicate is not None:
            raise RequestShown(field=duplicate, rule="duplicate")
        client_id = parameters.get("client_id")
        if client_id is None:
            raise RequestShown(field="client_id", rule="missing")
        handle = parameters["request_uri"].removeprefix(REQUEST_URI_PREFIX)
        payload = await self._transient.read(TransientKind.PUSHED_REQUEST, handle)
        if payload is None or load_authorization_request(payload.decode()).client_id != client_id:
            raise InvalidRequestUri(field="request_uri", rule="not_in_force")
        # Of any number of browsers exactly one goes on.
        taken = await self._transient.take(TransientKind.PUSHED_REQUEST, handle)
        if taken is None:
            raise InvalidRequestUri(field="request_uri", rule="not_in_force")
        return load_authorization_request(taken.decode())


class PushedRequestEndpoint:
    """Handler of `/par`."""

    def __init__(self, issuer: str, *, requests: ClientRequests, pushed: PushedRequests, acts: Acts) -> None:
        self._issuer = issuer
        self._requests = requests
        self._pushed = pushed
        self._acts = acts

    def routes(self) -> list[Route]:
        """Return the route; RFC 9126 §2.3: any other method is 405."""
        return [Route("/par", self.push, methods=["POST"])]

    async def push(self, request: Request) -> Response:
        """Answer 201 with a `request_uri`, or a refusal as the token endpoint would (RFC 9126 §2.3)."""
        try:
            form, client = await self._requests.read(request, endpoint=Endpoint.PAR)
        except OAuthError as error:
            return oauth_json(error)
        try:
            asked = _checked(form, client, issuer=self._issuer)
        except OAuthError as error:
            await self._acts.record(
                "idp.authorize.refused",
                actor=client.client_id,
                subject=client.client_id,
                result=error.code,
                connection=request,
                **({"rule": error.rule} if error.rule else {}),
            )
            return oauth_json(error)
        body = {"request_uri": await self._pushed.keep(asked), "expires_in": PUSHED_LIFETIME_S}
        return JSONResponse(body, status_code=201, headers=NO_STORE)


def _checked(form: Mapping[str, str], client: Client, *, issuer: str) -> AuthorizationRequest:
    """Return the request when `/authorize` would take it. Raises the `OAuthError` of the first check that refuses."""
    if "request_uri" in form:
        raise InvalidRequest(field="request_uri", rule="not_here")  # RFC 9126 §2.1
    if GrantType.AUTHORIZATION_CODE not in client.grant_types:
        raise UnauthorizedClient(rule="grant")
    asked = parse_authorization_request({**form, "client_id": client.client_id}, None)
    try:
        prove_redirect(asked, client)
    except RequestShown as shown:
        # Nobody is there to be shown anything: the same refusal, as JSON.
        raise InvalidRequest(field=shown.field, rule=shown.rule) from None
    check_request(asked, client, issuer=issuer)
    return asked
