"""What every page must be, whoever looks at it and on whatever screen."""

from __future__ import annotations

from functools import cache
from typing import Any

from playwright.sync_api import Page

from tests.e2e.demo import ROOT

AXE = ROOT / "adapters" / "web" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
NAMES = {"zh-CN": "教育可信", "en": "EduTrust"}


@cache
def _axe() -> str:
    return AXE.read_text("utf-8")


def inspect(page: Page, language: str, *, axe: bool) -> None:
    """Fail unless the page has one heading, a title, its language, no sideways scroll, and nothing axe complains of.

    axe takes its time; a page that is looked at in one colour scheme and at one width need not be asked for the others.
    A click returns when the next page begins to come: it is waited for.
    """
    page.wait_for_load_state()
    seen: dict[str, Any] = page.evaluate(
        """() => ({
          headings: document.querySelectorAll("h1").length,
          title: document.title,
          language: document.documentElement.lang,
          overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
        })"""
    )
    assert seen["headings"] == 1, page.url
    assert seen["language"] == language, page.url
    assert seen["overflow"] <= 0, f"{page.url} is {seen['overflow']} pixels too wide"
    what, dot, product = str(seen["title"]).rpartition(" · ")
    assert what.strip(), page.url
    assert dot, page.url
    assert NAMES[language] in product, page.url
    if axe:
        assert _complaints_of_axe(page) == [], page.url


def _complaints_of_axe(page: Page) -> list[str]:
    # Evaluated by the debugger, so the page's own policy is neither asked nor loosened.
    page.evaluate(_axe())
    found: dict[str, Any] = page.evaluate(
        "(rules) => axe.run(document, { runOnly: rules, resultTypes: ['violations'] })", RULES
    )
    return [
        f"{violation['id']}: {node['target']} {node['html'][:200]}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]
