"""What a record says, in words: each claim with its label and a value people can read."""

from __future__ import annotations

import calendar
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from credentials.creditbank.record import show_credits
from credentials.kinds import KINDS
from credentials.pages.render import Translator

# The order people expect on a certificate: who, from where, what, how much, when, under which number.
ORDER = (
    "name", "title", "author", "school_name", "school_code", "level", "major", "major_code", "achievement",
    "achievement_code", "credits_hundredths", "hours_learned", "grade", "student_number", "duration_years",
    "enrolment_date", "graduation_date", "recognised_on", "registered_on", "licence", "certificate_number",
    "degree_certificate_number", "number", "file_size", "file_sm3",
)  # fmt: skip
_RANK = {name: place for place, name in enumerate(ORDER)}
# The claim that names a record of each kind to a reader.
TITLE_CLAIMS = ("major", "achievement", "title")
# Claims whose values are names of the product's own, and where their words stand.
_WORDED = {"level": "credentials.level.", "licence": "batch.licence_"}
_BEIJING_NOON_AS_UTC_S = 4 * 3600


@dataclass(frozen=True, slots=True)
class Fact:
    """A label (a message code, or plain words where there is none) and a value in words; `name` is the claim's own."""

    name: str
    code: str | None
    label: str
    value: str


def in_order(names: Iterable[str]) -> list[str]:
    """Sort claim names into the order people expect; unknown ones last, by name."""
    return sorted(names, key=lambda name: (_RANK.get(name, len(ORDER)), name))


def label_of(name: str, t: Translator) -> str | None:
    """Return the message code of a claim's label, or None where the catalogues have none."""
    code = f"credentials.claim.{name}"
    return code if code in t else None


def facts(claims: Mapping[str, Any], t: Translator) -> list[Fact]:
    """Return the claims as people read them, in order."""
    return [Fact(name, label_of(name, t), name, value_of(name, claims[name], t)) for name in in_order(claims)]


def value_of(name: str, value: object, t: Translator) -> str:
    """Return one value in words. Never raises: an unforeseen value of a verified record is shown as it stands."""
    if name == "credits_hundredths" and type(value) is int and value >= 0:
        return show_credits(value)
    if name == "file_size" and type(value) is int:
        return t.number(value)
    if name.endswith(("_date", "_on")) and isinstance(value, str):
        return _day(value, t)
    if name in _WORDED and isinstance(value, str):
        code = f"{_WORDED[name]}{value}"
        return t(code) if code in t else value
    if isinstance(value, str | int):
        return str(value)
    return json.dumps(value, ensure_ascii=False)


def _day(text: str, t: Translator) -> str:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return text
    return t.date(calendar.timegm(day.timetuple()) + _BEIJING_NOON_AS_UTC_S)


def title_of(kind: str, claims: Mapping[str, Any], t: Translator) -> str:
    """Return what a record is called in a list: its level and major, its course, or its work's title."""
    said = [str(claims[name]) for name in TITLE_CLAIMS if isinstance(claims.get(name), str)]
    level = value_of("level", claims["level"], t) if "level" in claims else ""
    return " · ".join(part for part in (*said, level) if part) or t(f"credentials.kind.{kind}")


def kind_of_type(vct: str | None) -> str | None:
    """Return the message code of the kind of a credential type, None for a type that is not ours."""
    for kind in KINDS.values():
        if kind.vct == vct:
            return f"credentials.kind.{kind.name}"
    return None
