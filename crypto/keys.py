"""Signature keys: parsed once, checked once, prepared once; and the record of a key that a key store keeps.

A `PublicKey` or `SigningKey` exists only after every check below has passed. Refused: RSA below 2048 bits, ROCA
moduli, points off their curve, private members in a public key, symmetric keys in a public set, duplicate key IDs,
an encoding that is not the canonical one, and an `alg`, `use` or `key_ops` that says the key is for something else.
"""

from __future__ import annotations

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
from crypto.jose import Sm2JoseKey, raw_sign, raw_verify
from crypto.jwk import (
    MAX_JWKS_BYTES,
    MAX_JWKS_KEYS,
    PRIVATE_MEMBERS,
    RSA_PRIVATE_MEMBERS,
    SM2_CURVE,
    coordinate,
    key_id,
    names_sm2,
    public_set_members,
    rsa_members,
    secret_members,
    thumbprint,
    with_sm2_curve,
)
from crypto.jws_form import MAX_KID_LENGTH
from crypto.sm2 import BACKENDS, Sm2Backend, select_backend
from crypto.suites import Alg, Purpose

if TYPE_CHECKING:
    from collections.abc import Iterable

    from joserfc.jwk import Key

__all__ = [
    "MAX_JWKS_BYTES",
    "MAX_JWKS_KEYS",
    "MAX_KID_LENGTH",
    "RSA_BITS",
    "KeyRecord",
    "KeyState",
    "PublicKey",
    "SigningKey",
    "export_private",
    "generate_signing_key",
    "jwks_document",
    "native_private",
    "natural_alg",
    "parse_jwks",
    "public_from_jwk",
    "signing_key_from_bytes",
    "signing_key_from_jwk",
    "thumbprint",
    "verification_backend",
]

# Three years of RS256 at most before rotation; 2048 bits are allowed to the end of 2030 (NIST SP 800-131A rev. 2).
RSA_BITS = 2048
_COORDINATE_BYTES = 32
_RSA_ALGORITHMS = frozenset({Alg.RS256, Alg.PS256})


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


def public_from_jwk(jwk: Mapping[str, Any], *, alg: Alg, backend: Sm2Backend | None = None) -> PublicKey:
    """Check a public JWK for one algorithm and prepare it; raise `KeyRefused` for every key named unfit above.

    `backend` prepares SM2 keys; without one the machine's first backend does.
    """
    if PRIVATE_MEMBERS & jwk.keys():
        raise KeyRefused(field="jwk", rule="private_member")
    _check_use(jwk, alg)
    members = _public_members(jwk, alg)
    public_jwk = {**members, "kid": key_id(jwk, members), "alg": alg.value, "use": "sig"}
    jose: Key
    if alg is Alg.SGD_SM3_SM2:
        point = _point(members)
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
    public_part = {name: value for name, value in jwk.items() if name not in PRIVATE_MEMBERS and name != "key_ops"}
    public = public_from_jwk(public_part, alg=alg, backend=backend)
    secret = secret_members(jwk, RSA_PRIVATE_MEMBERS if alg in _RSA_ALGORITHMS else ("d",))
    if alg not in _RSA_ALGORITHMS:
        coordinate(secret, "d", _COORDINATE_BYTES)
    private_jwk = {**public.jwk, **secret}
    jose: Key
    if alg is Alg.SGD_SM3_SM2:
        private = backend.private_key(b64u_decode(secret["d"], field="d"))
        if private.public != _point(public.jwk):
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


def jwks_document(keys: Iterable[PublicKey], *, sm2_curve: str = SM2_CURVE) -> dict[str, list[dict[str, str]]]:
    """Return a JWK set (RFC 7517 §5); raise `KeyRefused` for duplicate key IDs.

    `sm2_curve` is the name the deployment writes for the SM2 curve (see `jwk.with_sm2_curve`).
    """
    members = [with_sm2_curve(key.jwk, sm2_curve) for key in keys]
    if len({member["kid"] for member in members}) != len(members):
        raise KeyRefused(field="kid", rule="duplicate")
    return {"keys": members}


def parse_jwks(
    document: bytes | str | Mapping[str, Any], *, alg: Alg, backend: Sm2Backend | None = None
) -> tuple[PublicKey, ...]:
    """Return the keys of a set that serve one algorithm.

    Keys of other kinds, other algorithms, for encryption, or of an unknown `kty` are passed over, as RFC 7517 §5 asks.
    The whole set is refused (`KeyRefused`) for what `jwk.public_set_members` refuses, and when a key that claims to
    serve the algorithm is unfit.
    """
    found = tuple(
        public_from_jwk(member, alg=alg, backend=backend)
        for member in public_set_members(document)
        if _serves(member, alg)
    )
    if len({key.kid for key in found}) != len(found):
        raise KeyRefused(field="kid", rule="duplicate")
    return found


def _serves(jwk: Mapping[str, Any], alg: Alg) -> bool:
    if jwk.get("alg", alg.value) != alg.value or jwk.get("use", "sig") != "sig":
        return False
    kty, crv = jwk.get("kty"), jwk.get("crv")
    match alg:
        case Alg.SGD_SM3_SM2:
            return kty == "EC" and names_sm2(crv)
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
        return rsa_members(jwk)
    crv = SM2_CURVE if alg is Alg.SGD_SM3_SM2 else cast("str", jwk["crv"])
    names = ("x",) if alg is Alg.EDDSA else ("x", "y")
    for name in names:
        coordinate(jwk, name, _COORDINATE_BYTES)
    return {"kty": cast("str", jwk["kty"]), "crv": crv, **{name: cast("str", jwk[name]) for name in names}}


def _point(members: Mapping[str, str]) -> bytes:
    return coordinate(members, "x", _COORDINATE_BYTES) + coordinate(members, "y", _COORDINATE_BYTES)


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
