"""Verification codes as people type, paste and scan them, and their links as QR codes."""

from __future__ import annotations

import re
import unicodedata
from html import escape
from io import BytesIO
from typing import Any

import segno

from credentials.sharing import parse_code, show_code

_LINK = re.compile(r"/verify/([^/?#\s]+)")
# A link with its code; what is longer was pasted by mistake.
MAX_TYPED = 500


def code_typed(text: str) -> str:
    """Return the code in what someone typed, pasted or scanned, in groups of four; of a link, its last part.

    Full-width letters, blanks, dashes of any sort and lower case do not matter. Raises `ShareUnknown`.
    """
    plain = unicodedata.normalize("NFKC", text[:MAX_TYPED])
    link = _LINK.search(plain)
    return show_code(parse_code("".join(sign for sign in (link[1] if link else plain) if sign.isalnum())))


def qr_svg(link: str, *, title: str) -> str:
    """Draw a link as a QR code (ISO/IEC 18004, level M), dark on light whatever the page's colours."""
    symbol: Any = segno.make_qr(link, error="m", boost_error=False)
    drawing = BytesIO()
    # Without a size of its own the drawing has a viewBox only, and the page sizes it.
    symbol.save(drawing, kind="svg", border=4, xmldecl=False, svgns=False, nl=False, omitsize=True, light="#fff")
    inner = drawing.getvalue().decode("ascii").removeprefix("<svg")
    return f'<svg role="img" aria-label="{escape(title)}"{inner}'
