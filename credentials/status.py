"""Token Status List (draft-ietf-oauth-status-list): two bits a credential, compressed, signed by the issuer.

0 valid, 1 invalid (we say revoked), 2 suspended; 3 is the draft's first application-specific value and says superseded.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from credentials.errors import StatusRefused
from crypto.canonical import jcs
from crypto.encoding import b64u_decode, b64u_encode, json_strict
from crypto.errors import EncodingRefused
from crypto.jws import sign_jws, verify_jws
from crypto.keys import PublicKey, SigningKey
from crypto.suites import Policy

BITS: Final = 2
# Section 13.4 advises against lists too large to fetch; 2^20 entries of 8 bits, the longest of the draft's own vectors,
# are 1 MiB. The bound is what stands against a zip bomb (security.md 35).
MAX_LIST_BYTES: Final = 1 << 20
_WIDTHS: Final = frozenset({1, 2, 4, 8})


class Status(IntEnum):
    """The four values of a two-bit list."""

    VALID = 0
    REVOKED = 1
    SUSPENDED = 2
    SUPERSEDED = 3


@dataclass(frozen=True, slots=True)
class StatusList:
    """A list of `bits`-wide values, packed from the least significant bit of each byte (section 4.1)."""

    bits: int
    packed: bytes

    def __len__(self) -> int:
        return len(self.packed) * 8 // self.bits

    def value(self, index: int) -> int:
        """Return the value at a 0-based index. Raises `StatusRefused` with rule `index` beyond the end."""
        if not 0 <= index < len(self):
            raise StatusRefused(field="idx", rule="index")
        bit = index * self.bits
        return (self.packed[bit // 8] >> (bit % 8)) & ((1 << self.bits) - 1)

    def encode(self) -> dict[str, int | str]:
        """Return the `status_list` claim (section 4.2)."""
        return {"bits": self.bits, "lst": b64u_encode(zlib.compress(self.packed, 9))}


def pack(size: int, values: Mapping[int, int]) -> StatusList:
    """Return a two-bit list of `size` entries, 0 where `values` has none. `size` is a multiple of 4."""
    packed = bytearray(size * BITS // 8)
    for index, value in values.items():
        packed[index // 4] |= value << (index % 4 * BITS)
    return StatusList(BITS, bytes(packed))


def parse_list(claim: object) -> StatusList:
    """Read a `status_list` claim. Raises `StatusRefused`: form, bits, encoding, zlib."""
    if not isinstance(claim, dict) or not isinstance(claim.get("lst"), str):
        raise StatusRefused(field="status_list", rule="form")
    bits = claim.get("bits")
    if type(bits) is not int or bits not in _WIDTHS:
        raise StatusRefused(field="bits", rule="bits")
    try:
        compressed = b64u_decode(claim["lst"])
        inflate = zlib.decompressobj()
        packed = inflate.decompress(compressed, MAX_LIST_BYTES)
    except (EncodingRefused, zlib.error) as error:
        raise StatusRefused(field="lst", rule="encoding") from error
    if not inflate.eof or inflate.unused_data:
        raise StatusRefused(field="lst", rule="zlib")
    return StatusList(bits, packed)


@dataclass(frozen=True, slots=True)
class StatusReference:
    """Where a credential's status stands (section 6.2): the list's address and the credential's place in it."""

    uri: str
    index: int


def reference_of(claims: Mapping[str, Any]) -> StatusReference:
    """Return the `status.status_list` reference of a credential. Raises `StatusRefused` with rule `reference`."""
    status = claims.get("status")
    reference = status.get("status_list") if isinstance(status, dict) else None
    if isinstance(reference, dict):
        uri, index = reference.get("uri"), reference.get("idx")
        if isinstance(uri, str) and type(index) is int and index >= 0:
            return StatusReference(uri, index)
    raise StatusRefused(field="status", rule="reference")


@dataclass(frozen=True, slots=True)
class StatusSnapshot:
    """A verified status list token: what its issuer said at `issued_at`; `expires_at` and `ttl` in seconds, or None."""

    uri: str
    issued_at: int
    expires_at: int | None
    ttl: int | None
    statuses: StatusList


@dataclass(frozen=True, slots=True)
class CurrentStatus:
    """What an online verifier found at a status list's address just now; `token` None where it could not be had."""

    uri: str
    token: str | None


def sign_status_token(
    statuses: StatusList, *, uri: str, issued_at: int, expires_at: int, ttl: int, key: SigningKey, policy: Policy
) -> str:
    """Return the status list token (section 5.1)."""
    claims = {
        "sub": uri,
        "iat": issued_at,
        "exp": expires_at,
        "ttl": ttl,
        "status_list": statuses.encode(),
    }
    return sign_jws(jcs(claims), key=key, policy=policy)


def verify_status_token(token: str, *, uri: str, keys: Mapping[str, PublicKey], policy: Policy) -> StatusSnapshot:
    """Verify a status list token of exactly this address (section 8.3, steps 3 to 5). Times are the caller's to judge.

    Raises `StatusRefused` (claims, sub, and those of `parse_list`) and the refusals of `crypto.jws`.
    """
    try:
        claims = json_strict(verify_jws(token, keys=keys, policy=policy).payload)
    except EncodingRefused as error:
        raise StatusRefused(field="token", rule="encoding") from error
    if not isinstance(claims, dict):
        raise StatusRefused(field="token", rule="claims")
    if claims.get("sub") != uri:
        raise StatusRefused(field="sub", rule="sub")
    issued_at, expires_at, ttl = claims.get("iat"), claims.get("exp"), claims.get("ttl")
    if type(issued_at) is not int:
        raise StatusRefused(field="iat", rule="claims")
    if (expires_at is not None and type(expires_at) is not int) or (
        ttl is not None and (type(ttl) is not int or ttl <= 0)
    ):
        raise StatusRefused(field="exp", rule="claims")
    return StatusSnapshot(
        uri,
        issued_at,
        expires_at if isinstance(expires_at, int) else None,
        ttl if isinstance(ttl, int) else None,
        parse_list(claims.get("status_list")),
    )
