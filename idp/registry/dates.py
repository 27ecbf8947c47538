"""Calendar dates in files and forms."""

from __future__ import annotations

import re
from datetime import date

from idp.registry.errors import DateRefused

_SHAPE = re.compile(r"([0-9]{4})(?:-([0-9]{2})-([0-9]{2})|([0-9]{2})([0-9]{2})|/([0-9]{1,2})/([0-9]{1,2}))")


def parse_date(text: str, *, field: str) -> date:
    """Read YYYY-MM-DD, YYYYMMDD (GB/T 7408) or the YYYY/M/D that spreadsheets write.

    Raises `DateRefused`: form, or impossible for a day the calendar does not have.
    """
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        raise DateRefused(field=field, rule="form")
    year, month, day = (int(part) for part in shape.groups() if part is not None)
    try:
        return date(year, month, day)
    except ValueError:
        raise DateRefused(field=field, rule="impossible") from None
