"""One person at a browser without scripts: follows redirects, reads forms, signs in, allows, and stops at the platform."""

from __future__ import annotations

import base64
import re
import time
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Literal
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx

from crypto.otp import totp
from tests.protocol.conformance.live import PASSWORD, Live

STEPS_MAX = 20
REDIRECTS = frozenset({302, 303})  # 307 would send a password on (RFC 9700 §4.12)


@dataclass(slots=True)
class Form:
    """A form as a browser without scripts would send it."""

    action: str
    method: str
    values: dict[str, str] = field(default_factory=dict)
    boxes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Callback:
    """The browser was sent to the platform: where, how, and with what."""

    address: str
    mode: Literal["query", "form_post"]
    parameters: dict[str, str]


@dataclass(frozen=True, slots=True)
class Page:
    """The browser stays at the provider: what the person sees."""

    status: int
    text: str
    forms: tuple[Form, ...]
    frames: tuple[str, ...]
    moves_on_to: str | None


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []
        self.frames: list[str] = []
        self.moves_on_to: str | None = None
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "iframe":
            self.frames.append(given["src"])
        elif tag == "meta" and given.get("http-equiv") == "refresh":
            self.moves_on_to = given["content"].partition("url=")[2]
        elif tag == "form":
            self.found.append(Form(given.get("action", ""), given.get("method", "get").lower()))
            self._open = True
        elif tag == "input" and self._open and "name" in given:
            boxes = given.get("type") == "checkbox" and "checked" not in given
            (self.found[-1].boxes if boxes else self.found[-1].values)[given["name"]] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = False


class Person:
    """A fresh browser. `signed_in` counts the sign-in pages that were filled in."""

    def __init__(self, live: Live, username: str = "lin") -> None:
        self._issuer = live.issuer
        self._username = username
        self.http = live.client(accept="text/html")
        self.signed_in = 0
        self.typed_for_them = ""

    def go(self, address: str) -> Callback | Page:
        """Open an address, and do whatever the provider asks until there is nothing more to do."""
        return self._on(self.http.get(address))

    def send(self, address: str, form: dict[str, str]) -> Callback | Page:
        """Post a form of the platform's to an address, and go on likewise."""
        return self._on(self.http.post(address, data=form))

    def press(self, form: Form, **button: str) -> Callback | Page:
        """Send a form of the page with one of its buttons."""
        return self._on(self._submit(form, button))

    def _on(self, response: httpx.Response) -> Callback | Page:
        for _ in range(STEPS_MAX):
            if response.status_code in REDIRECTS:
                target = urljoin(str(response.url), response.headers["location"])
                if not self._ours(target):
                    return _callback(target)
                response = self.http.get(target)
                continue
            page = _page(response)
            self._load_frames(page, response.headers["content-security-policy"])
            if page.moves_on_to is not None:
                assert not self._ours(page.moves_on_to)
                return _callback(page.moves_on_to)
            done = self._answer(page)
            if not isinstance(done, httpx.Response):
                return done
            response = done
        raise AssertionError("the sign-in goes round in circles")

    def _answer(self, page: Page) -> Callback | Page | httpx.Response:
        for form in page.forms:
            if form.action.startswith("http") and not self._ours(form.action):
                assert page.status == 200
                assert form.method == "post"
                return Callback(form.action, "form_post", form.values)
            if form.action == "/signin/password" and page.status == 200:
                self.signed_in += 1
                self.typed_for_them = form.values["username"]
                return self._submit(form, {"username": self._username, "password": PASSWORD})
            if form.action == "/signin/consent":
                return self._submit(form, form.boxes)
            if form.action == "/signin/enrol" and page.status == 200:
                return self._submit(form, {"code": _code_of(page)})
        return page

    def _load_frames(self, page: Page, policy: str) -> None:
        """Open what the page shows in frames, as far as its policy lets a browser."""
        allowed = [part.split()[1:] for part in policy.split(";") if part.split()[:1] == ["frame-src"]]
        for address in page.frames:
            parts = urlsplit(address)
            assert allowed == [[f"{parts.scheme}://{parts.netloc}"]]
            self.http.get(address)

    def _submit(self, form: Form, filled: dict[str, str]) -> httpx.Response:
        return self.http.post(urljoin(f"{self._issuer}/", form.action), data={**form.values, **filled})

    def _ours(self, address: str) -> bool:
        parts = urlsplit(address)
        return f"{parts.scheme}://{parts.netloc}" == self._issuer


def _callback(target: str) -> Callback:
    parts = urlsplit(target)
    assert not parts.fragment, "nothing of a code flow travels in a fragment"
    pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    assert len({name for name, _ in pairs}) == len(pairs), "a parameter came twice"
    return Callback(target.partition("?")[0], "query", dict(pairs))


def _page(response: httpx.Response) -> Page:
    assert response.headers["content-type"].startswith("text/html"), response.text
    assert response.status_code < 500, response.text
    reader = _Forms()
    reader.feed(response.text)
    return Page(response.status_code, response.text, tuple(reader.found), tuple(reader.frames), reader.moves_on_to)


def _code_of(page: Page) -> str:
    found = re.search(r'id="totp-seed">([A-Z2-7 ]+)<', page.text)
    assert found is not None
    bare = found[1].replace(" ", "")
    return totp(base64.b32decode(bare + "=" * (-len(bare) % 8)), int(time.time()))
