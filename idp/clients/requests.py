"""What every endpoint a client calls by itself does first and last: read the form once, know the client, answer as JSON.

form, client = await requests.read(request, endpoint=Endpoint.TOKEN)
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from idp.audit import Acts
from idp.clients.authentication import ClientAuthentication, Endpoint, authorization_of, named_client
from idp.clients.model import Client
from idp.oauth_errors import InvalidClient, InvalidRequest, OAuthError
from idp.observed import observe
from idp.parameters import ParametersRefused, read_form

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
"""RFC 6749 §5.1."""


class ClientRequests:
    """Reads requests of clients."""

    def __init__(self, authentication: ClientAuthentication, *, acts: Acts) -> None:
        self._authentication = authentication
        self._acts = acts

    async def read(self, request: Request, *, endpoint: Endpoint) -> tuple[Mapping[str, str], Client]:
        """Return form and authenticated client. Raises `InvalidRequest` or `InvalidClient`, which is recorded."""
        if request.scope["query_string"]:
            raise InvalidRequest(rule="query")  # RFC 6749 §2.3.1: never in the URI
        try:
            form = await read_form(request)
        except ParametersRefused as refused:
            raise InvalidRequest(field=refused.field, rule=refused.rule) from None
        authorization = authorization_of(request)
        try:
            client = await self._authentication.authenticate(form, authorization, endpoint=endpoint)
        except InvalidClient as refused:
            observe(request, named_client(form, authorization), form, error=refused)
            await self._acts.record(
                "idp.client.refused",
                actor="client",
                subject=await self._authentication.registered_name(form, authorization),
                result=refused.rule or refused.error,
                connection=request,
                endpoint=endpoint.value,
            )
            raise
        observe(request, client.client_id, form)
        return form, client


def oauth_json(error: OAuthError) -> Response:
    """Answer a refusal as RFC 6749 §5.2 has it."""
    body = {"error": error.error}
    if error.rule is not None:
        body["error_description"] = f"{error.field}: {error.rule}" if error.field else error.rule
    headers = dict(NO_STORE)
    if isinstance(error, InvalidClient):
        headers["WWW-Authenticate"] = 'Basic realm="token"'
    return JSONResponse(body, status_code=error.status, headers=headers)
