"""The edge: who is really calling, under which name, and how much they may send.

`TrustedProxies` takes the caller's address and scheme from a proxy of ours and from nobody else; `OwnHost` answers
under the service's own name only; `BodyLimits` bounds size and slowness before any parser runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import quote, urlsplit

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.http.refusals import BodyTooLarge, BodyTooSlow, HostRefused, HttpRefusal
from adapters.http.scopes import header, replace_headers

Network = IPv4Network | IPv6Network

FORM_MAX_BYTES = 64 * 1024  # any form of ours without a file is under 10 KiB
UPLOAD_MAX_BYTES = 32 * 1024 * 1024  # a province's largest university has about 20,000 graduates: 4 MB of CSV
BODY_IDLE_S = 10.0  # a sender silent this long is not sending
BODY_BASE_S = 20.0
BODY_BYTES_PER_S = 16 * 1024  # slower than a 2G phone; below it a connection is being held, not used

# Every header by which some proxy says who called. Removed always: what we believe stands in scope["client"].
FORWARDING_HEADERS = frozenset(
    {
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
        b"x-forwarded-proto",
        b"x-forwarded-scheme",
        b"x-forwarded-ssl",
        b"x-forwarded-server",
        b"x-real-ip",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-original-url",
        b"x-rewrite-url",
        b"x-http-method-override",
        b"true-client-ip",
        b"cf-connecting-ip",
        b"front-end-https",
    }
)


_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})


class TrustedProxies:
    """RFC 9700 §4.13: forwarding headers of anyone but our own proxies are stripped unread."""

    def __init__(self, app: ASGIApp, *, proxies: Sequence[Network]) -> None:
        self._app = app
        self._proxies = tuple(proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Settle scope["client"] and scope["scheme"], then drop the headers they came from."""
        if scope["type"] == "http":
            if self._proxies and self._trusted(scope["client"][0] if scope.get("client") else None):
                forwarded = header(scope, b"x-forwarded-for") or ""
                # The right-most address that is not ours was written by our proxy; further left anyone may have.
                for hop in reversed([part.strip() for part in forwarded.split(",")]):
                    if _parsed(hop) is None:
                        break
                    scope["client"] = (hop, 0)
                    if not self._trusted(hop):
                        break
                if header(scope, b"x-forwarded-proto") in {"http", "https"}:
                    scope["scheme"] = header(scope, b"x-forwarded-proto")
            if not FORWARDING_HEADERS.isdisjoint([key for key, _ in scope["headers"]]):
                kept = [(key, value) for key, value in scope["headers"] if key not in FORWARDING_HEADERS]
                replace_headers(scope, kept)
        await self._app(scope, receive, send)

    def _trusted(self, host: str | None) -> bool:
        address = _parsed(host) if host else None
        return address is not None and any(
            address.version == network.version and address in network for network in self._proxies
        )


def _parsed(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


class OwnHost:
    """Every link and token names the issuer's host, so a request under another name is sent there or refused."""

    def __init__(self, app: ASGIApp, *, origin: str, open_paths: Sequence[str] = ()) -> None:
        """`open_paths` answer under any name: probes of a load balancer call by address."""
        self._app = app
        self._origin = origin
        self._host = urlsplit(origin).netloc.lower()
        self._open_paths = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is addressed to us."""
        if scope["type"] == "http" and scope["path"] not in self._open_paths:
            host = (header(scope, b"host") or "").lower()
            if host != self._host:
                if scope["method"] not in {"GET", "HEAD"}:
                    raise HostRefused(field="host")
                path = "/" + quote(scope["path"].lstrip("/\\"), safe="/:@!$&'()*+,;=~-._")
                query = scope["query_string"].decode("latin-1")
                target = f"{self._origin}{path}{'?' if query else ''}{query}"
                await RedirectResponse(target, status_code=307)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class BodyLimits:
    """Counts and times a body as it is read. Raises in the reader: `BodyTooLarge`, `BodyTooSlow`."""

    def __init__(self, app: ASGIApp, *, uploads: Mapping[str, int]) -> None:
        """Take `uploads`: path prefixes to their limits in bytes; other paths take `FORM_MAX_BYTES`."""
        self._app = app
        self._uploads = dict(uploads)
        self._prefixes = tuple(uploads)

    def limit(self, path: str) -> int:
        """Return how many bytes a path takes."""
        if not path.startswith(self._prefixes):
            return FORM_MAX_BYTES
        return max(size for prefix, size in self._uploads.items() if path.startswith(prefix))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse by Content-Length at once; else watch."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = header(scope, b"content-length")
        if declared is None and scope["method"] in _BODILESS and header(scope, b"transfer-encoding") is None:
            await self._app(scope, receive, send)  # RFC 9112 §6.3: no body, nothing to count
            return
        limit = self.limit(scope["path"])
        if declared is not None:
            if not (declared.isascii() and declared.isdigit()) or len(declared) > 12:
                raise HttpRefusal(field="content-length", rule="number")
            if int(declared) > limit:
                raise BodyTooLarge(rule="limit", limit=limit)
        loop = asyncio.get_running_loop()
        started = loop.time()
        received = 0
        complete = False

        async def reading() -> Message:
            nonlocal received, complete
            if complete:
                # The body is whole; what the application waits for now is the caller hanging up, however long.
                return await receive()
            asked = receive().__await__()
            try:
                wanted = next(asked)
            except StopIteration as at_hand:  # it came with the headers, as a form does: no clock need be set for it
                message: Message = at_hand.value
            else:
                deadline = min(loop.time() + BODY_IDLE_S, started + BODY_BASE_S + received / BODY_BYTES_PER_S)
                try:
                    async with asyncio.timeout_at(deadline):
                        message = await _Asked(asked, wanted)
                except TimeoutError as error:
                    raise BodyTooSlow(rule="time") from error
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                complete = not message.get("more_body", False)
                if received > limit:
                    raise BodyTooLarge(rule="limit", limit=limit)
            return message

        await self._app(scope, reading, send)


class _Asked:
    """What is left of an awaitable that was stepped once and waits for something: that first, then the rest of it."""

    __slots__ = ("_steps", "_wanted")

    def __init__(self, steps: Generator[Any, Any, Message], wanted: object) -> None:
        self._steps = steps
        self._wanted = wanted

    def __await__(self) -> Generator[Any, Any, Message]:
        wanted = self._wanted
        while True:
            try:
                try:
                    given = yield wanted
                except BaseException as error:  # noqa: BLE001  # a cancelled request among them: it is the awaitable's to answer
                    wanted = self._steps.throw(error)
                else:
                    wanted = self._steps.send(given)
            except StopIteration as done:
                message: Message = done.value
                return message
