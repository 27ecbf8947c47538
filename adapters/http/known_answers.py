"""Answers that are the same for everybody, given again as they were given the first time.

Discovery and key sets are asked for more often than anything else and change when a key does. The first request after a
change goes the whole way through the floors below; what left them is kept, and later ones are answered from it with a
reference and a line in the log of their own. So nothing is decided here, and no header is written twice. Whatever is unusual
about a request (a query, another host, a body, a cookie, a condition) sends it the whole way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.http.errors import CORRELATION_BYTES
from adapters.http.scopes import HeaderList, tabulate
from adapters.observe.log import Log, shortened_address

_REFERENCE = b"x-correlation-id"
# A header that could make the answer another one, or say that the request was not addressed to us.
_UNUSUAL = frozenset(
    {b"cookie", b"range", b"if-none-match", b"if-modified-since", b"content-length", b"transfer-encoding"}
)


@dataclass(frozen=True, slots=True)
class _Known:
    revision: int
    headers: HeaderList
    body: Message


class KnownAnswers:
    """Stands where the caller is settled and nothing is decided yet; passes on what it does not know, and listens."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        paths: Collection[str],
        revision: Callable[[], int],
        origin: str,
        log: Log,
        random_bytes: Callable[[int], bytes],
        monotonic: Callable[[], float],
    ) -> None:
        """`revision` changes whenever one of these answers may."""
        self._app = app
        self._paths = frozenset(paths)
        self._revision = revision
        self._host = urlsplit(origin).netloc.lower().encode()
        self._log = log
        self._random_bytes = random_bytes
        self._monotonic = monotonic
        self._known: dict[str, _Known] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer at once, or pass on."""
        if scope["type"] != "http" or scope["path"] not in self._paths or not self._is_usual(scope):
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        known = self._known.get(path)
        if known is None or known.revision != self._revision():
            await self._learn(path, scope, receive, send)
            return
        begun = self._monotonic()
        reference = self._random_bytes(CORRELATION_BYTES).hex()
        headers = [*known.headers, (_REFERENCE, reference.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send(known.body)
        client = scope.get("client")
        self._log.event(
            "request",
            {
                "method": "GET",
                "route": path,
                "status": 200,
                "ms": round((self._monotonic() - begun) * 1000, 1),
                "from": shortened_address(client[0] if client else None),
                "reference": reference,
            },
        )

    def _is_usual(self, scope: Scope) -> bool:
        if scope["method"] != "GET" or scope["query_string"]:
            return False
        table = tabulate(scope)
        return table.get(b"host") == self._host and _UNUSUAL.isdisjoint(table)

    async def _learn(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        revision, heard = self._revision(), list[Message]()

        async def listen(message: Message) -> None:
            heard.append(message)
            await send(message)

        await self._app(scope, receive, listen)
        if len(heard) == 2 and heard[0]["status"] == 200 and revision == self._revision():
            headers = [(name, value) for name, value in heard[0]["headers"] if name != _REFERENCE]
            self._known[path] = _Known(revision, headers, heard[1])
