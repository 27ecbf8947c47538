"""`ui_locales` (OpenID Connect Core §3.1.2.1): the sign-in speaks the language the platform wishes, however it asks."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.http.headers import SecurityHeaders
from adapters.http.preferences import LANGUAGE_COOKIE, Preferences
from idp.authorize.request import UI_LOCALES_CHARS_MAX
from tests.idp.authorize.test_pushed import pushed
from tests.protocol.world import Browser, OpenWorld, authorization

Run = Callable[[Coroutine[Any, Any, None]], None]


class _Heard:
    """Notes the language that the web floor has found for each request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.languages: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.languages.append(scope["state"]["locale"])
        await self._app(scope, receive, send)


def test_the_wish_reaches_the_pages_from_a_query_a_form_and_a_pushed_request(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            heard = _Heard(world.app)
            for way in ("query", "form", "pushed"):
                browser = Browser(SecurityHeaders(Preferences(heard, secure=True), https=True))
                wish = {"ui_locales": "fr-CA en-GB zh"}
                if way == "query":
                    begun = await world.authorize(browser, **wish)
                elif way == "form":
                    begun = await browser.post("/authorize", authorization(**wish))
                else:
                    request_uri = await pushed(world, **wish)
                    begun = await browser.get("/authorize", client_id="learning", request_uri=request_uri)
                page = await browser.follow(begun)
                assert page.hidden("t")
                assert heard.languages[-1] == "en", way
                # and from there on, through the forms
                assert browser.http.cookies.get(LANGUAGE_COOKIE) == "en"
                await browser.password(page, "lin")
                assert heard.languages[-1] == "en", way

    run(story())


def test_a_wish_without_one_of_our_languages_or_of_any_length_is_no_error(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            for wish in ("se", "x" * 3000, 'en"><script>', "&t=planted#"):
                browser = world.browser()
                begun = await browser.post("/authorize", authorization(ui_locales=wish))
                query = parse_qs(urlsplit(begun.location).query)
                assert query["ui_locales"] == [wish[:UI_LOCALES_CHARS_MAX]]
                assert len(query["t"]) == 1
                assert (await browser.follow(begun)).hidden("t") == query["t"][0]

    run(story())
