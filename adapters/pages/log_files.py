"""The published log over HTTP (C2SP tlog-tiles): its files as they lie in the folder, without a look at any database.

Everything but `checkpoint` and `log.json` never changes once it has a name, and says so to every cache. The idempotency
keys stay at home: they are for rebuilding a database, and nobody needs them to verify.
"""

from __future__ import annotations

import asyncio
import stat
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from adapters.publication import LogFolder
from ledger.errors import EntryUnknown
from ledger.layout import (
    AnchorPath,
    BundlePath,
    CheckpointPath,
    DocumentPath,
    LayoutPath,
    NotePath,
    TilePath,
    parse_path,
)

LOG_PREFIX: Final = "/log/"
_EXACT: Final = (str(CheckpointPath()), str(DocumentPath()))
_BRANCHES: Final = ("tile", "sm3", "note", "anchor")
# Starts of the paths below: programs call them.
LOG_FILE_PATHS: Final = (
    *(LOG_PREFIX + name for name in _EXACT),
    *(f"{LOG_PREFIX}{name}/" for name in _BRANCHES),
)

_IMMUTABLE: Final = "public, max-age=31536000, immutable"
_SHORT: Final = "public, max-age=5"
_TEXT: Final = "text/plain; charset=utf-8"
_OCTETS: Final = "application/octet-stream"
_TYPES: Final[dict[type, str]] = {
    AnchorPath: "application/jose",
    BundlePath: _OCTETS,
    CheckpointPath: _TEXT,
    DocumentPath: "application/json",
    NotePath: _TEXT,
    TilePath: _OCTETS,
}


class _LogFiles:
    def __init__(self, folder: LogFolder) -> None:
        self._folder = folder

    async def file(self, request: Request) -> Response:
        """Answer with one file. Raises EntryUnknown for what is no name, not served or not there."""
        path = _asked(request)
        media_type = _TYPES.get(type(path))
        if media_type is None:
            raise EntryUnknown(field="path", rule="served")
        file = self._folder.root / str(path)
        try:
            found = await asyncio.to_thread(file.stat)
        except OSError as error:
            raise EntryUnknown(field="path", rule="published") from error
        if not stat.S_ISREG(found.st_mode):
            raise EntryUnknown(field="path", rule="published")
        changing = isinstance(path, CheckpointPath | DocumentPath)
        headers = {"Cache-Control": _SHORT if changing else _IMMUTABLE, "Access-Control-Allow-Origin": "*"}
        answer = FileResponse(file, headers=headers, media_type=media_type, stat_result=found)
        if request.headers.get("if-none-match") == answer.headers["etag"]:
            return Response(status_code=304, headers={**headers, "ETag": answer.headers["etag"]})
        return answer


def _asked(request: Request) -> LayoutPath:
    """Parse the path as it was sent: an escaped form of a name would be another key in every cache."""
    path: str = request.scope["path"]
    sent: bytes = request.scope.get("raw_path") or path.encode()
    if sent.partition(b"?")[0] != path.encode():
        raise EntryUnknown(field="path", rule="canonical")
    return parse_path(path.removeprefix(LOG_PREFIX))


def routes(folder: LogFolder) -> list[Route]:
    """Return the routes of the files; they stand before the pages of the same log."""
    files = _LogFiles(folder)
    exact = [Route(LOG_PREFIX + name, files.file, methods=["GET"]) for name in _EXACT]
    below = [Route(f"{LOG_PREFIX}{name}/{{path:path}}", files.file, methods=["GET"]) for name in _BRANCHES]
    return [*exact, *below]
