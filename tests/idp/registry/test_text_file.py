"""Uploaded text: encodings, tables and bounds."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.registry.errors import FileRefused
from idp.registry.model import RefusedRow
from idp.registry.text_file import (
    MAX_CELL,
    MAX_COLUMNS,
    MAX_FILE_BYTES,
    MAX_ROWS,
    TableRow,
    decode_gb18030,
    decode_upload,
    encode_gb18030,
    read_table,
)

REQUIRED = ("姓名", "学号")
OPTIONAL = ("备注",)
# Code points whose two-byte code GB 18030-2022 took away from them.
MOVED_FROM = [0xE7C7, *range(0xE78D, 0xE797), 0xE81E, 0xE826, 0xE82B, 0xE82C, 0xE832, 0xE843, 0xE854, 0xE864]
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=[chr(c) for c in MOVED_FROM]))


def rows_of(text: str) -> list[TableRow | RefusedRow]:
    return list(read_table(text, required=REQUIRED, optional=OPTIONAL).rows)


def refused(text: str) -> tuple[str | None, dict[str, str | int]]:
    with pytest.raises(FileRefused) as caught:
        rows_of(text)
    return caught.value.rule, dict(caught.value.params)


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        ("姓名,𠮷㐂·".encode(), "UTF-8"),
        ("姓名,𠮷㐂·".encode("utf-8-sig"), "UTF-8"),
        (encode_gb18030("姓名,𠮷㐂·"), "GB18030"),
        (encode_gb18030("\ufeff姓名,𠮷㐂·"), "GB18030"),
    ],
)
def test_the_encoding_is_found_out_and_the_text_is_the_same(data: bytes, encoding: str) -> None:
    decoded = decode_upload(data)
    assert (decoded.text, decoded.encoding) == ("姓名,𠮷㐂·", encoding)


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "empty"),
        (b" \r\n ", "empty"),
        ("姓名".encode("utf-16"), "utf16"),
        ("name".encode("utf-16-le"), "binary"),
        (b"PK\x03\x04\x00\x00", "binary"),
        (b"\xff\xff\xff", "encoding"),
        (b"x" * (MAX_FILE_BYTES + 1), "too_large"),
    ],
)
def test_what_is_no_text_is_refused_by_name(data: bytes, rule: str) -> None:
    with pytest.raises(FileRefused) as caught:
        decode_upload(data)
    assert caught.value.rule == rule


@pytest.mark.parametrize(
    ("code", "character"),
    [
        ("A8BC", "\u1e3f"),
        ("A6D9", "\ufe10"),
        ("A6DA", "\ufe12"),
        ("A6DB", "\ufe11"),
        ("A6DC", "\ufe13"),
        ("A6DD", "\ufe14"),
        ("A6DE", "\ufe15"),
        ("A6DF", "\ufe16"),
        ("A6EC", "\ufe17"),
        ("A6ED", "\ufe18"),
        ("A6F3", "\ufe19"),
        ("FE59", "\u9fb4"),
        ("FE61", "\u9fb5"),
        ("FE66", "\u9fb6"),
        ("FE67", "\u9fb7"),
        ("FE6D", "\u9fb8"),
        ("FE7E", "\u9fb9"),
        ("FE90", "\u9fba"),
        ("FEA0", "\u9fbb"),
    ],
)
def test_the_codes_gb18030_2022_moved_mean_the_standard_characters(code: str, character: str) -> None:
    assert decode_gb18030(bytes.fromhex(code)) == character
    assert encode_gb18030(character) == bytes.fromhex(code)
    # What a program of the older edition wrote for the same character.
    assert decode_gb18030(character.encode("gb18030")) == character


@given(TEXT)
def test_every_text_comes_back_from_gb18030(text: str) -> None:
    assert decode_gb18030(encode_gb18030(text)) == text


@given(st.binary(max_size=200))
def test_no_bytes_break_the_decoder(data: bytes) -> None:
    with suppress(FileRefused):
        assert decode_upload(data).encoding in {"UTF-8", "GB18030"}


def test_rows_carry_the_line_they_begin_on() -> None:
    text = '姓名,学号,备注\r\n王芳,1,"一行\n又一行"\r\n\r\n李㐂,2,\r\n'
    bad, good = rows_of(text)
    assert bad == RefusedRow(2, "备注", "registry.row_refused", "control_character")
    assert good == TableRow(5, {"姓名": "李㐂", "学号": "2", "备注": ""})


def test_columns_may_stand_in_any_order_and_unknown_ones_are_named() -> None:
    table = read_table("民族,学号, 姓名\n汉族,1,王芳\n", required=REQUIRED, optional=OPTIONAL)
    assert table.ignored == ("民族",)
    (row,) = table.rows
    assert isinstance(row, TableRow)
    assert row.cells == {"学号": "1", "姓名": "王芳"}
    assert row.get("备注") == ""


def test_a_header_that_lacks_or_repeats_a_column_is_refused_by_its_name() -> None:
    assert refused("姓名\n王芳\n") == ("missing_column", {"column": "学号"})
    assert refused("姓名,学号,姓名\n王芳,1,王芳\n") == ("duplicate_column", {"column": "姓名"})
    assert refused("\n\n")[0] == "empty"
    assert refused(",".join(["姓名", "学号", *map(str, range(MAX_COLUMNS))]))[0] == "too_many_columns"


def test_a_row_with_shifted_cells_is_reported_and_the_others_go_on() -> None:
    found = rows_of("姓名,学号\n王芳\n李㐂,2,x\n张䶮,3,,,\n")
    assert [row.rule for row in found if isinstance(row, RefusedRow)] == ["cell_count", "cell_count"]
    assert [row.line for row in found] == [2, 3, 4]


def test_a_cell_has_a_bound() -> None:
    at, over = rows_of(f"姓名,学号\n王芳,{'1' * MAX_CELL}\n李㐂,{'1' * (MAX_CELL + 1)}\n")
    assert isinstance(at, TableRow)
    assert over == RefusedRow(3, "学号", "registry.row_refused", "cell_too_long")


def test_a_table_has_a_bound() -> None:
    row = "王芳,1\n"
    assert len(rows_of("姓名,学号\n" + row * MAX_ROWS)) == MAX_ROWS
    assert refused("姓名,学号\n" + row * (MAX_ROWS + 1))[0] == "too_many_rows"


@pytest.mark.parametrize(
    "text", ['姓名,学号\n"王芳,1\n李㐂,2\n', '姓名,学号\n"王"芳,1\n', f"姓名,学号\n{'王' * 200_000},1\n"]
)
def test_quotes_that_do_not_pair_are_refused_with_the_line(text: str) -> None:
    assert refused(text) == ("quoting", {"line": 2})


@given(st.text(max_size=200))
def test_no_text_breaks_the_table_reader(text: str) -> None:
    with suppress(FileRefused):
        assert all(row.line >= 2 for row in rows_of("姓名,学号,备注\n" + text))
