"""JWS and JWT in compact form, behind one facade in which purpose, algorithm and key can only agree or be refused.

What a token says about how to verify it is never followed: the key comes from the caller by `kid`, the algorithm is
the key's own and must be one the purpose's policy names, and the form is `jws_form`'s (RFC 8725 §3). Symmetric keys
have a facade of their own, `mac`; no policy here can name one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from crypto import jws_form
from crypto.canonical import jcs
from crypto.encoding import Json, b64u_encode, json_object
from crypto.errors import AlgorithmRefused, TokenRefused
from crypto.jws_form import NO_HEADERS, REFUSED_HEADERS
from crypto.keys import PublicKey, SigningKey
from crypto.suites import ALGORITHMS, Alg, Policy

__all__ = [
    "MAX_NUMERIC_DATE",
    "REFUSED_HEADERS",
    "KeyLookup",
    "VerifiedJws",
    "VerifiedJwt",
    "check_times",
    "sign_jws",
    "sign_jwt",
    "unverified_kid",
    "verify_jws",
    "verify_jwt",
]

KeyLookup = Callable[[str | None, Alg], PublicKey]

# Beyond this a NumericDate is no date (RFC 7519 §2); it also keeps arithmetic exact in every JSON reader.
MAX_NUMERIC_DATE = 2**53 - 1


@dataclass(frozen=True, slots=True)
class VerifiedJws:
    """A JWS whose signature, header and key have passed the policy."""

    header: Mapping[str, Any] = field(hash=False)
    payload: bytes
    key: PublicKey


@dataclass(frozen=True, slots=True)
class VerifiedJwt:
    """A JWT whose signature, header and key have passed the policy. Its times and audience are not checked yet."""

    header: Mapping[str, Any] = field(hash=False)
    claims: Mapping[str, Json] = field(hash=False)
    key: PublicKey


def sign_jws(payload: bytes, *, key: SigningKey, policy: Policy, header: Mapping[str, Any] = NO_HEADERS) -> str:
    """Return the compact JWS with `alg`, `kid` and the policy's `typ`; raise `AlgorithmRefused` or `TokenRefused`.

    `header` adds members; it may not set those three nor any the verifier refuses.
    """
    jws_form.require_jose(policy)
    policy.require(key.alg)
    signing_input = jws_form.signing_input(key.alg.value, key.kid, payload, rules=policy, header=header)
    return f"{signing_input}.{b64u_encode(key.sign(signing_input.encode('ascii')))}"


def verify_jws(token: str, *, keys: KeyLookup | Mapping[str, PublicKey], policy: Policy) -> VerifiedJws:
    """Verify a compact JWS under a policy and return what it says.

    Raises `TokenRefused` (form, type, header, unknown key), `EncodingRefused` (base64url, JSON), `AlgorithmRefused`
    (not the purpose's or not the key's) or `SignatureInvalid`. A lookup callable raises its own refusal.
    """
    header, payload, key = _verified(token, keys, policy)
    return VerifiedJws(MappingProxyType(header), payload, key)


def sign_jwt(
    claims: Mapping[str, Any], *, key: SigningKey, policy: Policy, header: Mapping[str, Any] = NO_HEADERS
) -> str:
    """Return the compact JWT of the claims in canonical JSON; raise as `sign_jws`, or `EncodingRefused`."""
    return sign_jws(jcs(claims), key=key, policy=policy, header=header)


def verify_jwt(token: str, *, keys: KeyLookup | Mapping[str, PublicKey], policy: Policy) -> VerifiedJwt:
    """Verify as `verify_jws` does and parse the claims strictly. The caller still checks times, issuer and audience."""
    header, payload, key = _verified(token, keys, policy)
    return VerifiedJwt(MappingProxyType(header), MappingProxyType(json_object(payload, field="claims")), key)


def check_times(claims: Mapping[str, Any], now: int, leeway_s: int, *, required: Collection[str] = ("exp",)) -> None:
    """Raise `TokenRefused` unless `exp` lies ahead and `nbf` and `iat` do not (RFC 7519 §4.1.4 to §4.1.6).

    `now` is in seconds since the epoch; `leeway_s` allows for clocks. `required` names those that must be there;
    callers that verify records without expiry pass their own.
    """
    dates = {name: _numeric_date(claims, name) for name in ("exp", "nbf", "iat")}
    for name in required:
        if dates.get(name) is None:
            raise TokenRefused(field=name, rule="missing")
    if dates["exp"] is not None and now >= dates["exp"] + leeway_s:
        raise TokenRefused(field="exp", rule="expired")
    for name in ("nbf", "iat"):
        date = dates[name]
        if date is not None and date > now + leeway_s:
            raise TokenRefused(field=name, rule="in_the_future")


def unverified_kid(token: str, *, policy: Policy) -> str | None:
    """Return the `kid` a token names, with nothing verified: for finding out whose keys to fetch, and nothing else."""
    return jws_form.unverified_kid(token, policy)


def _verified(
    token: str, keys: KeyLookup | Mapping[str, PublicKey], policy: Policy
) -> tuple[dict[str, Json], bytes, PublicKey]:
    unverified = jws_form.read_compact(token, policy)
    alg = ALGORITHMS.get(unverified.alg)
    if alg is None:
        raise AlgorithmRefused(field="alg", rule="unknown")
    policy.require(alg)
    kid = unverified.kid
    key = _look_up(keys, kid, alg)
    if key.alg is not alg:
        raise AlgorithmRefused(field="alg", rule="not_the_keys_algorithm")
    if kid is not None and key.kid != kid:
        raise TokenRefused(field="kid", rule="other_key")
    key.verify(unverified.signing_input, unverified.signature)
    return unverified.header, unverified.payload, key


def _look_up(keys: KeyLookup | Mapping[str, PublicKey], kid: str | None, alg: Alg) -> PublicKey:
    if callable(keys):
        return keys(kid, alg)
    key = keys.get(kid) if kid is not None else None
    if key is None:
        raise TokenRefused(field="kid", rule="unknown_key")
    return key


def _numeric_date(claims: Mapping[str, Any], name: str) -> int | float | None:
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MAX_NUMERIC_DATE:
        raise TokenRefused(field=name, rule="numeric_date")
    return value
