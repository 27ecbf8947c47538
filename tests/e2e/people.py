"""People at their browsers. Each signs in once a session: a code of the phone's app works once in thirty seconds."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, StorageState, ViewportSize, expect

from adapters.http.preferences import LANGUAGE_COOKIE, TEXT_COOKIE
from crypto.otp import totp
from tests.e2e.demo import Demo

STEP_S = 30
DIGITS = 6
WAIT_MS = 15_000
LOOKING = 8
"""Browsers kept open: each has a hundred megabytes."""
DESKTOP: Final[ViewportSize] = {"width": 1280, "height": 900}
PHONE: Final[ViewportSize] = {"width": 360, "height": 740}


@dataclass(slots=True)
class Phone:
    """An authenticator app: holds a seed, shows each code once."""

    seed: bytes = field(repr=False)
    last_step: int = 0

    def code(self) -> str:
        """Return the next unused code: of this half minute, or, where that is used, of the next one, which is taken too."""
        step = max(int(time.time()) // STEP_S, self.last_step + 1)
        self.last_step = step
        return totp(self.seed, step * STEP_S, step_s=STEP_S, digits=DIGITS)


@dataclass  # no slots: Playwright notes on an object which of its methods listen
class Complaints:
    """What a browser complained of: scripts that failed, and anything the content security policy stopped."""

    heard: list[str] = field(default_factory=list)

    def listen(self, context: BrowserContext) -> None:
        """Collect from now on."""
        context.on("console", self._console)
        context.on("weberror", lambda error: self.heard.append(str(error.error)))

    def _console(self, message: ConsoleMessage) -> None:
        # A page that says what was wrong with a form has status 4xx, which the browser notes too; that is no fault.
        if message.type in {"error", "warning"} and "the server responded with a status of 4" not in message.text:
            self.heard.append(f"{message.text} ({message.page.url if message.page else ''})")


class People:
    """Everyone who takes part: their phones, and the cookies of those signed in."""

    def __init__(self, demo: Demo) -> None:
        self.demo = demo
        self.phones: dict[str, Phone] = {}
        self._signed_in: dict[str, StorageState] = {}
        self._looking: dict[tuple[Any, ...], tuple[Page, Complaints]] = {}

    @contextmanager
    def at(self, chromium: Browser, login: str | None, **options: Any) -> Iterator[Page]:
        """Open a fresh browser of someone signed in (None: of a stranger). Fails if anything there complained."""
        page, complaints = self._open(chromium, login, options)
        try:
            yield page
            assert complaints.heard == []
        finally:
            page.context.close()

    @contextmanager
    def looking(
        self, chromium: Browser, login: str | None, *, viewport: ViewportSize, **options: Any
    ) -> Iterator[Page]:
        """Do as `at` does for who only looks, but go on in the browser that looked before with the same options.

        A new browser takes three times as long as the page that is looked at. Its preferences are forgotten in between.
        """
        asked = (chromium, login, *sorted(options.items()))
        # Whatever goes wrong while it looks, it is not used again.
        kept = asked in self._looking
        page, complaints = self._looking.pop(asked) if kept else self._open(chromium, login, options)
        page.set_viewport_size(viewport)
        try:
            yield page
            assert complaints.heard == []
            for name in (LANGUAGE_COOKIE, TEXT_COOKIE):
                page.context.clear_cookies(name=name)
        except BaseException:
            page.context.close()
            raise
        self._looking[asked] = page, complaints
        if len(self._looking) > LOOKING:
            longest_ago, _ = self._looking.pop(next(iter(self._looking)))
            longest_ago.context.close()

    def _open(self, chromium: Browser, login: str | None, options: Mapping[str, Any]) -> tuple[Page, Complaints]:
        state = None if login is None else self._state(chromium, login)
        context = chromium.new_context(**{"viewport": DESKTOP, "locale": "zh-CN", "storage_state": state, **options})
        complaints = Complaints()
        complaints.listen(context)
        context.set_default_timeout(WAIT_MS)
        return context.new_page(), complaints

    def _state(self, chromium: Browser, login: str) -> StorageState:
        if login not in self._signed_in:
            context = chromium.new_context(locale="zh-CN")
            page = context.new_page()
            page.goto(f"{self.demo.origin}/signin?return=/home&acr=2")
            self.pass_password(page, login)
            self.enrol_phone(page, login)
            expect(page).to_have_url(f"{self.demo.origin}/home")
            self._signed_in[login] = context.storage_state()
            context.close()
        return self._signed_in[login]

    def pass_password(self, page: Page, login: str) -> None:
        """Fill and send the first page of sign-in."""
        page.fill("#username", login)
        page.fill("#password", self.demo.password)
        page.click("form[action='/signin/password'] button")

    def enrol_phone(self, page: Page, login: str) -> None:
        """Type the seed the page shows into the person's app, and the app's first code into the page."""
        seed = page.locator("#totp-seed").text_content() or ""
        bare = re.sub(r"\s", "", seed)
        self.phones[login] = Phone(base64.b32decode(bare + "=" * (-len(bare) % 8)))
        page.fill("#code", self.phones[login].code())
        page.click("form[action='/signin/enrol'] button")
