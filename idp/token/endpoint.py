"""`/token`: fetch, let the core check, take or rotate atomically, answer.

Order (architecture: redemption): authenticate the client, read, validate, *take* (exactly one taker wins), write the family
with the code's hash. A wrong client takes nothing; a crash in between costs a new sign-in, never a second family.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from crypto.encoding import b64u_encode
from idp.audit import Acts
from idp.authorize.code import AuthorizationGrant, code_hash, load_grant
from idp.authorize.resources import audience_of
from idp.claims import named_claims, scopes_of_claims
from idp.clients.authentication import Endpoint
from idp.clients.model import Client, GrantType
from idp.clients.requests import NO_STORE, ClientRequests, oauth_json
from idp.device.requests import DeviceRequests, device_code_hash
from idp.id_token import IdTokens
from idp.model import REFERENCE_BYTES, AccountState, Clock, PersonProfile, RandomBytes
from idp.oauth_errors import (
    AuthorizationPending,
    InvalidGrant,
    InvalidRequest,
    InvalidTarget,
    OAuthError,
    SlowDown,
    UnauthorizedClient,
)
from idp.people import People
from idp.registry.contact import Contact
from idp.scopes import CONTACT_SCOPES, EDU, OFFLINE_ACCESS, OPENID
from idp.store import (
    Beginning,
    Family,
    NewAccessToken,
    NewRefreshToken,
    Rotation,
    TokenStore,
)
from idp.token.access_token import AccessTokens
from idp.token.client_credentials import ClientCredentials
from idp.token.core import CoreRequest, Prefetched, TokenCore
from idp.token.refresh_token import (
    ABSOLUTE_LIMIT_S,
    OFFLINE_ABSOLUTE_LIMIT_S,
    new_refresh_token,
    refresh_token_hash,
)
from idp.transient import TransientKind, TransientStore, is_handle


@dataclass(slots=True)
class _Staged:
    """What the core made and the endpoint will write; filled by `_issue`. Of the person, only what the ID token says.

    `code_is_gone`: what was presented could be a code and no store has it, so it was used, has ended or never was.
    """

    code_is_gone: bool = False
    profile: PersonProfile | None = None
    contact: Contact | None = None
    family: Family | None = None
    access: NewAccessToken | None = None
    refresh: NewRefreshToken | None = None


class TokenEndpoint:
    """Handler of `/token`."""

    def __init__(
        self,
        issuer: str,
        *,
        requests: ClientRequests,
        tokens: TokenStore,
        transient: TransientStore,
        devices: DeviceRequests,
        people: People,
        access_tokens: AccessTokens,
        id_tokens: IdTokens,
        acts: Acts,
        clock: Clock,
        random_bytes: RandomBytes,
    ) -> None:
        self._requests = requests
        self._tokens = tokens
        self._transient = transient
        self._devices = devices
        self._people = people
        self._access_tokens = access_tokens
        self._id_tokens = id_tokens
        self._acts = acts
        self._clock = clock
        self._random_bytes = random_bytes
        self._issuer = issuer
        self._client_credentials = ClientCredentials(issuer, access_tokens=access_tokens, tokens=tokens, clock=clock)

    def routes(self) -> list[Route]:
        """Return the route."""
        return [Route("/token", self.token, methods=["POST"])]

    async def token(self, request: Request) -> Response:
        """Answer a token request; refusals are JSON (RFC 6749 §5.2)."""
        try:
            form, client = await self._requests.read(request, endpoint=Endpoint.TOKEN)
            if form.get("grant_type") == GrantType.CLIENT_CREDENTIALS:
                return await self._to_client(request, form, client)
            if form.get("grant_type") == GrantType.DEVICE_CODE:
                return await self._to_device(request, form, client)
        except OAuthError as error:
            return oauth_json(error)
        staged = _Staged()
        prefetched = await self._prefetch(form, client, staged)

        def issue(client: Client, prefetched: Prefetched, scope: tuple[str, ...]) -> dict[str, Any]:
            return self._issue(client, prefetched, scope, form, staged)

        core = TokenCore(prefetched, issue)
        try:
            status, body, headers = core.create_token_response(CoreRequest(form, prefetched))
        except InvalidTarget as error:  # nothing is taken or written yet: the client may ask again
            await self._refused(request, client, error.error)
            return oauth_json(error)
        if status == 200:
            try:
                await self._write(request, form, client, staged)
            except OAuthError as error:
                return oauth_json(error)
            return JSONResponse(body, headers=NO_STORE)
        error_code = str(body["error"])
        if error_code == InvalidGrant.error:
            await self._recognise_reuse(request, form, client, staged)
        await self._refused(request, client, error_code)
        return JSONResponse(body, status_code=status, headers={**headers, **NO_STORE})

    async def _to_client(self, request: Request, form: Mapping[str, str], client: Client) -> Response:
        try:
            body = await self._client_credentials.grant(client, form)
        except OAuthError as error:
            await self._refused(request, client, error.error)
            raise
        await self._acts.record(
            "idp.token.issued_to_client",
            actor=client.client_id,
            subject=client.client_id,
            result="ok",
            connection=request,
        )
        return JSONResponse(body, headers=NO_STORE)

    async def _to_device(self, request: Request, form: Mapping[str, str], client: Client) -> Response:
        """Answer a device that asks (RFC 8628 §3.4, §3.5); what its person allowed is redeemed as a code is."""
        device_code, staged = form.get("device_code", ""), _Staged()
        hashed = device_code_hash(device_code, client.client_id)
        try:
            if GrantType.DEVICE_CODE not in client.grant_types:
                raise UnauthorizedClient(rule="grant_type")
            if not device_code:
                raise InvalidRequest(field="device_code", rule="missing")
            grant = await self._with_person(await self._devices.approved(device_code, client), staged)
            if grant is None:
                raise InvalidGrant(field="device_code", rule="not_in_force")
            body = self._issue(client, Prefetched(client, grant, None), grant.scope, form, staged)
            if staged.family is None or staged.access is None or not await self._devices.take(device_code):
                await self._tokens.revoke_replayed_code(hashed, client.client_id, self._clock())
                raise InvalidGrant(field="device_code", rule="used")
            if await self._begin(staged, hashed) is Beginning.REFUSED:
                raise InvalidGrant(field="device_code", rule="not_in_force")
        except (AuthorizationPending, SlowDown):
            raise  # every few seconds, and nothing has happened: not worth a line of the trail
        except OAuthError as error:
            gone = error.rule == "unknown" and await self._devices.is_gone(device_code)
            replayed = gone and await self._tokens.revoke_replayed_code(hashed, client.client_id, self._clock())
            await self._refused(request, client, "code_replayed" if replayed else error.error)
            raise
        await self._issued(request, "idp.token.issued", staged.family)
        return JSONResponse(body, headers=NO_STORE)

    async def _prefetch(self, form: Mapping[str, str], client: Client, staged: _Staged) -> Prefetched:
        grant_type = form.get("grant_type")
        if grant_type == GrantType.AUTHORIZATION_CODE:
            return Prefetched(client, await self._good_code(form.get("code", ""), staged), None)
        if grant_type != GrantType.REFRESH_TOKEN:
            return Prefetched(client, None, None)
        token_hash = refresh_token_hash(form.get("refresh_token", ""))
        found = None if token_hash is None else await self._tokens.refresh_grant(token_hash)
        if found is None or found.used or found.family_revoked or self._clock() >= found.expires_at:
            return Prefetched(client, None, None)
        family = found.family
        good = found.account_state is AccountState.ACTIVE and await self._read_person(
            family.person, family.scope, family.id_token_claims, staged
        )
        return Prefetched(client, None, found if good else None)

    async def _good_code(self, code: str, staged: _Staged) -> AuthorizationGrant | None:
        payload = await self._transient.read(TransientKind.AUTHORIZATION_CODE, code)
        if payload is None:
            staged.code_is_gone = is_handle(TransientKind.AUTHORIZATION_CODE, code)
            return None
        return await self._with_person(load_grant(payload), staged)

    async def _with_person(self, grant: AuthorizationGrant, staged: _Staged) -> AuthorizationGrant | None:
        """Return the grant with what its ID token says of the person read; None where there is nobody to speak of.

        Whether account, session, consent and client behind it are in force is asked as the family is written.
        """
        return grant if await self._read_person(grant.person, grant.scope, grant.id_token_claims, staged) else None

    async def _begin(self, staged: _Staged, hashed: bytes) -> Beginning:
        if staged.family is None or staged.access is None:
            raise InvalidGrant(rule="absent")
        return await self._tokens.start_family(staged.family, hashed, staged.access, staged.refresh)

    async def _read_person(self, person: str, scope: tuple[str, ...], names: tuple[str, ...], staged: _Staged) -> bool:
        """Read what the ID token was asked to say, mostly nothing; False where the register has nobody active.

        The person's own standing came with the account's state.
        """
        asked = scopes_of_claims(names, scope)
        if not asked:
            return True
        staged.profile = await self._people.profile(person, affiliations=EDU in asked)
        if not asked.isdisjoint(CONTACT_SCOPES):
            staged.contact = await self._people.contact(person)
        return staged.profile is not None

    def _issue(
        self,
        client: Client,
        prefetched: Prefetched,
        scope: tuple[str, ...],
        form: Mapping[str, str],
        staged: _Staged,
    ) -> dict[str, Any]:
        """Make the response's body from what passed every check. Nothing is written yet. Raises `InvalidTarget`."""
        nonce = None
        if prefetched.code is not None:
            family = self._new_family(prefetched.code)
            nonce = prefetched.code.nonce
        elif prefetched.refresh is not None:
            family = prefetched.refresh.family
        else:  # the core has checked one of them
            raise InvalidGrant(rule="absent")
        audience = audience_of(form, granted=family.resources, issuer=self._issuer)
        access = self._access_tokens.issue(client, family, scope, audience)
        staged.family, staged.access = family, access.row
        body: dict[str, Any] = {
            "access_token": access.token,
            "token_type": "Bearer",
            "expires_in": access.row.expires_at - self._clock(),
            "scope": " ".join(scope),
        }
        if GrantType.REFRESH_TOKEN in client.grant_types:
            body["refresh_token"], staged.refresh = new_refresh_token(
                family, clock=self._clock, random_bytes=self._random_bytes
            )
        if OPENID in scope:
            body["id_token"] = self._id_tokens.sign(
                client,
                person=family.person,
                session_reference=family.session_reference,
                authentication=family.authentication,
                nonce=nonce,
                access_token=access.token,
                claims=named_claims(staged.profile, staged.contact, scope, family.id_token_claims),
            )
        return body

    def _new_family(self, grant: AuthorizationGrant) -> Family:
        now = self._clock()
        offline = OFFLINE_ACCESS in grant.scope
        return Family(
            family_id=b64u_encode(self._random_bytes(REFERENCE_BYTES)),
            client_id=grant.client_id,
            person=grant.person,
            session_reference=grant.session_reference,
            scope=grant.scope,
            resources=grant.resources,
            offline=offline,
            authentication=grant.authentication,
            created_at=now,
            absolute_until=now + (OFFLINE_ABSOLUTE_LIMIT_S if offline else ABSOLUTE_LIMIT_S),
            id_token_claims=grant.id_token_claims,
        )

    async def _write(self, request: Request, form: Mapping[str, str], client: Client, staged: _Staged) -> None:
        """Take or rotate, then write; exactly one of any number of concurrent requests gets through."""
        family, access, refresh = staged.family, staged.access, staged.refresh
        if family is None or access is None:
            raise InvalidGrant(rule="absent")
        now = self._clock()
        if form["grant_type"] == GrantType.AUTHORIZATION_CODE:
            code = form["code"]
            hashed = code_hash(code, client.client_id)
            if await self._transient.take(TransientKind.AUTHORIZATION_CODE, code) is None:
                # RFC 6749 §4.1.2: a second use is refused and what the first one got is revoked.
                await self._tokens.revoke_replayed_code(hashed, client.client_id, now)
                await self._refused(request, client, "code_replayed")
                raise InvalidGrant(field="code", rule="used")
            if await self._begin(staged, hashed) is Beginning.REFUSED:
                await self._refused(request, client, InvalidGrant.error)
                raise InvalidGrant(field="code", rule="not_in_force")
            await self._issued(request, "idp.token.issued", family)
            return
        old = refresh_token_hash(form["refresh_token"])
        if old is None or refresh is None:
            raise InvalidGrant(rule="absent")
        rotation = await self._tokens.rotate_refresh_token(old, access, refresh, now)
        if rotation is not Rotation.ROTATED:
            if rotation is Rotation.REUSED:
                await self._issued(request, "idp.token.refresh_replayed", family)
            raise InvalidGrant(field="refresh_token", rule=rotation.value)
        await self._issued(request, "idp.token.refreshed", family)

    async def _recognise_reuse(
        self, request: Request, form: Mapping[str, str], client: Client, staged: _Staged
    ) -> None:
        """Revoke the family of a refused code or refresh token that was good once. The client is authenticated.

        A code that is gone may have been taken a moment ago by a request that has not written its family yet.
        """
        now = self._clock()
        if form["grant_type"] == GrantType.AUTHORIZATION_CODE and staged.code_is_gone:
            hashed = code_hash(form["code"], client.client_id)
            if await self._tokens.revoke_replayed_code(hashed, client.client_id, now):
                await self._refused(request, client, "code_replayed")
        elif form["grant_type"] == GrantType.REFRESH_TOKEN:
            token_hash = refresh_token_hash(form.get("refresh_token", ""))
            found = None if token_hash is None else await self._tokens.refresh_grant(token_hash)
            if found is not None and found.used and found.family.client_id == client.client_id:
                await self._tokens.revoke_family(found.family.family_id, now)
                await self._issued(request, "idp.token.refresh_replayed", found.family)

    async def _issued(self, request: Request, action: str, family: Family) -> None:
        await self._acts.record(
            action,
            actor=family.client_id,
            subject=family.person,
            result="ok",
            connection=request,
            session_reference=family.session_reference,
            family=family.family_id,
        )

    async def _refused(self, request: Request, client: Client, error: str) -> None:
        await self._acts.record(
            "idp.token.refused", actor="client", subject=client.client_id, result=error, connection=request
        )
