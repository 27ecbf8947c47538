"""Keys of JWE: to whom something is encrypted, who opens it, and the secrets two sides share.

Each key serves exactly one key-management algorithm. A `RecipientKey` or `DecryptionKey` exists only after the checks
of `jwk` have passed; a `SharedKey` is symmetric, a type of its own and never read from a public set. A key that says it
is for signatures (`use: sig`) is refused here, as `keys` refuses one for encryption: SM2 keys come in pairs, one for
each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from crypto.canonical import jcs
from crypto.encoding import b64u_decode, b64u_encode, json_object
from crypto.errors import KeyRefused
from crypto.jwe_content import CEK_BYTES
from crypto.jwk import (
    PRIVATE_MEMBERS,
    RSA_PRIVATE_MEMBERS,
    SM2_CURVE,
    coordinate,
    key_id,
    names_sm2,
    public_set_members,
    rsa_members,
    secret_members,
    with_sm2_curve,
)
from crypto.jws_form import MAX_KID_LENGTH
from crypto.sm2 import Sm2Backend, Sm2PrivateKey, Sm2PublicKey
from crypto.suites import KEY_ALGORITHMS, Enc, KeyAlg

RandomBytes = Callable[[int], bytes]
NativePublic: TypeAlias = "RSAPublicKey | EllipticCurvePublicKey | X25519PublicKey"
NativePrivate: TypeAlias = "RSAPrivateKey | EllipticCurvePrivateKey | X25519PrivateKey"

# As for signatures: 2048 bits are allowed to the end of 2030 (NIST SP 800-131A rev. 2).
RSA_BITS: Final = 2048
# Bytes of a coordinate, and of the private scalar, by curve (RFC 7518 §6.2, RFC 8037 §2).
EC_CURVES: Final[Mapping[str, int]] = MappingProxyType({"P-256": 32, "P-384": 48, "P-521": 66})
OKP_CURVES: Final[Mapping[str, int]] = MappingProxyType({"X25519": 32})

AGREEMENT: Final = frozenset({KeyAlg.ECDH_ES, KeyAlg.ECDH_ES_A128KW, KeyAlg.ECDH_ES_A256KW})
# Key lengths of the algorithms that wrap under a shared secret.
WRAPPING_BYTES: Final[Mapping[KeyAlg, int]] = MappingProxyType({KeyAlg.A128KW: 16, KeyAlg.A256KW: 32})
SHARED: Final = frozenset({KeyAlg.DIR, *WRAPPING_BYTES})

_ENCRYPTING: Final = frozenset({"encrypt", "wrapKey", "deriveKey", "deriveBits"})
_DECRYPTING: Final = frozenset({"decrypt", "unwrapKey", "deriveKey", "deriveBits"})


@dataclass(frozen=True, slots=True)
class RecipientKey:
    """A checked public key something is encrypted to, by exactly one algorithm."""

    kid: str
    alg: KeyAlg
    jwk: Mapping[str, str] = field(hash=False)
    native: Sm2PublicKey | NativePublic = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class DecryptionKey:
    """A checked private key that opens what was encrypted to it, by exactly one algorithm. Its repr shows no secret."""

    kid: str
    alg: KeyAlg
    public: RecipientKey
    native: Sm2PrivateKey | NativePrivate = field(repr=False, compare=False)
    private_jwk: Mapping[str, str] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class SharedKey:
    """A checked secret of two sides: for `dir` the content key of one `enc`, else a key that wraps content keys."""

    kid: str
    alg: KeyAlg
    enc: Enc | None
    secret: bytes = field(repr=False, compare=False)


def shared_key(secret: bytes, *, kid: str, alg: KeyAlg, enc: Enc | None) -> SharedKey:
    """Return the key; raise `KeyRefused` for another length than the algorithm's, or a bad `kid`.

    `enc` names the content algorithm a `dir` key seals under, and is None for the wrapping algorithms. Random IVs allow
    a `dir` key some 2^32 messages (NIST SP 800-38D §8.3); whoever keeps it counts them.
    """
    if alg is KeyAlg.DIR and enc is not None:
        size = CEK_BYTES[enc]
    elif alg in WRAPPING_BYTES and enc is None:
        size = WRAPPING_BYTES[alg]
    else:
        raise KeyRefused(field="alg", rule="not_for_a_shared_key")
    if len(secret) != size:
        raise KeyRefused(field="k", rule="length")
    if not 1 <= len(kid) <= MAX_KID_LENGTH or not kid.isprintable():
        raise KeyRefused(field="kid", rule="kid_form")
    return SharedKey(kid, alg, enc, bytes(secret))


def shared_key_from_jwk(jwk: Mapping[str, Any], *, alg: KeyAlg, enc: Enc | None) -> SharedKey:
    """Return the key of an `oct` JWK; raise `KeyRefused` or `EncodingRefused`.

    Its `alg` may be the key algorithm's name or, for `dir`, the content algorithm's, as RFC 7520 §5.6.1 has it.
    """
    if jwk.get("kty") != "oct":
        raise KeyRefused(field="kty", rule="other_key_type")
    names = {alg.value} | ({enc.value} if enc is not None else set())
    named = jwk.get("alg", alg.value)
    if not isinstance(named, str) or named not in names:
        raise KeyRefused(field="alg", rule="other_algorithm")
    _check_use(jwk, _ENCRYPTING | _DECRYPTING)
    kid = jwk.get("kid")
    if not isinstance(kid, str):
        raise KeyRefused(field="kid", rule="kid_form")
    text = jwk.get("k")
    if not isinstance(text, str) or len(text) > 2 * max(CEK_BYTES.values()):
        raise KeyRefused(field="k", rule="member_missing")
    return shared_key(b64u_decode(text, field="k"), kid=kid, alg=alg, enc=enc)


def recipient_from_jwk(jwk: Mapping[str, Any], *, alg: KeyAlg, backend: Sm2Backend) -> RecipientKey:
    """Check a public JWK for one algorithm and prepare it; raise `KeyRefused` for an unfit one."""
    if PRIVATE_MEMBERS & jwk.keys():
        raise KeyRefused(field="jwk", rule="private_member")
    if jwk.get("alg", alg.value) != alg.value:
        raise KeyRefused(field="alg", rule="other_algorithm")
    _check_use(jwk, _ENCRYPTING)
    members = _public_members(jwk, alg)
    public_jwk = {**members, "kid": key_id(jwk, members), "alg": alg.value, "use": "enc"}
    native: Sm2PublicKey | NativePublic
    if alg is KeyAlg.SGD_SM2_3:
        native = backend.public_key(coordinate(members, "x", 32) + coordinate(members, "y", 32))
    else:
        native = native_public(members)
    return RecipientKey(public_jwk["kid"], alg, MappingProxyType(public_jwk), native)


def decryption_key_from_jwk(jwk: Mapping[str, Any], *, alg: KeyAlg, backend: Sm2Backend) -> DecryptionKey:
    """Check a private JWK for one algorithm and prepare it; the private and public halves must belong together."""
    public_part = {name: value for name, value in jwk.items() if name not in PRIVATE_MEMBERS and name != "key_ops"}
    public = recipient_from_jwk(public_part, alg=alg, backend=backend)
    _check_use(jwk, _DECRYPTING)
    secret = secret_members(jwk, RSA_PRIVATE_MEMBERS if alg is KeyAlg.RSA_OAEP_256 else ("d",))
    native: Sm2PrivateKey | NativePrivate
    if alg is KeyAlg.SGD_SM2_3:
        prepared = backend.private_key(coordinate(secret, "d", 32))
        if prepared.public != coordinate(public.jwk, "x", 32) + coordinate(public.jwk, "y", 32):
            raise KeyRefused(field="d", rule="other_public_key")
        native = prepared
    else:
        if alg in AGREEMENT:
            coordinate(secret, "d", {**EC_CURVES, **OKP_CURVES}[public.jwk["crv"]])
        native = _native_private({**public.jwk, **secret})
    return DecryptionKey(public.kid, alg, public, native, MappingProxyType({**public.jwk, **secret}))


def generate_decryption_key(alg: KeyAlg, *, backend: Sm2Backend) -> DecryptionKey:
    """Make a new key with the library's own generator; its `kid` is its thumbprint. Agreement is on P-256."""
    if alg is KeyAlg.SGD_SM2_3:
        private, public = backend.generate_pair()
        jwk = {"kty": "EC", "crv": SM2_CURVE, "x": b64u_encode(public[:32]), "y": b64u_encode(public[32:])}
        return decryption_key_from_jwk({**jwk, "d": b64u_encode(private)}, alg=alg, backend=backend)
    if alg in SHARED:
        raise KeyRefused(field="alg", rule="not_for_a_key_pair")
    native = RSAKey.generate_key(RSA_BITS) if alg is KeyAlg.RSA_OAEP_256 else ECKey.generate_key("P-256")
    generated = {name: value for name, value in native.as_dict(private=True).items() if isinstance(value, str)}
    return decryption_key_from_jwk(generated, alg=alg, backend=backend)


def export_decryption_key(key: DecryptionKey) -> bytes:
    """Return the private JWK as canonical JSON, to be sealed at once and never stored in the clear."""
    return jcs(dict(key.private_jwk))


def decryption_key_from_bytes(data: bytes, *, backend: Sm2Backend) -> DecryptionKey:
    """Read back what `export_decryption_key` wrote."""
    jwk = json_object(data, field="private_key")
    alg = KEY_ALGORITHMS.get(str(jwk.get("alg")))
    if alg is None:
        raise KeyRefused(field="alg", rule="unknown")
    return decryption_key_from_jwk(jwk, alg=alg, backend=backend)


def encryption_jwks_document(
    keys: Iterable[RecipientKey], *, sm2_curve: str = SM2_CURVE
) -> dict[str, list[dict[str, str]]]:
    """Return a JWK set of keys to encrypt to; raise `KeyRefused` for duplicate key IDs. `sm2_curve` as in `keys`."""
    members = [with_sm2_curve(key.jwk, sm2_curve) for key in keys]
    if len({member["kid"] for member in members}) != len(members):
        raise KeyRefused(field="kid", rule="duplicate")
    return {"keys": members}


def parse_encryption_jwks(
    document: bytes | str | Mapping[str, Any], *, alg: KeyAlg, backend: Sm2Backend
) -> tuple[RecipientKey, ...]:
    """Return the keys of a set that one algorithm can encrypt to, and that do not say they are for something else.

    The whole set is refused (`KeyRefused`) for what `jwk.public_set_members` refuses, and when a key that claims to
    serve the algorithm is unfit.
    """
    found = tuple(
        recipient_from_jwk(member, alg=alg, backend=backend)
        for member in public_set_members(document)
        if _serves(member, alg) and member.get("use", "enc") == "enc" and member.get("alg", alg.value) == alg.value
    )
    if len({key.kid for key in found}) != len(found):
        raise KeyRefused(field="kid", rule="duplicate")
    return found


def native_public(members: Mapping[str, str]) -> NativePublic:
    """Return the library's key of checked public members; raise `KeyRefused` for a point off its curve."""
    try:
        native: object = _jose_class(members).import_key(dict(members)).public_key
    except (JoseError, ValueError):
        # `cryptography` says ValueError for a point off its curve.
        raise KeyRefused(field="jwk", rule="refused_by_library") from None
    if not isinstance(native, (RSAPublicKey, EllipticCurvePublicKey, X25519PublicKey)):
        raise KeyRefused(field="jwk", rule="other_key_type")
    return native


def agreement_members(jwk: Mapping[str, Any]) -> dict[str, str]:
    """Return `kty`, `crv` and the coordinates of a public key of ECDH-ES in their one encoding, or raise `KeyRefused`."""
    kty, crv = jwk.get("kty"), jwk.get("crv")
    curves, names = (EC_CURVES, ("x", "y")) if kty == "EC" else (OKP_CURVES, ("x",))
    if kty not in ("EC", "OKP") or not isinstance(crv, str) or crv not in curves:
        raise KeyRefused(field="crv", rule="other_key_type")
    for name in names:
        coordinate(jwk, name, curves[crv])
    return {"kty": str(kty), "crv": crv, **{name: str(jwk[name]) for name in names}}


def _native_private(jwk: Mapping[str, str]) -> NativePrivate:
    try:
        jose = _jose_class(jwk).import_key(dict(jwk))
        # Each key class has its own binding; their union takes no argument all of them share.
        binding: Any = jose.binding
        derived: dict[str, str] = binding.convert_raw_key_to_dict(jose.public_key, private=False)
    except (JoseError, ValueError):
        raise KeyRefused(field="jwk", rule="refused_by_library") from None
    if any(jwk[name] != value for name, value in derived.items()):
        raise KeyRefused(field="d", rule="other_public_key")
    native: object = jose.private_key
    if not isinstance(native, (RSAPrivateKey, EllipticCurvePrivateKey, X25519PrivateKey)):
        raise KeyRefused(field="jwk", rule="other_key_type")
    return native


def _jose_class(jwk: Mapping[str, str]) -> type[RSAKey | ECKey | OKPKey]:
    match jwk["kty"]:
        case "RSA":
            return RSAKey
        case "EC":
            return ECKey
        case _:
            return OKPKey


def _serves(jwk: Mapping[str, Any], alg: KeyAlg) -> bool:
    kty, crv = jwk.get("kty"), jwk.get("crv")
    if alg is KeyAlg.SGD_SM2_3:
        return kty == "EC" and names_sm2(crv)
    if alg is KeyAlg.RSA_OAEP_256:
        return kty == "RSA"
    return (
        alg in AGREEMENT
        and isinstance(crv, str)
        and ((kty == "EC" and crv in EC_CURVES) or (kty == "OKP" and crv in OKP_CURVES))
    )


def _public_members(jwk: Mapping[str, Any], alg: KeyAlg) -> dict[str, str]:
    if not _serves(jwk, alg):
        raise KeyRefused(field="kty", rule="other_key_type")
    if alg is KeyAlg.RSA_OAEP_256:
        return rsa_members(jwk)
    if alg is KeyAlg.SGD_SM2_3:
        for name in ("x", "y"):
            coordinate(jwk, name, 32)
        return {"kty": "EC", "crv": SM2_CURVE, "x": str(jwk["x"]), "y": str(jwk["y"])}
    return agreement_members(jwk)


def _check_use(jwk: Mapping[str, Any], allowed: frozenset[str]) -> None:
    if jwk.get("use", "enc") != "enc":
        raise KeyRefused(field="use", rule="not_for_encryption")
    operations = jwk.get("key_ops", [])
    # Web Crypto writes an empty list for a public key of ECDH.
    if not isinstance(operations, list) or not all(isinstance(name, str) and name in allowed for name in operations):
        raise KeyRefused(field="key_ops", rule="not_for_encryption")
