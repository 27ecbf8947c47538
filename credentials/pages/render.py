"""What the pages of this package are given to make a response: a filler of templates, and words in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response


class Translator(Protocol):
    """Messages by code, and times and numbers as written in one language."""

    @property
    def locale(self) -> str:
        """The language tag, `zh-CN` or `en`."""
        ...

    def __call__(self, code: str, **params: str | int) -> str:
        """Return the message of a code with its parameters put in."""
        ...

    def __contains__(self, code: str) -> bool:
        """Whether the catalogues have the code."""
        ...

    def date(self, seconds: int) -> str:
        """Return the day of a time (seconds since the epoch), Beijing time."""
        ...

    def time(self, seconds: int) -> str:
        """Return day and minute of a time, Beijing time."""
        ...

    def number(self, value: int) -> str:
        """Return a whole number with its thousands in groups."""
        ...


class Render(Protocol):
    """Fills one template of this package's folder within the frame of every page."""

    def __call__(self, request: Request, name: str, context: Mapping[str, Any], status_code: int = 200) -> Response:
        """Return the page. Every name the template uses must be in `context`."""
        ...

    def translator(self, request: Request) -> Translator:
        """Return the words of this request's reader."""
        ...
