"""The certificate page: what it must print, what must extract from it, and what it refuses."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from credentials.formats.pdf_render import (
    MAX_TABLE_ROWS,
    MAX_TEXT,
    CertificateRefused,
    CertificateView,
    FontsUnusable,
    GlyphMissing,
    Row,
    load_fonts,
    render_certificate,
)
from tests.credentials.pdf_samples import (
    FONTS_FOLDER,
    NAMES,
    copyright_registration,
    credit_record,
    diploma,
    fonts,
)


def words_of(pdf: bytes) -> str:
    return "".join(page.extract_text() for page in PdfReader(BytesIO(pdf)).pages)


def unspaced(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("view", [diploma(), credit_record(30), copyright_registration()], ids=lambda view: view.kind)
def test_every_word_of_each_kind_extracts_from_the_page(view: CertificateView) -> None:
    text = unspaced(words_of(render_certificate(view, fonts=fonts())))
    said = [view.title_zh, view.title_en, view.school_zh, view.holder_name, view.notice_zh, view.as_of_zh, view.number]
    said += [word for row in view.rows for word in (row.label_zh, row.label_en, row.value, row.value_en)]
    said += [cell for row in view.table_rows for cell in row]
    for words in said:
        assert unspaced(words) in text


def test_the_verification_code_is_printed_in_groups_of_four_beside_the_link() -> None:
    text = words_of(render_certificate(diploma(), fonts=fonts()))
    assert "7KQ2-M9XW-TB4H-D3NC" in text
    assert "https://id.example/v/7KQ2M9XWTB4HD3NC" in text


def test_a_long_link_stays_one_address() -> None:
    link = "https://verify.edutrust.example.edu.cn/verification/of/certificates/7KQ2M9XWTB4HD3NC"
    reader = PdfReader(BytesIO(render_certificate(diploma(link=link), fonts=fonts())))
    annotations: Any = reader.pages[0]["/Annots"]
    assert {item.get_object()["/A"]["/URI"] for item in annotations} == {link}


@pytest.mark.parametrize("name", NAMES)
def test_a_rare_name_extracts_as_it_was_given(name: str) -> None:
    assert name in words_of(render_certificate(diploma(holder_name=name), fonts=fonts()))


def test_a_foreign_name_with_diacritics_extracts_as_it_was_given() -> None:
    name = "Łukasz Žižek Nguyễn Қазақ"
    assert name in words_of(render_certificate(diploma(holder_name_en=name), fonts=fonts()))


def held(low: int, high: int) -> str:
    return "".join(chr(point) for point in range(low, high + 1) if fonts().missing(chr(point)) is None)


def test_the_fonts_hold_every_ideograph_of_the_basic_block_and_of_extension_a_and_much_of_extension_b() -> None:
    assert len(held(0x4E00, 0x9FFF)) == 20_992
    assert len(held(0x3400, 0x4DBF)) == 6_592
    assert len(held(0x20000, 0x2A6DF)) >= 2_108


def test_every_ideograph_the_fonts_hold_extracts_as_itself() -> None:
    ideographs = held(0x3400, 0x4DBF) + held(0x4E00, 0x9FFF) + held(0x20000, 0x323AF)
    lines = [ideographs[at : at + 40] for at in range(0, len(ideographs), 40)]
    assert len(lines) > 700
    missing: set[str] = set()
    for start in range(0, len(lines), 300):
        some = lines[start : start + 300]
        view = diploma(table_columns=credit_record(1).table_columns[:1], table_rows=tuple((line,) for line in some))
        missing |= set("".join(some)) - set(words_of(render_certificate(view, fonts=fonts())))
    # A glyph that two ideographs share (㖈 and 䎛, 㘽 and 㦳, 𩿎 and 𩿗) stands for one of them in a document with both.
    assert missing <= set("䎛㦳𩿗")
    assert all(ch in words_of(render_certificate(diploma(holder_name=ch), fonts=fonts())) for ch in missing)


@pytest.mark.parametrize(
    ("character", "code_point"),
    [
        ("\U0002a6d6", "U+2A6D6"),
        ("\x00", "U+0000"),
        ("\n", "U+000A"),
        ("\u202e", "U+202E"),
        ("🎓", "U+1F393"),
        ("\ud800", "U+D800"),
    ],
)
def test_a_character_no_font_holds_is_refused_by_its_code_point(character: str, code_point: str) -> None:
    with pytest.raises(GlyphMissing) as refusal:
        render_certificate(diploma(holder_name=f"张{character}"), fonts=fonts())
    assert refusal.value.code == "credentials.glyph_missing"
    assert refusal.value.field == "holder_name"
    assert refusal.value.params == {"code_point": code_point}


@settings(max_examples=40, deadline=None)
@given(st.text(min_size=1, max_size=12))
def test_any_name_is_either_printed_or_refused_with_a_code(name: str) -> None:
    view = diploma(holder_name=name)
    if fonts().missing(name) is None and name.strip():
        assert render_certificate(view, fonts=fonts()).startswith(b"%PDF-1.7")
    else:
        with pytest.raises((GlyphMissing, CertificateRefused)):
            render_certificate(view, fonts=fonts())


@pytest.mark.parametrize("name", ["#panic(1)", "$x$ *b* _i_ `r` <l> @r", "\\u{41}", '"}', "[#read(sys)]"])
def test_markup_in_a_name_is_printed_and_never_run(name: str) -> None:
    assert unspaced(name) in unspaced(words_of(render_certificate(diploma(holder_name=name), fonts=fonts())))


def test_the_same_view_gives_the_same_bytes_on_any_thread() -> None:
    views = [diploma(holder_name=name) for name in NAMES]
    alone = [render_certificate(view, fonts=fonts()) for view in views]
    with ThreadPoolExecutor(max_workers=4) as pool:
        together = list(pool.map(lambda view: render_certificate(view, fonts=fonts()), views * 3))
    assert together == alone * 3


def test_only_subsets_of_the_fonts_used_are_embedded() -> None:
    reader = PdfReader(BytesIO(render_certificate(diploma(), fonts=fonts())))
    resources: Any = reader.pages[0]["/Resources"].get_object()
    for reference in resources["/Font"].values():
        descendant = reference.get_object()["/DescendantFonts"][0].get_object()
        assert "+" in descendant["/BaseFont"]
        assert "/FontFile3" in descendant["/FontDescriptor"].get_object()
    assert {font["/BaseFont"].split("+")[1].split("-")[0] for font in resources["/Font"].values()} == {
        "NotoSerifSC",
        "NotoSansSC",
    }


def test_a_long_record_goes_on_over_pages_with_its_number_on_each() -> None:
    pages = PdfReader(BytesIO(render_certificate(credit_record(90), fonts=fonts()))).pages
    assert len(pages) >= 3
    assert all("100011202605000123" in page.extract_text() for page in pages)


@pytest.mark.parametrize(
    ("view", "field"),
    [
        (diploma(holder_name=" "), "holder_name"),
        (diploma(notice_zh=""), "notice_zh"),
        (diploma(code="7KQ2"), "code"),
        (diploma(code="7KQ2-M9XW-TB4H-D"), "code"),
        (diploma(rows=()), "rows"),
        (diploma(rows=(Row("字", "f", "值"),) * 41), "rows"),
        (diploma(holder_name="张" * (MAX_TEXT + 1)), "holder_name"),
        (credit_record(MAX_TABLE_ROWS + 1), "table"),
        (diploma(table_rows=(("一",),)), "table"),
    ],
)
def test_a_view_out_of_bounds_is_refused_with_its_field(view: CertificateView, field: str) -> None:
    with pytest.raises(CertificateRefused) as refusal:
        render_certificate(view, fonts=fonts())
    assert refusal.value.field == field


def test_fonts_that_are_absent_or_altered_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FontsUnusable):
        load_fonts(tmp_path, typesetters=1)
    folder = tmp_path / "fonts"
    shutil.copytree(FONTS_FOLDER, folder)
    rare = folder / "EduTrustRare-Regular.otf"
    rare.write_bytes(rare.read_bytes()[:-1] + b"\xff")
    with pytest.raises(FontsUnusable) as refusal:
        load_fonts(folder, typesetters=1)
    assert refusal.value.rule == "digest"
