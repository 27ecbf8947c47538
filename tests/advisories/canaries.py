"""Values nobody else has, told to the service in every flow; and everywhere the service might have left one of them."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
from redis.asyncio import Redis
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SHORT_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Given:
    """One answer of the service: what asked for it, and what it was, head and body."""

    asked: str
    status: int
    location: str
    text: str


class Recording:
    """An application that keeps every answer of the one it wraps."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.given: list[Given] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head: list[tuple[bytes, bytes]] = []
        body = bytearray()
        status = 0

        async def keep(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                head.extend(message["headers"])
            body.extend(message.get("body", b""))
            await send(message)

        await self._app(scope, receive, keep)
        named = {name.decode(): value.decode("latin-1") for name, value in head}
        text = "\n".join([*(f"{name}: {value}" for name, value in named.items()), body.decode("utf-8", "replace")])
        self.given.append(Given(f"{scope['method']} {scope['path']}", status, named.get("location", ""), text))


@dataclass
class Canaries:
    """The values by what they are. `kept` are those the service must know but never in the clear."""

    by_name: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, value: str) -> str:
        """Remember a value and return it. A short one would be found by chance."""
        assert len(value) >= 6, name
        self.by_name[name] = value
        return value

    def found_in(self, data: bytes, *, but: frozenset[str] = frozenset()) -> set[str]:
        """Return the names of those that stand in the data, however they are spelt."""
        return {name for name, value in self.by_name.items() if name not in but and _stands_in(value, data)}


def _stands_in(value: str, data: bytes) -> bool:
    if value.isdigit() and len(value) <= SHORT_DIGITS:
        # Six digits stand in many a longer number by chance: only a number of their own counts.
        return re.search(rb"(?<![0-9A-Za-z.])%b(?![0-9A-Za-z.])" % value.encode(), data) is not None
    return any(spelling in data for spelling in spellings(value))


def spellings(value: str) -> set[bytes]:
    """Return how a value may be written down: as it is, in JSON, in an address, in hexadecimal, in base64."""
    raw = value.encode()
    found = {raw, json.dumps(value).strip('"').encode(), quote(value, safe="").encode(), raw.hex().encode()}
    if len(raw) >= 9:
        for shift in range(3):
            # The whole groups in the middle are the same wherever in a longer text the value begins.
            inner = base64.b64encode(raw[(3 - shift) % 3 :]).rstrip(b"=")
            whole = inner[: len(inner) // 4 * 4]
            found |= {whole, whole.translate(bytes.maketrans(b"+/", b"-_"))}
    return {spelling for spelling in found if len(spelling) >= 6}


def files_of(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Return every file of the data folder, whatever it is."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes()


async def rows_of(url: str) -> dict[str, bytes]:
    """Return every table of a PostgreSQL database, all its values one after another."""
    connection = await asyncpg.connect(url)
    found: dict[str, bytes] = {}
    try:
        tables = await connection.fetch(
            "SELECT table_schema, table_name FROM information_schema.tables"
            " WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
        )
        for schema, table in tables:
            rows = await connection.fetch(f'SELECT * FROM "{schema}"."{table}"')  # noqa: S608  # the database's own names
            values = (value for row in rows for value in row.values())
            found[f"{schema}.{table}"] = b"\x00".join(
                value if isinstance(value, bytes) else str(value).encode() for value in values
            )
    finally:
        await connection.close()
    return found


async def redis_of(url: str) -> dict[str, bytes]:
    """Return every key of the Redis with what is under it."""
    client = Redis.from_url(url)
    found: dict[str, bytes] = {}
    try:
        async for key in client.scan_iter():
            kind = await client.type(key)
            assert kind in {b"string", b"hash"}, f"a kind of value this test does not read: {kind!r}"
            parts: list[Any]
            if kind == b"string":
                parts = [await client.get(key)]
            else:
                parts = [part for pair in (await client.hgetall(key)).items() for part in pair]
            found[key.decode("latin-1")] = b"\x00".join([key, *parts])
    finally:
        await client.aclose()
    return found
