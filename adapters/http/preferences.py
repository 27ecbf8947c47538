"""The reader's preferences: language and size of text, by address, by cookie, by browser, in this order."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote_plus

from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.http.scopes import HeaderList, cookies, header, set_cookie, shape, state
from adapters.web.catalogue import DEFAULT_LANGUAGE, LANGUAGES, language_of, language_of_header

LANGUAGE_COOKIE = "language"
TEXT_COOKIE = "text"
KEEP_S = 365 * 24 * 3600
QUERY_MAX_BYTES = 4096  # a longer one is an authorization request; its ui_locales is the platform's wish, not a choice
LANGUAGES_READ_MAX = 500  # of an Accept-Language: more languages than anybody reads, and a bound for what is remembered
_ASKED = re.compile(r"(?:^|&)(ui_locales|text_size)=([^&]{1,100})")
_TEXT_SIZES = ("normal", "large")


@lru_cache(maxsize=256)  # what browsers send is one of a few texts; whatever else comes pushes out the oldest
def _of_browser(accept_language: str) -> str | None:
    return language_of_header(accept_language)


class Preferences:
    """Sets `request.state.locale` ("zh-CN" or "en") and `request.state.large_text`."""

    def __init__(self, app: ASGIApp, *, secure: bool) -> None:
        self._app = app
        self._secure = secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read, remember what the address asked for, pass on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        query: bytes = scope["query_string"]
        asked: dict[str, str] = {}
        if b"ui_locales=" in query or b"text_size=" in query:
            read = query[:QUERY_MAX_BYTES].decode("latin-1")
            asked = {match[1]: unquote_plus(match[2]) for match in _ASKED.finditer(read)}
        language = language_of(asked["ui_locales"]) if "ui_locales" in asked else None
        text = asked.get("text_size", "")
        chosen: list[bytes] = []
        if language is not None:
            chosen.append(set_cookie(LANGUAGE_COOKIE, language, secure=self._secure, max_age_s=KEEP_S))
        if text in _TEXT_SIZES:
            chosen.append(set_cookie(TEXT_COOKIE, text, secure=self._secure, max_age_s=KEEP_S))
        kept_language, kept_text = None, "normal"
        if header(scope, b"cookie") is not None:
            kept_language = next((value for value in cookies(scope, LANGUAGE_COOKIE) if value in LANGUAGES), None)
            kept_text = next((value for value in cookies(scope, TEXT_COOKIE) if value in _TEXT_SIZES), "normal")
        remembered = state(scope)
        remembered["locale"] = (
            language
            or kept_language
            or _of_browser((header(scope, b"accept-language") or "")[:LANGUAGES_READ_MAX])
            or DEFAULT_LANGUAGE
        )
        remembered["large_text"] = (text if text in _TEXT_SIZES else kept_text) == "large"

        def remember(_status: int, headers: HeaderList) -> None:
            headers.extend((b"set-cookie", value) for value in chosen)

        if chosen:
            shape(scope, remember)
        await self._app(scope, receive, send)
