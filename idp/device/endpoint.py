"""`/device_authorization`: a device says what it wants and is given two codes (RFC 8628 §3.1, §3.2)."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from idp.audit import Acts
from idp.authorize.checks import check_scopes
from idp.authorize.resources import check_registered, parse_resources
from idp.clients.authentication import Endpoint
from idp.clients.model import Client, GrantType
from idp.clients.requests import NO_STORE, ClientRequests, oauth_json
from idp.device.codes import shown
from idp.device.model import INTERVAL_S, LIFETIME_S
from idp.device.requests import DeviceRequests
from idp.oauth_errors import OAuthError, UnauthorizedClient
from idp.origin import device_of, place_of
from idp.scopes import OPENID, in_order, parse_scope

DEVICE_PATH = "/device"
"""RFC 8628 §6.2: short, for it is typed."""


class DeviceAuthorizationEndpoint:
    """Handler of `/device_authorization`."""

    def __init__(self, issuer: str, *, requests: ClientRequests, devices: DeviceRequests, acts: Acts) -> None:
        self._issuer = issuer
        self._requests = requests
        self._devices = devices
        self._acts = acts

    def routes(self) -> list[Route]:
        """Return the route."""
        return [Route("/device_authorization", self.authorize, methods=["POST"])]

    async def authorize(self, request: Request) -> Response:
        """Answer with the codes, or with a refusal as the token endpoint would (§3.2)."""
        try:
            form, client = await self._requests.read(request, endpoint=Endpoint.DEVICE_AUTHORIZATION)
        except OAuthError as error:
            return oauth_json(error)
        try:
            scope, resources = self._checked(form, client)
            begun = await self._devices.begin(
                client, scope=scope, resources=resources, device=device_of(request), place=place_of(request)
            )
        except OAuthError as error:
            await self._record(request, client, "idp.device.refused", error.code)
            return oauth_json(error)
        await self._record(request, client, "idp.device.requested", "ok")
        page, user_code = f"{self._issuer}{DEVICE_PATH}", shown(begun.user_code)
        body = {
            "device_code": begun.device_code,
            "user_code": user_code,
            "verification_uri": page,
            "verification_uri_complete": f"{page}?user_code={user_code}",
            "expires_in": LIFETIME_S,
            "interval": INTERVAL_S,
        }
        return JSONResponse(body, headers=NO_STORE)

    def _checked(self, form: Mapping[str, str], client: Client) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return scopes and resources to ask the person about: the checks of `/authorize`.

        An empty scope is refused there, and so here (RFC 6749 §3.3): nothing is ever granted that no page named.
        """
        if GrantType.DEVICE_CODE not in client.grant_types:
            raise UnauthorizedClient(rule="grant_type")
        asked = parse_scope(form.get("scope", ""))
        check_scopes(asked, client)
        resources = parse_resources(form)
        check_registered(resources, client, issuer=self._issuer)
        return in_order(set(asked) & client.scopes | {OPENID}), resources

    async def _record(self, request: Request, client: Client, action: str, result: str) -> None:
        await self._acts.record(
            action, actor=client.client_id, subject=client.client_id, result=result, connection=request
        )
