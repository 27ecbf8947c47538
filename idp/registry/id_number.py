"""Citizen ID numbers: GB 11643-1999, eighteen signs.

Six of division, eight of birth date, three of sequence (odd for a man), one check sign of ISO 7064 MOD 11-2. Residence
permits of Hong Kong, Macao and Taiwan residents (81/82/83…) and the foreigners' permanent residence cards of 2023 (9…)
are built alike and share the check, so all are read here. Only the form of the first six digits is checked: a number
keeps the division of its issue for life, and divisions come and go.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from idp.registry.errors import IdNumberRefused

LENGTH = 18
EARLIEST_BIRTH_YEAR = 1870
"""Nobody born earlier was alive when numbers were first issued in 1984."""

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK_SIGNS = "10X98765432"
_KINDS = {"9": "foreigner", "81": "hk_macao_taiwan", "82": "hk_macao_taiwan", "83": "hk_macao_taiwan"}


class Sex(StrEnum):
    """GB/T 2261.1: 1 male, 2 female, as the sequence's last digit tells it."""

    MALE = "1"
    FEMALE = "2"


class IdNumberKind(StrEnum):
    """Which card carries the number."""

    RESIDENT = "resident"
    HK_MACAO_TAIWAN = "hk_macao_taiwan"
    FOREIGNER = "foreigner"


@dataclass(frozen=True, slots=True)
class IdNumber:
    """A well-formed ID number. Make one with `parse_id_number`. Its repr and masked form never show the whole."""

    value: str
    birth: date

    def __repr__(self) -> str:
        return f"IdNumber({self.masked})"

    @property
    def masked(self) -> str:
        """First and last two signs; the rest, with the birth date and sequence, hidden."""
        return f"{self.value[:2]}{'*' * (LENGTH - 4)}{self.value[-2:]}"

    @property
    def division(self) -> str:
        """The six digits of the division of issue."""
        return self.value[:6]

    @property
    def sex(self) -> Sex:
        """Odd sequence numbers are given to men."""
        return Sex.MALE if int(self.value[16]) % 2 else Sex.FEMALE

    @property
    def kind(self) -> IdNumberKind:
        """Which card carries the number."""
        return IdNumberKind(_KINDS.get(self.value[0]) or _KINDS.get(self.value[:2]) or "resident")


def check_sign(payload: str) -> str:
    """Return the eighteenth sign for seventeen decimal digits."""
    return _CHECK_SIGNS[sum(int(d) * w for d, w in zip(payload, _WEIGHTS, strict=True)) % 11]


def parse_id_number(text: str) -> IdNumber:
    """Read an ID number; a final `x` is read as `X`.

    Raises `IdNumberRefused`: length, characters, division, birth_date, check_digit. A birth in the future is the
    caller's to refuse with `refuse_future_birth`, because only the caller has a clock.
    """
    if len(text) != LENGTH:
        raise IdNumberRefused(field="id_number", rule="length")
    value = text[:-1] + text[-1].replace("x", "X")
    if not (value.isascii() and value[:-1].isdigit() and value[-1] in "0123456789X"):
        raise IdNumberRefused(field="id_number", rule="characters")
    if value[0] == "0":
        raise IdNumberRefused(field="id_number", rule="division")
    try:
        birth = date(int(value[6:10]), int(value[10:12]), int(value[12:14]))
    except ValueError:
        raise IdNumberRefused(field="id_number", rule="birth_date") from None
    if birth.year < EARLIEST_BIRTH_YEAR:
        raise IdNumberRefused(field="id_number", rule="birth_date")
    if check_sign(value[:-1]) != value[-1]:
        raise IdNumberRefused(field="id_number", rule="check_digit")
    return IdNumber(value, birth)


def refuse_future_birth(id_number: IdNumber, *, today: date) -> IdNumber:
    """Return the number unless its birth date lies after `today`; raise `IdNumberRefused(rule="birth_in_future")`."""
    if id_number.birth > today:
        raise IdNumberRefused(field="id_number", rule="birth_in_future")
    return id_number
