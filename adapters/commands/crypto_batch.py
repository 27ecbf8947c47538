"""`edutrust crypto sm2-verify --batch`: many signatures, a verdict a row, in order, in flat memory.

A row is `{"id", "public_pem", "message" (hex), "signature_der" (hex)}`. Rows are taken in windows; inside a window those
of one key go to the backend together, with the key prepared once and kept in a bounded cache for later windows.

`id` is the signer's user ID, which every SM2 signature is bound to. Files exist in which it only numbers the rows; such
a file shows itself by having neither the user ID of the standard nor any id twice among its first rows. Only there, a
signature is also valid under the standard's user ID. `--ids signer` or `--ids row` says which it is.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from itertools import chain
from typing import BinaryIO, Final

from adapters.commands.crypto_parser import STANDARD_STREAM
from adapters.commands.crypto_sm2 import backend, user_id
from adapters.commands.outcome import CommandFailed
from crypto.encoding import Json, json_object
from crypto.errors import EncodingRefused, SignatureInvalid, TrustError
from crypto.key_files import read_public
from crypto.sm2 import SM2_DEFAULT_ID, Sm2Backend, Sm2PublicKey, signature_from_der
from crypto.sm2_curve import MAX_USER_ID_BYTES

# A message of half a megabyte in hex; one long line must not fill the memory.
MAX_ROW_BYTES: Final = 1024 * 1024 + 4096
# A window is what is read before verdicts are printed: enough rows for keys to repeat, bounded in bytes as well.
WINDOW_ROWS: Final = 1024
WINDOW_BYTES: Final = 8 * 1024 * 1024
# Prepared keys hold tables of some tens of kilobytes; texts of keys are small.
PREPARED_KEYS: Final = 256
KEY_TEXTS: Final = 4096
# Preparing a key costs several verifications, so it must come at least this often in a window.
WORTH_PREPARING: Final = 4

_TOO_LONG: Final = b"a line of more than MAX_ROW_BYTES"
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2})*", re.ASCII)


class Ids(Enum):
    """What the `id` of a row is."""

    SIGNER = "signer"
    ROW = "row"
    EITHER = "either"


@dataclass(frozen=True, slots=True)
class Row:
    """A row in its parts: 64 bytes x‖y, the user ID it names (None: none), the message, 64 bytes r‖s."""

    public: bytes
    named_id: bytes | None
    message: bytes
    signature: bytes


def verify_batch(arguments: argparse.Namespace) -> int:
    """Print one verdict a row; 0 whatever the verdicts are, 1 only where the file cannot be read."""
    try:
        opened = nullcontext(sys.stdin.buffer) if arguments.batch == STANDARD_STREAM else arguments.batch.open("rb")
        with opened as file:
            _verify_all(file, arguments)
    except BrokenPipeError as error:
        # Nobody reads on (`| head`); what Python would still flush at its end has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise CommandFailed("The output was closed before the last row.") from error
    except OSError as error:
        raise CommandFailed(f"{arguments.batch} cannot be read: {error.strerror}.") from error
    return 0


def _verify_all(file: BinaryIO, arguments: argparse.Namespace) -> None:
    rest = windows(file)
    first = next(rest, [])
    run = BatchRun(backend(), _meaning(first, arguments), user_id(arguments))
    for window in chain([first], rest):
        for reason in run.reasons(window):
            verdict: dict[str, Json] = {"valid": reason is None}
            if reason is not None and arguments.reasons:
                verdict["reason"] = reason
            print(json.dumps(verdict))
    sys.stdout.flush()
    if run.under_default:
        print(
            f"{run.under_default} rows verify under the user ID {arguments.id}, not under their id, which was taken for "
            "a label; say --ids signer or --ids row.",
            file=sys.stderr,
        )


def windows(file: BinaryIO) -> Iterator[list[bytes]]:
    """Yield the lines of a file in windows of bounded size; empty lines are no rows, and a line too long is no JSON."""
    window: list[bytes] = []
    size = 0
    while line := file.readline(MAX_ROW_BYTES):
        if len(line) == MAX_ROW_BYTES and not line.endswith(b"\n"):
            while (rest := file.readline(MAX_ROW_BYTES)) and not rest.endswith(b"\n"):
                pass
            line = _TOO_LONG  # the row stands in its place and is refused there
        if not line.strip():
            continue
        window.append(line)
        size += len(line)
        if len(window) == WINDOW_ROWS or size > WINDOW_BYTES:
            yield window
            window, size = [], 0
    if window:
        yield window


def _meaning(lines: Sequence[bytes], arguments: argparse.Namespace) -> Ids:
    """Say what `id` is in a file that begins with these rows."""
    if arguments.ids != "auto":
        return Ids(arguments.ids)
    seen: set[bytes] = set()
    for line in lines:
        try:
            named = _named_id(json_object(line, field="row"))
        except TrustError:
            continue
        if named is None:
            continue
        if named == SM2_DEFAULT_ID or named in seen:
            return Ids.SIGNER
        seen.add(named)
    return Ids.EITHER


class BatchRun:
    """One run: the backend, the caches, and how many rows verified under the given user ID instead of their own."""

    def __init__(self, chosen: Sm2Backend, ids: Ids, given_id: bytes) -> None:
        self._backend = chosen
        self._ids = ids
        self._given_id = given_id
        self._prepared: OrderedDict[bytes, Sm2PublicKey] = OrderedDict()
        self._public_of = lru_cache(maxsize=KEY_TEXTS)(_public_of)
        self.under_default = 0

    def reasons(self, lines: Sequence[bytes]) -> list[str | None]:
        """Return for each line None where it is valid, else the code of what it breaks."""
        reasons: list[str | None] = [SignatureInvalid.code] * len(lines)
        by_key: dict[bytes, list[tuple[int, Row]]] = {}
        for index, line in enumerate(lines):
            try:
                row = self._row(line)
            except TrustError as refused:
                reasons[index] = refused.code
            else:
                by_key.setdefault(row.public, []).append((index, row))
        for public, rows in by_key.items():
            for index in self._valid(public, rows):
                reasons[index] = None
        return reasons

    def _row(self, line: bytes) -> Row:
        value = json_object(line, field="row")
        signature = signature_from_der(_bytes(value, "signature_der"))
        return Row(self._public_of(_text(value, "public_pem")), _named_id(value), _bytes(value, "message"), signature)

    def _valid(self, public: bytes, rows: Sequence[tuple[int, Row]]) -> Iterator[int]:
        """Yield the positions of the valid rows of one key."""
        by_id: dict[bytes, list[tuple[int, Row]]] = {}
        for index, row in rows:
            binding = row.named_id if self._ids is not Ids.ROW and row.named_id is not None else self._given_id
            by_id.setdefault(binding, []).append((index, row))
        left: list[tuple[int, Row]] = []
        for binding, group in by_id.items():
            for (index, row), valid in zip(group, self._verdicts(public, group, binding, len(rows)), strict=True):
                if valid:
                    yield index
                elif self._ids is Ids.EITHER and binding != self._given_id:
                    left.append((index, row))
        if left:
            for (index, _), valid in zip(left, self._verdicts(public, left, self._given_id, len(rows)), strict=True):
                if valid:
                    self.under_default += 1
                    yield index

    def _verdicts(
        self, public: bytes, rows: Sequence[tuple[int, Row]], binding: bytes, rows_of_key: int
    ) -> Sequence[bool]:
        key = self._prepared.get(public)
        if key is None and rows_of_key >= WORTH_PREPARING:
            key = self._backend.public_key(public)
            self._prepared[public] = key
            if len(self._prepared) > PREPARED_KEYS:
                self._prepared.popitem(last=False)
        if key is not None:
            self._prepared.move_to_end(public)
            return key.verify_many([(row.message, row.signature) for _, row in rows], binding)
        return [self._verifies(public, row, binding) for _, row in rows]

    def _verifies(self, public: bytes, row: Row, binding: bytes) -> bool:
        try:
            self._backend.verify(public, row.message, row.signature, binding)
        except SignatureInvalid:
            return False
        return True


def _public_of(pem: str) -> bytes:
    return read_public(pem.strip().encode("utf-8"))


def _named_id(row: dict[str, Json]) -> bytes | None:
    """Return the user ID a row names; a number or nothing names none."""
    value = row.get("id")
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return None
    if not isinstance(value, str):
        raise EncodingRefused(field="id", rule="text")
    encoded = value.encode("utf-8")
    if len(encoded) > MAX_USER_ID_BYTES:
        raise EncodingRefused(field="id", rule="length")
    return encoded


def _text(row: dict[str, Json], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise EncodingRefused(field=name, rule="text")
    return value


def _bytes(row: dict[str, Json], name: str) -> bytes:
    text = _text(row, name)
    if _HEX.fullmatch(text) is None:
        raise EncodingRefused(field=name, rule="hex")
    return bytes.fromhex(text)
