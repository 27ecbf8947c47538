"""`/register`: platforms register themselves (RFC 7591, OpenID Connect Dynamic Client Registration) and change it (RFC 7592).

Nobody registers without an initial access token of the operator, and nobody changes a registration without that client's
own registration access token, which is new after every change and dead once the client is disabled or deleted. Every
change is judged in full by the policy the client came under, as if it were the first (CVE-2026-18573).
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from crypto.encoding import Json, json_object
from crypto.errors import AlgorithmRefused, EncodingRefused, KeyRefused, TrustError
from idp.audit import Acts
from idp.clients.authentication import authorization_of
from idp.clients.dynamic import read_registration, with_secret_of
from idp.clients.fetching import Fetch, Logo, check_sector, fetch_logo
from idp.clients.members import RegistrationRefused
from idp.clients.model import Client, ClientState
from idp.clients.names import NameRefused, skeletons
from idp.clients.redirect_uris import UriRefused
from idp.clients.registration_policy import POLICIES, RegistrationPolicy
from idp.clients.registration_tokens import (
    initial_token_digest,
    new_registration_token,
    registration_token_digest,
)
from idp.clients.requests import NO_STORE, oauth_json
from idp.clients.secrets import new_client_secret, secret_matches
from idp.clients.store import Registered, RegistrationStore
from idp.model import REFERENCE_BYTES, Clock, RandomBytes
from idp.oauth_errors import (
    InvalidClientMetadata,
    InvalidRedirectUri,
    InvalidRequest,
    InvalidSoftwareStatement,
    InvalidToken,
    OAuthError,
)

DOCUMENT_BYTES_MAX = 64 * 1024
"""What any form here may have; a registration with twenty keys has half of it."""

BEARER_CHARS_MAX = 128
"""Both tokens have 46 characters; what is longer is none of them and is not hashed."""

# RFC 7592 §2.2: what the server says of a registration and the client must not send back.
_SAID_BY_US = frozenset(
    {"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"}
)
_REFUSALS = (RegistrationRefused, UriRefused, NameRefused, KeyRefused, EncodingRefused, AlgorithmRefused)


@dataclass(frozen=True, slots=True)
class RegistrationSettings:
    """`issuer`: without a trailing slash. `operator`: the name people know the service by."""

    issuer: str
    operator: str


class RegistrationEndpoint:
    """Registers, reads, changes and removes platforms at their own request."""

    def __init__(
        self,
        settings: RegistrationSettings,
        *,
        store: RegistrationStore,
        fetch: Fetch,
        acts: Acts,
        clock: Clock,
        random_bytes: RandomBytes,
    ) -> None:
        self._settings = settings
        self._store = store
        self._fetch = fetch
        self._acts = acts
        self._clock = clock
        self._random_bytes = random_bytes

    def routes(self) -> list[Route]:
        """Return the routes."""
        one = "/register/{client_id}"
        return [
            Route("/register", self.register, methods=["POST"]),
            Route(one, self.read, methods=["GET"]),
            Route(one, self.change, methods=["PUT"]),
            Route(one, self.remove, methods=["DELETE"]),
            Route("/logos/{client_id}", self.logo, methods=["GET"]),
        ]

    async def register(self, request: Request) -> Response:
        """Register (RFC 7591 §3)."""
        try:
            return await self._register(request)
        except OAuthError as error:
            return await self._refused(request, error, "")

    async def read(self, request: Request) -> Response:
        """Answer with what is registered (RFC 7592 §2.1)."""
        try:
            registered, token = await self._authorized(request)
        except OAuthError as error:
            return await self._refused(request, error, request.path_params["client_id"])
        return self._answer(registered, token, secret=None, status=200)

    async def change(self, request: Request) -> Response:
        """Replace what is registered (RFC 7592 §2.2)."""
        try:
            return await self._change(request)
        except OAuthError as error:
            return await self._refused(request, error, request.path_params["client_id"])

    async def remove(self, request: Request) -> Response:
        """Deregister (RFC 7592 §2.3): every token, consent and the registration itself are gone."""
        try:
            registered, _ = await self._authorized(request)
        except OAuthError as error:
            return await self._refused(request, error, request.path_params["client_id"])
        await self._store.delete_client(registered.client.client_id)
        await self._record(request, "idp.client.deleted", registered.client.client_id, "ok")
        return Response(status_code=204, headers=NO_STORE)

    async def logo(self, request: Request) -> Response:
        """Show a platform's picture as it was taken when it was registered: nobody's browser calls the platform for it."""
        client_id = request.path_params["client_id"]
        client = await self._store.client(client_id)
        logo = None if client is None or client.logo_uri is None else await self._store.logo(client_id)
        if logo is None:
            return Response(status_code=404)
        headers = {"Cache-Control": "public, max-age=300", "Cross-Origin-Resource-Policy": "same-origin"}
        return Response(logo.body, media_type=logo.media_type, headers=headers)

    async def _register(self, request: Request) -> Response:
        now = self._clock()
        initial = initial_token_digest(_bearer_of(request, prefix="ia_"))
        token = await self._store.initial_token(initial, now)
        if token is None or token.policy not in POLICIES:
            raise InvalidToken(rule="initial")
        document = await _document(request)
        if "client_id" in document or "client_secret" in document or _SAID_BY_US & document.keys():
            raise InvalidClientMetadata(field="client_id", rule="not_chosen")
        # Letters first, so that it can never look like a person; 128 bits, so that nobody meets another's.
        client_id = "d-" + base64.b32encode(self._random_bytes(REFERENCE_BYTES)).decode().rstrip("=").lower()
        secret = new_client_secret(self._random_bytes)
        metadata, client, logo = await self._judged(document, POLICIES[token.policy], client_id, secret, token.token_id)
        access = new_registration_token(self._random_bytes)
        registered = Registered(
            client,
            registration_token_digest(access, client_id),
            token.token_id,
            token.policy,
            json.dumps({**metadata, "client_id_issued_at": now}, ensure_ascii=False),
        )
        if not await self._store.register_by_token(registered, initial=initial, logo=logo, now=now):
            raise InvalidToken(rule="initial")  # its last use went to somebody else meanwhile
        await self._record(request, "idp.client.registered", client_id, "ok", token=token.token_id, policy=token.policy)
        return self._answer(registered, access, secret=secret if client.secret_hash is not None else None, status=201)

    async def _change(self, request: Request) -> Response:
        registered, token = await self._authorized(request)
        earlier = registered.client
        document = await _document(request)
        if _SAID_BY_US & document.keys():
            raise InvalidClientMetadata(field="registration_access_token", rule="not_chosen")
        if document.get("client_id") != earlier.client_id:
            raise InvalidClientMetadata(field="client_id", rule="not_the_client")
        given = document.get("client_secret")
        if given is not None and not (isinstance(given, str) and secret_matches(earlier.secret_hash, given)):
            raise InvalidClientMetadata(field="client_secret", rule="not_chosen")
        policy = POLICIES.get(registered.policy)
        if policy is None:
            raise InvalidToken(rule="registration")
        new_secret = new_client_secret(self._random_bytes)
        told = {name: value for name, value in document.items() if name not in {"client_id", "client_secret"}}
        metadata, judged, logo = await self._judged(told, policy, earlier.client_id, new_secret, registered.token_id)
        client = with_secret_of(judged, earlier)
        access = new_registration_token(self._random_bytes)
        issued_at = json.loads(registered.document)["client_id_issued_at"]
        changed = Registered(
            client,
            registration_token_digest(access, client.client_id),
            registered.token_id,
            registered.policy,
            json.dumps({**metadata, "client_id_issued_at": issued_at}, ensure_ascii=False),
        )
        expected = registration_token_digest(token, client.client_id)
        if not await self._store.change_registration(changed, expected=expected, logo=logo, now=self._clock()):
            raise InvalidToken(rule="registration")
        await self._record(request, "idp.client.changed", client.client_id, "ok", policy=registered.policy)
        fresh = client.secret_hash is not None and earlier.secret_hash is None
        return self._answer(changed, access, secret=new_secret if fresh else None, status=200)

    async def _judged(
        self, document: Mapping[str, Json], policy: RegistrationPolicy, client_id: str, secret: str, token_id: str
    ) -> tuple[Mapping[str, object], Client, Logo | None]:
        """Judge a registration in full; raise the error of RFC 7591 §3.2.2."""
        if "software_statement" in document:
            raise InvalidSoftwareStatement(field="software_statement", rule="not_trusted")
        try:
            metadata, client = read_registration(
                document, policy, operator=self._settings.operator, client_id=client_id, secret=secret
            )
            shapes = skeletons(
                str(value) for name, value in metadata.items() if name.partition("#")[0] == "client_name"
            )
            named = any(name.partition("#")[0] == "client_name" for name in document)
            if named and await self._store.is_name_taken(shapes, client_id=client_id, token_id=token_id):
                raise NameRefused(field="client_name", rule="taken")
            if client.sector_identifier_uri is not None:
                await check_sector(self._fetch, client.sector_identifier_uri, client.redirect_uris)
        except _REFUSALS as refused:
            raise _oauth(refused) from None
        logo = None if client.logo_uri is None else await fetch_logo(self._fetch, client.logo_uri)
        if logo is None and client.logo_uri is not None:
            # RFC 7591 §3.2.1: what could not be taken is not registered, and the answer shows it.
            metadata = {name: value for name, value in metadata.items() if name != "logo_uri"}
            client = replace(client, logo_uri=None)
        return metadata, client, logo

    async def _authorized(self, request: Request) -> tuple[Registered, str]:
        """Return the client of the path and the token; one answer for every reason it may not be changed."""
        token = _bearer_of(request, prefix="ra_")
        client_id = request.path_params["client_id"]
        registered = await self._store.registered(client_id)
        if (
            registered is None
            or registered.client.state is not ClientState.ACTIVE
            or not hmac.compare_digest(registered.digest, registration_token_digest(token, client_id))
        ):
            raise InvalidToken(rule="registration")
        return registered, token

    def _answer(self, registered: Registered, token: str, *, secret: str | None, status: int) -> Response:
        """Say what is registered (RFC 7591 §3.2.1, RFC 7592 §3). A secret is said once, when it is made."""
        client_id = registered.client.client_id
        body: dict[str, object] = {
            "client_id": client_id,
            **json.loads(registered.document),
            "registration_access_token": token,
            "registration_client_uri": f"{self._settings.issuer}/register/{client_id}",
        }
        if secret is not None:
            body |= {"client_secret": secret, "client_secret_expires_at": 0}
        return JSONResponse(body, status_code=status, headers=NO_STORE)

    async def _refused(self, request: Request, error: OAuthError, client_id: str) -> Response:
        # Never what somebody wrote into the address: it may be their token, and the trail is for ever.
        known = await self._store.client(client_id) if client_id else None
        subject = "unknown" if known is None else known.client_id
        await self._record(request, "idp.client.registration_refused", subject, error.error)
        response = oauth_json(error)
        if isinstance(error, InvalidToken):
            response.headers["WWW-Authenticate"] = 'Bearer realm="register", error="invalid_token"'
        return response

    async def _record(self, request: Request, action: str, client_id: str, result: str, **details: str) -> None:
        await self._acts.record(action, actor="client", subject=client_id, result=result, connection=request, **details)


def _bearer_of(request: Request, *, prefix: str) -> str:
    """Return the bearer value of the header and of nowhere else (RFC 6750 §2.1). Raises `InvalidToken`."""
    scheme, _, value = (authorization_of(request) or "").partition(" ")
    if (
        scheme.lower() != "bearer"
        or not value.startswith(prefix)
        or len(value) > BEARER_CHARS_MAX
        or not (value.isascii() and value.isprintable())
    ):
        raise InvalidToken(rule="registration" if prefix == "ra_" else "initial")
    return value


async def _document(request: Request) -> dict[str, Json]:
    """Read the metadata: one JSON object, each member once. Raises `InvalidClientMetadata`, `InvalidRequest`."""
    if request.scope["query_string"]:
        raise InvalidRequest(rule="query")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise InvalidClientMetadata(rule="media_type")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > DOCUMENT_BYTES_MAX:
            raise InvalidClientMetadata(rule="too_long")
    try:
        return json_object(bytes(body))
    except TrustError:
        raise InvalidClientMetadata(rule="json") from None


def _oauth(refused: TrustError) -> OAuthError:
    kind = InvalidRedirectUri if refused.field == "redirect_uris" else InvalidClientMetadata
    return kind(field=refused.field, rule=refused.rule or refused.code)
