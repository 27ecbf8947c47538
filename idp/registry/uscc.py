"""Unified social credit codes: GB 32100-2015, with the organisation code of GB 11714-1997 inside."""

from __future__ import annotations

from dataclasses import dataclass

from idp.registry.errors import UsccRefused

LENGTH = 18
ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
"""GB 32100-2015 table 1: thirty-one signs; I, O, S, V and Z are left out."""

_WEIGHTS = tuple(pow(3, position, 31) for position in range(LENGTH - 1))
_ORGANISATION_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)


@dataclass(frozen=True, slots=True, order=True)
class Uscc:
    """A well-formed unified social credit code. Make one with `parse_uscc`."""

    value: str

    def __str__(self) -> str:
        return self.value

    @property
    def division(self) -> str:
        """Six digits of the registering authority's division."""
        return self.value[2:8]

    @property
    def organisation_code(self) -> str:
        """Nine signs of GB 11714, the last its own check sign."""
        return self.value[8:17]


def _organisation_check(payload: str) -> str:
    total = sum(_ORGANISATION_ALPHABET.index(c) * w for c, w in zip(payload, _ORGANISATION_WEIGHTS, strict=True))
    return "0123456789X0"[11 - total % 11]


def check_sign(payload: str) -> str:
    """Return the eighteenth sign for seventeen signs of the alphabet."""
    total = sum(ALPHABET.index(sign) * weight for sign, weight in zip(payload, _WEIGHTS, strict=True))
    return ALPHABET[(31 - total % 31) % 31]


def parse_uscc(text: str) -> Uscc:
    """Read a code in capitals; raise `UsccRefused`: length, characters, division, organisation_code, check_sign."""
    if len(text) != LENGTH:
        raise UsccRefused(field="uscc", rule="length")
    if any(sign not in ALPHABET for sign in text):
        raise UsccRefused(field="uscc", rule="characters")
    if not text[2:8].isdigit():
        raise UsccRefused(field="uscc", rule="division")
    if _organisation_check(text[8:16]) != text[16]:
        raise UsccRefused(field="uscc", rule="organisation_code")
    if check_sign(text[:-1]) != text[-1]:
        raise UsccRefused(field="uscc", rule="check_sign")
    return Uscc(text)
