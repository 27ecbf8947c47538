"""The function pages are rendered with; the web floor passes it in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response


class Render(Protocol):
    """Renders a template in the language of the request."""

    def __call__(self, request: Request, name: str, context: Mapping[str, object], status_code: int = 200) -> Response:
        """Return the page."""
