"""The C2SP signed note: a text, an empty line, and one line for each signature. Parsed to the byte or refused."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from crypto.encoding import b64_decode
from crypto.errors import EncodingRefused
from ledger.errors import CheckpointRefused

# A checkpoint has five short lines; signatures are the log's two and at most a page of witnesses'.
MAX_NOTE_BYTES: Final = 8192
MAX_SIGNATURES: Final = 32

KEY_ID_BYTES: Final = 4
ED25519_NOTE_TYPE: Final = b"\x01"
# 0xff is the type without a registered meaning; a long identifier after it says what is meant (C2SP signed-note).
SM2_NOTE_TYPE: Final = b"\xffedutrust/sm2-with-sm3/1"

_SIGNATURE_LINE: Final = re.compile(r"— ([^\s+]{1,255}) ([A-Za-z0-9+/]+={0,2})\Z")


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: the key's name, its 4-byte id, the signature's bytes."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A text that ends in a line feed, and its signature lines in order."""

    text: str
    signatures: tuple[NoteSignature, ...]


def key_id(name: str, note_type: bytes, public: bytes) -> bytes:
    """Return the 4-byte id of a note key: SHA-256(name, LF, type, public key), truncated (C2SP signed-note)."""
    return hashlib.sha256(name.encode() + b"\n" + note_type + public).digest()[:KEY_ID_BYTES]


def encode_note(text: str, signatures: Sequence[NoteSignature]) -> bytes:
    """Return the note's bytes. `text` ends in a line feed."""
    lines = "".join(f"— {one.name} {b64_encode(one.key_id + one.signature)}\n" for one in signatures)
    return f"{text}\n{lines}".encode()


def parse_note(data: bytes) -> Note:
    """Parse a note; anything that is not byte for byte what `encode_note` writes raises CheckpointRefused.

    Every line is matched whole and base64 has one form only, so what parses encodes to the same bytes again.
    """
    if len(data) > MAX_NOTE_BYTES:
        raise CheckpointRefused(field="note", rule="length", most=MAX_NOTE_BYTES)
    try:
        whole = data.decode()
    except UnicodeDecodeError as error:
        raise CheckpointRefused(field="note", rule="utf8") from error
    body, separator, tail = whole.rpartition("\n\n")
    lines = tail.split("\n")
    if not separator or not body or lines.pop() != "" or not 1 <= len(lines) <= MAX_SIGNATURES:
        raise CheckpointRefused(field="note", rule="form")
    return Note(body + "\n", tuple(_parse_signature(line) for line in lines))


def b64_encode(data: bytes) -> str:
    """Return standard padded base64, as notes and checkpoints carry."""
    return base64.b64encode(data).decode("ascii")


def _parse_signature(line: str) -> NoteSignature:
    match = _SIGNATURE_LINE.match(line)
    if match is None:
        raise CheckpointRefused(field="signature", rule="form")
    try:
        blob = b64_decode(match[2])
    except EncodingRefused as error:
        raise CheckpointRefused(field="signature", rule="base64") from error
    if len(blob) <= KEY_ID_BYTES:
        raise CheckpointRefused(field="signature", rule="length")
    return NoteSignature(match[1], blob[:KEY_ID_BYTES], blob[KEY_ID_BYTES:])
