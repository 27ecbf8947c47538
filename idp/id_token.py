"""ID tokens: made for one client with the algorithm it registered, and read back as a hint."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from crypto.encoding import b64u_encode
from crypto.errors import TrustError
from crypto.jws import sign_jwt, verify_jwt
from crypto.sm3 import sm3
from crypto.suites import Alg, Purpose, policy
from idp.clients.model import Client
from idp.keys import IdpKeys
from idp.model import Authentication, Clock
from idp.subject import SubjectIdentifiers

ID_TOKEN_LIFETIME_S = 5 * 60
"""It is read once, on arrival; a short life bounds what a stolen one is good for."""


class HintRefused(TrustError):
    """An id_token_hint that is not an ID token of ours."""

    code = "idp.id_token.hint_refused"


@dataclass(frozen=True, slots=True)
class Hint:
    """What a verified hint says. Its expiry is not looked at (OpenID Connect RP-Initiated Logout §2)."""

    client_id: str
    sub: str
    sid: str


class IdTokens:
    """Signs and reads ID tokens of one issuer."""

    def __init__(self, issuer: str, keys: IdpKeys, subjects: SubjectIdentifiers, *, clock: Clock) -> None:
        self._issuer = issuer
        self._keys = keys
        self._subjects = subjects
        self._clock = clock
        self._policy = policy(Purpose.ID_TOKEN)

    def sign(
        self,
        client: Client,
        *,
        person: str,
        session_reference: str,
        authentication: Authentication,
        nonce: str | None,
        access_token: str,
        claims: Mapping[str, object],
    ) -> str:
        """Return the compact ID token (OpenID Connect Core §2). `claims` are those the scopes release."""
        now = self._clock()
        key = self._keys.active(client.id_token_signed_response_alg)
        body: dict[str, object] = {
            **claims,
            "iss": self._issuer,
            "sub": self._subjects.sub(person, client),
            "aud": client.client_id,
            "iat": now,
            "exp": now + ID_TOKEN_LIFETIME_S,
            "auth_time": authentication.time,
            "acr": authentication.acr.value,
            "amr": list(authentication.amr),
            "sid": self._subjects.sid(session_reference, client.client_id),
            "at_hash": half_hash(access_token, key.alg),
        }
        if nonce is not None:
            body["nonce"] = nonce
        return sign_jwt(body, key=key, policy=self._policy)

    def read_hint(self, token: str) -> Hint:
        """Verify an ID token of ours, expired or not. Raises `HintRefused`."""
        try:
            claims = verify_jwt(token, keys=self._keys.verifiers(), policy=self._policy).claims
        except TrustError:
            raise HintRefused(field="id_token_hint", rule="signature") from None
        audience, sub, sid = claims.get("aud"), claims.get("sub"), claims.get("sid")
        if claims.get("iss") != self._issuer or not (
            isinstance(audience, str) and isinstance(sub, str) and isinstance(sid, str)
        ):
            raise HintRefused(field="id_token_hint", rule="claims")
        return Hint(audience, sub, sid)


def half_hash(value: str, alg: Alg) -> str:
    """Return the left half of the hash of the algorithm's own hash function (OpenID Connect Core §3.1.3.6).

    SM2 signs over SM3, so the national profile halves SM3; RS256 and ES256 halve SHA-256.
    """
    data = value.encode("ascii")
    if alg is Alg.SGD_SM3_SM2:
        return b64u_encode(sm3(data)[:16])
    if alg is Alg.EDDSA:  # Ed25519 hashes with SHA-512
        return b64u_encode(hashlib.sha512(data).digest()[:32])
    return b64u_encode(hashlib.sha256(data).digest()[:16])
