"""Long lists, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from credentials.pages.forms import whole_number


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a list: its rows, its number from 1, the last page's number, and the address its links begin with."""

    rows: Sequence[Any]
    page: int
    last: int
    address: str


def listing(request: Request, rows: Sequence[Any], *, size: int) -> Listing:
    """Cut the page the query asks for; one out of range is the nearest there is."""
    last = max(1, -(-len(rows) // size))
    page = min(max(whole_number(request.query_params.get("page", "")) or 1, 1), last)
    return Listing(rows[(page - 1) * size : page * size], page, last, f"{request.url.path}?")
