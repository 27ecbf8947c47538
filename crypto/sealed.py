"""Sealed columns (SM4-GCM) and the blind indexes they are searched by (HMAC-SM3).

A sealed value is: version byte, length and name of its key, 12-byte IV, ciphertext and 16-byte tag. Version and key
name are authenticated together with the caller's associated data (table, column and row), so a value moved to another
row does not open. The IV is random; one key seals at most 2^32 values (NIST SP 800-38D §8.3), then a new key takes over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from crypto.errors import DecryptionFailed, KeyRefused
from crypto.sm3 import hmac_sm3

RandomBytes = Callable[[int], bytes]

SEALED_VERSION: Final = 1
SM4_KEY_BYTES: Final = 16
IV_BYTES: Final = 12
TAG_BYTES: Final = 16
MAX_KEY_NAME_BYTES: Final = 64
# A key shorter than the hash weakens HMAC (RFC 2104 §3).
BLIND_INDEX_KEY_BYTES: Final = 32


def sm4_gcm_seal(key: bytes, iv: bytes, plain: bytes, *, aad: bytes) -> bytes:
    """Return ciphertext‖tag. The key has 16 bytes, the IV exactly 12; the caller never uses an IV twice."""
    _check_sm4(key, iv)
    encryptor = Cipher(algorithms.SM4(key), modes.GCM(iv)).encryptor()
    encryptor.authenticate_additional_data(aad)
    return encryptor.update(plain) + encryptor.finalize() + encryptor.tag


def sm4_gcm_open(key: bytes, iv: bytes, sealed: bytes, *, aad: bytes) -> bytes:
    """Return the plaintext of ciphertext‖tag; raise `DecryptionFailed` for any other key, IV, data or a cut tag."""
    _check_sm4(key, iv)
    if len(sealed) < TAG_BYTES:
        raise DecryptionFailed
    decryptor = Cipher(algorithms.SM4(key), modes.GCM(iv, sealed[-TAG_BYTES:])).decryptor()
    decryptor.authenticate_additional_data(aad)
    try:
        return decryptor.update(sealed[:-TAG_BYTES]) + decryptor.finalize()
    except InvalidTag:
        raise DecryptionFailed from None


def _check_sm4(key: bytes, iv: bytes) -> None:
    if len(key) != SM4_KEY_BYTES:
        raise KeyRefused(field="key", rule="length")
    if len(iv) != IV_BYTES:
        # Other lengths go through GHASH and lose the bound on collisions (SP 800-38D §8.2).
        raise KeyRefused(field="iv", rule="length")


class ColumnSealer:
    """Seals under the active key and opens what any known key sealed."""

    def __init__(self, keys: Mapping[str, bytes], active: str, random_bytes: RandomBytes) -> None:
        """Take 16-byte keys by name and the name that seals; raise `KeyRefused` for a wrong length or name."""
        for name, key in keys.items():
            if len(key) != SM4_KEY_BYTES:
                raise KeyRefused(field="key", rule="length")
            if not name.isascii() or not name.isprintable() or not 1 <= len(name) <= MAX_KEY_NAME_BYTES:
                raise KeyRefused(field="key_name", rule="form")
        if active not in keys:
            raise KeyRefused(field="active", rule="unknown_key")
        self._keys = dict(keys)
        self._active = active
        self._random_bytes = random_bytes

    @property
    def active(self) -> str:
        """The name of the key that seals."""
        return self._active

    def seal(self, plain: bytes, *, aad: bytes) -> bytes:
        """Return the sealed value. `aad` names where it stands: table, column and row."""
        header = bytes((SEALED_VERSION, len(self._active))) + self._active.encode("ascii")
        iv = self._random_bytes(IV_BYTES)
        return header + iv + sm4_gcm_seal(self._keys[self._active], iv, plain, aad=header + aad)

    def open(self, sealed: bytes, *, aad: bytes) -> bytes:
        """Return what was sealed; raise `DecryptionFailed` for another place, a changed bit, or an unknown key."""
        name = self.key_of(sealed)
        key = self._keys.get(name)
        if key is None:
            raise DecryptionFailed(rule="unknown_key")
        start = 2 + len(name)
        header, iv, body = sealed[:start], sealed[start : start + IV_BYTES], sealed[start + IV_BYTES :]
        if len(body) < TAG_BYTES:
            raise DecryptionFailed(rule="form")
        return sm4_gcm_open(key, iv, body, aad=header + aad)

    @staticmethod
    def key_of(sealed: bytes) -> str:
        """Return the name of the key a value was sealed under, so that a rotation finds what is left to re-seal."""
        if len(sealed) < 2 or sealed[0] != SEALED_VERSION or len(sealed) < 2 + sealed[1]:
            raise DecryptionFailed(rule="form")
        try:
            return sealed[2 : 2 + sealed[1]].decode("ascii")
        except UnicodeDecodeError:
            raise DecryptionFailed(rule="form") from None


class BlindIndex:
    """Equality search over sealed fields: a keyed hash that says nothing without the key."""

    def __init__(self, key: bytes) -> None:
        """Take a key of at least 32 bytes that seals nothing else."""
        if len(key) < BLIND_INDEX_KEY_BYTES:
            raise KeyRefused(field="key", rule="length")
        self._key = bytes(key)

    def index(self, domain: str, value: str) -> bytes:
        """Return 32 bytes. `domain` names the field; the caller has brought the value to its one form (NFKC, trimmed)."""
        name = domain.encode("utf-8")
        # The length in front keeps ("ab", "c") and ("a", "bc") apart.
        return hmac_sm3(self._key, len(name).to_bytes(2, "big") + name + value.encode("utf-8"))
