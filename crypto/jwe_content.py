"""Sealing the content of a JWE: SGD_SM4_GCM, and the content algorithms of RFC 7518 §5 through joserfc.

All five authenticate; none is offered without. A tag is always whole and an IV always of its one length.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from joserfc.errors import JoseError
from joserfc.jwe import JWERegistry

from crypto.errors import DecryptionFailed, KeyRefused
from crypto.sealed import sm4_gcm_open, sm4_gcm_seal
from crypto.suites import Enc

# Bytes of the content key, the IV and the tag. SGD_SM4_GCM: SM4's 16, and GCM's usual 12 and 16 (RFC 8998 §3, which
# other implementations of GM/T 0125 use too). RFC 7518 §5.2.3, §5.2.5 and §5.3 for the others.
CEK_BYTES: Final[Mapping[Enc, int]] = MappingProxyType(
    {Enc.SGD_SM4_GCM: 16, Enc.A128GCM: 16, Enc.A256GCM: 32, Enc.A128CBC_HS256: 32, Enc.A256CBC_HS512: 64}
)
IV_BYTES: Final[Mapping[Enc, int]] = MappingProxyType(
    {Enc.SGD_SM4_GCM: 12, Enc.A128GCM: 12, Enc.A256GCM: 12, Enc.A128CBC_HS256: 16, Enc.A256CBC_HS512: 16}
)
TAG_BYTES: Final[Mapping[Enc, int]] = MappingProxyType(
    {Enc.SGD_SM4_GCM: 16, Enc.A128GCM: 16, Enc.A256GCM: 16, Enc.A128CBC_HS256: 16, Enc.A256CBC_HS512: 32}
)


def seal_content(enc: Enc, cek: bytes, iv: bytes, plaintext: bytes, *, aad: bytes) -> tuple[bytes, bytes]:
    """Return ciphertext and tag. The caller never uses a key with an IV twice; `KeyRefused` for other lengths."""
    _check_lengths(enc, cek, iv)
    if enc is Enc.SGD_SM4_GCM:
        sealed = sm4_gcm_seal(cek, iv, plaintext, aad=aad)
        return sealed[: -TAG_BYTES[enc]], sealed[-TAG_BYTES[enc] :]
    ciphertext, tag = JWERegistry.algorithms["enc"][enc.value].encrypt(plaintext, cek, iv, aad)
    return ciphertext, tag


def open_content(enc: Enc, cek: bytes, iv: bytes, ciphertext: bytes, tag: bytes, *, aad: bytes) -> bytes:
    """Return the plaintext; raise `DecryptionFailed`, always the same, for whatever does not open."""
    if (len(cek), len(iv), len(tag)) != (CEK_BYTES[enc], IV_BYTES[enc], TAG_BYTES[enc]):
        raise DecryptionFailed
    if enc is Enc.SGD_SM4_GCM:
        return sm4_gcm_open(cek, iv, ciphertext + tag, aad=aad)
    try:
        plaintext: bytes = JWERegistry.algorithms["enc"][enc.value].decrypt(ciphertext, tag, cek, iv, aad)
    except (JoseError, ValueError):
        # ValueError is the padding of CBC, which is looked at only after the tag has been found right.
        raise DecryptionFailed from None
    return plaintext


def _check_lengths(enc: Enc, cek: bytes, iv: bytes) -> None:
    if len(cek) != CEK_BYTES[enc]:
        raise KeyRefused(field="cek", rule="length")
    if len(iv) != IV_BYTES[enc]:
        raise KeyRefused(field="iv", rule="length")
