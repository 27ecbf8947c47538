"""The receipt: everything needed to believe, offline and for decades, that an entry stands in the log.

The entry's bytes, its place, the paths of both trees, the signed checkpoint, and the anchors of that checkpoint. Its
file is canonical JSON (RFC 8785) and nothing but: every byte of it is either checked or makes it unreadable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from crypto.canonical import jcs
from crypto.encoding import b64u_decode, b64u_encode, json_strict
from crypto.errors import TrustError
from crypto.keys import PublicKey
from ledger.anchor import MAX_STATEMENT_CHARS, AnchorEvidence, require_binds, verify_evidence
from ledger.checkpoint import Checkpoint, LogIdentity, verify_checkpoint
from ledger.entry import MAX_BODY_BYTES
from ledger.errors import ReceiptRefused
from ledger.merkle import HASH_BYTES, MAX_TREE_SIZE, HashAlg, leaf_hash, verify_inclusion
from ledger.note import MAX_NOTE_BYTES

RECEIPT_TYPE: Final = "edutrust-receipt/1"

# A body in base64url, two paths of at most 63 hashes, a note and a few anchors stay well below.
MAX_RECEIPT_BYTES: Final = 512 * 1024
MAX_PATH: Final = 63
MAX_ANCHORS: Final = 16

_MEMBERS: Final = frozenset({"anchors", "body", "checkpoint", "index", "origin", "sha256_path", "sm3_path", "type"})


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt as parsed, nothing of it believed yet. Paths are lowest sibling first; anchors are signed statements."""

    origin: str
    leaf_index: int
    body: bytes
    path_sm3: tuple[bytes, ...]
    path_sha256: tuple[bytes, ...]
    checkpoint_note: bytes
    anchors: tuple[str, ...]

    @classmethod
    def parse(cls, data: bytes) -> Receipt:
        """Parse a receipt file. Anything but its canonical bytes raises ReceiptRefused."""
        if len(data) > MAX_RECEIPT_BYTES:
            raise ReceiptRefused(field="receipt", rule="length", most=MAX_RECEIPT_BYTES)
        try:
            value = json_strict(data)
        except TrustError as error:
            raise ReceiptRefused(field="receipt", rule="json") from error
        receipt = cls.from_value(value)
        if receipt.to_json() != data:
            raise ReceiptRefused(field="receipt", rule="canonical")
        return receipt

    @classmethod
    def from_value(cls, value: object) -> Receipt:
        """Parse a receipt already read as JSON, as a bundle carries it. Raises ReceiptRefused."""
        if not isinstance(value, dict) or value.keys() != _MEMBERS:
            raise ReceiptRefused(field="receipt", rule="members")
        if value["type"] != RECEIPT_TYPE:
            raise ReceiptRefused(field="type", rule="known")
        index, origin = value["index"], value["origin"]
        if type(index) is not int or not 0 <= index < MAX_TREE_SIZE:
            raise ReceiptRefused(field="index", rule="range")
        if not isinstance(origin, str):
            raise ReceiptRefused(field="origin", rule="form")
        return cls(
            origin,
            index,
            _octets(value["body"], "body", most=MAX_BODY_BYTES),
            _path(value["sm3_path"], "sm3_path"),
            _path(value["sha256_path"], "sha256_path"),
            _note(value["checkpoint"]),
            _anchors(value["anchors"]),
        )

    def to_json(self) -> bytes:
        """Return the receipt's one canonical encoding."""
        return jcs(self.to_value())

    def to_value(self) -> dict[str, object]:
        """Return the JSON value, for embedding in a bundle that is canonical itself."""
        return {
            "anchors": list(self.anchors),
            "body": b64u_encode(self.body),
            "checkpoint": self.checkpoint_note.decode(),
            "index": self.leaf_index,
            "origin": self.origin,
            "sha256_path": [b64u_encode(digest) for digest in self.path_sha256],
            "sm3_path": [b64u_encode(digest) for digest in self.path_sm3],
            "type": RECEIPT_TYPE,
        }


@dataclass(frozen=True, slots=True)
class LogTrust:
    """Whom a verifier believes: logs by origin, anchor witnesses by kid."""

    logs: Mapping[str, LogIdentity]
    anchor_witnesses: Mapping[str, PublicKey]


@dataclass(frozen=True, slots=True)
class VerifiedEntry:
    """An entry proved to stand in the log.

    `anchored_at` is the earliest time any anchor names (seconds since the epoch), None where the receipt has no anchor.
    """

    body: bytes
    index: int
    checkpoint: Checkpoint
    anchored_at: int | None
    anchors: tuple[AnchorEvidence, ...]


def verify_receipt(receipt: Receipt, *, trust: LogTrust) -> VerifiedEntry:
    """Prove a receipt against the log's and the witnesses' keys.

    Raises ReceiptRefused (a log that is not trusted), CheckpointRefused, ProofRefused or AnchorRefused. Every anchor the
    receipt carries must verify, also where fewer would have been enough.
    """
    # 1. the log is one the verifier knows, and the checkpoint is signed by it
    log = trust.logs.get(receipt.origin)
    if log is None:
        raise ReceiptRefused(field="origin", rule="trusted")
    checkpoint = verify_checkpoint(receipt.checkpoint_note, log=log)
    # 2. the entry stands at its index in both trees
    for alg, path in ((HashAlg.SM3, receipt.path_sm3), (HashAlg.SHA256, receipt.path_sha256)):
        leaf, root = leaf_hash(alg, receipt.body), checkpoint.root(alg)
        verify_inclusion(alg, index=receipt.leaf_index, size=checkpoint.size, leaf=leaf, path=path, root=root)
    # 3. each anchor is a witness's word on exactly this checkpoint
    anchors = tuple(verify_evidence(one, witnesses=trust.anchor_witnesses) for one in receipt.anchors)
    for evidence in anchors:
        require_binds(evidence, checkpoint)
    anchored_at = min((evidence.time for evidence in anchors), default=None)
    return VerifiedEntry(receipt.body, receipt.leaf_index, checkpoint, anchored_at, anchors)


def _octets(value: object, field: str, *, most: int) -> bytes:
    if not isinstance(value, str):
        raise ReceiptRefused(field=field, rule="form")
    try:
        data = b64u_decode(value)
    except TrustError as error:
        raise ReceiptRefused(field=field, rule="base64url") from error
    if not 1 <= len(data) <= most:
        raise ReceiptRefused(field=field, rule="length", most=most)
    return data


def _path(value: object, field: str) -> tuple[bytes, ...]:
    if not isinstance(value, list) or len(value) > MAX_PATH:
        raise ReceiptRefused(field=field, rule="length", most=MAX_PATH)
    path = tuple(_octets(digest, field, most=HASH_BYTES) for digest in value)
    if any(len(digest) != HASH_BYTES for digest in path):
        raise ReceiptRefused(field=field, rule="hash_length")
    return path


def _note(value: object) -> bytes:
    if not isinstance(value, str) or len(value) > MAX_NOTE_BYTES:
        raise ReceiptRefused(field="checkpoint", rule="form")
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise ReceiptRefused(field="checkpoint", rule="utf8") from error


def _anchors(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MAX_ANCHORS:
        raise ReceiptRefused(field="anchors", rule="length", most=MAX_ANCHORS)
    anchors = tuple(one for one in value if isinstance(one, str) and len(one) <= MAX_STATEMENT_CHARS)
    if len(anchors) != len(value) or len(set(anchors)) != len(anchors):
        raise ReceiptRefused(field="anchors", rule="form")
    return anchors
