"""The members of a JWK (RFC 7517, RFC 7518 §6, RFC 8037), read strictly; its thumbprint; and the shape of a set.

What a key serves is decided in `keys` (signatures), `encryption_keys` (JWE) and `mac` (symmetric); what all of them
refuse stands here: numbers and coordinates that are not in their one encoding, weak RSA, a private or symmetric key in a
public set, and a key ID twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Final

from crypto.canonical import jcs
from crypto.encoding import b64u_decode, b64u_encode, json_object
from crypto.errors import KeyRefused
from crypto.jws_form import MAX_KID_LENGTH
from crypto.rsa_strength import MAX_RSA_BITS, check_rsa

# Secondary sources of GM/T 0125.4 disagree on the name of the curve: the first is written unless a setting says
# otherwise, all are read.
SM2_CURVE: Final = "sm2p256v1"
SM2_CURVE_NAMES: Final = frozenset({SM2_CURVE, "SM2-P-256", "SM2"})
# What a deployment may choose to write.
SM2_CURVES_WRITTEN: Final = frozenset({SM2_CURVE, "SM2-P-256"})

# A published set holds a handful of keys; 64 leaves room for every algorithm in four states.
MAX_JWKS_KEYS: Final = 64
MAX_JWKS_BYTES: Final = 64 * 1024

PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
RSA_PRIVATE_MEMBERS: Final = ("d", "p", "q", "dp", "dq", "qi")

# RFC 9278 §3: the prefix; the name of the hash and the thumbprint follow.
THUMBPRINT_URI: Final = "urn:ietf:params:oauth:jwk-thumbprint"


class ThumbprintHash(StrEnum):
    """Hashes of a thumbprint by their names in a thumbprint URI.

    SHA-256 is RFC 7638's and stands in IANA's Named Information registry, as RFC 9278 §3 asks. SM3 does not stand there:
    `sm3` is a name of this profile, for deployments where national algorithms are required throughout.
    """

    SHA256 = "sha-256"
    SM3 = "sm3"


def thumbprint(
    jwk: Mapping[str, Any], *, hash_name: ThumbprintHash = ThumbprintHash.SHA256, sm2_curve: str = SM2_CURVE
) -> str:
    """Return the RFC 7638 thumbprint in base64url: of the required members, ordered, hashed.

    Every name of the SM2 curve counts as `sm2_curve`, so that one key has one thumbprint. Raises `KeyRefused` for an
    unknown or symmetric `kty` (a hash of a secret would be a check for guesses, RFC 7638 §7) and for a missing member.
    """
    match jwk.get("kty"):
        case "EC":
            members = {name: jwk.get(name) for name in ("crv", "kty", "x", "y")}
        case "RSA":
            members = {name: jwk.get(name) for name in ("e", "kty", "n")}
        case "OKP":
            members = {name: jwk.get(name) for name in ("crv", "kty", "x")}
        case _:
            raise KeyRefused(field="kty", rule="unknown")
    if not all(isinstance(value, str) for value in members.values()):
        raise KeyRefused(field="jwk", rule="member_missing")
    data = jcs(with_sm2_curve(members, sm2_curve))
    digest = hashlib.sha256(data) if hash_name is ThumbprintHash.SHA256 else hashlib.new("sm3", data)
    return b64u_encode(digest.digest())


def thumbprint_sm3(jwk: Mapping[str, Any], *, sm2_curve: str = SM2_CURVE) -> str:
    """Return the thumbprint with SM3 in place of SHA-256; raise as `thumbprint`."""
    return thumbprint(jwk, hash_name=ThumbprintHash.SM3, sm2_curve=sm2_curve)


def thumbprint_uri(jwk: Mapping[str, Any], *, hash_name: ThumbprintHash, sm2_curve: str = SM2_CURVE) -> str:
    """Return the thumbprint as a URI (RFC 9278 §3); raise as `thumbprint`."""
    return f"{THUMBPRINT_URI}:{hash_name.value}:{thumbprint(jwk, hash_name=hash_name, sm2_curve=sm2_curve)}"


def with_sm2_curve(jwk: Mapping[str, Any], sm2_curve: str) -> dict[str, Any]:
    """Return the members with an SM2 curve under the name asked for; other keys as they are.

    `sm2_curve` is the deployment's setting, `sm2p256v1` or `SM2-P-256`; `KeyRefused` for any other name. A key ID that
    is a thumbprint stays what it is: to a reader a `kid` is opaque.
    """
    if sm2_curve not in SM2_CURVES_WRITTEN:
        raise KeyRefused(field="crv", rule="unknown_curve_name")
    written = dict(jwk)
    if written.get("kty") == "EC" and names_sm2(written.get("crv")):
        written["crv"] = sm2_curve
    return written


def names_sm2(crv: object) -> bool:
    """Say whether a `crv` member, of whatever type a stranger gave it, names the SM2 curve."""
    return isinstance(crv, str) and crv in SM2_CURVE_NAMES


def coordinate(jwk: Mapping[str, Any], name: str, size: int) -> bytes:
    """Return a coordinate or private scalar of exactly `size` bytes (RFC 7518 §6.2.1.2: leading zeros included)."""
    text = jwk.get(name)
    if not isinstance(text, str):
        raise KeyRefused(field=name, rule="member_missing")
    # Bounded before decoding: four characters for three bytes.
    octets = b64u_decode(text, field=name) if len(text) <= size * 4 // 3 + 4 else b""
    if len(octets) != size:
        raise KeyRefused(field=name, rule="length")
    return octets


def rsa_members(jwk: Mapping[str, Any]) -> dict[str, str]:
    """Return `kty`, `n` and `e` of a strong RSA key; raise `KeyRefused` for a weak or malformed one."""
    numbers: dict[str, str] = {}
    values: list[int] = []
    for name in ("n", "e"):
        text = jwk.get(name)
        # The size is bounded before decoding: 8192 bits are 1366 characters.
        if not isinstance(text, str) or not 1 <= len(text) <= MAX_RSA_BITS // 6 + 2:
            raise KeyRefused(field=name, rule="member_missing")
        octets = b64u_decode(text, field=name)
        if octets[0] == 0:
            # RFC 7518 §2: Base64urlUInt uses the minimum number of octets.
            raise KeyRefused(field=name, rule="not_minimal")
        numbers[name] = text
        values.append(int.from_bytes(octets, "big"))
    check_rsa(*values)
    return {"kty": "RSA", **numbers}


def secret_members(jwk: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, str]:
    """Return the private members in their one encoding; raise `KeyRefused` or `EncodingRefused`."""
    secret: dict[str, str] = {}
    for name in names:
        value = jwk.get(name)
        # A private exponent is as long as the modulus.
        if not isinstance(value, str) or not 1 <= len(value) <= MAX_RSA_BITS // 6 + 2:
            raise KeyRefused(field=name, rule="member_missing")
        b64u_decode(value, field=name)
        secret[name] = value
    return secret


def key_id(jwk: Mapping[str, Any], members: Mapping[str, str]) -> str:
    """Return the `kid`, or the thumbprint of the members where there is none; raise `KeyRefused` for a bad one."""
    kid = jwk.get("kid")
    if kid is None:
        return thumbprint(members)
    if not isinstance(kid, str) or not 1 <= len(kid) <= MAX_KID_LENGTH or not kid.isprintable():
        raise KeyRefused(field="kid", rule="kid_form")
    return kid


def document_members(document: bytes | str | Mapping[str, Any]) -> list[Any]:
    """Return the `keys` of a JWK set; raise `KeyRefused` or `EncodingRefused` for what is no set or too large."""
    if isinstance(document, (bytes, str)):
        if len(document) > MAX_JWKS_BYTES:
            raise KeyRefused(field="jwks", rule="too_large")
        document = json_object(document, field="jwks")
    members = document.get("keys")
    if not isinstance(members, list) or len(members) > MAX_JWKS_KEYS:
        raise KeyRefused(field="keys", rule="jwks_shape")
    return members


def public_set_members(document: bytes | str | Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the members of a public JWK set.

    The whole set is refused (`KeyRefused`) when any member is symmetric or private, when two share a `kid`, or when an
    RSA key anywhere in it is weak.
    """
    kids: set[str] = set()
    for member in document_members(document):
        if not isinstance(member, dict):
            raise KeyRefused(field="keys", rule="jwks_shape")
        if member.get("kty") == "oct" or PRIVATE_MEMBERS & member.keys():
            raise KeyRefused(field="keys", rule="secret_in_public_set")
        check_kid_unused(member, kids)
        if member.get("kty") == "RSA":
            rsa_members(member)
        yield member


def check_kid_unused(member: Mapping[str, Any], kids: set[str]) -> None:
    """Note the `kid` of a member of a set; raise `KeyRefused` where it was seen before."""
    kid = member.get("kid")
    if isinstance(kid, str):
        if kid in kids:
            raise KeyRefused(field="kid", rule="duplicate")
        kids.add(kid)
