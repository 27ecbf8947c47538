"""What stands in the bundle files of a published log: entries, and beside them their idempotency keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from crypto.sm3 import sm3
from ledger.entry import KEY_BYTES
from ledger.errors import IntegrityBroken
from ledger.merkle import HASH_BYTES

_LENGTH_BYTES: Final = 2


def encode_bundle(bodies: Sequence[bytes]) -> bytes:
    """Return an entry bundle: each entry behind its length in 16 bits, big-endian (C2SP tlog-tiles)."""
    return b"".join(part for body in bodies for part in (len(body).to_bytes(_LENGTH_BYTES), body))


def parse_bundle(data: bytes, width: int) -> list[bytes]:
    """Return the `width` entries of a bundle. IntegrityBroken unless they fill it to the byte and none is empty."""
    bodies: list[bytes] = []
    at = 0
    while at < len(data):
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(data[at:start])
        bodies.append(data[start:at])
    if at != len(data) or len(bodies) != width or not all(bodies):
        raise IntegrityBroken(field="bundle", rule="form")
    return bodies


def encode_keys(keys: Sequence[bytes]) -> bytes:
    """Return a bundle of 32-byte idempotency keys, closed by the SM3 of them all."""
    joined = b"".join(keys)
    return joined + sm3(joined)


def parse_keys(data: bytes, width: int) -> list[bytes]:
    """Return the `width` keys of a bundle. IntegrityBroken where its digest or its length is another."""
    joined = data[:-HASH_BYTES]
    if len(joined) != width * KEY_BYTES or sm3(joined) != data[-HASH_BYTES:]:
        raise IntegrityBroken(field="keys", rule="digest")
    return [joined[at : at + KEY_BYTES] for at in range(0, len(joined), KEY_BYTES)]


def encode_digest(digest: bytes) -> bytes:
    """Return the digest of a pool's keys as a line of hexadecimal."""
    return digest.hex().encode() + b"\n"


def parse_digest(data: bytes) -> bytes:
    """Return the digest a line stands for. Raises IntegrityBroken."""
    try:
        digest = bytes.fromhex(data.decode("ascii"))
    except ValueError as error:
        raise IntegrityBroken(field="keys_digest", rule="form") from error
    if len(digest) != HASH_BYTES or encode_digest(digest) != data:
        raise IntegrityBroken(field="keys_digest", rule="form")
    return digest
