"""The integration guide as a stranger reads it: its registration, and the samples it shows."""

from __future__ import annotations

import re
from pathlib import Path

from tests.services.ports import free_port

DOCS = Path(__file__).parents[3] / "docs"
SAMPLES = DOCS / "samples"
PLATFORM = f"http://127.0.0.1:{free_port()}"
"""Where the samples are told to listen instead of the guide's port."""


def text() -> str:
    """Return the guide."""
    return (DOCS / "integration.md").read_text("utf-8")


def registration() -> str:
    """Return the registration the guide shows."""
    return text().partition("<!-- registration -->\n```json\n")[2].partition("```")[0]


def shown() -> dict[str, str]:
    """Return what the guide and the profile show of each sample, by the sample's path below docs/samples."""
    pages = text() + (DOCS / "profiles" / "oidc-national.md").read_text("utf-8")
    return dict(re.findall(r"<!-- sample: (\S+) -->\n```\w+\n(.*?)```\n", pages, flags=re.DOTALL))
