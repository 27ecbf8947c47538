"""Calls the ASGI application without a socket and keeps cookies, so that what is measured is the application."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.types import ASGIApp, Message


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers by lower-case name (the last wins) and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def parameter(self, name: str) -> str:
        """Return a parameter of the redirect. Raises `KeyError`."""
        return parse_qs(urlsplit(self.headers["location"]).query)[name][0]


class Caller:
    """One browser, or one platform's server."""

    def __init__(self, app: ASGIApp, origin: str) -> None:
        self._app = app
        self._parts = urlsplit(origin)
        self.cookies: dict[str, str] = {}

    async def get(self, target: str, **parameters: str) -> Answer:
        """GET a path with a query."""
        return await self._call("GET", f"{target}?{urlencode(parameters)}" if parameters else target, b"", {})

    async def post(self, path: str, form: Mapping[str, str], *, client: tuple[str, str] | None = None) -> Answer:
        """POST a form, as a client by HTTP Basic where one is named."""
        headers = {"content-type": "application/x-www-form-urlencoded"}
        if client is not None:
            headers["authorization"] = "Basic " + base64.b64encode(":".join(client).encode()).decode()
        return await self._call("POST", path, urlencode(form).encode(), headers)

    async def _call(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        path, _, query = target.partition("?")
        sent = {"host": self._parts.netloc, "accept": "text/html", "content-length": str(len(body)), **headers}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": self._parts.scheme,
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 443),
        }
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        told: list[Message] = []

        async def receive() -> Message:
            return messages.pop() if messages else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            told.append(message)

        await self._app(scope, receive, send)
        raw = [(name.decode().lower(), value.decode("latin-1")) for name, value in told[0]["headers"]]
        for name, value in raw:
            if name == "set-cookie":
                self.cookies.update({one.key: one.value for one in SimpleCookie(value).values()})
        return Answer(told[0]["status"], dict(raw), b"".join(message.get("body", b"") for message in told[1:]))
