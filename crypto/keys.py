"""Signature keys: parsed once, checked once, prepared once; and the record of a key that a key store keeps.

A `PublicKey` or `SigningKey` exists only after every check below has passed. Refused: RSA below 2048 bits, ROCA
moduli, points off their curve, private members in a public key, symmetric keys in a public set, duplicate key IDs,
an encoding that is not the canonical one, and an `alg`, `use` or `key_ops` that says the key is for something else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from crypto.canonical import jcs
from crypto.encoding import b64u_decode, b64u_encode, json_object
from crypto.errors import KeyRefused
from crypto.jose import SM2_CURVE, SM2_CURVE_NAMES, Sm2JoseKey, raw_sign, raw_verify
from crypto.rsa_strength import MAX_RSA_BITS, check_rsa
from crypto.sm2 import BACKENDS, Sm2Backend, select_backend
from crypto.suites import Alg, Purpose

if TYPE_CHECKING:
    from collections.abc import Iterable

    from joserfc.jwk import Key

# Three years of RS256 at most before rotation; 2048 bits are allowed to the end of 2030 (NIST SP 800-131A rev. 2).
RSA_BITS = 2048
# Longer than a URL-shaped kid, shorter than a header that could be a denial of service.
MAX_KID_LENGTH = 256
# A published set holds a handful of keys; 64 leaves room for every algorithm in four states.
MAX_JWKS_KEYS = 64
MAX_JWKS_BYTES = 64 * 1024

_COORDINATE_BYTES = 32
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_RSA_ALGORITHMS = frozenset({Alg.RS256, Alg.PS256})
_RSA_PRIVATE = ("d", "p", "q", "dp", "dq", "qi")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A checked public key for exactly one algorithm. `jwk` holds its public members, `kid`, `alg` and `use`."""

    kid: str
    alg: Alg
    jwk: Mapping[str, str] = field(hash=False)
    jose: Key = field(repr=False, compare=False)

    def verify(self, data: bytes, signature: bytes) -> None:
        """Raise `SignatureInvalid` unless the signature, in its JWS form, is over these bytes."""
        raw_verify(self.alg, self.jose, data, signature)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A checked private key for exactly one algorithm, prepared once; threads may share it. Its repr shows no secret."""

    kid: str
    alg: Alg
    public: PublicKey
    jose: Key = field(repr=False, compare=False)
    private_jwk: Mapping[str, str] = field(repr=False, compare=False)

    def sign(self, data: bytes) -> bytes:
        """Return the signature in its JWS form (SM2 and ES256: 64 bytes r‖s)."""
        return raw_sign(self.alg, self.jose, data)

    def pkcs8(self) -> bytes:
        """Return the private key as unencrypted PKCS#8 DER, for X.509 and PAdES; raise `KeyRefused` for SM2."""
        return native_private(self).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


class KeyState(StrEnum):
    """The life of a key: published before it signs, verifying after it has stopped signing, then gone."""

    PENDING = "pending"
    ACTIVE = "active"
    RETIRING = "retiring"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key as a key store keeps it. `owner` is an issuer identifier or "idp"; times are seconds since the epoch, UTC."""

    kid: str
    purpose: Purpose
    alg: Alg
    owner: str
    state: KeyState
    not_before: int
    not_after: int
    compromised_at: int | None
    public_jwk: Mapping[str, str] = field(hash=False)
    sealed_private: bytes | None = field(repr=False)


@cache
def verification_backend() -> Sm2Backend:
    """Return the first SM2 backend of this machine, loaded at the first use and only ever used to verify.

    Every backend gives the same answer, so verification needs no choice; signing always takes a backend explicitly.
    """
    return select_backend(BACKENDS)


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """Return the RFC 7638 thumbprint with SHA-256 in base64url. An SM2 curve counts under the name we write."""
    match jwk.get("kty"):
        case "EC":
            members = {name: jwk.get(name) for name in ("crv", "kty", "x", "y")}
            if members["crv"] in SM2_CURVE_NAMES:
                members["crv"] = SM2_CURVE
        case "RSA":
            members = {name: jwk.get(name) for name in ("e", "kty", "n")}
        case "OKP":
            members = {name: jwk.get(name) for name in ("crv", "kty", "x")}
        case _:
            raise KeyRefused(field="kty", rule="unknown")
    if not all(isinstance(value, str) for value in members.values()):
        raise KeyRefused(field="jwk", rule="member_missing")
    return b64u_encode(hashlib.sha256(jcs(members)).digest())


def public_from_jwk(jwk: Mapping[str, Any], *, alg: Alg, backend: Sm2Backend | None = None) -> PublicKey:
    """Check a public JWK for one algorithm and prepare it; raise `KeyRefused` for every key named unfit above.

    `backend` prepares SM2 keys; without one the machine's first backend does.
    """
    if _PRIVATE_MEMBERS & jwk.keys():
        raise KeyRefused(field="jwk", rule="private_member")
    _check_use(jwk, alg)
    members = _public_members(jwk, alg)
    public_jwk = {**members, "kid": _kid(jwk, members), "alg": alg.value, "use": "sig"}
    jose: Key
    if alg is Alg.SGD_SM3_SM2:
        point = _coordinate(members, "x") + _coordinate(members, "y")
        jose = Sm2JoseKey(public_jwk, (backend or verification_backend()).public_key(point), None)
    else:
        jose = _import_native(public_jwk, alg)
    return PublicKey(public_jwk["kid"], alg, MappingProxyType(public_jwk), jose)


def generate_signing_key(alg: Alg, *, backend: Sm2Backend) -> SigningKey:
    """Make a new key with the library's own generator. Its `kid` is its RFC 7638 thumbprint."""
    if alg is Alg.SGD_SM3_SM2:
        private = backend.generate()
        public = backend.public_of(private)
        private_jwk = {
            "kty": "EC",
            "crv": SM2_CURVE,
            "x": b64u_encode(public[:_COORDINATE_BYTES]),
            "y": b64u_encode(public[_COORDINATE_BYTES:]),
            "d": b64u_encode(private),
        }
        return signing_key_from_jwk(private_jwk, alg=alg, backend=backend)
    native: Key
    if alg in _RSA_ALGORITHMS:
        native = RSAKey.generate_key(RSA_BITS)
    elif alg is Alg.ES256:
        native = ECKey.generate_key("P-256")
    else:
        native = OKPKey.generate_key("Ed25519")
    generated = {name: value for name, value in native.as_dict(private=True).items() if isinstance(value, str)}
    return signing_key_from_jwk(generated, alg=alg, backend=backend)


def signing_key_from_jwk(jwk: Mapping[str, Any], *, alg: Alg, backend: Sm2Backend) -> SigningKey:
    """Check a private JWK for one algorithm and prepare it; the private and public halves must belong together."""
    public_part = {name: value for name, value in jwk.items() if name not in _PRIVATE_MEMBERS and name != "key_ops"}
    public = public_from_jwk(public_part, alg=alg, backend=backend)
    wanted = _RSA_PRIVATE if alg in _RSA_ALGORITHMS else ("d",)
    secret: dict[str, str] = {}
    for name in wanted:
        value = jwk.get(name)
        if not isinstance(value, str):
            raise KeyRefused(field=name, rule="member_missing")
        b64u_decode(value, field=name)
        secret[name] = value
    private_jwk = {**public.jwk, **secret}
    jose: Key
    if alg is Alg.SGD_SM3_SM2:
        private = backend.private_key(b64u_decode(secret["d"], field="d"))
        if private.public != _coordinate(public.jwk, "x") + _coordinate(public.jwk, "y"):
            raise KeyRefused(field="d", rule="other_public_key")
        jose = Sm2JoseKey(private_jwk, backend.public_key(private.public), private)
    else:
        jose = _import_native(private_jwk, alg)
        # Each key class has its own binding; their union takes no argument all of them share.
        binding: Any = jose.binding
        derived: dict[str, str] = binding.convert_raw_key_to_dict(jose.public_key, private=False)
        if any(public.jwk[name] != value for name, value in derived.items()):
            raise KeyRefused(field="d", rule="other_public_key")
    return SigningKey(public.kid, alg, public, jose, MappingProxyType(private_jwk))


def natural_alg(jwk: Mapping[str, Any]) -> Alg:
    """Return the algorithm a JWK names, or the only one its curve serves; raise `KeyRefused` for RSA that names none."""
    if "alg" in jwk:
        return _alg_of(jwk)
    for alg in (Alg.SGD_SM3_SM2, Alg.ES256, Alg.EDDSA):
        if _serves(jwk, alg):
            return alg
    raise KeyRefused(field="alg", rule="missing")


def export_private(key: SigningKey) -> bytes:
    """Return the private JWK as canonical JSON, to be sealed at once and never stored in the clear."""
    return jcs(dict(key.private_jwk))


def signing_key_from_bytes(data: bytes, *, backend: Sm2Backend) -> SigningKey:
    """Read back what `export_private` wrote."""
    jwk = json_object(data, field="private_key")
    return signing_key_from_jwk(jwk, alg=_alg_of(jwk), backend=backend)


def native_private(key: SigningKey) -> EllipticCurvePrivateKey | Ed25519PrivateKey | RSAPrivateKey:
    """Return the key of the `cryptography` library behind an interop key; raise `KeyRefused` for SM2, which it lacks."""
    native: object = key.jose.private_key if not isinstance(key.jose, Sm2JoseKey) else None
    if not isinstance(native, (EllipticCurvePrivateKey, Ed25519PrivateKey, RSAPrivateKey)):
        raise KeyRefused(field="alg", rule="no_native_key")
    return native


def jwks_document(keys: Iterable[PublicKey]) -> dict[str, list[dict[str, str]]]:
    """Return a JWK set (RFC 7517 §5); raise `KeyRefused` for duplicate key IDs."""
    members = [dict(key.jwk) for key in keys]
    if len({member["kid"] for member in members}) != len(members):
        raise KeyRefused(field="kid", rule="duplicate")
    return {"keys": members}


def parse_jwks(
    document: bytes | str | Mapping[str, Any], *, alg: Alg, backend: Sm2Backend | None = None
) -> tuple[PublicKey, ...]:
    """Return the keys of a set that serve one algorithm.

    Keys of other kinds, other algorithms, for encryption, or of an unknown `kty` are passed over, as RFC 7517 §5 asks.
    The whole set is refused (`KeyRefused`) when any member is symmetric or private, when two keys share a `kid`, when
    an RSA key anywhere in it is weak, or when a key that claims to serve the algorithm is unfit.
    """
    if isinstance(document, (bytes, str)):
        if len(document) > MAX_JWKS_BYTES:
            raise KeyRefused(field="jwks", rule="too_large")
        document = json_object(document, field="jwks")
    members = document.get("keys")
    if not isinstance(members, list) or len(members) > MAX_JWKS_KEYS:
        raise KeyRefused(field="keys", rule="jwks_shape")
    found: list[PublicKey] = []
    kids: set[str] = set()
    for member in members:
        if not isinstance(member, dict):
            raise KeyRefused(field="keys", rule="jwks_shape")
        if member.get("kty") == "oct" or _PRIVATE_MEMBERS & member.keys():
            raise KeyRefused(field="keys", rule="secret_in_public_set")
        kid = member.get("kid")
        if isinstance(kid, str):
            if kid in kids:
                raise KeyRefused(field="kid", rule="duplicate")
            kids.add(kid)
        if member.get("kty") == "RSA":
            _rsa_members(member)
        if _serves(member, alg):
            found.append(public_from_jwk(member, alg=alg, backend=backend))
    if len({key.kid for key in found}) != len(found):
        raise KeyRefused(field="kid", rule="duplicate")
    return tuple(found)


def _serves(jwk: Mapping[str, Any], alg: Alg) -> bool:
    if jwk.get("alg", alg.value) != alg.value or jwk.get("use", "sig") != "sig":
        return False
    kty, crv = jwk.get("kty"), jwk.get("crv")
    match alg:
        case Alg.SGD_SM3_SM2:
            return kty == "EC" and crv in SM2_CURVE_NAMES
        case Alg.ES256:
            return kty == "EC" and crv == "P-256"
        case Alg.EDDSA:
            return kty == "OKP" and crv == "Ed25519"
        case Alg.RS256 | Alg.PS256:
            return kty == "RSA"


def _check_use(jwk: Mapping[str, Any], alg: Alg) -> None:
    if jwk.get("alg", alg.value) != alg.value:
        raise KeyRefused(field="alg", rule="other_algorithm")
    if jwk.get("use", "sig") != "sig":
        raise KeyRefused(field="use", rule="not_for_signatures")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or operations != ["verify"]:
        raise KeyRefused(field="key_ops", rule="not_for_verification")


def _public_members(jwk: Mapping[str, Any], alg: Alg) -> dict[str, str]:
    if not _serves(jwk, alg):
        raise KeyRefused(field="kty", rule="other_key_type")
    if alg in _RSA_ALGORITHMS:
        return _rsa_members(jwk)
    crv = SM2_CURVE if alg is Alg.SGD_SM3_SM2 else cast("str", jwk["crv"])
    names = ("x",) if alg is Alg.EDDSA else ("x", "y")
    for name in names:
        _coordinate(jwk, name)
    return {"kty": cast("str", jwk["kty"]), "crv": crv, **{name: cast("str", jwk[name]) for name in names}}


def _rsa_members(jwk: Mapping[str, Any]) -> dict[str, str]:
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


def _coordinate(jwk: Mapping[str, Any], name: str) -> bytes:
    text = jwk.get(name)
    if not isinstance(text, str):
        raise KeyRefused(field=name, rule="member_missing")
    octets = b64u_decode(text, field=name)
    if len(octets) != _COORDINATE_BYTES:
        # RFC 7518 §6.2.1.2: the full size of a coordinate, leading zeros included.
        raise KeyRefused(field=name, rule="length")
    return octets


def _kid(jwk: Mapping[str, Any], members: Mapping[str, str]) -> str:
    kid = jwk.get("kid")
    if kid is None:
        return thumbprint(members)
    if not isinstance(kid, str) or not 1 <= len(kid) <= MAX_KID_LENGTH or not kid.isprintable():
        raise KeyRefused(field="kid", rule="kid_form")
    return kid


def _alg_of(jwk: Mapping[str, Any]) -> Alg:
    try:
        return Alg(str(jwk.get("alg")))
    except ValueError:
        raise KeyRefused(field="alg", rule="unknown") from None


def _import_native(jwk: Mapping[str, str], alg: Alg) -> Key:
    try:
        if alg in _RSA_ALGORITHMS:
            return RSAKey.import_key(dict(jwk))
        if alg is Alg.ES256:
            return ECKey.import_key(dict(jwk))
        return OKPKey.import_key(dict(jwk))
    except (JoseError, ValueError):
        # `cryptography` says ValueError for a point off its curve or RSA numbers that do not fit together.
        raise KeyRefused(field="jwk", rule="refused_by_library") from None
