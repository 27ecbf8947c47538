"""Calendar dates in files and forms, and the day it is."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone

from idp.registry.errors import DateRefused

_SHAPE = re.compile(r"([0-9]{4})(?:-([0-9]{2})-([0-9]{2})|([0-9]{2})([0-9]{2})|/([0-9]{1,2})/([0-9]{1,2}))")


CHINA_TIME = timezone(timedelta(hours=8))
"""GB/T 7408: the one legal time of the whole country; a birthday begins with it."""


def day_of(seconds: int) -> date:
    """Return the day it is in China at a time in seconds since the epoch."""
    return datetime.fromtimestamp(seconds, CHINA_TIME).date()


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
