"""Password-based encryption of key files: PBES2 with PBKDF2 (RFC 8018 §6.2, GM/T 0091-2020).

Written: SM4-CBC with PBKDF2 over HMAC-SHA-256, which `openssl` opens everywhere, or over HMAC-SM3, which GmSSL and
OpenSSL from 3.5 open. Read as well: AES-128-CBC and AES-256-CBC, and the PRFs SHA-1 and SHA-512 of older files. CBC
carries no tag: a wrong password and a changed byte look alike, and both are one refusal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from crypto import der
from crypto.der import DerReader
from crypto.errors import DecryptionFailed, EncodingRefused, KeyRefused

RandomBytes = Callable[[int], bytes]

OID_PBES2: Final = "1.2.840.113549.1.5.13"
OID_PBKDF2: Final = "1.2.840.113549.1.5.12"

# SP 800-132 §5.2 and RFC 8018 §4.2: at least 1,000; below, the password is as good as written beside the key.
MIN_READ_ITERATIONS: Final = 1_000
# A file must not hold the reader up for minutes: ten million HMACs are some seconds (SP 800-132 names it as a high end).
MAX_ITERATIONS: Final = 10_000_000
# What is written here lasts longer than what others wrote; ten times the minimum of reading still suits a test.
MIN_WRITE_ITERATIONS: Final = 10_000
# OWASP Password Storage Cheat Sheet for PBKDF2-HMAC-SHA-256; SM3 resembles it in speed.
RECOMMENDED_ITERATIONS: Final = 600_000
# RFC 8018 §4.1: eight octets at least; SP 800-132 §5.1: 128 bits.
MIN_READ_SALT_BYTES: Final = 8
MAX_SALT_BYTES: Final = 128
SALT_BYTES: Final = 16
# A pass phrase, not a document; PBKDF2 hashes it once more than needed from 64 octets on.
MAX_PASSWORD_BYTES: Final = 1024
BLOCK_BYTES: Final = 16
# A PrivateKeyInfo of SM2 with its public key takes 138 octets.
MAX_ENCRYPTED_BYTES: Final = 4096


class Prf(Enum):
    """The PRF of PBKDF2 a new file is written with: its object identifier."""

    HMAC_SHA256 = "1.2.840.113549.2.9"
    # GM/T 0006-2012: SM3 with a key. GM/T 0091 prints 1.2.156.10197.1.401.3.1, which OpenSSL took over; both are read.
    HMAC_SM3 = "1.2.156.10197.1.401.2"


class _Scheme(NamedTuple):
    """A block cipher in CBC mode and the length of its key."""

    make: Callable[[bytes], BlockCipherAlgorithm]
    key_bytes: int


_OID_HMAC_SHA1: Final = "1.2.840.113549.2.7"
_HASH_OF_PRF: Final = {
    _OID_HMAC_SHA1: "sha1",
    Prf.HMAC_SHA256.value: "sha256",
    "1.2.840.113549.2.11": "sha512",
    Prf.HMAC_SM3.value: "sm3",
    "1.2.156.10197.1.401.3.1": "sm3",
}
_OID_SM4_CBC: Final = "1.2.156.10197.1.104.2"
_SCHEMES: Final = {
    "2.16.840.1.101.3.4.1.2": _Scheme(algorithms.AES, 16),
    "2.16.840.1.101.3.4.1.42": _Scheme(algorithms.AES, 32),
    _OID_SM4_CBC: _Scheme(algorithms.SM4, 16),
}
_SM4: Final = _SCHEMES[_OID_SM4_CBC]


def pbes2_encrypt(plain: bytes, password: bytes, *, prf: Prf, iterations: int, random_bytes: RandomBytes) -> bytes:
    """Return EncryptedPrivateKeyInfo (RFC 5958 §3) with SM4-CBC.

    `random_bytes` gives salt and IV. Raises `KeyRefused` for an empty or overlong password and for iterations outside
    MIN_WRITE_ITERATIONS … MAX_ITERATIONS.
    """
    _check_password(password)
    if not MIN_WRITE_ITERATIONS <= iterations <= MAX_ITERATIONS:
        raise KeyRefused(field="iterations", rule="range")
    salt, iv = random_bytes(SALT_BYTES), random_bytes(BLOCK_BYTES)
    key = hashlib.pbkdf2_hmac(_HASH_OF_PRF[prf.value], password, salt, iterations, _SM4.key_bytes)
    padder = PKCS7(8 * BLOCK_BYTES).padder()
    encryptor = Cipher(_SM4.make(key), modes.CBC(iv)).encryptor()
    sealed = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
    prf_algorithm = der.sequence(der.oid(prf.value), der.null())
    pbkdf2 = der.sequence(der.octet_string(salt), der.integer(iterations), prf_algorithm)
    parameters = der.sequence(
        der.sequence(der.oid(OID_PBKDF2), pbkdf2), der.sequence(der.oid(_OID_SM4_CBC), der.octet_string(iv))
    )
    return der.sequence(der.sequence(der.oid(OID_PBES2), parameters), der.octet_string(sealed))


def pbes2_decrypt(data: bytes, password: bytes, *, field: str) -> bytes:
    """Return what an EncryptedPrivateKeyInfo holds.

    Raises `EncodingRefused` for a form that is none, `KeyRefused` for a scheme, PRF or cost not taken, and
    `DecryptionFailed` where it does not open: the password is wrong or the file was changed, and nobody can say which.
    """
    _check_password(password)
    outer = der.read_der(data, field=field, max_bytes=MAX_ENCRYPTED_BYTES)
    algorithm = outer.sequence()
    sealed = outer.octet_string()
    outer.finish()
    if algorithm.oid() != OID_PBES2:
        raise KeyRefused(field=field, rule="encryption_scheme")
    parameters = algorithm.sequence()
    algorithm.finish()
    derivation, encryption = parameters.sequence(), parameters.sequence()
    parameters.finish()
    scheme = _SCHEMES.get(encryption.oid())
    if scheme is None:
        raise KeyRefused(field=field, rule="encryption_cipher")
    iv = encryption.octet_string()
    encryption.finish()
    if len(iv) != BLOCK_BYTES or not sealed or len(sealed) % BLOCK_BYTES:
        raise EncodingRefused(field=field, rule="encryption_length")
    key = _derived(derivation, password, scheme.key_bytes)
    decryptor = Cipher(scheme.make(key), modes.CBC(iv)).decryptor()
    unpadder = PKCS7(8 * BLOCK_BYTES).unpadder()
    try:
        return unpadder.update(decryptor.update(sealed) + decryptor.finalize()) + unpadder.finalize()
    except ValueError:
        raise DecryptionFailed(field=field, rule="password_or_damage") from None


def _derived(derivation: DerReader, password: bytes, key_bytes: int) -> bytes:
    """Derive the key as the file's PBKDF2-params say (RFC 8018 Appendix A.2)."""
    field = derivation.field
    if derivation.oid() != OID_PBKDF2:
        raise KeyRefused(field=field, rule="key_derivation")
    parameters = derivation.sequence()
    derivation.finish()
    salt, iterations = parameters.octet_string(), parameters.integer()
    if parameters.next_is(der.INTEGER) and parameters.integer() != key_bytes:
        raise EncodingRefused(field=field, rule="key_length")
    prf = _OID_HMAC_SHA1
    if not parameters.at_end:
        algorithm = parameters.sequence()
        prf = algorithm.oid()
        algorithm.null()
        algorithm.finish()
        if prf == _OID_HMAC_SHA1:
            # X.690 §11.5: the default value is left out.
            raise EncodingRefused(field=field, rule="der_default")
    parameters.finish()
    hash_name = _HASH_OF_PRF.get(prf)
    if hash_name is None:
        raise KeyRefused(field=field, rule="key_derivation_prf")
    if not MIN_READ_SALT_BYTES <= len(salt) <= MAX_SALT_BYTES:
        raise KeyRefused(field=field, rule="salt_length")
    if not MIN_READ_ITERATIONS <= iterations <= MAX_ITERATIONS:
        raise KeyRefused(field=field, rule="iterations")
    return hashlib.pbkdf2_hmac(hash_name, password, salt, iterations, key_bytes)


def _check_password(password: bytes) -> None:
    if not 1 <= len(password) <= MAX_PASSWORD_BYTES:
        raise KeyRefused(field="password", rule="length")
