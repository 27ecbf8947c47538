"""The credit record: one recognised achievement with its credits, as a kind.

Credits are whole hundredths. Hours become credits by rules that differ between provinces and years, so the rule is the
school's and the record carries the result with the hours learned.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

from credentials.errors import RecordRefused
from credentials.kind import Kind, plain_text
from credentials.model import Draft, HolderFacts, UniqueKey
from idp.registry.model import School
from idp.registry.person_number import PersonNumber

KIND: Final = Kind(
    name="credit_record",
    vct="urn:edutrust:vct:credit-record:1",
    always=frozenset({"number"}),
    selectable=(
        "name", "school_name", "achievement", "achievement_code", "credits_hundredths", "hours_learned", "grade",
        "recognised_on",
    ),
    required=frozenset({"number", "name", "school_name", "achievement", "achievement_code", "credits_hundredths"}),
)  # fmt: skip

# A doctorate takes some 40 credits in all; one achievement beyond 100 is a slip of the decimal point.
MAX_HUNDREDTHS: Final = 10_000
MAX_HOURS: Final = 5_000
_CREDITS = re.compile(r"(0|[1-9][0-9]{0,2})(?:\.([0-9]{1,2}))?")
_CODE = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,31}")
_NUMBER_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
NUMBER_RANDOM_SIGNS: Final = 10  # 50 bits beside school and year: a collision is refused by the store, and drawn again


@dataclass(frozen=True, slots=True)
class CreditForm:
    """What a registrar enters: texts as typed, the learner by person number."""

    person: PersonNumber
    name: str
    achievement: str
    achievement_code: str
    credits: str
    hours_learned: str
    grade: str
    recognised_on: date


def parse_credits(text: str) -> int:
    """Read credits with at most two decimals; return whole hundredths. Raises `RecordRefused`: credits_form, range."""
    shape = _CREDITS.fullmatch(text.strip())
    if shape is None:
        raise RecordRefused(field="credits", rule="credits_form")
    hundredths = int(shape[1]) * 100 + int((shape[2] or "").ljust(2, "0"))
    if not 0 < hundredths <= MAX_HUNDREDTHS:
        raise RecordRefused(field="credits", rule="range", most=MAX_HUNDREDTHS // 100)
    return hundredths


def show_credits(hundredths: int) -> str:
    """Return credits as people write them: no needless decimals."""
    return f"{hundredths // 100}.{hundredths % 100:02}".rstrip("0").rstrip(".")


def record_number(prefix: str, school: School, year: int, random: bytes) -> str:
    """Return a number `<prefix><year>-<last five of the school code>-<ten random signs>`."""
    signs = "".join(_NUMBER_ALPHABET[byte & 31] for byte in random[:NUMBER_RANDOM_SIGNS])
    return f"{prefix}{year:04}-{school.code.value[5:]}-{signs}"


def draft_credit_record(form: CreditForm, *, school: School, today: date, random: bytes) -> Draft:
    """Make a draft of what was entered. `random` is `NUMBER_RANDOM_SIGNS` bytes. Raises `RecordRefused`."""
    code = form.achievement_code.strip()
    if not _CODE.fullmatch(code):
        raise RecordRefused(field="achievement_code", rule="achievement_code_form")
    if form.recognised_on > today:
        raise RecordRefused(field="recognised_on", rule="in_the_future")
    hundredths = parse_credits(form.credits)
    claims: dict[str, str | int] = {
        "name": form.name,
        "school_name": school.name,
        "achievement": plain_text(form.achievement, field="achievement"),
        "achievement_code": code,
        "credits_hundredths": hundredths,
        "recognised_on": form.recognised_on.isoformat(),
        "number": record_number("XF", school, today.year, random),
    }
    if form.hours_learned.strip():
        hours = form.hours_learned.strip()
        if not (hours.isascii() and hours.isdigit() and len(hours) <= 4 and 0 < int(hours) <= MAX_HOURS):
            raise RecordRefused(field="hours_learned", rule="hours_form")
        claims["hours_learned"] = int(hours)
    if form.grade.strip():
        claims["grade"] = plain_text(form.grade, field="grade", most=20)
    number = str(claims["number"])
    # The same achievement of the same learner at the same school is recognised once.
    achievement = f"{school.code}|{form.person}|{code}"
    return Draft(
        1,
        number,
        HolderFacts(None, form.name, None, None, form.person),
        claims,
        (UniqueKey("credit_record.number", number), UniqueKey("credit_record.achievement", achievement)),
        ("number", "achievement_code"),
    )
