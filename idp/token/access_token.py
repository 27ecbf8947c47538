"""Access tokens: made for one audience, kept as a hash, looked up at every use so that a withdrawal counts at once.

A token is a person's, released to a client, or a client's own (RFC 6749 §4.4). The two are kept apart in the store: what
asks for a person's never finds a client's own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from crypto.encoding import b64u_encode
from crypto.errors import TrustError
from crypto.jws import sign_jwt, verify_jwt
from crypto.sm3 import sm3
from crypto.suites import Purpose, policy
from idp.clients.model import AccessTokenFormat, Client, ClientState
from idp.keys import IdpKeys
from idp.model import REFERENCE_BYTES, SECRET_BYTES, AccountState, Clock, RandomBytes
from idp.oauth_errors import InvalidToken
from idp.registry.model import SealedPerson
from idp.store import AccessGrant, ClientStore, ClientToken, Family, NewAccessToken, TokenStore
from idp.subject import SubjectIdentifiers

ACCESS_TOKEN_LIFETIME_S = 10 * 60
"""Short, because a bearer token is as good as stolen (RFC 9700 §2.2.1); a refresh costs one request."""

_OPAQUE = re.compile(r"at_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class IssuedAccessToken:
    """The token as the client gets it, and the row to write."""

    token: str
    row: NewAccessToken


@dataclass(frozen=True, slots=True)
class IssuedClientToken:
    """A client's own token, and the row to write."""

    token: str
    row: ClientToken


class AccessTokens:
    """Makes and resolves access tokens of one issuer."""

    def __init__(
        self,
        issuer: str,
        *,
        keys: IdpKeys,
        subjects: SubjectIdentifiers,
        tokens: TokenStore,
        clients: ClientStore,
        clock: Clock,
        random_bytes: RandomBytes,
    ) -> None:
        self._issuer = issuer
        self._keys = keys
        self._subjects = subjects
        self._tokens = tokens
        self._clients = clients
        self._clock = clock
        self._random_bytes = random_bytes
        self._policy = policy(Purpose.ACCESS_TOKEN)

    def issue(
        self, client: Client, family: Family, scope: tuple[str, ...], audience: tuple[str, ...]
    ) -> IssuedAccessToken:
        """Make a token in the client's format for `audience` (`idp.authorize.resources`); nothing is written yet.

        With the time and class of the sign-in, so that a resource server can ask for a step-up (RFC 9470 §6.1).
        """
        expires_at = min(self._clock() + ACCESS_TOKEN_LIFETIME_S, family.absolute_until)
        person: dict[str, object] = {
            "sub": self._subjects.sub(family.person, client),
            "auth_time": family.authentication.time,
            "acr": family.authentication.acr.value,
        }
        token = self._token(client, person, scope, audience, expires_at)
        return IssuedAccessToken(token, NewAccessToken(access_token_hash(token), scope, audience, expires_at))

    def issue_to_client(self, client: Client, scope: tuple[str, ...], audience: tuple[str, ...]) -> IssuedClientToken:
        """Make a token of the client itself; nothing is written yet.

        Its `sub` is the client id (RFC 9068 §2.2), which no person's `sub` can be (RFC 9700 §4.15): it is shorter.
        """
        expires_at = self._clock() + ACCESS_TOKEN_LIFETIME_S
        token = self._token(client, {"sub": client.client_id}, scope, audience, expires_at)
        row = ClientToken(access_token_hash(token), client.client_id, scope, audience, expires_at)
        return IssuedClientToken(token, row)

    def _token(
        self,
        client: Client,
        subject: dict[str, object],
        scope: tuple[str, ...],
        audience: tuple[str, ...],
        expires_at: int,
    ) -> str:
        if client.access_token_format is AccessTokenFormat.OPAQUE:
            return f"at_{b64u_encode(self._random_bytes(SECRET_BYTES))}"
        # RFC 9068 §2.2. Unique by its jti, so that its hash is a key as good as an opaque token's.
        claims: dict[str, object] = {
            **subject,
            "iss": self._issuer,
            "aud": audience_claim(audience),
            "client_id": client.client_id,
            "iat": self._clock(),
            "exp": expires_at,
            "jti": b64u_encode(self._random_bytes(REFERENCE_BYTES)),
        }
        if scope:
            claims["scope"] = " ".join(scope)
        key = self._keys.active(client.id_token_signed_response_alg)
        return sign_jwt(claims, key=key, policy=self._policy)

    async def resolve(self, token: str) -> tuple[AccessGrant, SealedPerson, Client]:
        """Return what a person's token grants at this issuer, now, and of whom. Raises `InvalidToken`; says nothing of why.

        A token made for other resource servers alone is not taken here: one of them may have it and try (RFC 9700 §2.3).
        """
        found = await self._tokens.access_grant_of_person(self._checked_hash(token))
        if found is None:
            raise InvalidToken(rule="not_in_force")
        grant, client = await self._in_force(found[0])
        if self._issuer not in grant.audience:
            raise InvalidToken(rule="not_in_force")
        return grant, found[1], client

    async def resolve_any(self, token: str) -> tuple[AccessGrant | ClientToken, Client]:
        """Return what a token grants wherever, a person's or a client's own. Raises `InvalidToken`."""
        token_hash = self._checked_hash(token)
        grant = await self._tokens.access_grant(token_hash)  # of the two sorts by far the more frequent
        own = None if grant is not None else await self._tokens.client_token(token_hash)
        if own is None:
            return await self._in_force(grant)
        if self._clock() >= own.expires_at:
            raise InvalidToken(rule="not_in_force")
        return own, await self._active(own.client_id)

    async def _in_force(self, grant: AccessGrant | None) -> tuple[AccessGrant, Client]:
        if (
            grant is None
            or grant.family_revoked
            or grant.account_state is not AccountState.ACTIVE
            or self._clock() >= grant.expires_at
        ):
            raise InvalidToken(rule="not_in_force")
        return grant, await self._active(grant.family.client_id)

    async def _active(self, client_id: str) -> Client:
        client = await self._clients.client(client_id)
        if client is None or client.state is not ClientState.ACTIVE:
            raise InvalidToken(rule="not_in_force")
        return client

    def _checked_hash(self, token: str) -> bytes:
        if not _OPAQUE.fullmatch(token):
            # `typ: at+jwt` keeps ID and logout tokens out; what the claims say is read from our own row.
            try:
                verify_jwt(token, keys=self._keys.verifiers(), policy=self._policy)
            except TrustError:
                raise InvalidToken(rule="form") from None
        return access_token_hash(token)


def audience_claim(audience: tuple[str, ...]) -> str | list[str]:
    """Return `aud` as RFC 7519 §4.1.3 writes one audience and several."""
    return audience[0] if len(audience) == 1 else list(audience)


def access_token_hash(token: str) -> bytes:
    """Return the key an access token is stored under."""
    return sm3(b"access token\x00" + token.encode("utf-8", "surrogatepass"))
