"""The person number (一人一号): permanent, opaque, random.

Sixteen decimal digits: the first 1–9, fourteen more random ones, and an ISO 7064 MOD 11,10 check digit, so that a number
read aloud or typed wrongly in one digit, or with two neighbours swapped, is refused before any look-up. It is drawn, not
derived: a hash of the ID number could be enumerated from the ten thousand million possible ID numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from idp.registry.errors import PersonNumberRefused

RandomBytes = Callable[[int], bytes]

DIGITS = 16
_RANDOM_DIGITS = DIGITS - 1
# Bytes are drawn in blocks and the biased tail rejected: 252 = 28·9 and 250 = 25·10 are the largest multiples.
_FIRST_LIMIT = 252
_OTHER_LIMIT = 250
_BLOCK = 32


@dataclass(frozen=True, slots=True, order=True)
class PersonNumber:
    """A well-formed person number. Make one with `parse_person_number` or `new_person_number`."""

    value: str

    def __str__(self) -> str:
        return self.value


def check_digit(payload: str) -> str:
    """Return the ISO/IEC 7064:2003 MOD 11,10 (hybrid) check digit of a string of decimal digits."""
    product = 10
    for digit in payload:
        total = (product + int(digit)) % 10 or 10
        product = total * 2 % 11
    return str((11 - product) % 10)


def parse_person_number(text: str) -> PersonNumber:
    """Read a person number; raise `PersonNumberRefused` naming the rule: length, characters, check_digit."""
    if len(text) != DIGITS:
        raise PersonNumberRefused(field="person_number", rule="length")
    if not (text.isascii() and text.isdigit()) or text[0] == "0":
        raise PersonNumberRefused(field="person_number", rule="characters")
    if check_digit(text[:-1]) != text[-1]:
        raise PersonNumberRefused(field="person_number", rule="check_digit")
    return PersonNumber(text)


def new_person_number(random_bytes: RandomBytes) -> PersonNumber:
    """Draw a number uniformly. The store draws again on a collision (9·10^14 numbers make one rare)."""
    digits = ""
    while len(digits) < _RANDOM_DIGITS:
        for byte in random_bytes(_BLOCK):
            if not digits and byte < _FIRST_LIMIT:
                digits = str(byte % 9 + 1)
            elif digits and byte < _OTHER_LIMIT and len(digits) < _RANDOM_DIGITS:
                digits += str(byte % 10)
    return PersonNumber(digits + check_digit(digits))
