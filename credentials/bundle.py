"""The one canonical artefact a holder carries: credential, opening, receipt, status snapshot and accreditation.

Canonical JSON (RFC 8785) and nothing else: what does not encode back to the same bytes is no bundle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from credentials.errors import Unreadable
from crypto.canonical import jcs
from crypto.encoding import b64u_decode, b64u_encode, json_strict
from crypto.errors import TrustError
from ledger.receipt import Receipt

BUNDLE_TYPE: Final = "edutrust-bundle/1"
MAX_BUNDLE_BYTES: Final = 2 << 20  # a status list of 2^20 entries takes up to 350 kB, a receipt up to 512 kB
OPENING_BYTES: Final = 16
_MEMBERS: Final = frozenset({"accreditation", "opening", "presentation", "receipt", "status", "type"})


@dataclass(frozen=True, slots=True)
class Bundle:
    """`presentation` is the compact SD-JWT, `opening` the 16-byte salt of the log's commitment, `status` a snapshot."""

    presentation: str
    opening: bytes
    receipt: Receipt
    status: str
    accreditation: tuple[str, ...]

    def to_bytes(self) -> bytes:
        """Return the bundle's one encoding."""
        return jcs(
            {
                "accreditation": list(self.accreditation),
                "opening": b64u_encode(self.opening),
                "presentation": self.presentation,
                "receipt": self.receipt.to_value(),
                "status": self.status,
                "type": BUNDLE_TYPE,
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> Bundle:
        """Read a bundle. Raises `Unreadable`: too_long, json, members, type, canonical, and form of a member."""
        if len(data) > MAX_BUNDLE_BYTES:
            raise Unreadable(rule="too_long")
        try:
            value = json_strict(data)
        except TrustError as error:
            raise Unreadable(rule="json") from error
        if not isinstance(value, dict) or value.get("type") != BUNDLE_TYPE:
            raise Unreadable(field="type", rule="type")
        if value.keys() != _MEMBERS:
            raise Unreadable(rule="members")
        presentation, status, chain, opening = (
            value[n] for n in ("presentation", "status", "accreditation", "opening")
        )
        if not isinstance(presentation, str) or not isinstance(status, str) or not isinstance(opening, str):
            raise Unreadable(rule="form")
        if not isinstance(chain, list) or not all(isinstance(one, str) for one in chain):
            raise Unreadable(field="accreditation", rule="form")
        try:
            salt, receipt = b64u_decode(opening), Receipt.from_value(value["receipt"])
        except TrustError as error:
            raise Unreadable(field=error.field, rule="form") from error
        if len(salt) != OPENING_BYTES:
            raise Unreadable(field="opening", rule="form")
        bundle = cls(presentation, salt, receipt, status, tuple(str(one) for one in chain))
        # One meaning, one encoding: blanks, member order, escapes and number forms are all fixed.
        if bundle.to_bytes() != data:
            raise Unreadable(rule="canonical")
        return bundle
