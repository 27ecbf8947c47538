"""Reading and writing the headers of an ASGI scope, for middleware that is no endpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from starlette.types import Message, Scope, Send

HeaderList = list[tuple[bytes, bytes]]
Shape = Callable[[int, HeaderList], None]
"""Edits the headers of an answer of this status, as it starts."""

_SHAPES = "edutrust.shapes"
_TABLE = "edutrust.headers"


def tabulate(scope: Scope) -> Mapping[bytes, bytes]:
    """Return the headers by name and keep the table: what the floors look up again and again. Drop it if they change."""
    kept: Mapping[bytes, bytes] | None = scope.get(_TABLE)
    if kept is not None:
        return kept
    listed: HeaderList = scope["headers"]
    table = dict(listed)
    if len(table) != len(listed):  # repeated ones are joined as RFC 9110 §5.3 says, cookies as RFC 9113 §8.2.3 does
        joined: dict[bytes, list[bytes]] = {}
        for name, value in listed:
            joined.setdefault(name, []).append(value)
        table = {name: (b"; " if name == b"cookie" else b", ").join(values) for name, values in joined.items()}
    scope[_TABLE] = table
    return table


def replace_headers(scope: Scope, headers: HeaderList) -> None:
    """Give the request other headers, and forget the table of those before."""
    scope["headers"] = headers
    scope.pop(_TABLE, None)


def header(scope: Scope, name: bytes) -> str | None:
    """Return a header's only value; None when it is absent. Repeated, it is joined as RFC 9110 §5.3 says."""
    value = tabulate(scope).get(name)
    return None if value is None else value.decode("latin-1")


def cookies(scope: Scope, name: str) -> list[str]:
    """Return every value of one cookie: more than one means somebody planted one, and the caller decides."""
    sent = tabulate(scope).get(b"cookie")
    if sent is None or name.encode("latin-1") not in sent:
        return []
    found: list[str] = []
    for part in sent.decode("latin-1").split(";"):
        cookie, separator, content = part.strip().partition("=")
        if separator and cookie == name:
            found.append(content)
    return found


def set_cookie(name: str, value: str, *, secure: bool, max_age_s: int | None) -> bytes:
    """Return a Set-Cookie value for this whole host, kept from scripts and from cross-site posts."""
    cookie: SimpleCookie = SimpleCookie()
    try:
        cookie[name] = value
    except CookieError as error:
        raise ValueError(f"{name} is no cookie name") from error
    morsel = cookie[name]
    morsel["path"], morsel["httponly"], morsel["samesite"] = "/", True, "Lax"
    if secure:
        morsel["secure"] = True
    if max_age_s is not None:
        morsel["max-age"] = max_age_s
    return morsel.OutputString().encode("latin-1")


def state(scope: Scope) -> dict[str, Any]:
    """Return what `request.state` shows, making it when this is the first to write."""
    made: dict[str, Any] = scope.setdefault("state", {})
    return made


def shaping(scope: Scope, send: Send) -> Send:
    """Return a `send` that lets every `shape` of this request edit the answer's headers, the first to ask as the last.

    One wrapper a request, whatever the number of floors above that have something to add.
    """
    shapes: list[Shape] = []
    scope[_SHAPES] = shapes

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: HeaderList = list(message.get("headers", ()))
            status = message["status"]
            for change in reversed(shapes):
                change(status, headers)
            message = {**message, "headers": headers}  # an answer kept to be given again is not written to
        await send(message)

    return sending


def shape(scope: Scope, change: Shape) -> None:
    """Let `change` edit the headers of this request's answer; see `shaping`."""
    scope[_SHAPES].append(change)


def set_default(headers: HeaderList, defaults: Mapping[bytes, bytes]) -> None:
    """Add each header the answer does not carry already."""
    present = [key.lower() for key, _ in headers]
    if defaults.keys().isdisjoint(present):
        headers += defaults.items()
    else:
        headers.extend([item for item in defaults.items() if item[0] not in present])
