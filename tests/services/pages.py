"""What pages are made from, read once a process: the catalogues and the templates do not change while tests run.

Reading them takes longer than most tests of a page.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import cast

from jinja2 import Environment

from adapters.web.assets import Assets
from adapters.web.catalogue import Translator, load
from adapters.web.render import environment


class PlainAssets:
    """Addresses of static files without the build that stamps them."""

    def url(self, name: str) -> str:
        """Return where the file is served."""
        return f"/static/{name}"


@cache
def translators() -> Mapping[str, Translator]:
    """Return every catalogue."""
    return load()


@cache
def assets() -> Assets:
    """Return the built static files."""
    return Assets()


@cache
def templates() -> Environment:
    """Return the templates with the built static files."""
    return environment(assets())


@cache
def plain_templates() -> Environment:
    """Return the templates where nothing static is built."""
    return environment(cast("Assets", PlainAssets()))
