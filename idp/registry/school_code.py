"""School codes: 学校(机构)标识码 of 《学校(机构)代码管理办法》 (2011).

Ten digits, no check digit: two of category, two of province (GB/T 2260), six of sequence; in higher education the
sequence is `0` and the five-digit 高校代码. The ministry's own published list breaks the category rule in places (colleges
listed under a secondary category), so there are two readings: `parse_strict` for codes someone types, `parse_listed` for
codes an official list states, which keeps them exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

from idp.registry.division import PROVINCE_PREFIXES
from idp.registry.errors import SchoolCodeRefused

DIGITS = 10

# 各级各类学校(机构)代码编制规则; the names are in the message catalogue as registry.category.NN.
CATEGORIES = frozenset(
    {"11", "21", "22", "31", "32", "33", "34", "35", "36", "37", "41", "42", "51", "91", "92", "93"},
)
HIGHER_EDUCATION = frozenset({"41", "42"})
# Administered by the province or a ministry, not by the county they stand in.
_PROVINCE_RUN = frozenset({"41", "42", "91", "92"})
# 新疆生产建设兵团 has the prefix 66 in education practice; GB/T 2260 has no such province.
_XINJIANG_CORPS = "66"
_PROVINCES = PROVINCE_PREFIXES | {_XINJIANG_CORPS}


@dataclass(frozen=True, slots=True, order=True)
class SchoolCode:
    """A ten-digit school code. Make one with `parse_strict` or `parse_listed`."""

    value: str

    def __str__(self) -> str:
        return self.value

    @property
    def category(self) -> str:
        """Two digits of category, as the code states it."""
        return self.value[:2]

    @property
    def province(self) -> str:
        """Two digits of province (GB/T 2260), as the code states it."""
        return self.value[2:4]

    @property
    def higher_education_code(self) -> str | None:
        """The five-digit 高校代码 used in certificate numbers; None where the code is not of that shape."""
        if self.category in HIGHER_EDUCATION and self.value[4] == "0":
            return self.value[5:]
        return None

    @property
    def region(self) -> str:
        """Six-digit division code of the province the school is registered in; the Corps counts as Xinjiang."""
        prefix = "65" if self.province == _XINJIANG_CORPS else self.province
        return f"{prefix}0000"

    @property
    def is_province_run(self) -> bool:
        """Whether the category is one that the province (or a ministry) administers."""
        return self.category in _PROVINCE_RUN


def _digits(text: str) -> str:
    if len(text) != DIGITS:
        raise SchoolCodeRefused(field="school_code", rule="length")
    if not (text.isascii() and text.isdigit()):
        raise SchoolCodeRefused(field="school_code", rule="characters")
    if text[2:4] not in _PROVINCES:
        raise SchoolCodeRefused(field="school_code", rule="province")
    return text


def parse_listed(text: str) -> SchoolCode:
    """Read a code an official list states. Ten digits and a known province; the category is kept as it is."""
    return SchoolCode(_digits(text))


def parse_strict(text: str) -> SchoolCode:
    """Read a code by the full rule; raise `SchoolCodeRefused`: length, characters, province, category, sequence."""
    code = SchoolCode(_digits(text))
    if code.category not in CATEGORIES:
        raise SchoolCodeRefused(field="school_code", rule="category")
    if code.category in HIGHER_EDUCATION and text[4] != "0":
        raise SchoolCodeRefused(field="school_code", rule="sequence")
    return code
