"""A node that lies: a real HTTP server before an honest one, which bends the answers of chosen methods."""

from __future__ import annotations

import contextlib
import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Bend = Callable[[Any], Any]


class LyingNode:
    """Forwards every call to `upstream` and counts it; `lies` bends results, `gone` methods are cut off unanswered."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.lies: dict[str, Bend] = {}
        self.cut_before: set[str] = set()
        self.cut_after: set[str] = set()
        self.calls: list[str] = []
        self.url = ""

    def answer(self, body: bytes) -> bytes | None:
        """Return the answer to send; None: hang up."""
        asked = json.loads(body)
        method = asked["method"]
        self.calls.append(method)
        if method in self.cut_before:
            return None
        request = urllib.request.Request(self.upstream, body, {"Content-Type": "application/json"})  # noqa: S310 - a loopback address
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - a loopback address
            said = json.load(response)
        if method in self.cut_after:
            return None
        if method in self.lies and said.get("result") is not None:
            said["result"] = self.lies[method](said["result"])
        return json.dumps(said).encode()


@contextlib.contextmanager
def lying(upstream: str) -> Iterator[LyingNode]:
    """Run the node on a free port; honest until it is given a lie."""
    node = LyingNode(upstream)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            answer = node.answer(self.rfile.read(int(self.headers["Content-Length"])))
            if answer is None:
                self.close_connection = True
                return
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        node.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield node
        finally:
            server.shutdown()
            thread.join()
