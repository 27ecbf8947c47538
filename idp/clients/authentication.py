"""Client authentication, in one place for every endpoint a client calls (OpenID Connect Core §9, RFC 6749 §2.3, RFC 7523).

    client = await authentication.authenticate(form, authorization_of(request), endpoint=Endpoint.TOKEN)

A client has one method, the registered one, and nothing else of it is ever looked at: a client registered for
`private_key_jwt` cannot come with a secret, nor the other way round. Two methods in one request are refused before any is
tried. Who the client is not is told in one way for every reason (RFC 6749 §5.2), so that client ids cannot be enumerated.

The audience of an assertion is our issuer, as one string: not an array, and not an endpoint's address, which another
server's metadata could name as its own and so be sent an assertion that is good here.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote_to_bytes

from starlette.requests import Request

from crypto.encoding import Json, b64u_decode, json_object
from crypto.errors import TokenRefused, TrustError
from crypto.jws import check_times, unverified_kid, verify_jwt
from crypto.keys import PublicKey, public_from_jwk
from crypto.sm3 import sm3
from crypto.suites import Alg, Purpose, policy
from idp.clients.key_sets import ClientKeySets, Jwk
from idp.clients.model import Client, ClientState, TokenEndpointAuth
from idp.clients.secrets import secret_matches
from idp.clients.store import ClientLookup, ReplayStore
from idp.model import Clock
from idp.oauth_errors import InvalidClient, InvalidRequest

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
"""RFC 7523 §2.2."""

ASSERTION_LIFETIME_MAX_S = 5 * 60
"""How far ahead `exp` may lie: as long as we have to remember a `jti`, and as long as a stolen assertion could wait."""

CLOCK_SKEW_S = 10
"""FAPI 2.0 Security Profile §5.3.2.1: clocks up to 10 s apart are accepted, 60 s are not."""

JTI_CHARS_MAX = 256
"""Any UUID or hash is shorter; only its digest is kept."""

BASIC_CHARS_MAX = 1024
"""Two form-encoded values of at most 128 characters, in base64."""

_SECRET_METHODS = frozenset({TokenEndpointAuth.BASIC, TokenEndpointAuth.POST})


class Endpoint(StrEnum):
    """Where a client presents itself."""

    TOKEN = "token"  # noqa: S105  # the name of an endpoint
    PAR = "par"
    REVOKE = "revoke"
    INTROSPECT = "introspect"
    DEVICE_AUTHORIZATION = "device_authorization"


CONFIDENTIAL_ONLY = frozenset({Endpoint.INTROSPECT})
"""Where `none` is no authentication: anybody could ask about any token he found (RFC 7662 §4)."""


@dataclass(frozen=True, slots=True)
class _Presented:
    """How a client presents itself: the id it names, the method it uses, and the one credential of that method."""

    client_id: str
    method: TokenEndpointAuth
    credential: str


class ClientAuthentication:
    """Authenticates clients of one issuer."""

    def __init__(
        self, issuer: str, *, clients: ClientLookup, key_sets: ClientKeySets, replays: ReplayStore, clock: Clock
    ) -> None:
        self._issuer = issuer
        self._clients = clients
        self._key_sets = key_sets
        self._replays = replays
        self._clock = clock
        self._policy = policy(Purpose.CLIENT_ASSERTION)

    async def authenticate(self, form: Mapping[str, str], authorization: str | None, *, endpoint: Endpoint) -> Client:
        """Return the active client that made this request.

        `form` is the parsed body, `authorization` the header or None. Raises `InvalidRequest` (two methods, or two
        client ids, in one request) or `InvalidClient` (everything else). An assertion that passes is used up.
        """
        presented = _presented(form, authorization)
        client = await self._clients.client(presented.client_id)
        if (
            client is None
            or client.state is not ClientState.ACTIVE
            or client.token_endpoint_auth_method is not presented.method
            or (client.public and endpoint in CONFIDENTIAL_ONLY)
        ):
            raise InvalidClient(rule="credentials")
        if presented.method is TokenEndpointAuth.PRIVATE_KEY_JWT:
            await self._check_assertion(client, presented.credential)
        elif presented.method in _SECRET_METHODS and not secret_matches(client.secret_hash, presented.credential):
            raise InvalidClient(rule="credentials")
        return client

    async def registered_name(self, form: Mapping[str, str], authorization: str | None) -> str:
        """Return the client id a request names, for the trail: "unknown" where nobody is registered by it.

        What somebody typed as an id may be their secret; the trail is for ever.
        """
        named = named_client(form, authorization)
        known = await self._clients.client(named) if named else None
        return "unknown" if known is None else known.client_id

    async def _check_assertion(self, client: Client, assertion: str) -> None:
        try:
            listed = await self._key_sets.of(client, unverified_kid(assertion, policy=self._policy))

            def registered(kid: str | None, alg: Alg) -> PublicKey:
                return _registered_key(client, listed, kid, alg)

            claims = verify_jwt(assertion, keys=registered, policy=self._policy).claims
        except TrustError:
            raise InvalidClient(rule="credentials") from None
        # From here on the caller holds the client's key: saying what is wrong helps its developer and nobody else.
        now = self._clock()
        self._check_claims(client, claims, now)
        digest = sm3(b"client assertion\x00" + f"{client.client_id}\x00{claims['jti']}".encode())
        # Remembered for as long as it would be accepted.
        if not await self._replays.use_once(digest, until=now + ASSERTION_LIFETIME_MAX_S + 2 * CLOCK_SKEW_S):
            raise InvalidClient(field="jti", rule="used")

    def _check_claims(self, client: Client, claims: Mapping[str, Json], now: int) -> None:
        # RFC 7523 §3, points 1 to 7; `jti` is ours to require (RFC 9700, OpenID Connect Core §9).
        for name in ("iss", "sub"):
            if claims.get(name) != client.client_id:
                raise InvalidClient(field=name, rule="not_the_client")
        if claims.get("aud") != self._issuer:
            raise InvalidClient(field="aud", rule="not_the_issuer")
        try:
            check_times(claims, now, CLOCK_SKEW_S)
        except TokenRefused as refused:
            raise InvalidClient(field=refused.field, rule=refused.rule) from None
        expires = claims["exp"]
        if not isinstance(expires, (int, float)) or expires > now + ASSERTION_LIFETIME_MAX_S + CLOCK_SKEW_S:
            raise InvalidClient(field="exp", rule="too_far")
        jti = claims.get("jti")
        if not isinstance(jti, str) or not 1 <= len(jti) <= JTI_CHARS_MAX or not jti.isprintable():
            raise InvalidClient(field="jti", rule="missing")


def authorization_of(request: Request) -> str | None:
    """Return the Authorization header, or None. Raises `InvalidRequest` for two of them."""
    found = request.headers.getlist("authorization")
    if len(found) > 1:
        raise InvalidRequest(field="authorization", rule="duplicate")
    return found[0] if found else None


def named_client(form: Mapping[str, str], authorization: str | None) -> str:
    """Return the client id a request names, unproven, for the audit trail: at most 40 characters, "" for none."""
    try:
        return _presented(form, authorization).client_id[:40]
    except (InvalidClient, InvalidRequest):
        return ""


def _registered_key(client: Client, listed: tuple[Jwk, ...], kid: str | None, alg: Alg) -> PublicKey:
    """Return the client's own key: the one of this `kid`, or its only one of this algorithm."""
    required = client.token_endpoint_auth_signing_alg
    if required is not None and alg is not required:
        raise InvalidClient(rule="credentials")
    fitting = [jwk for jwk in listed if jwk["alg"] == alg.value and (kid is None or jwk["kid"] == kid)]
    if len(fitting) != 1:
        raise InvalidClient(rule="credentials")
    return public_from_jwk(fitting[0], alg=alg)


def _presented(form: Mapping[str, str], authorization: str | None) -> _Presented:
    """Find the one method used. Raises `InvalidRequest` for two (RFC 6749 §2.3), `InvalidClient` for none that reads."""
    form_id, secret = form.get("client_id"), form.get("client_secret")
    assertion, assertion_type = form.get("client_assertion"), form.get("client_assertion_type")
    asserted = assertion is not None or assertion_type is not None
    if (authorization is not None) + (secret is not None) + asserted > 1:
        raise InvalidRequest(field="client_assertion" if asserted else "client_secret", rule="two_methods")
    if authorization is not None:
        client_id, secret = _basic(authorization)
        if form_id is not None and form_id != client_id:
            raise InvalidRequest(field="client_id", rule="conflict")
        return _Presented(client_id, TokenEndpointAuth.BASIC, secret)
    if asserted:
        if assertion is None or assertion_type != ASSERTION_TYPE:
            raise InvalidClient(field="client_assertion_type", rule="unknown_value")
        claimed = _claimed_subject(assertion)
        if form_id is not None and form_id != claimed:  # RFC 7521 §4.2: it must name the same client
            raise InvalidClient(field="client_id", rule="conflict")
        return _Presented(claimed, TokenEndpointAuth.PRIVATE_KEY_JWT, assertion)
    if form_id is None:
        raise InvalidClient(rule="missing")
    if secret is not None:
        return _Presented(form_id, TokenEndpointAuth.POST, secret)
    return _Presented(form_id, TokenEndpointAuth.NONE, "")


def _claimed_subject(assertion: str) -> str:
    """Return the `sub` of an assertion, unverified: it says whose keys to try, and is checked again after them."""
    parts = assertion.split(".", 3)
    try:
        subject = json_object(b64u_decode(parts[1], field="client_assertion"), field="client_assertion").get("sub")
    except (TrustError, IndexError):
        raise InvalidClient(rule="credentials") from None
    if not isinstance(subject, str):
        raise InvalidClient(rule="credentials")
    return subject


def _basic(authorization: str) -> tuple[str, str]:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic" or len(encoded) > BASIC_CHARS_MAX:
        raise InvalidClient(rule="scheme")
    try:
        decoded = base64.b64decode(encoded.encode("ascii"), validate=True)
        client_id, separator, secret = decoded.partition(b":")
        # RFC 6749 §2.3.1: both parts are form-encoded before they are joined.
        pair = (
            unquote_to_bytes(client_id.replace(b"+", b" ")).decode(),
            unquote_to_bytes(secret.replace(b"+", b" ")).decode(),
        )
    except (binascii.Error, UnicodeError):
        raise InvalidClient(rule="encoding") from None
    if not separator or not pair[0] or not pair[1]:
        raise InvalidClient(rule="encoding")
    return pair
