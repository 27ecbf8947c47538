"""The page of `response_mode=form_post`, read as a browser without scripts reads it."""

from __future__ import annotations

from html.parser import HTMLParser

from tests.protocol.world import Answer


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str, str]] = []
        self.fields: dict[str, str] = {}
        self.inputs = 0
        self.buttons = 0
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((given.get("method", "get"), given.get("action", "")))
        elif tag == "input":
            self.inputs += 1
            self.fields[given["name"]] = given["value"]
        elif tag == "button":
            self.buttons += 1
        elif tag == "a":
            self.links.append(given.get("href", ""))


def handed_over(page: Answer) -> tuple[str, dict[str, str]]:
    """Return the address the page's one form posts to, and what it posts."""
    assert page.status == 200, page.text
    assert page.headers["content-type"].startswith("text/html")
    read = _Forms()
    read.feed(page.text)
    [(method, action)] = read.forms
    assert method == "post"
    assert read.inputs == len(read.fields)
    assert read.buttons == 1
    return action, read.fields
