"""Strict PEM (RFC 7468 §3, "stricttextualmsg"): a label, base64 in lines of 64, nothing else in the file.

Line ends may be LF or CRLF. Refused: text around or between the blocks, headers inside them (the old encryption of
OpenSSL, "Proc-Type", derives its key with one round of MD5), other line lengths, and base64 that is not canonical.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import Final

from crypto.encoding import b64_decode
from crypto.errors import EncodingRefused

# A certificate or key file; a bundle of certificates takes some kilobytes a piece.
MAX_PEM_BYTES: Final = 1024 * 1024
# Parameters and key, or a chain with its intermediates; nobody hands over more by hand.
MAX_PEM_BLOCKS: Final = 64
PEM_LINE_CHARACTERS: Final = 64
PEM_BEGIN: Final = b"-----BEGIN "

_BEGIN_LINE: Final = re.compile(r"-----BEGIN ([A-Z0-9](?:[A-Z0-9 -]{0,62}[A-Z0-9])?)-----", re.ASCII)


@dataclass(frozen=True, slots=True)
class PemBlock:
    """One block: its label and the bytes inside."""

    label: str
    data: bytes = field(repr=False)


def looks_like_pem(data: bytes) -> bool:
    """Whether a file is meant as PEM. DER of ours is a SEQUENCE and begins with 30, whatever it holds."""
    return data[:1] != b"\x30" and PEM_BEGIN in data


def pem_blocks(data: bytes, *, field: str, max_bytes: int = MAX_PEM_BYTES) -> tuple[PemBlock, ...]:
    """Return the blocks of a file, at least one; raise `EncodingRefused` with the field and a rule beginning `pem_`."""
    if len(data) > max_bytes:
        raise EncodingRefused(field=field, rule="pem_too_large")
    try:
        text = data.decode("ascii").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise EncodingRefused(field=field, rule="pem_characters") from None
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    blocks: list[PemBlock] = []
    at = 0
    while at < len(lines):
        if len(blocks) == MAX_PEM_BLOCKS:
            raise EncodingRefused(field=field, rule="pem_too_many_blocks")
        block, at = _block(lines, at, field)
        blocks.append(block)
    if not blocks:
        raise EncodingRefused(field=field, rule="pem_missing")
    return tuple(blocks)


def _block(lines: list[str], at: int, field: str) -> tuple[PemBlock, int]:
    """Read the block that begins at a line; return it and the line behind it."""
    begin = _BEGIN_LINE.fullmatch(lines[at])
    if begin is None:
        raise EncodingRefused(field=field, rule="pem_text_outside")
    label = begin[1]
    try:
        end = lines.index(f"-----END {label}-----", at + 1)
    except ValueError:
        raise EncodingRefused(field=field, rule="pem_end") from None
    body = lines[at + 1 : end]
    if any(":" in line for line in body):
        raise EncodingRefused(field=field, rule="pem_headers")
    if not body or not body[-1]:
        raise EncodingRefused(field=field, rule="pem_empty")
    if any(len(line) != PEM_LINE_CHARACTERS for line in body[:-1]) or len(body[-1]) > PEM_LINE_CHARACTERS:
        raise EncodingRefused(field=field, rule="pem_line_length")
    return PemBlock(label, b64_decode("".join(body), field=field)), end + 1


def pem_block(data: bytes, label: str, *, field: str) -> bytes:
    """Return the bytes of the one block of a file, which must have this label."""
    blocks = pem_blocks(data, field=field)
    if len(blocks) != 1:
        raise EncodingRefused(field=field, rule="pem_one_block")
    if blocks[0].label != label:
        raise EncodingRefused(field=field, rule="pem_label")
    return blocks[0].data


def pem_encode(label: str, data: bytes) -> bytes:
    """Return one block in the strict form, with LF at each line's end."""
    body = base64.b64encode(data).decode("ascii")
    lines = [body[at : at + PEM_LINE_CHARACTERS] for at in range(0, len(body), PEM_LINE_CHARACTERS)]
    return "\n".join((f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", "")).encode("ascii")
