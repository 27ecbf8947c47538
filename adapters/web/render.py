"""Fills templates: the frame, the reader's language, the form token, addresses of static files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from adapters.web.assets import Assets
from adapters.web.catalogue import DEFAULT_LANGUAGE, LANGUAGES, Translator

REPOSITORY = Path(__file__).parents[2]
TEMPLATE_FOLDERS = (
    Path(__file__).parent / "templates",
    REPOSITORY / "adapters" / "pages" / "templates",
    REPOSITORY / "idp" / "pages" / "templates",
    REPOSITORY / "credentials" / "pages" / "templates",
    REPOSITORY / "ledger" / "pages" / "templates",
)
# A page's address may be this long and still be repeated in the language switch; past it the query is dropped.
SWITCH_QUERY_MAX = 2000


@dataclass(frozen=True, slots=True)
class NavigationItem:
    """One entry of the header: a path and the code of its label."""

    path: str
    code: str


@dataclass(frozen=True, slots=True)
class Frame:
    """What the frame of every page shows, by settings."""

    filing_number: str | None
    police_filing_number: str | None
    navigation: Callable[[Request], Sequence[NavigationItem]]
    sign_out_path: str
    home_path: str


def environment(assets: Assets, folders: Sequence[Path] = TEMPLATE_FOLDERS) -> Environment:
    """Return the one template environment: everything escaped, an undefined name is an error."""
    made = Environment(
        loader=FileSystemLoader([str(folder) for folder in folders]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals["static"] = assets.url
    made.filters["groups"] = groups
    return made


def groups(code: str, size: int = 4) -> str:
    """Return a code in groups people can read aloud: `K7Q2-9F4M-…`. Existing separators are dropped first."""
    bare = "".join(ch for ch in code if ch not in "- ")
    return "-".join(bare[i : i + size] for i in range(0, len(bare), size))


class Pages:
    """The `Render` every package is given: `render(request, "idp/sign_in.html", {…}, status_code=200)`."""

    def __init__(self, templates: Environment, translators: Mapping[str, Translator], frame: Frame) -> None:
        self._templates = templates
        self._translators = translators
        self._frame = frame

    def translator(self, request: Request) -> Translator:
        """Return `t` of this request's reader, for handlers that word something themselves."""
        return self._translators[getattr(request.state, "locale", DEFAULT_LANGUAGE)]

    def __call__(self, request: Request, name: str, context: Mapping[str, Any], status_code: int = 200) -> HTMLResponse:
        """Fill one template. A name the template uses and nobody gave raises; it is a mistake, not an outage."""
        t = self.translator(request)
        page: dict[str, Any] = {
            "actor": getattr(request.state, "actor", None),
            **context,
            "t": t,
            "csrf": getattr(request.state, "csrf", ""),
            "frame": self._frame,
            "navigation": self._frame.navigation(request),
            "path": request.url.path,
            "languages": [(tag, f"language.{tag}", switch_address(request, "ui_locales", tag)) for tag in LANGUAGES],
            "large_text": getattr(request.state, "large_text", False),
            "text_switch": switch_address(
                request, "text_size", "normal" if getattr(request.state, "large_text", False) else "large"
            ),
        }
        return HTMLResponse(self._templates.get_template(name).render(page), status_code=status_code)


def switch_address(request: Request, name: str, value: str) -> str:
    """Return this page's own address with one preference changed; of a submitted form, only its path."""
    query = request.url.query if request.method == "GET" and len(request.url.query) <= SWITCH_QUERY_MAX else ""
    kept = [(key, item) for key, item in parse_qsl(query, keep_blank_values=True) if key != name]
    # One slash only at the front: `//host/` would be another site's address.
    path = "/" + quote(request.url.path.lstrip("/\\"), safe="/%:@!$&'()*+,;=~-._")
    return f"{path}?{urlencode([*kept, (name, value)])}"
