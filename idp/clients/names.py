"""Names that could be taken for another's: the shape a reader sees, and who may not be imitated.

    skeleton("Edu-Trust ") == skeleton("\uff25dutrust")  # and with Cyrillic letters among them

Two names with one skeleton look the same on a phone. The skeleton is NFKC, without marks, case, spaces and punctuation,
with Greek and Cyrillic letters and digits that look Latin written as Latin (after the table of Unicode Technical Standard
39, of which this is the part that belongs to the scripts a name here may plausibly use).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from crypto.errors import TrustError

RESERVED_NAMES = (
    "edutrust",
    "教育部",
    "教育厅",
    "教育局",
    "教育委员会",
    "人民政府",
    "公安",
    "学信网",
    "国家智慧教育",
    "官方",
    "official",
)
"""As of 2026-11-22: names of authorities and words that claim one. Who may bear them is registered by the operator."""

# Latin letter: what looks like it after NFKC and case folding (Cyrillic, Greek, digits, strokes). `i` and `l` are one,
# because a capital I and a small l are one stroke.
_LOOK_ALIKES = {
    "a": "\u0430\u03b1",
    "b": "\u044c\u0432",
    "c": "\u0441",
    "d": "\u0501\u0111",
    "e": "\u0435",
    "h": "\u04bb\u043d",
    "k": "\u043a\u03ba",
    "l": "i1|\u0456\u04cf\u03b9\u0131\u0142",
    "m": "\u043c",
    "n": "\u03b7",
    "o": "0\u043e\u03bf\u03c3\u00f8",
    "p": "\u0440\u03c1",
    "q": "\u051b",
    "s": "5\u0455",
    "t": "\u0442\u03c4",
    "u": "\u03c5",
    "v": "\u03bd",
    "w": "\u051d\u03c9",
    "x": "\u0445\u03c7",
    "y": "\u0443",
    "j": "\u0458",
}
# Letters by their category that show nothing (Unicode Default_Ignorable_Code_Point): the Hangul and Khmer fillers.
_INVISIBLE = frozenset("\u115f\u1160\u17b4\u17b5\u3164\uffa0")
_LOOKS_LIKE = str.maketrans({other: letter for letter, others in _LOOK_ALIKES.items() for other in others})


class NameRefused(TrustError):
    """A name that is a reserved one, contains one, or looks like that of another platform."""

    code = "idp.client.name_refused"


def skeleton(name: str) -> str:
    """Return what a reader sees of a name; the empty text for one of marks and punctuation only."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    decomposed = unicodedata.normalize("NFD", folded)
    kept = (letter for letter in decomposed if unicodedata.category(letter)[0] in "LN" and letter not in _INVISIBLE)
    return "".join(kept).translate(_LOOKS_LIKE).replace("rn", "m").replace("vv", "w")


def skeletons(names: Iterable[str]) -> frozenset[str]:
    """Return the skeletons of names, without empty ones."""
    return frozenset(skeleton(name) for name in names) - {""}


def check_not_reserved(name: str, *, field: str, operator: str) -> None:
    """Raise `NameRefused` for a name that reads as nothing, or that bears the operator's or an authority's name."""
    shape = skeleton(name)
    if not shape:
        raise NameRefused(field=field, rule="unreadable")
    if any(reserved and reserved in shape for reserved in skeletons((*RESERVED_NAMES, operator))):
        raise NameRefused(field=field, rule="reserved")
