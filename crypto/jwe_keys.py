"""How a content key reaches the reader of a JWE, and how the reader gets it back.

`SGD_SM2_3`: the CEK under SM2 public-key encryption (GB/T 32918.4-2016), as the raw bytes C1‖C3‖C2 with C1 = 04‖x‖y. The
text of GM/T 0125.2 was not to be had: raw rather than DER is this profile's choice, of the same habit as the raw r‖s of
its signatures. `RSA-OAEP-256`, `ECDH-ES` (with and without AES key wrap), `A128KW`, `A256KW` and `dir` are RFC 7518 §4.

A reader learns nothing from a refusal: whatever is wrong with an encrypted key is one `DecryptionFailed`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from crypto.encoding import b64u_decode, b64u_encode
from crypto.encryption_keys import (
    AGREEMENT,
    DecryptionKey,
    RecipientKey,
    SharedKey,
    agreement_members,
    native_public,
)
from crypto.errors import DecryptionFailed, KeyRefused, TrustError
from crypto.jwe_content import CEK_BYTES
from crypto.suites import Enc, KeyAlg

RandomBytes = Callable[[int], bytes]

# Raw SM2 ciphertext of a CEK: C1 65, C3 32, C2 as long as the CEK.
SM2_OVERHEAD_BYTES: Final = 65 + 32
# RFC 7518 §4.6.1.2: parties name themselves in a few bytes; longer only feeds the hash.
MAX_PARTY_INFO_CHARACTERS: Final = 512

# The length of the key-wrapping key an agreement derives (RFC 7518 §4.6.2).
_AGREED_BYTES: Final[Mapping[KeyAlg, int]] = MappingProxyType({KeyAlg.ECDH_ES_A128KW: 16, KeyAlg.ECDH_ES_A256KW: 32})


@dataclass(frozen=True, slots=True)
class Established:
    """A content key, how it travels, and what the header must say about it."""

    cek: bytes
    encrypted_key: bytes
    header: Mapping[str, Any]


def establish(key: RecipientKey | SharedKey, enc: Enc, random_bytes: RandomBytes) -> Established:
    """Make or agree on a content key for `enc`; raise `KeyRefused` for a `dir` key of another content algorithm."""
    if isinstance(key, SharedKey):
        if key.alg is KeyAlg.DIR:
            _check_direct(key, enc)
            return Established(key.secret, b"", {})
        cek = fresh(random_bytes, CEK_BYTES[enc])
        return Established(cek, aes_key_wrap(key.secret, cek), {})
    if key.alg in AGREEMENT:
        return _agree(key, enc, random_bytes)
    cek = fresh(random_bytes, CEK_BYTES[enc])
    if isinstance(key.native, RSAPublicKey):
        return Established(cek, key.native.encrypt(cek, _oaep()), {})
    if isinstance(key.native, (ec.EllipticCurvePublicKey, X25519PublicKey)):
        raise KeyRefused(field="alg", rule="other_key_type")
    return Established(cek, key.native.encrypt(cek), {})


def recover(key: DecryptionKey | SharedKey, enc: Enc, header: Mapping[str, Any], encrypted_key: bytes) -> bytes:
    """Return the content key; raise `DecryptionFailed`, always the same, for whatever does not open."""
    try:
        cek = _recovered(key, enc, header, encrypted_key)
    except (TrustError, ValueError, InvalidUnwrap):
        raise DecryptionFailed from None
    if len(cek) != CEK_BYTES[enc]:
        raise DecryptionFailed
    return cek


def fresh(random_bytes: RandomBytes, count: int) -> bytes:
    """Return that many random bytes; raise `KeyRefused` where the source gives another number."""
    drawn = random_bytes(count)
    if len(drawn) != count:
        raise KeyRefused(field="random_bytes", rule="length")
    return drawn


def concat_kdf(shared_secret: bytes, algorithm: str, length: int, *, apu: bytes, apv: bytes) -> bytes:
    """Return the Concat KDF of RFC 7518 §4.6.2 with SHA-256: `length` bytes for the algorithm of that name."""
    info = b"".join(len(part).to_bytes(4, "big") + part for part in (algorithm.encode("ascii"), apu, apv))
    return ConcatKDFHash(hashes.SHA256(), length, info + (length * 8).to_bytes(4, "big")).derive(shared_secret)


def _recovered(key: DecryptionKey | SharedKey, enc: Enc, header: Mapping[str, Any], encrypted_key: bytes) -> bytes:
    if isinstance(key, SharedKey):
        if key.alg is not KeyAlg.DIR:
            return aes_key_unwrap(key.secret, encrypted_key)
        _check_direct(key, enc)
        if encrypted_key:
            # RFC 7516 §5.2 step 10
            raise DecryptionFailed
        return key.secret
    if key.alg in AGREEMENT:
        return _agreed(key, enc, header, encrypted_key)
    if isinstance(key.native, RSAPrivateKey):
        return key.native.decrypt(encrypted_key, _oaep())
    if isinstance(key.native, (ec.EllipticCurvePrivateKey, X25519PrivateKey)):
        raise DecryptionFailed
    if len(encrypted_key) != SM2_OVERHEAD_BYTES + CEK_BYTES[enc]:
        raise DecryptionFailed
    return key.native.decrypt(encrypted_key)


def _agree(key: RecipientKey, enc: Enc, random_bytes: RandomBytes) -> Established:
    if isinstance(key.native, ec.EllipticCurvePublicKey):
        ephemeral = ec.generate_private_key(key.native.curve)
        shared_secret = ephemeral.exchange(ec.ECDH(), key.native)
        point = ephemeral.public_key().public_numbers()
        size = (key.native.key_size + 7) // 8
        coordinates = {"x": point.x.to_bytes(size, "big"), "y": point.y.to_bytes(size, "big")}
    elif isinstance(key.native, X25519PublicKey):
        exchange = X25519PrivateKey.generate()
        shared_secret = exchange.exchange(key.native)
        coordinates = {"x": exchange.public_key().public_bytes_raw()}
    else:
        raise KeyRefused(field="alg", rule="other_key_type")
    names = {"kty": key.jwk["kty"], "crv": key.jwk["crv"]}
    header = {"epk": {**names, **{name: b64u_encode(value) for name, value in coordinates.items()}}}
    derived = _derived(key.alg, enc, shared_secret, apu=b"", apv=b"")
    if key.alg is KeyAlg.ECDH_ES:
        return Established(derived, b"", header)
    cek = fresh(random_bytes, CEK_BYTES[enc])
    return Established(cek, aes_key_wrap(derived, cek), header)


def _agreed(key: DecryptionKey, enc: Enc, header: Mapping[str, Any], encrypted_key: bytes) -> bytes:
    epk = header.get("epk")
    if not isinstance(epk, dict) or "d" in epk or epk.get("crv") != key.public.jwk["crv"]:
        raise DecryptionFailed
    apu, apv = (_party_info(header, name) for name in ("apu", "apv"))
    shared_secret = _exchange(key.native, native_public(agreement_members(epk)))
    derived = _derived(key.alg, enc, shared_secret, apu=apu, apv=apv)
    if key.alg is not KeyAlg.ECDH_ES:
        return aes_key_unwrap(derived, encrypted_key)
    if encrypted_key:
        # RFC 7516 §5.2 step 10
        raise DecryptionFailed
    return derived


def _exchange(private: object, public: object) -> bytes:
    if isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(public, ec.EllipticCurvePublicKey):
        return private.exchange(ec.ECDH(), public)
    if isinstance(private, X25519PrivateKey) and isinstance(public, X25519PublicKey):
        return private.exchange(public)
    raise DecryptionFailed


def _derived(alg: KeyAlg, enc: Enc, shared_secret: bytes, *, apu: bytes, apv: bytes) -> bytes:
    """RFC 7518 §4.6.2: the derived key is for `enc` when it is the CEK itself, else for `alg`."""
    if alg is KeyAlg.ECDH_ES:
        return concat_kdf(shared_secret, enc.value, CEK_BYTES[enc], apu=apu, apv=apv)
    return concat_kdf(shared_secret, alg.value, _AGREED_BYTES[alg], apu=apu, apv=apv)


def _party_info(header: Mapping[str, Any], name: str) -> bytes:
    text = header.get(name, "")
    if not isinstance(text, str) or len(text) > MAX_PARTY_INFO_CHARACTERS:
        raise DecryptionFailed
    return b64u_decode(text, field=name)


def _check_direct(key: SharedKey, enc: Enc) -> None:
    if key.enc is not enc:
        raise KeyRefused(field="enc", rule="not_the_keys_algorithm")


def _oaep() -> OAEP:
    """RFC 7518 §4.3: SHA-256 for the hash and for MGF1, no label."""
    return OAEP(MGF1(hashes.SHA256()), hashes.SHA256(), None)
