"""Verification codes and their links: as typed, as shown, as drawn."""

from __future__ import annotations

import re
import unicodedata
from html import escape
from io import BytesIO
from typing import Any

import segno

_LINK = re.compile(r"/verify/([^/?#\s]+)")
_CODE = re.compile(r"[0-9A-Z]{12,16}")
MAX_TYPED = 500


def code_typed(text: str) -> str | None:
    """Return the code in what someone typed, pasted or scanned: in groups of four, or None where it is no code.

    Full-width letters, blanks, dashes of any sort and lower case do not matter; of a link, its last part is the code.
    """
    plain = unicodedata.normalize("NFKC", text[:MAX_TYPED])
    link = _LINK.search(plain)
    signs = "".join(sign for sign in (link[1] if link else plain) if sign.isalnum()).upper()
    if _CODE.fullmatch(signs) is None:
        return None
    return "-".join(signs[at : at + 4] for at in range(0, len(signs), 4))


def qr_svg(link: str, *, title: str) -> str:
    """Draw a link as a QR code (ISO/IEC 18004, level M), dark on light whatever the page's colours."""
    symbol: Any = segno.make_qr(link, error="m", boost_error=False)
    drawing = BytesIO()
    # unit is left out: the drawing then has a viewBox only, and the page sizes it.
    symbol.save(drawing, kind="svg", border=4, xmldecl=False, svgns=False, nl=False, omitsize=True, dark="#000", light="#fff")
    inner = drawing.getvalue().decode("ascii").removeprefix("<svg")
    return f'<svg role="img" aria-label="{escape(title)}"{inner}'
