"""Sealed columns (SM4-GCM), the blind indexes they are searched by (HMAC-SM3), and sealed streams.

A sealed value is: version byte, length and name of its key, 12-byte IV, ciphertext and 16-byte tag. Version and key
name are authenticated together with the caller's associated data (table, column and row), so a value moved to another
row does not open. The IV is random; one key seals at most 2^32 values (NIST SP 800-38D §8.3), then a new key takes over.

A sealed stream is a row of chunks under a key used for nothing else; each chunk's IV holds its number and whether it is
the last, so chunks cut off, repeated or exchanged do not open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final, Protocol

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
STREAM_PREFIX_BYTES: Final = 7
# A key shorter than the hash weakens HMAC (RFC 2104 §3).
BLIND_INDEX_KEY_BYTES: Final = 32


def sm4_gcm_seal(key: bytes, iv: bytes, plain: bytes, *, aad: bytes) -> bytes:
    """Return ciphertext‖tag. The key has 16 bytes, the IV exactly 12; the caller never uses an IV twice."""
    _check_sm4(key, iv)
    encryptor = Cipher(algorithms.SM4(key), modes.GCM(iv)).encryptor()
    encryptor.authenticate_additional_data(aad)
    ciphertext = encryptor.update(plain)
    encryptor.finalize()  # GCM holds nothing back
    return ciphertext + encryptor.tag


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


@lru_cache(maxsize=64)  # names of our own keys, a handful; each sealing asks
def sealed_prefix(name: str) -> bytes:
    """Return the bytes every value sealed under the key of that name begins with; no other key's values do."""
    if not name.isascii() or not name.isprintable() or not 1 <= len(name) <= MAX_KEY_NAME_BYTES:
        raise KeyRefused(field="key_name", rule="form")
    return bytes((SEALED_VERSION, len(name))) + name.encode("ascii")


class SealingKeys(Protocol):
    """Where a sealer finds its keys at each use, so that a key added while the service runs seals from its time on."""

    def sealing(self) -> tuple[str, bytes]:
        """Return name and key that seal now. May raise the refusal of a ring that cannot say which key that is."""

    def opening(self, name: str) -> bytes | None:
        """Return the key of that name, or None where it is not known."""


class FixedKeys:
    """Keys that do not change: a mapping and the name of the one that seals."""

    def __init__(self, keys: Mapping[str, bytes], active: str) -> None:
        """Take 16-byte keys by name; raise `KeyRefused` for a wrong length or name."""
        for name, key in keys.items():
            if len(key) != SM4_KEY_BYTES:
                raise KeyRefused(field="key", rule="length")
            sealed_prefix(name)
        if active not in keys:
            raise KeyRefused(field="active", rule="unknown_key")
        self._keys = MappingProxyType(dict(keys))
        self._active = active

    def sealing(self) -> tuple[str, bytes]:
        """See `SealingKeys.sealing`."""
        return self._active, self._keys[self._active]

    def opening(self, name: str) -> bytes | None:
        """See `SealingKeys.opening`."""
        return self._keys.get(name)


class ColumnSealer:
    """Seals under the active key and opens what any known key sealed."""

    def __init__(self, keys: Mapping[str, bytes], active: str, random_bytes: RandomBytes) -> None:
        """Take 16-byte keys by name and the name that seals; raise `KeyRefused` for a wrong length or name."""
        self._ring: SealingKeys = FixedKeys(keys, active)
        self._random_bytes = random_bytes

    @property
    def active(self) -> str:
        """The name of the key that seals."""
        return self._ring.sealing()[0]

    def seal(self, plain: bytes, *, aad: bytes) -> bytes:
        """Return the sealed value. `aad` names where it stands: table, column and row."""
        name, key = self._ring.sealing()
        header = sealed_prefix(name)
        iv = self._random_bytes(IV_BYTES)
        return header + iv + sm4_gcm_seal(key, iv, plain, aad=header + aad)

    def open(self, sealed: bytes, *, aad: bytes) -> bytes:
        """Return what was sealed; raise `DecryptionFailed` for another place, a changed bit, or an unknown key."""
        name = self.key_of(sealed)
        key = self._ring.opening(name)
        if key is None:
            raise DecryptionFailed(rule="unknown_key")
        start = 2 + len(name)
        header, iv, body = sealed[:start], sealed[start : start + IV_BYTES], sealed[start + IV_BYTES :]
        if len(body) < TAG_BYTES:
            raise DecryptionFailed(rule="form")
        return sm4_gcm_open(key, iv, body, aad=header + aad)

    def reseal(self, sealed: bytes, *, aad: bytes) -> bytes:
        """Return the same value under the active key; raise `DecryptionFailed` where it does not open."""
        return self.seal(self.open(sealed, aad=aad), aad=aad)

    @staticmethod
    def key_of(sealed: bytes) -> str:
        """Return the name of the key a value was sealed under, so that a rotation finds what is left to re-seal."""
        if len(sealed) < 2 or sealed[0] != SEALED_VERSION or len(sealed) < 2 + sealed[1]:
            raise DecryptionFailed(rule="form")
        try:
            return sealed[2 : 2 + sealed[1]].decode("ascii")
        except UnicodeDecodeError:
            raise DecryptionFailed(rule="form") from None


class RingSealer(ColumnSealer):
    """A sealer that asks its ring for the key each time."""

    def __init__(self, ring: SealingKeys, random_bytes: RandomBytes) -> None:
        self._ring = ring
        self._random_bytes = random_bytes


class StreamSealer:
    """Seals or opens the chunks of one stream, in order, under a key that serves this stream alone.

    The IV is 7 bytes of the stream, the chunk's number in 4 and one that is 1 for the last chunk (the STREAM
    construction of Hoang, Reyhanitabar, Rogaway and Vizár, CRYPTO 2015). One object seals or opens one stream once.
    """

    def __init__(self, key: bytes, prefix: bytes, *, aad: bytes) -> None:
        """`key` of 16 bytes, fresh for this stream; `prefix` of 7 bytes; `aad` is bound to every chunk."""
        if len(prefix) != STREAM_PREFIX_BYTES:
            raise KeyRefused(field="prefix", rule="length")
        self._key = key
        self._prefix = prefix
        self._aad = aad
        self._number = 0
        self._ended = False

    def seal(self, plain: bytes, *, last: bool) -> bytes:
        """Return the next chunk sealed; raise `KeyRefused` after the last one or beyond 2^32 chunks."""
        return sm4_gcm_seal(self._key, self._next_iv(last=last), plain, aad=self._aad)

    def open(self, sealed: bytes, *, last: bool) -> bytes:
        """Return the next chunk opened; raise `DecryptionFailed` for any other chunk, order, or end."""
        return sm4_gcm_open(self._key, self._next_iv(last=last), sealed, aad=self._aad)

    def _next_iv(self, *, last: bool) -> bytes:
        if self._ended or self._number >= 1 << 32:
            raise KeyRefused(field="stream", rule="ended")
        iv = self._prefix + self._number.to_bytes(4, "big") + bytes((last,))
        self._number += 1
        self._ended = last
        return iv


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
