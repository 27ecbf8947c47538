"""Form tokens: a form is acted on only if this very browser was shown it by us.

The browser holds a random cookie; a form holds a MAC of it under the service's key. A page of another site can neither
read the cookie nor make the MAC, and over https the `__Host-` prefix keeps sibling hosts from planting one. What is
authenticated by a token or a client secret, and so not by a cookie, is exempt by an explicit list of paths.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Collection
from urllib.parse import parse_qsl

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.http.edge import FORM_MAX_BYTES
from adapters.http.refusals import BodyTooLarge, FormExpired
from adapters.http.scopes import HeaderList, cookies, header, set_cookie, shape, state
from crypto.encoding import b64u_encode
from crypto.sm3 import hmac_sm3

FIELD = "csrf"
COOKIE_BYTES = 32
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# In a form with a file the token comes first, so that it is checked before the file is read.
MULTIPART_PREFIX_BYTES = 16 * 1024
_COOKIE_VALUE = re.compile(r"[A-Za-z0-9_-]{43}")


class FormTokens:
    """Gives every page `request.state.csrf`; refuses a form without it (`FormExpired`)."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        key: bytes,
        random_bytes: Callable[[int], bytes],
        origin: str,
        secure: bool,
        exempt: Collection[str],
    ) -> None:
        """`exempt`: exact paths that no cookie authenticates (token endpoint, JSON interfaces); with a final slash, those below."""
        self._app = app
        self._key = key
        self._random_bytes = random_bytes
        self._origin = origin
        self._secure = secure
        self._exempt = frozenset(exempt)
        self._exempt_below = tuple(path for path in exempt if path.endswith("/"))
        self._cookie_name = f"{'__Host-' if secure else ''}edutrust-form"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check what changes something; hand out a cookie where there is none."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        held = cookies(scope, self._cookie_name)
        cookie = held[0] if len(held) == 1 and _COOKIE_VALUE.fullmatch(held[0]) else None
        # An exempt path is not checked, but may show a page with a form: a platform's sign-out asks the person.
        if scope["method"] not in SAFE_METHODS and not self._is_exempt(scope["path"]):
            if cookie is None:
                raise FormExpired(rule="no_cookie")
            self._check_site(scope)
            receive = await self._checked_body(scope, receive, self.token(cookie))
        given = _FormToken(self, cookie)
        state(scope)["csrf"] = given

        def remember(_status: int, headers: HeaderList) -> None:
            # Only a page holds a form: a cookie on each picture would be noise.
            if any([key == b"content-type" and value.startswith(b"text/html") for key, value in headers]):  # noqa: C419  # a list is quicker
                headers.append((b"set-cookie", self.new_cookie(given.cookie)))

        if cookie is None:
            shape(scope, remember)
        await self._app(scope, receive, send)

    def new_secret(self) -> str:
        """Make the secret of a browser that has none."""
        return b64u_encode(self._random_bytes(COOKIE_BYTES))

    def new_cookie(self, secret: str) -> bytes:
        """Return the header that hands it out."""
        return set_cookie(self._cookie_name, secret, secure=self._secure, max_age_s=None)

    def token(self, cookie: str) -> str:
        """Return the token of a browser whose secret this is."""
        return b64u_encode(hmac_sm3(self._key, b"form-token\x00" + cookie.encode()))

    def _is_exempt(self, path: str) -> bool:
        return path in self._exempt or path.startswith(self._exempt_below)

    def _check_site(self, scope: Scope) -> None:
        """Refuse what the browser itself says came from another site, where it says so."""
        site = header(scope, b"sec-fetch-site")
        if site is not None and site not in {"same-origin", "none"}:
            raise FormExpired(rule="site")
        # With our own Referrer-Policy a browser sends `Origin: null` from our own forms (Fetch, "append a request
        # Origin header"), so null proves nothing either way; the token decides.
        origin = header(scope, b"origin")
        if origin not in {None, "null", self._origin}:
            raise FormExpired(rule="origin")

    async def _checked_body(self, scope: Scope, receive: Receive, expected: str) -> Receive:
        content_type, options = parse_options_header(header(scope, b"content-type") or "")
        if content_type == b"application/x-www-form-urlencoded":
            messages, body = await _read(receive, FORM_MAX_BYTES, whole=True)
            given = _from_urlencoded(body)
        elif content_type == b"multipart/form-data" and options.get(b"boundary"):
            messages, body = await _read(receive, MULTIPART_PREFIX_BYTES, whole=False)
            given = _from_multipart(body, options[b"boundary"])
        else:
            messages, given = [], header(scope, b"x-csrf") or ""  # a script of ours posting JSON
        if not hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode()):
            raise FormExpired(rule="token")
        return _replaying(messages, receive)


class _FormToken:
    """The token of one request, as text; made when a page first shows it, which most answers never do."""

    __slots__ = ("_cookie", "_tokens")

    def __init__(self, tokens: FormTokens, cookie: str | None) -> None:
        self._tokens = tokens
        self._cookie = cookie

    @property
    def cookie(self) -> str:
        if self._cookie is None:
            self._cookie = self._tokens.new_secret()
        return self._cookie

    def __str__(self) -> str:
        return self._tokens.token(self.cookie)


async def _read(receive: Receive, enough: int, *, whole: bool) -> tuple[list[Message], bytes]:
    """Read messages until the body ends or, if not the whole is needed, `enough` bytes are there."""
    messages: list[Message] = []
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        messages.append(message)
        body += message.get("body", b"")
        if not message.get("more_body", False) or (len(body) >= enough and not whole):
            return messages, body
        if len(body) > enough:
            raise BodyTooLarge(rule="limit", limit=enough)


def _replaying(messages: list[Message], receive: Receive) -> Receive:
    waiting = list(messages)

    async def replay() -> Message:
        return waiting.pop(0) if waiting else await receive()

    return replay


def _from_urlencoded(body: bytes) -> str:
    try:
        pairs = parse_qsl(body.decode("latin-1"), keep_blank_values=True, max_num_fields=2000)
    except ValueError:
        return ""
    given = [value for name, value in pairs if name == FIELD]
    return given[0] if len(given) == 1 else ""


class _PrefixReader:
    """Finds the token among the first parts of a multipart body; stops looking at the first part that is a file."""

    def __init__(self) -> None:
        self.value = b""
        self.found = False
        self._name = b""
        self._content = b""
        self._disposition: dict[bytes, bytes] = {}
        self._stopped = False

    def callbacks(self) -> dict[str, Callable[..., None]]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._add("_name", data[start:end]),
            "on_header_value": lambda data, start, end: self._add("_content", data[start:end]),
            "on_header_end": self._header_end,
            "on_part_data": self._data,
            "on_part_end": self._end,
        }

    def _add(self, attribute: str, data: bytes) -> None:
        setattr(self, attribute, getattr(self, attribute) + data)

    def _begin(self) -> None:
        self._disposition = {}
        self._name = self._content = b""

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            _, self._disposition = parse_options_header(self._content)
        self._name = self._content = b""

    def _is_token(self) -> bool:
        self._stopped = self._stopped or b"filename" in self._disposition
        return not self._stopped and not self.found and self._disposition.get(b"name") == FIELD.encode()

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._is_token():
            self.value += data[start:end]

    def _end(self) -> None:
        self.found = self.found or self._is_token()


def _from_multipart(prefix: bytes, boundary: bytes) -> str:
    reader = _PrefixReader()
    try:
        MultipartParser(boundary, reader.callbacks()).write(prefix)  # type: ignore[arg-type]  # a TypedDict of the same
    except FormParserError:
        return ""
    return reader.value.decode("latin-1") if reader.found else ""
