"""The page of a certificate: an A4 PDF set from words that are already localised, and the fonts that may set it.

A pure function of the view and the fonts: no clock (dates are words of the view, and the file carries no creation
date), no randomness, no network, no system fonts. Every character is looked up in the table of what the fonts hold
before the typesetter runs, so that a name with a character no font has is refused and never printed as a box.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from queue import SimpleQueue
from typing import Any, ClassVar, Final, Literal

import segno
import typst

from credentials.errors import CredentialsError

Kind = Literal["diploma", "credit_record", "copyright_registration"]
Style = Literal["serif", "sans", "latin"]

MANIFEST_TYPE: Final = "edutrust-fonts/1"
TEMPLATE: Final = Path(__file__).parent / "templates" / "certificate.typ"
# Bounds on one certificate: a transcript of eight years at 50 courses a year, and ten times the longest legal name.
MAX_ROWS: Final = 40
MAX_TABLE_ROWS: Final = 400
MAX_TABLE_COLUMNS: Final = 6
MAX_TEXT: Final = 600
STYLES: Final[tuple[Style, ...]] = ("serif", "sans", "latin")
LATIN_FAMILY: Final = "Source Sans Pro"
# A word wider than its column (a fingerprint in hexadecimal) is set in lines of 32 characters.
UNBREAKABLE: Final = re.compile(r"[!-~]{49,}")
WORD_LINE: Final = 32
CODE_LENGTH: Final = 16
CODE_GROUP: Final = 4


class GlyphMissing(CredentialsError):
    """A character that none of the fonts holds. `code_point` is written as Unicode writes it: `U+2A6D6`."""

    code: ClassVar[str] = "credentials.glyph_missing"


class CertificateRefused(CredentialsError):
    """A view that does not fit a certificate: too many rows, too long a text, a missing required text."""

    code: ClassVar[str] = "credentials.certificate_refused"


class FontsUnusable(CredentialsError):
    """A fonts folder that is absent, incomplete or altered: the fonts have to be built again."""

    code: ClassVar[str] = "credentials.fonts_unusable"


@dataclass(frozen=True, slots=True)
class Face:
    """One font file: its family, and the code points it holds as sorted inclusive ranges."""

    family: str
    role: Literal["serif", "sans"]
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def holds(self, code_point: int) -> bool:
        """Whether the face has a printable glyph of its own for the code point."""
        at = bisect_right(self.starts, code_point) - 1
        return at >= 0 and code_point <= self.ends[at]


@dataclass(frozen=True, slots=True)
class FontSet:
    """The faces in order of preference, and the typesetter that has them open. Made by `load_fonts`."""

    faces: tuple[Face, ...]
    template: bytes = field(repr=False)
    _typesetters: SimpleQueue[typst.Compiler] = field(repr=False, compare=False)

    def families(self, style: Style) -> list[str | dict[str, str]]:
        """Return the faces of a style in order of preference, as the template's `font` takes them."""
        if style == "serif":
            return [*(face.family for face in self.faces if face.role == "serif"), *self.families("sans")]
        named: list[str | dict[str, str]] = [face.family for face in self.faces if face.role == "sans"]
        return [{"name": LATIN_FAMILY, "covers": "latin-in-cjk"}, *named] if style == "latin" else named

    def missing(self, text: str) -> int | None:
        """Return the first code point of the text that no face holds, or None."""
        return next((ord(ch) for ch in text if not any(face.holds(ord(ch)) for face in self.faces)), None)

    def style_for(self, text: str) -> Style:
        """Choose one style for a whole text, so that a name is never set in two.

        Serif where the serif face holds all of it, else sans. "latin" is sans with Latin letters taken from the Latin
        face first: the Chinese sans would compose a "ž" it lacks out of "z" and a caron set beside it.
        """
        if all(any(face.role == "serif" and face.holds(ord(ch)) for face in self.faces) for ch in text):
            return "serif"
        chinese = [face for face in self.faces if face.family != LATIN_FAMILY]
        return "sans" if all(any(face.holds(ord(ch)) for face in chinese) for ch in text) else "latin"

    def typeset(self, inputs: dict[str, str]) -> bytes:
        """Set the template with the inputs; waits while all typesetters are busy (each serves one page at a time)."""
        typesetter = self._typesetters.get()
        try:
            page = typesetter.compile(input=self.template, sys_inputs=inputs, format="pdf")
        finally:
            self._typesetters.put(typesetter)
        if not isinstance(page, bytes):
            raise CertificateRefused(rule="typesetting")
        return page


@dataclass(frozen=True, slots=True)
class Row:
    """A label in both languages and its value; `value_en` may be empty where the value needs no translation."""

    label_zh: str
    label_en: str
    value: str
    value_en: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """The heading of one column of the optional table, in both languages."""

    label_zh: str
    label_en: str


@dataclass(frozen=True, slots=True)
class CertificateView:
    """Every word of a certificate, localised by the caller. Dates are calendar dates of Asia/Shanghai, as words.

    `link` is the verification address the QR code holds; `code` its 16 characters without separators. `statement_*`,
    `holder_name_en` and the table may be empty. `rows` holds the number and the issue date with the other fields;
    `number` is repeated at the foot of every page. `notice_*` says where the nationally recognised record is kept.
    """

    kind: Kind
    title_zh: str
    title_en: str
    school_zh: str
    school_en: str
    holder_name: str
    holder_name_en: str
    statement_zh: str
    statement_en: str
    rows: tuple[Row, ...]
    table_columns: tuple[Column, ...]
    table_rows: tuple[tuple[str, ...], ...]
    number: str
    link: str
    code: str
    verify_zh: str
    verify_en: str
    notice_zh: str
    notice_en: str
    as_of_zh: str
    as_of_en: str


def load_fonts(directory: Path, *, typesetters: int) -> FontSet:
    """Open the folder `build_fonts.py` wrote, for so many pages at once (one a core; the fonts are shared).

    Raises FontsUnusable; every file must have the digest of the manifest.
    """
    try:
        manifest = json.loads((directory / "manifest.json").read_bytes())
        if manifest["type"] != MANIFEST_TYPE:
            raise FontsUnusable(rule="manifest_type")
        faces = []
        for entry in manifest["faces"]:
            content = (directory / Path(entry["file"]).name).read_bytes()
            if hashlib.sha256(content).hexdigest() != entry["sha256"]:
                raise FontsUnusable(rule="digest", file=str(entry["file"]))
            starts, ends = zip(*entry["ranges"], strict=True)
            faces.append(Face(entry["family"], entry["role"], tuple(starts), tuple(ends)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FontsUnusable(rule="manifest") from error
    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(directory)])
    if absent := {face.family for face in faces} - set(fonts.families()):
        raise FontsUnusable(rule="family", family=min(absent))
    template = TEMPLATE.read_bytes()
    queue: SimpleQueue[typst.Compiler] = SimpleQueue()
    for _ in range(typesetters):
        queue.put(typst.Compiler(font_paths=fonts, ignore_system_fonts=True))
    return FontSet(tuple(faces), template, queue)


def render_certificate(view: CertificateView, *, fonts: FontSet) -> bytes:
    """Set the certificate as an unsealed PDF: the same view and fonts always give the same bytes.

    Raises GlyphMissing (with `code_point`) for a character no font holds and CertificateRefused for a view out of
    bounds, both before anything is set.
    """
    _check_bounds(view)

    def words(name: str, text: str, *, in_lines: bool = False) -> dict[str, str]:
        if len(text) > MAX_TEXT:
            raise CertificateRefused(field=name, rule="too_long", limit=MAX_TEXT)
        if (absent := fonts.missing(text)) is not None:
            raise GlyphMissing(field=name, code_point=f"U+{absent:04X}")
        return {"t": UNBREAKABLE.sub(_in_lines, text) if in_lines else text, "f": fonts.style_for(text)}

    plain = ("title_zh", "title_en", "school_zh", "school_en", "holder_name", "holder_name_en", "statement_zh")
    more = (
        "statement_en",
        "number",
        "link",
        "verify_zh",
        "verify_en",
        "notice_zh",
        "notice_en",
        "as_of_zh",
        "as_of_en",
    )
    data: dict[str, Any] = {name: words(name, getattr(view, name)) for name in plain + more}
    grouped = "-".join(view.code[at : at + CODE_GROUP] for at in range(0, CODE_LENGTH, CODE_GROUP))
    data["code"] = words("code", grouped)
    data["rows"] = [
        {
            name: words("rows", getattr(row, name), in_lines=True)
            for name in ("label_zh", "label_en", "value", "value_en")
        }
        for row in view.rows
    ]
    data["table_columns"] = [
        {"label_zh": words("table", column.label_zh), "label_en": words("table", column.label_en)}
        for column in view.table_columns
    ]
    data["table_rows"] = [[words("table", cell) for cell in row] for row in view.table_rows]
    data["qr_svg"] = _qr_svg(view.link)
    inputs = {
        "view": json.dumps(data, ensure_ascii=False),
        "faces": json.dumps({style: fonts.families(style) for style in STYLES}),
    }
    try:
        return fonts.typeset(inputs)
    except typst.TypstError as error:
        raise CertificateRefused(rule="typesetting") from error


def _check_bounds(view: CertificateView) -> None:
    for name in ("title_zh", "title_en", "school_zh", "holder_name", "number", "link", "notice_zh", "notice_en"):
        if not getattr(view, name).strip():
            raise CertificateRefused(field=name, rule="required")
    if len(view.code) != CODE_LENGTH or not (view.code.isascii() and view.code.isalnum()):
        raise CertificateRefused(field="code", rule="code_length", length=CODE_LENGTH)
    if not 1 <= len(view.rows) <= MAX_ROWS:
        raise CertificateRefused(field="rows", rule="too_many", limit=MAX_ROWS)
    if len(view.table_columns) > MAX_TABLE_COLUMNS or len(view.table_rows) > MAX_TABLE_ROWS:
        raise CertificateRefused(field="table", rule="too_many", limit=MAX_TABLE_ROWS)
    if any(len(row) != len(view.table_columns) for row in view.table_rows):
        raise CertificateRefused(field="table", rule="columns")


def _in_lines(word: re.Match[str]) -> str:
    return "\n".join(word[0][at : at + WORD_LINE] for at in range(0, len(word[0]), WORD_LINE))


def _qr_svg(link: str) -> str:
    """ISO/IEC 18004 symbol at level M (15 % may be lost to print and folds), four modules of quiet zone."""
    drawing = BytesIO()
    try:
        symbol: Any = segno.make_qr(link, error="m", boost_error=False)
    except ValueError as error:
        raise CertificateRefused(field="link", rule="too_long") from error
    symbol.save(drawing, kind="svg", border=4, xmldecl=False, svgns=True, nl=False)
    return drawing.getvalue().decode("ascii")
