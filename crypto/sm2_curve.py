"""The SM2 curve and what surrounds every SM2 signature (GB/T 32918.2 and .5, GM/T 0009): Z, e, ranges and DER."""

from __future__ import annotations

from crypto.encoding import rs_from_der, rs_to_der
from crypto.errors import EncodingRefused, KeyRefused, SignatureInvalid
from crypto.sm3 import sm3

# GB/T 32918.5-2017 §2
P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFC
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
GX = 0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7
GY = 0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0

# GM/T 0009-2012 §10: the user ID where none is agreed.
SM2_DEFAULT_ID = b"1234567812345678"
# ENTL is the length in bits in two bytes (GB/T 32918.2 §5.5).
MAX_USER_ID_BYTES = 0xFFFF // 8

PRIVATE_BYTES = 32
PUBLIC_BYTES = 64
SIGNATURE_BYTES = 64

_DOMAIN = b"".join(value.to_bytes(32, "big") for value in (A, B, GX, GY))


def validate_public(public: bytes, *, field: str = "public") -> None:
    """Raise `KeyRefused` unless 64 bytes x‖y are a point of the curve with both coordinates below p.

    The curve has cofactor 1, so every such point has order n; infinity has no x‖y form (GB/T 32918.1 §6.2.1).
    """
    if len(public) != PUBLIC_BYTES:
        raise KeyRefused(field=field, rule="length")
    x, y = int.from_bytes(public[:32], "big"), int.from_bytes(public[32:], "big")
    if x >= P or y >= P:
        raise KeyRefused(field=field, rule="coordinate_range")
    if (y * y - (x * x + A) * x - B) % P:
        raise KeyRefused(field=field, rule="off_curve")


def validate_private(private: bytes) -> None:
    """Raise `KeyRefused` unless 32 bytes hold d with 1 ≤ d ≤ n − 2: (1 + d) has no inverse for n − 1 (GB/T 32918.2 §6.1)."""
    if len(private) != PRIVATE_BYTES:
        raise KeyRefused(field="private", rule="length")
    if not 1 <= int.from_bytes(private, "big") <= N - 2:
        raise KeyRefused(field="private", rule="range")


def validate_scalar(scalar: bytes) -> None:
    """Raise `KeyRefused` (field "scalar") unless 32 bytes hold k with 1 ≤ k ≤ n − 1, so that [k]P is never infinity."""
    if len(scalar) != PRIVATE_BYTES:
        raise KeyRefused(field="scalar", rule="length")
    if not 1 <= int.from_bytes(scalar, "big") <= N - 1:
        raise KeyRefused(field="scalar", rule="range")


def validate_signature(signature: bytes) -> None:
    """Raise `SignatureInvalid` unless 64 bytes r‖s lie in [1, n − 1] and r + s is not 0 mod n (GB/T 32918.2 §7.1)."""
    if len(signature) != SIGNATURE_BYTES:
        raise SignatureInvalid
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if not (1 <= r < N and 1 <= s < N) or r + s == N:
        raise SignatureInvalid


def z_of(public: bytes, user_id: bytes) -> bytes:
    """Return Z = SM3(ENTL‖ID‖a‖b‖xG‖yG‖xA‖yA) (GB/T 32918.2 §5.5)."""
    if len(user_id) > MAX_USER_ID_BYTES:
        raise EncodingRefused(field="user_id", rule="length")
    return sm3((8 * len(user_id)).to_bytes(2, "big") + user_id + _DOMAIN + public)


def digest_of(z: bytes, message: bytes) -> bytes:
    """Return e = SM3(Z‖M) as 32 bytes (GB/T 32918.2 §6.1)."""
    return sm3(z + message)


def signature_to_der(signature: bytes) -> bytes:
    """Return r‖s as DER (GM/T 0009 §7.3). Raise `SignatureInvalid` for an r or s no signature can have."""
    validate_signature(signature)
    return rs_to_der(signature)


def signature_from_der(der: bytes) -> bytes:
    """Return strict DER as 64 bytes r‖s; raise `EncodingRefused` for another form, `SignatureInvalid` for r, s out of range."""
    signature = rs_from_der(der)
    validate_signature(signature)
    return signature
