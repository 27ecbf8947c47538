"""Trust anchors: whom a verifier believes before it has read anything. The file `trust.json`, parsed once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from credentials.errors import TrustRefused
from credentials.public_keys import key_of_jwk
from crypto.canonical import jcs
from crypto.encoding import json_strict
from crypto.errors import TrustError
from crypto.keys import PublicKey
from ledger.checkpoint import LogIdentity
from ledger.receipt import LogTrust

TRUST_TYPE: Final = "edutrust-trust/1"
MAX_TRUST_BYTES: Final = 1 << 20  # a country has some 40 accreditors and logs; with statements a few hundred kB
_MEMBERS: Final = frozenset({"type", "accreditors", "logs", "anchor_witnesses", "statements"})


@dataclass(frozen=True, slots=True)
class TrustAnchors:
    """Root accreditors by id, logs by origin and anchor witnesses by kid.

    `statements` are the newest statements of accreditation the verifier knows of: they win over older ones of the same
    accreditor about the same subject that a bundle brings along, so that a compromise told since is not overlooked.
    """

    accreditors: Mapping[str, PublicKey]
    ledger: LogTrust
    statements: tuple[str, ...]

    def to_bytes(self) -> bytes:
        """Return the trust file."""
        return jcs(
            {
                "type": TRUST_TYPE,
                "accreditors": [{"id": name, "jwk": dict(key.jwk)} for name, key in self.accreditors.items()],
                "logs": [
                    {"origin": log.origin, "sm2": dict(log.sm2.jwk)}
                    | ({} if log.ed25519 is None else {"ed25519": dict(log.ed25519.jwk)})
                    for log in self.ledger.logs.values()
                ],
                "anchor_witnesses": [dict(key.jwk) for key in self.ledger.anchor_witnesses.values()],
                "statements": list(self.statements),
            }
        )


def _list(value: Mapping[str, Any], name: str) -> list[Any]:
    found = value.get(name, [])
    if not isinstance(found, list):
        raise TrustRefused(field=name, rule="list")
    return found


def _object(value: object, field: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TrustRefused(field=field, rule="object")
    return value


def _text(value: object, field: str) -> str:
    if not isinstance(value, str) or not value:
        raise TrustRefused(field=field, rule="text")
    return value


def parse_trust(data: bytes) -> TrustAnchors:
    """Read a trust file. Raises `TrustRefused`: too_long, json, type, member, list, object, text, twice, key."""
    if len(data) > MAX_TRUST_BYTES:
        raise TrustRefused(rule="too_long")
    try:
        value = json_strict(data)
    except TrustError as error:
        raise TrustRefused(rule="json") from error
    if not isinstance(value, dict) or value.get("type") != TRUST_TYPE:
        raise TrustRefused(field="type", rule="type")
    if not value.keys() <= _MEMBERS:
        raise TrustRefused(rule="member")
    try:
        return _anchors(value)
    except TrustRefused:
        raise
    except TrustError as error:
        raise TrustRefused(field=error.field, rule="key") from error


def _anchors(value: Mapping[str, Any]) -> TrustAnchors:
    accreditors: dict[str, PublicKey] = {}
    for one in _list(value, "accreditors"):
        entry = _object(one, "accreditors")
        name = _text(entry.get("id"), "id")
        if name in accreditors:
            raise TrustRefused(field="id", rule="twice")
        accreditors[name] = key_of_jwk(entry.get("jwk"))
    logs: dict[str, LogIdentity] = {}
    for one in _list(value, "logs"):
        entry = _object(one, "logs")
        origin = _text(entry.get("origin"), "origin")
        if origin in logs:
            raise TrustRefused(field="origin", rule="twice")
        ed25519 = entry.get("ed25519")
        logs[origin] = LogIdentity(
            origin, key_of_jwk(entry.get("sm2")), None if ed25519 is None else key_of_jwk(ed25519)
        )
    witnesses = [key_of_jwk(one) for one in _list(value, "anchor_witnesses")]
    statements = tuple(_text(one, "statements") for one in _list(value, "statements"))
    return TrustAnchors(accreditors, LogTrust(logs, {key.kid: key for key in witnesses}), statements)
