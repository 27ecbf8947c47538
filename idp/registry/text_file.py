"""Uploaded text: from bytes to rows, with every refusal named.

Registrars' machines write UTF-8 with a byte-order mark, UTF-8 without, or GB 18030; which one is found out, never asked.
Python's `gb18030` codec maps as the edition of 2000 did, so the code points the later editions moved are put right here.
A file that cannot be a table is refused as a whole; a row that breaks a bound is reported with its line and the others
go on. Lines count from 1, the header included, as an editor or a spreadsheet shows them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from idp.registry.errors import FileRefused, RowRefused
from idp.registry.model import RefusedRow

MAX_FILE_BYTES = 16 * 1024 * 1024
"""20,000 rows of 800 bytes; a row of graduates takes about 200."""
MAX_ROWS = 20_000
"""Graduates of one batch; the largest universities send out some 20,000 a year."""
MAX_CELL = 2_000
"""Signs. The longest field in use is an address; anything longer is a broken quote."""
MAX_COLUMNS = 64

Encoding = Literal["UTF-8", "GB18030"]

# GB 18030-2005 moved A8BC, GB 18030-2022 eighteen more double bytes, from private use to the standardised character.
_MOVED: tuple[tuple[int, int], ...] = (
    (0xE7C7, 0x1E3F),  # A8BC
    (0xE78D, 0xFE10),  # A6D9
    (0xE78E, 0xFE12),  # A6DA
    (0xE78F, 0xFE11),  # A6DB
    (0xE790, 0xFE13),  # A6DC
    (0xE791, 0xFE14),  # A6DD
    (0xE792, 0xFE15),  # A6DE
    (0xE793, 0xFE16),  # A6DF
    (0xE794, 0xFE17),  # A6EC
    (0xE795, 0xFE18),  # A6ED
    (0xE796, 0xFE19),  # A6F3
    (0xE81E, 0x9FB4),  # FE59
    (0xE826, 0x9FB5),  # FE61
    (0xE82B, 0x9FB6),  # FE66
    (0xE82C, 0x9FB7),  # FE67
    (0xE832, 0x9FB8),  # FE6D
    (0xE843, 0x9FB9),  # FE7E
    (0xE854, 0x9FBA),  # FE90
    (0xE864, 0x9FBB),  # FEA0
)
# Reading is one way: the four-byte codes that the new edition gave to the private-use code points are what older
# programs wrote for the characters themselves, so both read as the character. Writing swaps, as the standard does.
_READ = dict(_MOVED)
_WRITE = {**{new: old for old, new in _MOVED}, **dict(_MOVED)}

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class DecodedText:
    """An upload as text, and the encoding it was found to be in."""

    text: str
    encoding: Encoding


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: the line it begins on, and its cells by column title, trimmed; a missing optional column is absent."""

    line: int
    cells: dict[str, str]

    def get(self, column: str) -> str:
        """Return a cell, "" where it is empty or the file has no such column."""
        return self.cells.get(column, "")


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose header was accepted. `rows` can be walked once. `ignored` names columns nobody asked for."""

    columns: tuple[str, ...]
    ignored: tuple[str, ...]
    rows: Iterator[TableRow | RefusedRow]


def decode_gb18030(data: bytes) -> str:
    """Decode GB 18030-2022. Raises `UnicodeDecodeError`."""
    return data.decode("gb18030").translate(_READ)


def encode_gb18030(text: str) -> bytes:
    """Encode as GB 18030-2022. Raises `UnicodeEncodeError` for half of a surrogate pair."""
    return text.translate(_WRITE).encode("gb18030")


def decode_upload(data: bytes) -> DecodedText:
    """Find out an upload's encoding and decode it; the byte-order mark is dropped.

    Strict UTF-8 wins where the bytes are that; GB 18030 is tried next. Raises `FileRefused`: empty, too_large, utf16,
    binary, encoding.
    """
    if not data.strip():
        raise FileRefused(field="file", rule="empty")
    if len(data) > MAX_FILE_BYTES:
        raise FileRefused(field="file", rule="too_large", limit=MAX_FILE_BYTES)
    if data.startswith(_UTF16_MARKS):
        raise FileRefused(field="file", rule="utf16")
    if b"\x00" in data:
        raise FileRefused(field="file", rule="binary")
    try:
        return DecodedText(data.decode("utf-8-sig"), "UTF-8")
    except UnicodeDecodeError:
        pass
    try:
        return DecodedText(decode_gb18030(data).removeprefix("\ufeff"), "GB18030")
    except UnicodeDecodeError:
        raise FileRefused(field="file", rule="encoding") from None


def read_table(text: str, *, required: tuple[str, ...], optional: tuple[str, ...]) -> Table:
    """Read comma-separated text with a header (RFC 4180).

    Raises `FileRefused` now: empty, quoting, too_many_columns, duplicate_column, missing_column (`column` names it). While
    the rows are walked: quoting (an open quote swallows the rest of the file) and too_many_rows. Rows with too many or too
    few cells, too long a cell or a control character come out as `RefusedRow`; blank lines are passed over.
    """
    records = _records(text)
    header = next(records, None)
    if header is None:
        raise FileRefused(field="file", rule="empty")
    columns = tuple(title.strip() for title in header[1])
    if len(columns) > MAX_COLUMNS:
        raise FileRefused(field="file", rule="too_many_columns", limit=MAX_COLUMNS)
    known = [title for title in columns if title in required or title in optional]
    for title in known:
        if columns.count(title) > 1:
            raise FileRefused(field="file", rule="duplicate_column", column=title)
    for title in required:
        if title not in columns:
            raise FileRefused(field="file", rule="missing_column", column=title)
    ignored = tuple(title for title in columns if title not in known)
    return Table(columns, ignored, _rows(records, columns, frozenset(known)))


def _records(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each non-blank record with the line it begins on."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            record = next(reader, None)
        except csv.Error:
            # A stray quote, an unfinished one at the end, or a cell beyond the reader's own bound of 131,072.
            raise FileRefused(field="file", rule="quoting", line=line) from None
        if record is None:
            return
        if any(cell.strip() for cell in record):
            yield line, record


def _rows(
    records: Iterator[tuple[int, list[str]]], columns: tuple[str, ...], known: frozenset[str]
) -> Iterator[TableRow | RefusedRow]:
    for count, (line, record) in enumerate(records, start=1):
        if count > MAX_ROWS:
            raise FileRefused(field="file", rule="too_many_rows", limit=MAX_ROWS)
        yield _row(line, record, columns, known)


def _row(line: int, record: list[str], columns: tuple[str, ...], known: frozenset[str]) -> TableRow | RefusedRow:
    # Spreadsheets pad rows with empty cells; more than that is a shifted row, and shifted rows are never guessed at.
    if len(record) < len(columns) or any(cell.strip() for cell in record[len(columns) :]):
        return RefusedRow(line, "", RowRefused.code, "cell_count")
    cells: dict[str, str] = {}
    for title, cell in zip(columns, record, strict=False):
        if len(cell) > MAX_CELL:
            return RefusedRow(line, title, RowRefused.code, "cell_too_long")
        if title in known:
            if any(sign < " " or "\x7f" <= sign <= "\x9f" for sign in cell.strip()):
                return RefusedRow(line, title, RowRefused.code, "control_character")
            cells[title] = cell.strip()
    return TableRow(line, cells)
