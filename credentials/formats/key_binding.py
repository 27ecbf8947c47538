"""The key binding JWT of RFC 9901 section 4.3: the holder's signature over what is presented, to whom and when."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from credentials.errors import KeyBindingRefused
from credentials.formats.disclosures import SD_ALG, hash_named
from credentials.formats.sd_jwt import SdJwt
from credentials.public_keys import key_of_jwk
from crypto.encoding import b64u_encode, json_strict
from crypto.errors import EncodingRefused, TrustError
from crypto.jws import sign_jws, verify_jws
from crypto.keys import PublicKey, SigningKey
from crypto.suites import Policy

# A holder's clock may be this far ahead of the verifier's (RFC 9901 section 7.3 leaves the figure to the verifier).
LEEWAY_S: Final = 60


@dataclass(frozen=True, slots=True)
class KeyBinding:
    """What the holder signed: for whom (`audience`), which transaction (`nonce`), when (`issued_at`)."""

    audience: str
    nonce: str
    issued_at: int


@dataclass(frozen=True, slots=True)
class ExpectedBinding:
    """What a verifier that requires key binding asks for; `not_before` is the earliest time it may have been made."""

    audience: str
    nonce: str
    not_before: int


def holder_key_of(claims: Mapping[str, Any]) -> PublicKey:
    """Return the holder's key from `cnf.jwk` (RFC 7800). Raises `KeyBindingRefused` with rule `cnf`."""
    cnf = claims.get("cnf")
    jwk = cnf.get("jwk") if isinstance(cnf, dict) else None
    try:
        return key_of_jwk(jwk)
    except TrustError as error:
        raise KeyBindingRefused(field="cnf", rule="cnf") from error


def _sd_hash(sd_jwt: SdJwt, payload: Mapping[str, Any]) -> str:
    return b64u_encode(hash_named(payload.get(SD_ALG, "sha-256"))(sd_jwt.presented.encode("ascii")))


def bind(sd_jwt: SdJwt, *, key: SigningKey, policy: Policy, binding: KeyBinding) -> SdJwt:
    """Return the presentation with the holder's key binding JWT."""
    claims = {
        "iat": binding.issued_at,
        "aud": binding.audience,
        "nonce": binding.nonce,
        "sd_hash": _sd_hash(sd_jwt, sd_jwt.unverified_payload()),
    }
    token = sign_jws(json.dumps(claims, separators=(",", ":")).encode(), key=key, policy=policy, header={})
    return SdJwt(sd_jwt.issuer_jwt, sd_jwt.disclosures, token)


def verify_key_binding(
    sd_jwt: SdJwt, payload: Mapping[str, Any], *, policy: Policy, now: int, expected: ExpectedBinding | None
) -> KeyBinding:
    """Verify the key binding JWT against the verified issuer payload (RFC 9901 section 7.3, step 5).

    With `expected` None the audience and nonce are only returned: that is for a file nobody asked for, never for a
    presentation in answer to a request. Raises `KeyBindingRefused`: missing, cnf, signature, claims, sd_hash, audience,
    nonce, stale, future.
    """
    if sd_jwt.key_binding is None:
        raise KeyBindingRefused(rule="missing")
    holder = holder_key_of(payload)
    try:
        claims = json_strict(verify_jws(sd_jwt.key_binding, keys=lambda _kid, _alg: holder, policy=policy).payload)
    except EncodingRefused as error:
        raise KeyBindingRefused(rule="claims") from error
    except TrustError as error:
        raise KeyBindingRefused(rule="signature") from error
    if not isinstance(claims, dict):
        raise KeyBindingRefused(rule="claims")
    issued_at, audience, nonce = (claims.get(name) for name in ("iat", "aud", "nonce"))
    if isinstance(issued_at, bool) or not isinstance(issued_at, int):
        raise KeyBindingRefused(field="iat", rule="claims")
    if not isinstance(audience, str) or not isinstance(nonce, str):  # section 4.3: aud is one string
        raise KeyBindingRefused(field="aud", rule="claims")
    if claims.get("sd_hash") != _sd_hash(sd_jwt, payload):
        raise KeyBindingRefused(field="sd_hash", rule="sd_hash")
    if issued_at > now + LEEWAY_S:
        raise KeyBindingRefused(field="iat", rule="future")
    if expected is not None:
        if audience != expected.audience:
            raise KeyBindingRefused(field="aud", rule="audience")
        if nonce != expected.nonce:
            raise KeyBindingRefused(field="nonce", rule="nonce")
        if issued_at < expected.not_before - LEEWAY_S:
            raise KeyBindingRefused(field="iat", rule="stale")
    return KeyBinding(audience, nonce, issued_at)
