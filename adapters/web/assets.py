"""The built static files: their hashed names for templates, and their bytes for browsers."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from starlette.types import Receive, Scope, Send

BUILD_FOLDER = Path(__file__).parent / "static" / "build"
STATIC_PATH = "/static/"
CONTENT_TYPES = MappingProxyType(
    {
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml; charset=utf-8",
        ".png": "image/png",
        ".json": "application/json",
        ".webmanifest": "application/manifest+json",
    }
)
# Names carry a hash of the content, so a browser may keep them as long as it likes.
CACHE_CONTROL = b"public, max-age=31536000, immutable"


class AssetsMissingError(Exception):
    """The static files have not been built. The text says what to run."""


@dataclass(frozen=True, slots=True)
class _File:
    content_type: bytes
    plain: bytes
    gzipped: bytes


class Assets:
    """An ASGI application for `/static/…` and the `static()` of templates. Everything is held in memory: it is small."""

    def __init__(self, folder: Path = BUILD_FOLDER) -> None:
        """Read `manifest.json` and the files it names. Raises `AssetsMissingError`."""
        try:
            self.names: Mapping[str, str] = json.loads((folder / "manifest.json").read_bytes())
            self._files = {name: _read(folder / name) for name in self.names.values()}
        except FileNotFoundError as error:
            raise AssetsMissingError("The pages' static files are not built yet; run `make setup`.") from error

    def url(self, name: str) -> str:
        """Return the address of a file by its source name. Raises `KeyError` for a name nobody built."""
        return STATIC_PATH + self.names[name]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # ASGI's signature
        """Answer GET and HEAD of a hashed name; everything else is 404."""
        file = self._files.get(str(scope["path"]).removeprefix(STATIC_PATH))
        if file is None or scope["method"] not in {"GET", "HEAD"}:
            headers = [(b"content-length", b"0"), (b"cache-control", b"no-store")]
            await send({"type": "http.response.start", "status": 404, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        accepted = dict(scope["headers"]).get(b"accept-encoding", b"")
        body = file.gzipped if b"gzip" in accepted else file.plain
        headers = [
            (b"content-type", file.content_type),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", CACHE_CONTROL),
            (b"vary", b"accept-encoding"),
        ]
        if body is file.gzipped:
            headers.append((b"content-encoding", b"gzip"))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body if scope["method"] == "GET" else b""})


def _read(path: Path) -> _File:
    plain = path.read_bytes()
    content_type = CONTENT_TYPES.get(path.suffix, "application/octet-stream")
    return _File(content_type.encode(), plain, gzip.compress(plain, 9, mtime=0))
