"""Administrative divisions: the six-digit codes of GB/T 2260 and the tree they make.

Two digits of province, two of prefecture, two of county; 00 stands for the level above. A county whose prefecture does
not exist in the revision (a county run by its province, a district of a municipality) has the province as its parent, so
the tree is read from the loaded table, never from the digits alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from idp.registry.errors import DivisionRefused

NATION = "000000"
"""The root of the tree. Not a GB/T 2260 code; GB/T 2260 starts at the provinces."""

PROVINCE_PREFIXES = frozenset(
    {"11", "12", "13", "14", "15", "21", "22", "23", "31", "32", "33", "34", "35", "36", "37", "41", "42"}
    | {"43", "44", "45", "46", "50", "51", "52", "53", "54", "61", "62", "63", "64", "65", "71", "81", "82"},
)

MAX_DIVISIONS = 20_000
"""About six times the 3,219 of the 2019 revision."""


class DivisionLevel(StrEnum):
    """The level a division code names."""

    NATION = "nation"
    PROVINCE = "province"
    CITY = "city"
    COUNTY = "county"


@dataclass(frozen=True, slots=True)
class Division:
    """One division of one revision: `code` is six digits, `name` as published."""

    code: str
    name: str

    @property
    def level(self) -> DivisionLevel:
        """The level the code names."""
        return division_level(self.code)


def parse_division_code(text: str) -> str:
    """Read six digits with a known province; raise `DivisionRefused`: length, characters, province."""
    if len(text) != 6:
        raise DivisionRefused(field="division", rule="length")
    if not (text.isascii() and text.isdigit()):
        raise DivisionRefused(field="division", rule="characters")
    if text[:2] not in PROVINCE_PREFIXES or (text[2:4] == "00" and text[4:] != "00"):
        raise DivisionRefused(field="division", rule="province")
    return text


def division_level(code: str) -> DivisionLevel:
    """Say which level a six-digit code names."""
    if code == NATION:
        return DivisionLevel.NATION
    if code.endswith("0000"):
        return DivisionLevel.PROVINCE
    if code.endswith("00"):
        return DivisionLevel.CITY
    return DivisionLevel.COUNTY


class DivisionTable:
    """An immutable revision of the divisions."""

    __slots__ = ("_by_code", "revision")

    def __init__(self, divisions: Iterable[Division], *, revision: str) -> None:
        self.revision = revision
        self._by_code: dict[str, Division] = {}
        for division in divisions:
            if self._by_code.setdefault(division.code, division) != division:
                raise DivisionRefused(field="division", rule="duplicate")
            if len(self._by_code) > MAX_DIVISIONS:
                raise DivisionRefused(field="division", rule="too_many")

    def __len__(self) -> int:
        return len(self._by_code)

    def all(self) -> tuple[Division, ...]:
        """Return every division, in the order of the codes."""
        return tuple(self._by_code[code] for code in sorted(self._by_code))

    def find(self, code: str) -> Division | None:
        """Return the division, or None where this revision has none of that code."""
        return self._by_code.get(code)

    def get(self, code: str) -> Division:
        """Return the division; raise `DivisionRefused(rule="unknown")` where this revision has none of that code."""
        division = self._by_code.get(code)
        if division is None:
            raise DivisionRefused(field="division", rule="unknown")
        return division

    def ancestors(self, code: str) -> tuple[str, ...]:
        """Return the codes above a division from the nation down to its direct superior; empty for the nation.

        Raises `DivisionRefused(rule="unknown")` for a code this revision does not have.
        """
        if code == NATION:
            return ()
        self.get(code)
        above = [NATION]
        for candidate in (f"{code[:2]}0000", f"{code[:4]}00"):
            if candidate != code and candidate in self._by_code and candidate not in above:
                above.append(candidate)
        return tuple(above)

    def children(self, code: str) -> tuple[Division, ...]:
        """Return the divisions whose direct superior is `code`."""
        return tuple(d for d in self.all() if self.ancestors(d.code)[-1] == code)

    def full_name(self, code: str) -> str:
        """Return the published names from the province down, joined without spaces (重庆市沙坪坝区)."""
        above = [self._by_code[c].name for c in self.ancestors(code) if c != NATION]
        return "".join([*above, self.get(code).name])
