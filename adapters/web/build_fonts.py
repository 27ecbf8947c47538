"""Builds the fonts certificates are set in, from the font packages `fonts.sh` downloads, and the table of what they hold.

    python adapters/web/build_fonts.py --source FOLDER [--extra FONT.ttf ...] --output adapters/web/static/build/fonts

`FOLDER` is where the packages of `fonts.txt` were unpacked (`pip install --target`). Three faces are copied as they
are. The fourth, "EduTrust Rare", is made here: the characters of the pan-CJK variable font that the plain Chinese
face lacks, drawn at its regular weight. `--extra` adds whole fonts an operator has (Debian's `fonts-hanazono` holds
every character of Extension B), each used for what no earlier face holds.

The output is `manifest.json` (file, family, SHA-256 and code-point ranges of each face, in order of preference) beside
the font files and their licences. Building twice gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import unicodedata
from pathlib import Path
from typing import Any

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.t2CharStringPen import T2CharStringPen
from fontTools.ttLib import TTCollection, TTFont

SERIF = "pylopdf_fonts_zh_cn/NotoSerifSC-Regular.otf"
SANS = "pylopdf_fonts_zh_cn/NotoSansSC-Regular.otf"
LATIN = "font_source_sans_pro/files/SourceSansPro-Regular.otf"
PAN_CJK = "manimgx_fonts_cjk/NotoSansCJK-VF.otf.ttc"
RARE_FAMILY = "EduTrust Rare"
REGULAR_WEIGHT = 400
# Hangul is a third of the pan-CJK font and no name on a Chinese certificate is written in it.
HANGUL = ((0x1100, 0x11FF), (0x3130, 0x318F), (0xA960, 0xD7FF))
# What prints nothing by itself must not count as printable: controls, formats (bidirectional overrides among them),
# surrogates, private use, unassigned, line and paragraph separators.
NOT_PRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def printable(code_points: set[int]) -> set[int]:
    """Return the code points of a character map that may stand on a certificate."""
    variation = set(range(0xFE00, 0xFE10)) | set(range(0xE0100, 0xE01F0))
    return {
        cp for cp in code_points - variation if unicodedata.category(chr(cp)) not in NOT_PRINTABLE or _newer_han(cp)
    }


def _newer_han(code_point: int) -> bool:
    """Ideographs assigned after this Python's Unicode tables: their blocks hold nothing else."""
    return 0x9FF0 <= code_point <= 0x9FFF or 0x4DB6 <= code_point <= 0x4DBF or 0x2A6D7 <= code_point <= 0x3FFFD


def ranges(code_points: set[int]) -> list[list[int]]:
    """Sorted, inclusive, non-touching ranges."""
    result: list[list[int]] = []
    for code_point in sorted(code_points):
        if result and result[-1][1] == code_point - 1:
            result[-1][1] = code_point
        else:
            result.append([code_point, code_point])
    return result


def character_map(path: Path) -> set[int]:
    """Every code point a font file maps to a glyph."""
    font: Any = TTFont(path, lazy=True)
    return set(font.getBestCmap())


def build_rare(source: Path, held: set[int], output: Path) -> None:
    """Draw what `held` lacks from the simplified-Chinese face of the pan-CJK collection into one static font."""
    collection: Any = TTCollection(source, lazy=True)
    face = next(font for font in collection.fonts if font["name"].getDebugName(1).endswith(" SC"))
    wanted = {
        code_point: glyph
        for code_point, glyph in face.getBestCmap().items()
        if code_point not in held and not any(low <= code_point <= high for low, high in HANGUL)
    }
    glyphs = face.getGlyphSet(location={"wght": REGULAR_WEIGHT})
    order = [".notdef", *sorted(set(wanted.values()) - {".notdef"})]
    outlines, metrics = {}, {}
    for name in order:
        pen = T2CharStringPen(glyphs[name].width, glyphs)
        glyphs[name].draw(pen)
        outlines[name] = pen.getCharString()
        metrics[name] = (round(glyphs[name].width), 0)
    builder: Any = FontBuilder(face["head"].unitsPerEm, isTTF=False)
    builder.setupGlyphOrder(order)
    builder.setupCharacterMap(wanted)
    builder.setupCFF("EduTrustRare-Regular", {"FullName": RARE_FAMILY}, outlines, {})
    builder.setupHorizontalMetrics(metrics)
    line = face["hhea"]
    builder.setupHorizontalHeader(ascent=line.ascent, descent=line.descent)
    os2 = face["OS/2"]
    builder.setupOS2(
        version=4,
        fsType=0,  # installable embedding
        fsSelection=1 << 6,  # REGULAR
        sTypoAscender=os2.sTypoAscender,
        sTypoDescender=os2.sTypoDescender,
        usWinAscent=os2.usWinAscent,
        usWinDescent=os2.usWinDescent,
    )
    names = {
        "copyright": face["name"].getDebugName(0),
        "familyName": RARE_FAMILY,
        "styleName": "Regular",
        "uniqueFontIdentifier": "EduTrustRare-Regular",
        "fullName": f"{RARE_FAMILY} Regular",
        "psName": "EduTrustRare-Regular",
        "version": "Version 1.000",
    }
    builder.setupNameTable(names)
    builder.setupPost()
    builder.font["head"].created = builder.font["head"].modified = 0
    builder.font.recalcTimestamp = False
    builder.save(output)


def family(path: Path) -> str:
    """Return the family name a typesetter selects the font by."""
    font: Any = TTFont(path, lazy=True)
    name = font["name"]
    return str(name.getDebugName(16) or name.getDebugName(1))


def build(source: Path, extras: list[Path], output: Path) -> dict[str, int]:
    """Write the faces, licences and manifest into `output`; return how many code points each face adds."""
    output.mkdir(parents=True, exist_ok=True)
    for old in output.iterdir():
        old.unlink()
    files = {"serif": SERIF, "sans": SANS}
    faces: list[tuple[str, Path]] = []
    for role, relative in files.items():
        faces.append((role, Path(shutil.copyfile(source / relative, output / Path(relative).name))))
    rare = output / "EduTrustRare-Regular.otf"
    build_rare(source / PAN_CJK, character_map(source / SANS), rare)
    faces.append(("sans", rare))
    faces.append(("sans", Path(shutil.copyfile(source / LATIN, output / Path(LATIN).name))))
    faces.extend(("sans", Path(shutil.copyfile(extra, output / extra.name))) for extra in extras)
    for licence in sorted(path for path in source.rglob("LICENSE*") if path.is_file()):
        owner = licence.relative_to(source).parts[0].split("-")[0]
        shutil.copyfile(licence, output / f"{owner}.LICENSE.txt")
    manifest = []
    held: set[int] = set()
    added: dict[str, int] = {}
    for role, path in faces:
        covered = printable(character_map(path))
        added[path.name] = len(covered - held)
        held |= covered
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        entry = {"file": path.name, "family": family(path), "role": role, "sha256": digest, "ranges": ranges(covered)}
        manifest.append(entry)
    text = json.dumps({"type": "edutrust-fonts/1", "faces": manifest}, separators=(",", ":"), ensure_ascii=True)
    (output / "manifest.json").write_text(text + "\n", encoding="ascii")
    return added


def main() -> int:
    """Build and say what each face adds."""
    parser = argparse.ArgumentParser(description="Build the certificate fonts and the table of what they hold.")
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--extra", type=Path, action="append", default=[])
    options = parser.parse_args()
    for name, count in build(options.source, options.extra, options.output).items():
        sys.stdout.write(f"{name}: {count} characters no earlier face holds\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
