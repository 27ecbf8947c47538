"""JWS under a MAC: `SGD_SM3_HMAC` (HMAC-SM3, GM/T 0125-2022) and HS256, for the few places where OIDC means a shared secret.

A MAC key is a type of its own. It is made from bytes or from an `oct` JWK, never from anything public; the signature
facade (`jws`) cannot name a MAC algorithm and this one cannot name a signature, so no public key ever becomes a secret
(the key confusion of RFC 8725 §2.1). Refused: secrets shorter than the hash, a text that is a public key, and a `kid`
made from the secret itself.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from crypto import jws_form
from crypto.canonical import jcs
from crypto.encoding import Json, b64u_decode, b64u_encode, json_object
from crypto.errors import AlgorithmRefused, KeyRefused, SignatureInvalid, TokenRefused
from crypto.jwk import check_kid_unused, document_members
from crypto.jws_form import MAX_KID_LENGTH, NO_HEADERS
from crypto.suites import MAC_ALGORITHMS, MacAlg, MacPolicy

RandomBytes = Callable[[int], bytes]

# RFC 7518 §3.2 and RFC 2104 §3: a key of at least the hash's output. SM3 and SHA-256 both give 32 bytes, and the tag is
# always the whole of it.
MAC_KEY_BYTES: Final = 32
TAG_BYTES: Final = 32
# Longer keys are hashed down by HMAC and add nothing; a client secret of a page is a mistake.
MAX_MAC_KEY_BYTES: Final = 512

_HASHES: Final[Mapping[MacAlg, str]] = MappingProxyType({MacAlg.SGD_SM3_HMAC: "sm3", MacAlg.HS256: "sha256"})
# How a public key looks as text: PEM, an OpenSSH line; a JWK is looked at by its member (CVE-2022-29217 is what comes
# of taking one for a secret). Random bytes never look so.
_PUBLIC_KEY_TEXTS: Final = (b"-----BEGIN", b"ssh-rsa", b"ssh-ed25519", b"ecdsa-sha2-")


@dataclass(frozen=True, slots=True)
class MacKey:
    """A checked secret for exactly one MAC algorithm. Its repr shows no secret, and it has no thumbprint."""

    kid: str
    alg: MacAlg
    secret: bytes = field(repr=False, compare=False)

    def tag(self, data: bytes) -> bytes:
        """Return the tag of 32 bytes."""
        return hmac.digest(self.secret, data, _HASHES[self.alg])

    def verify(self, data: bytes, tag: bytes) -> None:
        """Raise `SignatureInvalid` unless the whole tag is over these bytes; compared in constant time."""
        if len(tag) != TAG_BYTES or not hmac.compare_digest(self.tag(data), tag):
            raise SignatureInvalid


MacKeyLookup = Callable[[str | None, MacAlg], MacKey]


@dataclass(frozen=True, slots=True)
class VerifiedMac:
    """A JWS whose MAC, header and key have passed the policy."""

    header: Mapping[str, Any] = field(hash=False)
    payload: bytes
    key: MacKey


@dataclass(frozen=True, slots=True)
class VerifiedMacJwt:
    """A JWT whose MAC, header and key have passed the policy. Its times and audience are not checked yet."""

    header: Mapping[str, Any] = field(hash=False)
    claims: Mapping[str, Json] = field(hash=False)
    key: MacKey


def mac_key(secret: bytes, *, kid: str, alg: MacAlg) -> MacKey:
    """Return the key; raise `KeyRefused` for fewer than 32 bytes, more than 512, a public key's text, or a bad `kid`."""
    if len(secret) < MAC_KEY_BYTES:
        raise KeyRefused(field="k", rule="mac_key_too_short")
    if len(secret) > MAX_MAC_KEY_BYTES:
        raise KeyRefused(field="k", rule="mac_key_too_long")
    if secret.lstrip().startswith(_PUBLIC_KEY_TEXTS) or b'"kty"' in secret:
        raise KeyRefused(field="k", rule="public_key_as_secret")
    if not 1 <= len(kid) <= MAX_KID_LENGTH or not kid.isprintable():
        raise KeyRefused(field="kid", rule="kid_form")
    return MacKey(kid, alg, bytes(secret))


def generate_mac_key(*, kid: str, alg: MacAlg, random_bytes: RandomBytes) -> MacKey:
    """Return a new key of 32 bytes."""
    return mac_key(random_bytes(MAC_KEY_BYTES), kid=kid, alg=alg)


def mac_key_from_jwk(jwk: Mapping[str, Any], *, alg: MacAlg) -> MacKey:
    """Return the key of an `oct` JWK (RFC 7518 §6.4); raise `KeyRefused` or `EncodingRefused`.

    It must have a `kid`: a thumbprint would be a check for guesses of the secret (RFC 7638 §7).
    """
    if jwk.get("kty") != "oct":
        raise KeyRefused(field="kty", rule="other_key_type")
    if jwk.get("alg", alg.value) != alg.value:
        raise KeyRefused(field="alg", rule="other_algorithm")
    if jwk.get("use", "sig") != "sig":
        raise KeyRefused(field="use", rule="not_for_signatures")
    operations = jwk.get("key_ops", ["sign", "verify"])
    if not isinstance(operations, list) or operations not in (["sign", "verify"], ["verify", "sign"], ["verify"]):
        raise KeyRefused(field="key_ops", rule="not_for_verification")
    text, kid = jwk.get("k"), jwk.get("kid")
    if not isinstance(text, str) or len(text) > MAX_MAC_KEY_BYTES * 4 // 3 + 4:
        raise KeyRefused(field="k", rule="member_missing")
    if not isinstance(kid, str):
        raise KeyRefused(field="kid", rule="kid_form")
    return mac_key(b64u_decode(text, field="k"), kid=kid, alg=alg)


def mac_key_jwk(key: MacKey) -> dict[str, str]:
    """Return the secret as an `oct` JWK, to be sealed at once and never stored in the clear."""
    return {"kty": "oct", "k": b64u_encode(key.secret), "kid": key.kid, "alg": key.alg.value, "use": "sig"}


def parse_mac_jwks(document: bytes | str | Mapping[str, Any], *, alg: MacAlg) -> tuple[MacKey, ...]:
    """Return the keys of a secret set that serve one algorithm; those of other algorithms or uses are passed over.

    The whole set is refused (`KeyRefused`) when it holds a key of another kind (secret and public keys do not mix), when
    two share a `kid`, or when a key that claims to serve the algorithm is unfit.
    """
    found: list[MacKey] = []
    kids: set[str] = set()
    for member in document_members(document):
        if not isinstance(member, dict):
            raise KeyRefused(field="keys", rule="jwks_shape")
        if member.get("kty") != "oct":
            raise KeyRefused(field="keys", rule="public_in_secret_set")
        check_kid_unused(member, kids)
        if member.get("alg", alg.value) == alg.value and member.get("use", "sig") == "sig":
            found.append(mac_key_from_jwk(member, alg=alg))
    return tuple(found)


def mac_jws(payload: bytes, *, key: MacKey, policy: MacPolicy, header: Mapping[str, Any] = NO_HEADERS) -> str:
    """Return the compact JWS with `alg`, `kid` and the policy's `typ`; raise `AlgorithmRefused` or `TokenRefused`."""
    jws_form.require_jose(policy)
    policy.require(key.alg)
    signing_input = jws_form.signing_input(key.alg.value, key.kid, payload, rules=policy, header=header)
    return f"{signing_input}.{b64u_encode(key.tag(signing_input.encode('ascii')))}"


def verify_mac_jws(token: str, *, keys: MacKeyLookup | Mapping[str, MacKey], policy: MacPolicy) -> VerifiedMac:
    """Verify a compact JWS under a MAC policy and return what it says.

    Raises `TokenRefused` (form, type, header, unknown key), `EncodingRefused` (base64url, JSON), `AlgorithmRefused`
    (not the policy's or not the key's) or `SignatureInvalid`. A lookup callable raises its own refusal.
    """
    unverified = jws_form.read_compact(token, policy)
    alg = MAC_ALGORITHMS.get(unverified.alg)
    if alg is None:
        raise AlgorithmRefused(field="alg", rule="unknown")
    policy.require(alg)
    key = _look_up(keys, unverified.kid, alg)
    if key.alg is not alg:
        raise AlgorithmRefused(field="alg", rule="not_the_keys_algorithm")
    if unverified.kid is not None and key.kid != unverified.kid:
        raise TokenRefused(field="kid", rule="other_key")
    key.verify(unverified.signing_input, unverified.signature)
    return VerifiedMac(MappingProxyType(unverified.header), unverified.payload, key)


def mac_jwt(
    claims: Mapping[str, Any], *, key: MacKey, policy: MacPolicy, header: Mapping[str, Any] = NO_HEADERS
) -> str:
    """Return the compact JWT of the claims in canonical JSON; raise as `mac_jws`, or `EncodingRefused`."""
    return mac_jws(jcs(claims), key=key, policy=policy, header=header)


def verify_mac_jwt(token: str, *, keys: MacKeyLookup | Mapping[str, MacKey], policy: MacPolicy) -> VerifiedMacJwt:
    """Verify as `verify_mac_jws` does and parse the claims strictly. The caller checks times, issuer and audience."""
    verified = verify_mac_jws(token, keys=keys, policy=policy)
    claims = json_object(verified.payload, field="claims")
    return VerifiedMacJwt(verified.header, MappingProxyType(claims), verified.key)


def _look_up(keys: MacKeyLookup | Mapping[str, MacKey], kid: str | None, alg: MacAlg) -> MacKey:
    if callable(keys):
        return keys(kid, alg)
    key = keys.get(kid) if kid is not None else None
    if key is None:
        raise TokenRefused(field="kid", rule="unknown_key")
    return key
