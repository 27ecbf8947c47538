"""What a follower keeps: the pinned keys with the newest checkpoint, and the evidence of an alarm.

All of it is canonical JSON, the pinned log as a `log.json` inside it. A state is believed only as far as its note verifies under its own keys; the keys are what
must be kept safe, as a verifier's trust file must.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from crypto.canonical import jcs
from crypto.encoding import b64u_decode, b64u_encode, json_object
from crypto.errors import TrustError
from ledger.checkpoint import LogIdentity
from ledger.errors import CheckpointRefused
from ledger.follow import Divergence, Judgement, Seen, see
from ledger.merkle import HASH_BYTES, HashAlg
from ledger.publication_document import LogDocument

STATE_TYPE: Final = "edutrust-follow/1"
CONFLICT_TYPE: Final = "edutrust-conflict/1"

# Two keys and a note; a log.json may also list its witnesses.
MAX_STATE_BYTES: Final = 64 * 1024

_MEMBERS: Final = frozenset({"log", "note", "type"})


@dataclass(frozen=True, slots=True)
class FollowState:
    """The log as pinned at the first round, and the newest checkpoint that was verified since."""

    log: LogIdentity
    held: Seen

    def to_json(self) -> bytes:
        """Return the state's one encoding."""
        document = LogDocument(self.log, {}).to_json()
        return jcs({"type": STATE_TYPE, "log": document.decode(), "note": self.held.note.decode()})

    @classmethod
    def parse(cls, data: bytes) -> FollowState:
        """Parse a state and verify its note under its keys. Raises CheckpointRefused."""
        value = _object(data)
        document, note = value.get("log"), value.get("note")
        known = value.keys() == _MEMBERS and value["type"] == STATE_TYPE
        if not known or not isinstance(document, str) or not isinstance(note, str):
            raise CheckpointRefused(field="state", rule="members")
        log = LogDocument.parse(document.encode(errors="replace")).identity
        state = cls(log, see(note.encode(errors="replace"), log))
        if state.to_json() != data:
            raise CheckpointRefused(field="state", rule="canonical")
        return state

    def advanced(self, keep: Seen) -> FollowState:
        """Return the state that holds `keep`. Raises CheckpointRefused where that would move it backwards."""
        old, new = self.held.checkpoint, keep.checkpoint
        if (new.size, new.time) < (old.size, old.time):
            raise CheckpointRefused(field="state", rule="not_backwards")
        return FollowState(self.log, keep)


def is_state(data: bytes) -> bool:
    """Say whether a file means to be a state, rather than a `log.json`."""
    try:
        return _object(data).get("type") == STATE_TYPE
    except CheckpointRefused:
        return False


def evidence_files(judged: Judgement) -> dict[str, bytes]:
    """Return what a third party needs to see an alarm, by file name: both notes, and for a fork the proof.

    Names come from the content, so that the same alarm seen twice is written once. Empty where there is nothing that
    the log signed twice.
    """
    if judged.held is None or judged.seen is None or judged.verdict.good:
        return {}
    files = {_note_name(one): one.note for one in (judged.held, judged.seen)}
    conflict = {
        "type": CONFLICT_TYPE,
        "verdict": judged.verdict.value,
        "held": _note_name(judged.held),
        "seen": _note_name(judged.seen),
        "trees": [alg.value for alg in judged.trees],
        "divergences": [
            {
                "alg": one.alg.value,
                "root": b64u_encode(one.root),
                "proof": [b64u_encode(digest) for digest in one.proof],
            }
            for one in judged.divergences
        ],
    }
    data = jcs(conflict)
    return files | {f"{judged.verdict.value}-{hashlib.sha256(data).hexdigest()[:16]}.json": data}


def parse_divergences(data: bytes) -> tuple[Divergence, ...]:
    """Return the proofs of a conflict document. Raises CheckpointRefused."""
    value = _object(data)
    listed = value.get("divergences")
    if value.get("type") != CONFLICT_TYPE or not isinstance(listed, list):
        raise CheckpointRefused(field="conflict", rule="members")
    return tuple(_parse_divergence(one) for one in listed)


def _parse_divergence(value: object) -> Divergence:
    if not isinstance(value, dict) or value.keys() != {"alg", "root", "proof"} or not isinstance(value["proof"], list):
        raise CheckpointRefused(field="conflict", rule="members")
    try:
        alg = HashAlg(str(value["alg"]))
    except ValueError as error:
        raise CheckpointRefused(field="conflict", rule="known_tree") from error
    return Divergence(alg, _hash(value["root"]), tuple(_hash(one) for one in value["proof"]))


def _hash(value: object) -> bytes:
    try:
        digest = b64u_decode(value if isinstance(value, str) else "")
    except TrustError as error:
        raise CheckpointRefused(field="conflict", rule="base64url") from error
    if len(digest) != HASH_BYTES:
        raise CheckpointRefused(field="conflict", rule="hash_length")
    return digest


def _note_name(seen: Seen) -> str:
    return f"{seen.checkpoint.size}-{hashlib.sha256(seen.note).hexdigest()[:16]}.note"


def _object(data: bytes) -> Mapping[str, object]:
    if len(data) > MAX_STATE_BYTES:
        raise CheckpointRefused(field="state", rule="length", most=MAX_STATE_BYTES)
    try:
        return json_object(data)
    except TrustError as error:
        raise CheckpointRefused(field="state", rule="json") from error
