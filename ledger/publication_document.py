"""`log.json`: who a published log is. Its name and its keys, so that a copy of its files can be checked by itself.

It proves nothing about itself: whoever checks another's copy brings the keys along (`trust.json`, an earlier `log.json`)
and holds this file to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from crypto.canonical import jcs
from crypto.encoding import b64u_decode, json_strict
from crypto.errors import TrustError
from crypto.jwk import thumbprint
from crypto.keys import PublicKey, public_from_jwk
from crypto.suites import Alg
from ledger.checkpoint import LogIdentity
from ledger.errors import CheckpointRefused
from ledger.note import ED25519_NOTE_TYPE, SM2_NOTE_TYPE, b64_encode, key_id
from ledger.receipt import LogTrust

DOCUMENT_TYPE: Final = "edutrust-log/1"
# Two keys of the log and a handful of witnesses.
MAX_DOCUMENT_BYTES: Final = 64 * 1024
MAX_WITNESSES: Final = 64

_MEMBERS: Final = frozenset({"keys", "origin", "type", "witnesses"})


@dataclass(frozen=True, slots=True)
class LogDocument:
    """A log's name and keys, and the keys of the witnesses of its anchors by kid."""

    identity: LogIdentity
    witnesses: Mapping[str, PublicKey]

    @classmethod
    def parse(cls, data: bytes) -> LogDocument:
        """Parse a `log.json`. CheckpointRefused (field `log.json`) for anything but the canonical bytes of one."""
        if len(data) > MAX_DOCUMENT_BYTES:
            raise _refused("length")
        try:
            document = cls._from_value(json_strict(data))
        except CheckpointRefused:
            raise
        except TrustError as error:
            raise _refused("keys") from error
        if document.to_json() != data:
            raise _refused("canonical")
        return document

    @classmethod
    def _from_value(cls, value: object) -> LogDocument:
        if not isinstance(value, dict) or value.keys() != _MEMBERS or value["type"] != DOCUMENT_TYPE:
            raise _refused("members")
        origin, keys, witnesses = value["origin"], value["keys"], value["witnesses"]
        if not isinstance(origin, str) or not isinstance(keys, list) or not isinstance(witnesses, list):
            raise _refused("members")
        if not 1 <= len(keys) <= 2 or len(witnesses) > MAX_WITNESSES:
            raise _refused("keys")
        sm2 = _key(keys[0], Alg.SGD_SM3_SM2)
        ed25519 = _key(keys[1], Alg.EDDSA) if len(keys) == 2 else None
        trusted = [_key(one, Alg.SGD_SM3_SM2) for one in witnesses]
        return cls(LogIdentity(origin, sm2, ed25519), {key.kid: key for key in trusted})

    def to_json(self) -> bytes:
        """Return the one canonical encoding."""
        origin = self.identity.origin
        keys = [self.identity.sm2] if self.identity.ed25519 is None else [self.identity.sm2, self.identity.ed25519]
        return jcs(
            {
                "keys": [{"jwk": dict(key.jwk), "vkey": verifier_key(origin, key)} for key in keys],
                "origin": origin,
                "type": DOCUMENT_TYPE,
                "witnesses": [{"jwk": dict(self.witnesses[kid].jwk)} for kid in sorted(self.witnesses)],
            }
        )

    @property
    def trust(self) -> LogTrust:
        """The same as a verifier of receipts and anchors takes it."""
        return LogTrust({self.identity.origin: self.identity}, self.witnesses)


def verifier_key(origin: str, key: PublicKey) -> str:
    """Return a log's key as one line, `<name>+<key id>+<type and key>` (C2SP signed-note)."""
    if key.alg is Alg.EDDSA:
        note_type, public = ED25519_NOTE_TYPE, b64u_decode(key.jwk["x"])
    else:
        note_type, public = SM2_NOTE_TYPE, b"\x04" + b64u_decode(key.jwk["x"]) + b64u_decode(key.jwk["y"])
    return f"{origin}+{key_id(origin, note_type, public).hex()}+{b64_encode(note_type + public)}"


def _key(value: object, alg: Alg) -> PublicKey:
    jwk = value.get("jwk") if isinstance(value, dict) else None
    if not isinstance(jwk, dict):
        raise _refused("keys")
    key = public_from_jwk(jwk, alg=alg)
    # The key is named by its own hash, so that no byte of it changes unseen even where nothing is signed with it yet.
    if key.kid != thumbprint(key.jwk):
        raise _refused("kid")
    return key


def _refused(rule: str) -> CheckpointRefused:
    return CheckpointRefused(field="log.json", rule=rule)
