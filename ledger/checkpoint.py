"""The checkpoint: what the log promises about all its entries, in one signed note for both trees.

A C2SP tlog-checkpoint whose root line is the SHA-256 root, so that stock clients and witnesses read it, with two
extension lines: `sm3 <root>` for the tree that decides under the national profile, and `time <seconds>`.
The SM2 signature covers the whole text, and so both roots.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from crypto.encoding import b64_decode, b64u_decode
from crypto.errors import TrustError
from crypto.keys import PublicKey, SigningKey
from crypto.suites import Alg
from ledger.errors import CheckpointRefused
from ledger.merkle import HASH_BYTES, MAX_TREE_SIZE, HashAlg
from ledger.note import (
    ED25519_NOTE_TYPE,
    SM2_NOTE_TYPE,
    NoteSignature,
    b64_encode,
    encode_note,
    key_id,
    parse_note,
)

# A key name of a note: printable, no blank and no plus (C2SP signed-note); a schema-less URL by custom.
_ORIGIN: Final = re.compile(r"[!-*,-~]{1,200}\Z")
_DECIMAL: Final = re.compile(r"(?:0|[1-9][0-9]{0,18})\Z")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's state: its `origin`, number of leaves, 32-byte roots of both trees, seconds since the epoch (UTC)."""

    origin: str
    size: int
    root_sha256: bytes
    root_sm3: bytes
    time: int

    def __post_init__(self) -> None:
        require_origin(self.origin)
        if not 0 <= self.size <= MAX_TREE_SIZE or self.time < 0:
            raise CheckpointRefused(field="size", rule="range")
        if len(self.root_sha256) != HASH_BYTES or len(self.root_sm3) != HASH_BYTES:
            raise CheckpointRefused(field="root", rule="length")

    def root(self, alg: HashAlg) -> bytes:
        """Return the root of one of the trees."""
        return self.root_sm3 if alg is HashAlg.SM3 else self.root_sha256

    def text(self) -> str:
        """Return the signed text of the note, its last line feed included."""
        return (
            f"{self.origin}\n{self.size}\n{b64_encode(self.root_sha256)}\n"
            f"sm3 {b64_encode(self.root_sm3)}\ntime {self.time}\n"
        )


@dataclass(frozen=True, slots=True)
class LogIdentity:
    """A log as its verifier knows it: `origin` and public keys. A log that signs with both keys is known by both."""

    origin: str
    sm2: PublicKey
    ed25519: PublicKey | None

    def __post_init__(self) -> None:
        require_origin(self.origin)
        if self.sm2.alg is not Alg.SGD_SM3_SM2 or (self.ed25519 is not None and self.ed25519.alg is not Alg.EDDSA):
            raise CheckpointRefused(field="key", rule="algorithm")

    def note_keys(self) -> dict[bytes, PublicKey]:
        """Return the log's keys by their note key ids."""
        keys = {_sm2_key_id(self.origin, self.sm2): self.sm2}
        if self.ed25519 is not None:
            keys[_ed25519_key_id(self.origin, self.ed25519)] = self.ed25519
        return keys


def require_origin(origin: str) -> None:
    """Refuse a name that could not be a note's key name."""
    if _ORIGIN.match(origin) is None:
        raise CheckpointRefused(field="origin", rule="form")


def sign_checkpoint(checkpoint: Checkpoint, *, sm2_key: SigningKey, ed25519_key: SigningKey | None) -> bytes:
    """Return the checkpoint's note, signed with SM2 and, where the log has one, with Ed25519 for stock witnesses.

    Signs what it is given: that the roots are true is the sequencer's duty.
    """
    text = checkpoint.text()
    data, origin = text.encode(), checkpoint.origin
    signatures = [NoteSignature(origin, _sm2_key_id(origin, sm2_key.public), sm2_key.sign(data))]
    if ed25519_key is not None:
        key = _ed25519_key_id(origin, ed25519_key.public)
        signatures.append(NoteSignature(origin, key, ed25519_key.sign(data)))
    return encode_note(text, signatures)


def verify_checkpoint(note: bytes, *, log: LogIdentity) -> Checkpoint:
    """Return the checkpoint of a note signed by every key of the log.

    A signature line of a key that is not the log's is refused, not skipped: a byte nobody can check has no place in
    something that must verify as a whole. Raises CheckpointRefused.
    """
    parsed = parse_note(note)
    checkpoint = parse_checkpoint_text(parsed.text)
    if checkpoint.origin != log.origin:
        raise CheckpointRefused(field="origin", rule="equal")
    keys, data = log.note_keys(), parsed.text.encode()
    for signature in parsed.signatures:
        key = keys.pop(signature.key_id, None)
        if key is None or signature.name != log.origin:
            raise CheckpointRefused(field="signature", rule="known_key")
        try:
            key.verify(data, signature.signature)
        except TrustError as error:
            raise CheckpointRefused(field="signature", rule="valid") from error
    if keys:
        raise CheckpointRefused(field="signature", rule="complete")
    return checkpoint


def parse_checkpoint_text(text: str) -> Checkpoint:
    """Parse the five lines of a checkpoint; only its canonical text is one. Proves nothing about who signed."""
    lines = text.split("\n")
    if len(lines) != 6 or lines[5] or not lines[3].startswith("sm3 ") or not lines[4].startswith("time "):
        raise CheckpointRefused(field="note", rule="lines")
    size, time = lines[1], lines[4].removeprefix("time ")
    if _DECIMAL.match(size) is None or _DECIMAL.match(time) is None:
        raise CheckpointRefused(field="size", rule="decimal")
    try:
        root_sha256, root_sm3 = b64_decode(lines[2]), b64_decode(lines[3].removeprefix("sm3 "))
    except TrustError as error:
        raise CheckpointRefused(field="root", rule="base64") from error
    return Checkpoint(lines[0], int(size), root_sha256, root_sm3, int(time))


def _sm2_key_id(origin: str, key: PublicKey) -> bytes:
    point = b"\x04" + b64u_decode(key.jwk["x"]) + b64u_decode(key.jwk["y"])
    return key_id(origin, SM2_NOTE_TYPE, point)


def _ed25519_key_id(origin: str, key: PublicKey) -> bytes:
    return key_id(origin, ED25519_NOTE_TYPE, b64u_decode(key.jwk["x"]))
