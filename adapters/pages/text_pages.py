"""Help, accessibility and privacy: prose out of the catalogue, section by section."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from credentials.pages.render import Render

SECTIONS = {
    "help": ("check", "unknown", "share", "issue", "offline", "contact"),
    "accessibility": ("means", "limits", "tell"),
    "privacy": ("what", "log", "look", "rights", "minors"),
}


def _page(render: Render, name: str) -> Callable[[Request], Awaitable[Response]]:
    async def show(request: Request) -> Response:
        return render(request, "pages/text.html", {"page": name, "sections": SECTIONS[name]})

    return show


def routes(render: Render) -> list[Route]:
    """Return the pages of prose."""
    return [Route(f"/{name}", _page(render, name), methods=["GET"]) for name in SECTIONS]
