"""A visitor without a browser: keeps cookies, follows redirects, reads forms as HTML and sends them as a browser would.

The demo story and the tests that need no rendering walk through the real pages with it, so what they prove is what a
person without JavaScript gets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Self
from urllib.parse import urljoin

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

_REDIRECTS_MAX = 12  # sign-in, consent and a platform's callback together take seven
_VOID_VALUE = "on"  # HTML Living Standard §4.10.5: the value a checkbox without one submits

Upload = tuple[str, bytes, str]  # file name, content, media type


class StoryBroken(Exception):
    """A page was not what the story needs next; the message names the page and what was missing, never a secret."""


@dataclass
class Form:
    """One HTML form: where it goes, what a browser would send, and what could be chosen."""

    action: str
    method: str
    values: list[tuple[str, str]] = field(default_factory=list)
    checkboxes: list[tuple[str, str]] = field(default_factory=list)
    buttons: list[tuple[str, str]] = field(default_factory=list)
    file_inputs: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)


class _PageParser(HTMLParser):
    def __init__(self, base: str) -> None:
        super().__init__()
        self.base = base
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.identified: dict[str, str] = {}
        self._form: Form | None = None
        self._select: str | None = None
        self._first_option: tuple[str, str] | None = None
        self._chosen = False
        self._textarea: str | None = None
        self._open_ids: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self._open_ids.append((tag, given["id"]))
            self.identified.setdefault(given["id"], "")
        if tag == "a" and "href" in given:
            self.links.append(urljoin(self.base, given["href"]))
        if tag == "form":
            self._form = Form(urljoin(self.base, given.get("action", "")), given.get("method", "get").lower())
            self.forms.append(self._form)
        elif self._form is not None:
            self._control(tag, given, {name for name, _ in attrs})

    def _control(self, tag: str, given: Mapping[str, str], present: set[str]) -> None:
        form = self._form
        if form is None or "disabled" in present:
            return
        name = given.get("name", "")
        if name:
            form.names.add(name)
        if tag == "input" and name:
            self._input(form, name, given, present)
        elif tag == "button" and given.get("type", "submit") == "submit":
            form.buttons.append((name, given.get("value", "")))
        elif tag == "select":
            self._select, self._first_option, self._chosen = name, None, False
        elif tag == "option" and self._select:
            choice = (self._select, given.get("value", ""))
            self._first_option = self._first_option or choice
            if "selected" in present:
                form.values.append(choice)
                self._chosen = True
        elif tag == "textarea":
            self._textarea = name
            form.values.append((name, ""))

    @staticmethod
    def _input(form: Form, name: str, given: Mapping[str, str], present: set[str]) -> None:
        kind = given.get("type", "text").lower()
        if kind in ("checkbox", "radio"):
            pair = (name, given.get("value", _VOID_VALUE))
            form.checkboxes.append(pair)
            if "checked" in present:
                form.values.append(pair)
        elif kind == "file":
            form.file_inputs.append(name)
        elif kind == "submit":
            form.buttons.append((name, given.get("value", "")))
        elif kind not in ("button", "reset", "image"):
            form.values.append((name, given.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "select" and self._form is not None:
            if not self._chosen and self._first_option is not None:
                self._form.values.append(self._first_option)
            self._select = None
        elif tag == "textarea":
            self._textarea = None
        for position in range(len(self._open_ids) - 1, -1, -1):
            if self._open_ids[position][0] == tag:
                del self._open_ids[position:]
                break

    def handle_data(self, data: str) -> None:
        for _, identifier in self._open_ids:
            self.identified[identifier] += data


@dataclass(frozen=True)
class Page:
    """One answer, read: its address after redirects, status, text, forms, links and the text of elements with an id."""

    url: str
    status: int
    content: bytes
    headers: httpx.Headers
    forms: list[Form]
    links: list[str]
    identified: Mapping[str, str]

    @property
    def text(self) -> str:
        """The answer as text."""
        return self.content.decode("utf-8", "replace")

    @property
    def problems(self) -> str:
        """What the page's error summary says, as one line; empty where there is none."""
        found = re.search(r'class="error-summary".*?</section>', self.text, flags=re.DOTALL)
        return " ".join(re.sub(r"<[^>]+>", " ", found[0].partition(">")[2]).split()) if found else ""

    def form_with(self, *names: str) -> Form:
        """Return the first form that has all these field names; raise StoryBroken where there is none."""
        for form in self.forms:
            if set(names) <= form.names:
                return form
        raise StoryBroken(f"{self.url.split('?')[0]} ({self.status}) has no form with {', '.join(names)}")

    def form_to(self, path: str) -> Form:
        """Return the first form whose action ends with `path`; raise StoryBroken where there is none."""
        for form in self.forms:
            if form.action.split("?")[0].endswith(path):
                return form
        raise StoryBroken(f"{self.url.split('?')[0]} ({self.status}) has no form to {path} {self.problems}")

    def link_to(self, part: str) -> str:
        """Return the first link that contains `part`; raise StoryBroken where there is none."""
        for link in self.links:
            if part in link:
                return link
        raise StoryBroken(f"{self.url.split('?')[0]} ({self.status}) has no link with {part}")


class Visitor:
    """One person's browser without a window. Not for concurrent use."""

    def __init__(self, *, language: str, timeout_s: float) -> None:
        self._client = httpx.AsyncClient(
            headers={"Accept-Language": language, "Accept": "text/html,*/*", "User-Agent": "EduTrust-demo-visitor"},
            timeout=timeout_s,
            trust_env=False,
            # A kept connection may be closed by the server just as it is used again; a story has no use for the race.
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def get(self, url: str) -> Page:
        """Open an address and follow where it leads."""
        return await self._follow(await self._client.get(url))

    async def submit(
        self,
        form: Form,
        values: Mapping[str, str | Sequence[str]] | None = None,
        *,
        files: Mapping[str, Upload] | None = None,
        button: tuple[str, str] | None = None,
    ) -> Page:
        """Send a form with some fields replaced, as the named (or first) button would; follow where it leads."""
        replaced = dict(values or {})
        pairs = [(name, value) for name, value in form.values if name not in replaced]
        for name, value in replaced.items():
            pairs.extend((name, one) for one in ([value] if isinstance(value, str) else value))
        pressed = button or next(iter(form.buttons), None)
        if pressed is not None and pressed[0]:
            pairs.append(pressed)
        data: dict[str, list[str]] = {}
        for name, value in pairs:
            data.setdefault(name, []).append(value)
        headers = {"Origin": str(httpx.URL(form.action).copy_with(raw_path=b"/")).rstrip("/")}
        if form.method == "get":
            answer = await self._client.get(form.action, params=data)
        else:
            answer = await self._client.post(form.action, data=data, files=files, headers=headers)
        return await self._follow(answer)

    async def _follow(self, answer: httpx.Response) -> Page:
        for _ in range(_REDIRECTS_MAX):
            if not answer.is_redirect:
                break
            target = urljoin(str(answer.url), answer.headers["location"])
            answer = await self._client.get(target)
        parser = _PageParser(str(answer.url))
        if "html" in answer.headers.get("content-type", ""):
            parser.feed(answer.text)
        return Page(
            url=str(answer.url),
            status=answer.status_code,
            content=answer.content,
            headers=answer.headers,
            forms=parser.forms,
            links=parser.links,
            identified={name: text.strip() for name, text in parser.identified.items()},
        )
