"""JWS and JWT in compact form, behind one facade in which purpose, algorithm and key can only agree or be refused.

What a token says about how to verify it is never followed: the key comes from the caller by `kid`, the algorithm is
the key's own and must be one the purpose's policy names, the type must be the purpose's, and every header that would
bring in another key (`jwk`, `jku`, `x5u`, `x5c`) or another meaning (`crit`, `b64`, `zip`) is refused (RFC 8725 §3).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from joserfc.errors import BadSignatureError, JoseError
from joserfc.jws import deserialize_compact, serialize_compact

from crypto.canonical import jcs
from crypto.encoding import Json, b64u_decode, json_object
from crypto.errors import AlgorithmRefused, SignatureInvalid, TokenRefused
from crypto.jose import MAX_HEADER_SEGMENT_BYTES, MAX_SIGNATURE_SEGMENT_BYTES, REGISTRIES
from crypto.keys import MAX_KID_LENGTH, PublicKey, SigningKey
from crypto.suites import Alg, Policy

KeyLookup = Callable[[str | None, Alg], PublicKey]

# Written by the facade alone.
_OWN_HEADERS = frozenset({"alg", "kid", "typ"})
# RFC 8725 §3.10: keys named by the token itself. RFC 7515 §4.1.11 and RFC 7797: extensions we have none of.
REFUSED_HEADERS = frozenset({"jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc"})
_NO_HEADERS: Mapping[str, Any] = MappingProxyType({})
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


def sign_jws(payload: bytes, *, key: SigningKey, policy: Policy, header: Mapping[str, Any] = _NO_HEADERS) -> str:
    """Return the compact JWS with `alg`, `kid` and the policy's `typ`; raise `AlgorithmRefused` or `TokenRefused`.

    `header` adds members; it may not set those three nor any the verifier refuses.
    """
    _require_jose(policy)
    policy.require(key.alg)
    if len(payload) > policy.max_payload_bytes:
        raise TokenRefused(field="payload", rule="too_large")
    protected: dict[str, Any] = {"alg": key.alg.value, "kid": key.kid}
    if policy.typ is not None:
        protected["typ"] = policy.typ
    if header:
        if header.keys() & (_OWN_HEADERS | REFUSED_HEADERS):
            raise TokenRefused(field="header", rule="reserved_header")
        protected.update(header)
    return serialize_compact(protected, payload, key.jose, registry=REGISTRIES[key.alg])


def verify_jws(token: str, *, keys: KeyLookup | Mapping[str, PublicKey], policy: Policy) -> VerifiedJws:
    """Verify a compact JWS under a policy and return what it says.

    Raises `TokenRefused` (form, type, header, unknown key), `EncodingRefused` (base64url, JSON), `AlgorithmRefused`
    (not the purpose's or not the key's) or `SignatureInvalid`. A lookup callable raises its own refusal.
    """
    _require_jose(policy)
    header_segment, payload_segment, signature_segment = _segments(token, policy)
    header = json_object(b64u_decode(header_segment, field="header"), field="header")
    payload = b64u_decode(payload_segment, field="payload")
    b64u_decode(signature_segment, field="signature")
    if len(payload) > policy.max_payload_bytes:
        raise TokenRefused(field="payload", rule="too_large")
    alg = _checked_alg(header, policy)
    kid = _checked_kid(header, policy)
    key = _look_up(keys, kid, alg)
    if key.alg is not alg:
        raise AlgorithmRefused(field="alg", rule="not_the_keys_algorithm")
    if kid is not None and key.kid != kid:
        raise TokenRefused(field="kid", rule="other_key")
    try:
        deserialize_compact(token, key.jose, registry=REGISTRIES[alg])
    except BadSignatureError:
        raise SignatureInvalid from None
    except (JoseError, ValueError):
        raise TokenRefused(field="token", rule="jose") from None
    return VerifiedJws(MappingProxyType(header), payload, key)


def sign_jwt(
    claims: Mapping[str, Any], *, key: SigningKey, policy: Policy, header: Mapping[str, Any] = _NO_HEADERS
) -> str:
    """Return the compact JWT of the claims in canonical JSON; raise as `sign_jws`, or `EncodingRefused`."""
    return sign_jws(jcs(claims), key=key, policy=policy, header=header)


def verify_jwt(token: str, *, keys: KeyLookup | Mapping[str, PublicKey], policy: Policy) -> VerifiedJwt:
    """Verify as `verify_jws` does and parse the claims strictly. The caller still checks times, issuer and audience."""
    verified = verify_jws(token, keys=keys, policy=policy)
    claims = json_object(verified.payload, field="claims")
    return VerifiedJwt(verified.header, MappingProxyType(claims), verified.key)


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
    header_segment, _, _ = _segments(token, policy)
    return _checked_kid(json_object(b64u_decode(header_segment, field="header"), field="header"), policy)


def _require_jose(policy: Policy) -> None:
    if not policy.accepted_typ:
        raise AlgorithmRefused(field="purpose", rule="not_a_jose_purpose", purpose=policy.purpose.value)


def _segments(token: str, policy: Policy) -> tuple[str, str, str]:
    # Four characters of base64url for three bytes, on top of the two bounded segments and two dots.
    bound = MAX_HEADER_SEGMENT_BYTES + MAX_SIGNATURE_SEGMENT_BYTES + policy.max_payload_bytes // 3 * 4 + 6
    if len(token) > bound:
        raise TokenRefused(field="token", rule="too_large")
    segments = token.split(".")
    if len(segments) != 3 or not segments[0] or not segments[2]:
        raise TokenRefused(field="token", rule="compact_form")
    if len(segments[0]) > MAX_HEADER_SEGMENT_BYTES or len(segments[2]) > MAX_SIGNATURE_SEGMENT_BYTES:
        raise TokenRefused(field="token", rule="too_large")
    return segments[0], segments[1], segments[2]


def _checked_alg(header: Mapping[str, Json], policy: Policy) -> Alg:
    refused = REFUSED_HEADERS & header.keys()
    if refused:
        raise TokenRefused(field=min(refused), rule="refused_header")
    typ = header.get("typ")
    if typ is None:
        typed = "typ" not in header and None in policy.accepted_typ
    else:
        # RFC 7515 §4.1.9: media types compare without regard to case.
        typed = (
            isinstance(typ, str)
            and typ.isascii()
            and typ.lower() in {accepted.lower() for accepted in policy.accepted_typ if accepted is not None}
        )
    if not typed:
        raise TokenRefused(field="typ", rule="other_type")
    name = header.get("alg")
    if not isinstance(name, str) or name not in Alg.__members__.values():
        raise AlgorithmRefused(field="alg", rule="unknown")
    alg = Alg(name)
    policy.require(alg)
    return alg


def _checked_kid(header: Mapping[str, Json], policy: Policy) -> str | None:
    kid = header.get("kid")
    if kid is None and "kid" not in header and not policy.kid_required:
        return None
    if not isinstance(kid, str) or not 1 <= len(kid) <= MAX_KID_LENGTH or not kid.isprintable():
        raise TokenRefused(field="kid", rule="kid_form")
    return kid


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
