"""The rest of the web as platforms write its addresses down: names, documents, and a record of who was called."""

from __future__ import annotations

import json
import ssl
from collections.abc import Sequence
from functools import cache

import httpx

from adapters.http.outbound import OutboundClient

PUBLIC_ADDRESS = "93.184.215.14"


@cache
def _system_trust() -> ssl.SSLContext:
    """Return what the client makes by itself, read once a process: a hundred and fifty certificates."""
    return ssl.create_default_context()


class Web:
    """Stands where the network would be, below the service's own outbound client.

    With `sockets` only the names are ours: connections are made by the operating system, for tests that watch those.
    """

    def __init__(self, *, sockets: bool = False) -> None:
        self._sockets = sockets
        self.names: dict[str, Sequence[str]] = {}
        self.documents: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.called: list[str] = []

    def publish(
        self, url: str, document: object, *, status: int = 200, media_type: str = "application/json", **headers: str
    ) -> None:
        """Serve a document (bytes as they are, anything else as JSON) at an https address."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.documents[url] = (status, {"content-type": media_type, **headers}, body)

    def client(self) -> OutboundClient:
        """Return the service's client with this web below it."""
        transport = None if self._sockets else self._transport
        return OutboundClient(allow=(), resolve=self._resolve, tls=_system_trust(), transport=transport)

    async def _resolve(self, host: str, _port: int) -> Sequence[str]:
        return self.names.get(host, [PUBLIC_ADDRESS])

    def _transport(self) -> httpx.AsyncBaseTransport:
        async def handle(request: httpx.Request) -> httpx.Response:
            url = f"https://{request.headers['host']}{request.url.raw_path.decode()}"
            self.called.append(url)
            status, headers, body = self.documents.get(url, (404, {}, b""))
            return httpx.Response(status, headers=headers, stream=httpx.ByteStream(body))

        return httpx.MockTransport(handle)
