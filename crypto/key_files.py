"""SM2 keys in files: PKCS#8 plain and encrypted (RFC 5958), SEC1 (RFC 5915), SubjectPublicKeyInfo (RFC 5480), PEM or DER.

The curve is named, 1.2.156.10197.1.301, wherever it stands: parameters spelt out are refused, because a file that
brings its own generator can bring any key with it (CVE-2020-0601). d lies in [1, n − 2], a public key beside it is the
one that belongs to it, and a point is on the curve.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from crypto import der
from crypto.der import BitString, DerReader
from crypto.errors import DecryptionFailed, EncodingRefused, KeyRefused
from crypto.pbes import Prf, pbes2_decrypt, pbes2_encrypt
from crypto.pem import looks_like_pem, pem_block, pem_blocks, pem_encode
from crypto.sm2_curve import A, B, P, validate_private, validate_public

if TYPE_CHECKING:
    from crypto.sm2 import Sm2Backend

RandomBytes = Callable[[int], bytes]

# RFC 5480 §2.1.1 and GM/T 0006
OID_EC_PUBLIC_KEY: Final = "1.2.840.10045.2.1"
OID_SM2_CURVE: Final = "1.2.156.10197.1.301"
# The largest form, encrypted PKCS#8 in PEM, takes some 400 octets.
MAX_KEY_FILE_BYTES: Final = 16 * 1024

LABEL_PKCS8: Final = "PRIVATE KEY"
LABEL_ENCRYPTED: Final = "ENCRYPTED PRIVATE KEY"
LABEL_SPKI: Final = "PUBLIC KEY"
LABEL_SEC1: Final = "EC PRIVATE KEY"
# OpenSSL 3 calls an SM2 key's parameters and its SEC1 form by the curve.
LABELS_PARAMETERS: Final = frozenset({"EC PARAMETERS", "SM2 PARAMETERS"})
_FORM_OF_LABEL: Final = {
    LABEL_PKCS8: "pkcs8",
    LABEL_ENCRYPTED: "encrypted",
    LABEL_SEC1: "sec1",
    "SM2 PRIVATE KEY": "sec1",
}

_SEC1_VERSION: Final = 1
_PUBLIC_TAG: Final = 0xA1
_PARAMETERS_TAG: Final = 0xA0
# RFC 5958 §2: [1] IMPLICIT BIT STRING of OneAsymmetricKey.
_PKCS8_PUBLIC_TAG: Final = 0x81
_UNCOMPRESSED: Final = b"\x04"
_COMPRESSED_EVEN: Final = 0x02


def private_to_pkcs8(private: bytes, *, pem: bool, public: bytes | None = None) -> bytes:
    """Return PKCS#8 PrivateKeyInfo of 32 bytes d, with 64 bytes x‖y beside it where given; raise `KeyRefused` for others."""
    info = _private_key_info(private, public)
    return pem_encode(LABEL_PKCS8, info) if pem else info


def private_to_encrypted_pkcs8(
    private: bytes,
    password: bytes,
    *,
    random_bytes: RandomBytes,
    iterations: int,
    prf: Prf = Prf.HMAC_SHA256,
    pem: bool = True,
    public: bytes | None = None,
) -> bytes:
    """Return EncryptedPrivateKeyInfo, SM4-CBC under PBKDF2 (`pbes`); raise `KeyRefused` as `pbes2_encrypt` does."""
    info = _private_key_info(private, public)
    sealed = pbes2_encrypt(info, password, prf=prf, iterations=iterations, random_bytes=random_bytes)
    return pem_encode(LABEL_ENCRYPTED, sealed) if pem else sealed


def private_to_sec1(private: bytes, public: bytes | None, *, pem: bool) -> bytes:
    """Return SEC1 ECPrivateKey with the named curve (RFC 5915 §3)."""
    key = _ec_private_key(private, public, named=True)
    return pem_encode(LABEL_SEC1, key) if pem else key


def public_to_spki(public: bytes, *, pem: bool) -> bytes:
    """Return SubjectPublicKeyInfo of 64 bytes x‖y; raise `KeyRefused` off the curve."""
    validate_public(public)
    spki = der.sequence(_algorithm(), der.bit_string(_UNCOMPRESSED + public))
    return pem_encode(LABEL_SPKI, spki) if pem else spki


def read_private(data: bytes, *, password: bytes | None, backend: Sm2Backend) -> bytes:
    """Return the 32 bytes d of a private key file in any of the forms above.

    The backend computes the public key where the file has one beside d. Raises `EncodingRefused` for another form,
    `KeyRefused` for a key that is not SM2's, is out of range or beside another public key, or where a password is
    needed and there is none, and `DecryptionFailed` where the password does not open the file.
    """
    _check_size(data, "private")
    if not looks_like_pem(data):
        return _private_of(_form_of(data), data, password, backend)
    blocks = list(pem_blocks(data, field="private"))
    if len(blocks) == 2 and blocks[0].label in LABELS_PARAMETERS:
        parameters = DerReader(blocks.pop(0).data, field="private")
        _named_curve(parameters)
        parameters.finish()
    if len(blocks) != 1:
        raise EncodingRefused(field="private", rule="pem_one_block")
    form = _FORM_OF_LABEL.get(blocks[0].label)
    if form is None:
        raise EncodingRefused(field="private", rule="pem_label")
    return _private_of(form, blocks[0].data, password, backend)


def read_public(data: bytes) -> bytes:
    """Return the 64 bytes x‖y of a SubjectPublicKeyInfo, PEM or DER; raise `EncodingRefused` or `KeyRefused`."""
    _check_size(data, "public")
    spki = pem_block(data, LABEL_SPKI, field="public") if looks_like_pem(data) else data
    outer = DerReader(spki, field="public")
    public = take_public(outer)
    outer.finish()
    return public


def take_public(outer: DerReader) -> bytes:
    """Take a SubjectPublicKeyInfo from a walk (a key file, a certificate) and return its 64 bytes x‖y."""
    info = outer.sequence()
    _take_algorithm(info)
    point = info.bit_string()
    info.finish()
    return point_of(point, field=outer.field)


def point_of(encoded: BitString, *, field: str) -> bytes:
    """Return the 64 bytes x‖y of a point, uncompressed or compressed (SEC1 §2.3.4); infinity and hybrid are refused."""
    data = encoded.data
    if encoded.unused == 0 and len(data) == 65 and data[:1] == _UNCOMPRESSED:
        public = data[1:]
    elif encoded.unused == 0 and len(data) == 33 and data[0] & ~1 == _COMPRESSED_EVEN:
        x = int.from_bytes(data[1:], "big")
        # p ≡ 3 mod 4: the square root of a square is its (p + 1)/4-th power. Of a non-square, y² ≠ and the check says so.
        y = pow(x * x * x + A * x + B, (P + 1) // 4, P)
        if y & 1 != data[0] & 1:
            y = P - y
        public = data[1:] + y.to_bytes(32, "big")
    else:
        raise KeyRefused(field=field, rule="point_form")
    try:
        validate_public(public)
    except KeyRefused as refused:
        raise KeyRefused(field=field, rule=refused.rule) from None
    return public


def _algorithm() -> bytes:
    return der.sequence(der.oid(OID_EC_PUBLIC_KEY), der.oid(OID_SM2_CURVE))


def _ec_private_key(private: bytes, public: bytes | None, *, named: bool) -> bytes:
    validate_private(private)
    parts = [der.integer(_SEC1_VERSION), der.octet_string(private)]
    if named:
        parts.append(der.explicit(0, der.oid(OID_SM2_CURVE)))
    if public is not None:
        validate_public(public)
        parts.append(der.explicit(1, der.bit_string(_UNCOMPRESSED + public)))
    return der.sequence(*parts)


def _private_key_info(private: bytes, public: bytes | None) -> bytes:
    # RFC 5915 §3: inside PKCS#8 the curve stands in the algorithm, and OpenSSL leaves it out of the key.
    key = _ec_private_key(private, public, named=False)
    return der.sequence(der.integer(0), _algorithm(), der.octet_string(key))


def _check_size(data: bytes, field: str) -> None:
    if len(data) > MAX_KEY_FILE_BYTES:
        raise EncodingRefused(field=field, rule="too_large")


def _form_of(data: bytes) -> str:
    """Tell the three forms apart by what stands first: a SEQUENCE, or an INTEGER before a SEQUENCE or OCTET STRING."""
    inner = der.read_der(data, field="private")
    if inner.next_is(der.SEQUENCE):
        return "encrypted"
    inner.integer()
    return "pkcs8" if inner.next_is(der.SEQUENCE) else "sec1"


def _private_of(form: str, data: bytes, password: bytes | None, backend: Sm2Backend) -> bytes:
    if form == "sec1":
        return _read_ec_private_key(data, backend, named=True)
    if form == "pkcs8":
        return _read_private_key_info(data, backend)
    if password is None:
        raise KeyRefused(field="password", rule="missing")
    plain = pbes2_decrypt(data, password, field="private")
    try:
        return _read_private_key_info(plain, backend)
    except EncodingRefused:
        # One wrong password in 256 leaves padding that looks right; what comes out is then no key.
        raise DecryptionFailed(field="private", rule="password_or_damage") from None


def _read_private_key_info(data: bytes, backend: Sm2Backend) -> bytes:
    info = der.read_der(data, field="private")
    version = info.integer()
    if version not in {0, 1}:
        raise EncodingRefused(field="private", rule="pkcs8_version")
    _take_algorithm(info)
    private = _read_ec_private_key(info.octet_string(), backend, named=False)
    if info.next_is(_PARAMETERS_TAG):
        # Attributes may restrict what the key is for; what is not understood is not passed over.
        raise EncodingRefused(field="private", rule="pkcs8_attributes")
    if version == 1 and info.next_is(_PKCS8_PUBLIC_TAG):
        _require_match(private, info.bit_string_of(info.take(_PKCS8_PUBLIC_TAG)), backend)
    info.finish()
    return private


def _read_ec_private_key(data: bytes, backend: Sm2Backend, *, named: bool) -> bytes:
    """Read ECPrivateKey (RFC 5915 §3). `named`: nothing around it names the curve, so it must do so itself."""
    key = der.read_der(data, field="private")
    if key.integer() != _SEC1_VERSION:
        raise EncodingRefused(field="private", rule="sec1_version")
    private = key.octet_string()
    validate_private(private)
    if key.next_is(_PARAMETERS_TAG):
        parameters = key.explicit(0)
        _named_curve(parameters)
        parameters.finish()
    elif named:
        raise KeyRefused(field="private", rule="curve_missing")
    if key.next_is(_PUBLIC_TAG):
        holder = key.explicit(1)
        _require_match(private, holder.bit_string(), backend)
        holder.finish()
    key.finish()
    return private


def _require_match(private: bytes, public: BitString, backend: Sm2Backend) -> None:
    if backend.public_of(private) != point_of(public, field="private"):
        raise KeyRefused(field="private", rule="public_mismatch")


def _take_algorithm(outer: DerReader) -> None:
    """Take AlgorithmIdentifier { id-ecPublicKey, SM2's curve }; an RSA key or another curve is refused by name."""
    algorithm = outer.sequence()
    if algorithm.oid() != OID_EC_PUBLIC_KEY:
        raise KeyRefused(field=outer.field, rule="algorithm")
    _named_curve(algorithm)
    algorithm.finish()


def _named_curve(parameters: DerReader) -> None:
    if parameters.next_is(der.SEQUENCE):
        raise KeyRefused(field=parameters.field, rule="explicit_curve")
    if parameters.at_end or parameters.next_is(der.NULL):
        raise KeyRefused(field=parameters.field, rule="curve_missing")
    if parameters.oid() != OID_SM2_CURVE:
        raise KeyRefused(field=parameters.field, rule="curve")
