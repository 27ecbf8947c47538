"""Speaks ASGI to an application directly: no sockets, every byte of the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message

from tests.services.loops import run

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    """One answer."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return a header's only value."""
        values = [value for key, value in self.headers if key.lower() == name]
        assert len(values) <= 1, (name, values)
        return values[0] if values else None

    def all(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value for key, value in self.headers if key.lower() == name]


def scope(method: str, target: str, headers: Headers = (), *, client: str = "203.0.113.7") -> dict[str, Any]:
    """Return a request's scope; `Host` is service.test unless given."""
    path, _, query = target.partition("?")
    given = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    if not any(name == b"host" for name, _ in given):
        given.append((b"host", b"service.test"))
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": given,
        "client": (client, 40000),
        "server": ("127.0.0.1", 8080),
    }


def ask(
    app: ASGIApp,
    method: str,
    target: str,
    headers: Headers = (),
    body: bytes | Sequence[bytes] = b"",
    *,
    client: str = "203.0.113.7",
    stall: bool = False,
) -> Answer:
    """Send one request; with `stall` the body never ends."""
    return run(ask_in_loop(app, method, target, headers, body, client=client, stall=stall))


async def ask_in_loop(
    app: ASGIApp,
    method: str,
    target: str,
    headers: Headers = (),
    body: bytes | Sequence[bytes] = b"",
    *,
    client: str = "203.0.113.7",
    stall: bool = False,
) -> Answer:
    """As `ask`, inside a running loop."""
    chunks = [body] if isinstance(body, bytes) else list(body)
    answers: list[Message] = []

    async def receive() -> Message:
        if chunks:
            chunk = chunks.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(chunks) or stall}
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        answers.append(message)

    await app(scope(method, target, headers, client=client), receive, send)
    started = answers[0]
    return Answer(
        started["status"],
        [(key.decode("latin-1"), value.decode("latin-1")) for key, value in started["headers"]],
        b"".join(message.get("body", b"") for message in answers[1:]),
    )
