"""Logout tokens (OpenID Connect Back-Channel Logout §2.4)."""

from __future__ import annotations

from crypto.encoding import b64u_encode
from crypto.jws import sign_jwt
from crypto.suites import Purpose, policy
from idp.clients.model import Client
from idp.keys import IdpKeys
from idp.model import REFERENCE_BYTES, Clock, RandomBytes
from idp.subject import SubjectIdentifiers

LOGOUT_TOKEN_LIFETIME_S = 2 * 60
"""§2.4 recommends at most two minutes; each delivery signs a fresh one."""

EVENT = "http://schemas.openid.net/event/backchannel-logout"


class LogoutTokens:
    """Signs logout tokens of one issuer."""

    def __init__(
        self, issuer: str, keys: IdpKeys, subjects: SubjectIdentifiers, *, clock: Clock, random_bytes: RandomBytes
    ) -> None:
        self._issuer = issuer
        self._keys = keys
        self._subjects = subjects
        self._clock = clock
        self._random_bytes = random_bytes
        self._policy = policy(Purpose.LOGOUT_TOKEN)

    def sign(self, client: Client, person: str, session_reference: str) -> str:
        """Return a logout token with this client's own `sub` and `sid` (keycloak#37839), and no nonce."""
        now = self._clock()
        claims: dict[str, object] = {
            "iss": self._issuer,
            "aud": client.client_id,
            "sub": self._subjects.sub(person, client),
            "sid": self._subjects.sid(session_reference, client.client_id),
            "iat": now,
            "exp": now + LOGOUT_TOKEN_LIFETIME_S,
            "jti": b64u_encode(self._random_bytes(REFERENCE_BYTES)),
            "events": {EVENT: {}},
        }
        key = self._keys.active(client.id_token_signed_response_alg)
        return sign_jwt(claims, key=key, policy=self._policy)
