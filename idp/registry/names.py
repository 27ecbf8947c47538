"""Names of people and institutions, as GB 18030-2022 can write them.

A name is kept in Unicode NFC with every sign it was registered with: four-byte characters (𠮷, U+20BB7) count as one. The
separator of names of several parts is U+00B7; the many dots that input methods produce are read as it. Refused are signs
that cannot be seen or that change how neighbours are shown (controls, bidirectional marks, variation selectors), and
private-use code points, which mean a different character on every machine.
"""

from __future__ import annotations

import unicodedata
from itertools import pairwise
from typing import NewType

from idp.registry.errors import NameRefused, PhoneRefused

PersonName = NewType("PersonName", str)
"""A person's name as `parse_person_name` returns it; the empty string only of a deleted person."""

MAX_PERSON_NAME = 50
"""Signs. JY/T 1002 gives XM thirty-six bytes; transliterated names of several parts need more."""
MAX_FOREIGN_NAME = 100
MAX_DISPLAY_NAME = 30
MAX_INSTITUTION_NAME = 80
"""Signs. The longest of the ministry's list of 2017 has nineteen; schools with full legal names run longer."""

MIDDLE_DOT = "\u00b7"
# • ‧ ∙ ⋅ ・ ･ ᛫ and the Greek ano teleia (which NFC makes U+00B7 by itself).
_DOTS = dict.fromkeys(map(ord, "\u2022\u2027\u2219\u22c5\u30fb\uff65\u16eb"), MIDDLE_DOT)
_FULL_STOPS = frozenset(".\uff0e")
_VARIATION_SELECTORS = ((0xFE00, 0xFE0F), (0x180B, 0x180F), (0xE0100, 0xE01EF))
_OTHER_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
# Planes 2 and 3 hold Han characters only. Named here because an interpreter's tables are older than the standard.
_HAN_PLANES = ((0x20000, 0x2FFFD), (0x30000, 0x3FFFD))


def _within(sign: str, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= ord(sign) <= last for first, last in ranges)


def is_han(sign: str) -> bool:
    """Whether one sign is a Han character (〇 included)."""
    point = ord(sign)
    return (
        0x4E00 <= point <= 0x9FFF
        or 0x3400 <= point <= 0x4DBF
        or 0xF900 <= point <= 0xFAFF
        or point == 0x3007
        or _within(sign, _HAN_PLANES)
    )


def _refuse_hidden(text: str, field: str) -> None:
    for sign in text:
        category = unicodedata.category(sign)
        if category == "Co":
            raise NameRefused(field=field, rule="private_use")
        if _within(sign, _VARIATION_SELECTORS) or sign in _OTHER_INVISIBLE or category in {"Cf", "Zl", "Zp"}:
            raise NameRefused(field=field, rule="invisible")
        if category in {"Cc", "Cs"} or (category == "Cn" and not _within(sign, _HAN_PLANES)):
            raise NameRefused(field=field, rule="control")


def _bounded(text: str, limit: int, field: str) -> str:
    # A bound before normalising keeps the work bounded; NFC never makes a text more than three times as long.
    if len(text) > limit * 3:
        raise NameRefused(field=field, rule="too_long")
    _refuse_hidden(text, field)
    normal = unicodedata.normalize("NFC", text).strip()
    if not normal:
        raise NameRefused(field=field, rule="empty")
    if len(normal) > limit:
        raise NameRefused(field=field, rule="too_long")
    return normal


def _dots(text: str) -> str:
    """Write every separating dot as U+00B7; a full stop only between two Han characters, where it can be nothing else."""
    signs = list(text.translate(_DOTS))
    for i in range(1, len(signs) - 1):
        if signs[i] in _FULL_STOPS and is_han(signs[i - 1]) and is_han(signs[i + 1]):
            signs[i] = MIDDLE_DOT
    return "".join(signs)


def _letters(text: str, separators: str, field: str) -> None:
    for sign in text:
        if not (sign in separators or is_han(sign) or unicodedata.category(sign)[0] in "LM"):
            raise NameRefused(field=field, rule="sign")
    if text[0] in separators or text[-1] in separators.replace(".", ""):
        raise NameRefused(field=field, rule="separator")
    if any(a in separators and b in separators and (a, b) not in {(".", " "), (".", "-")} for a, b in pairwise(text)):
        raise NameRefused(field=field, rule="separator")
    if unicodedata.category(text[0])[0] == "M":
        raise NameRefused(field=field, rule="sign")


def parse_person_name(text: str, *, field: str = "real_name") -> PersonName:
    """Read the name on a person's document: letters of any script, U+00B7, and inside a Latin name space ' - .

    Raises `NameRefused`: empty, too_long, control, invisible, private_use, sign, separator.
    """
    name = _dots(_bounded(text, MAX_PERSON_NAME, field))
    has_han = any(is_han(sign) for sign in name)
    _letters(name, MIDDLE_DOT if has_han else MIDDLE_DOT + " '\u2019-.", field)
    return PersonName(name)


def parse_foreign_name(text: str, *, field: str = "foreign_name") -> PersonName:
    """Read a name in Latin letters (for the English side of a certificate): letters, space ' - . only."""
    name = _bounded(text, MAX_FOREIGN_NAME, field)
    _letters(name, " '\u2019-.", field)
    if any(not unicodedata.name(s, "").startswith("LATIN") for s in name if unicodedata.category(s)[0] == "L"):
        raise NameRefused(field=field, rule="sign")
    return PersonName(name)


def parse_display_name(text: str, *, field: str = "display_name") -> str:
    """Read the name a person chose to be shown: any visible signs, one line."""
    return _bounded(text, MAX_DISPLAY_NAME, field)


def parse_institution_name(text: str, *, field: str = "name") -> str:
    """Read the name of a school or a unit: any visible signs, one line; ASCII brackets after Han as （）."""
    name = _bounded(text, MAX_INSTITUTION_NAME, field).translate(_DOTS)
    if any(is_han(sign) for sign in name):
        return name.replace("(", "\uff08").replace(")", "\uff09")
    return name


def default_display_name(real_name: PersonName, suffix: str) -> str:
    """Make a first display name that does not give the real one away: its first sign (or part) and a suffix."""
    if not is_han(real_name[0]):
        return f"{real_name[0]}. {suffix}"
    return f"{real_name[0]}{suffix}"


def parse_phone(text: str, *, field: str = "phone") -> str:
    """Read a mainland mobile number: eleven digits beginning 13–19; spaces, hyphens and +86 are dropped.

    Raises `PhoneRefused(rule="form")`.
    """
    digits = text.replace(" ", "").replace("-", "").removeprefix("+86")
    if not (len(digits) == 11 and digits.isascii() and digits.isdigit() and digits[0] == "1" and digits[1] >= "3"):
        raise PhoneRefused(field=field, rule="form")
    return digits
