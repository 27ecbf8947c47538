"""What a kind of record is: a type, its claims, and which of them a holder may keep back. Schema and rules, no more."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from credentials.errors import RecordRefused
from credentials.formats.disclosures import Disclosable
from idp.registry.errors import NameRefused
from idp.registry.names import parse_display_name

MAX_TEXT: Final = 200  # signs of a title or a course; the longest real course title found has 61


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of record. `always` claims are shown in every presentation; `selectable`, in display order, as chosen.

    Nothing else may stand in a record of the kind: no ID number and nothing derived from one is in any list.
    """

    name: str
    vct: str
    always: frozenset[str]
    selectable: tuple[str, ...]
    required: frozenset[str]

    def conceal(self, claims: Mapping[str, Any]) -> dict[str, Any]:
        """Return the claims with the selectable ones marked. Raises `RecordRefused`: unknown_claim, missing."""
        for name in claims.keys() - self.always - set(self.selectable):
            raise RecordRefused(field=name, rule="unknown_claim")
        for name in sorted(self.required - claims.keys()):
            raise RecordRefused(field=name, rule="missing")
        return {name: value if name in self.always else Disclosable(value) for name, value in claims.items()}


def plain_text(text: str, *, field: str, most: int = MAX_TEXT) -> str:
    """Read one line of visible signs in NFC. Raises `RecordRefused`: missing, too_long, or a rule of the name's signs.

    Bidirectional and invisible signs are refused: a look-alike would be read as something it is not (security.md 40).
    """
    trimmed = unicodedata.normalize("NFC", text.strip())
    if not trimmed:
        raise RecordRefused(field=field, rule="missing")
    if len(trimmed) > most:
        raise RecordRefused(field=field, rule="too_long", most=most)
    try:
        for start in range(0, len(trimmed), 20):  # the register's own rule of signs, a piece at a time
            piece = trimmed[start : start + 20]
            if piece.strip():
                parse_display_name(piece.strip(), field=field)
    except NameRefused as error:
        raise RecordRefused(field=field, rule=error.rule) from error
    return trimmed
