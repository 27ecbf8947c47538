"""One JSON object a line. Nothing a caller wrote reaches it except what a route's own pattern names.

A request is logged by its route (`/verify/{code}`), because a path may hold a verification code or whatever somebody
pasted; an exception by its type and the places it passed, because its text may hold data.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any, Final

from starlette.routing import BaseRoute, Route

Clock = Callable[[], int]
Scalar = str | int | float | bool | None
Heard = Callable[[str, Mapping[str, Scalar | list[str]]], object]
PLACES_MAX = 12
TURNS_MAX: Final = 4  # a busy service's turn takes well under a millisecond
_ROOT = Path(__file__).parents[2]
_CONVERTER: Final = re.compile(r":[a-z]+\}")
_json = json.JSONEncoder(ensure_ascii=True).encode


class Log:
    """Writes events to `write`, which takes one line and must not raise.

    `heard` is told of each event, too, so that what is counted is what is logged.
    """

    def __init__(self, *, clock: Clock, write: Callable[[str], object], heard: Heard | None = None) -> None:
        self._clock = clock
        self._write = write
        self._heard = heard
        self._second = -1
        self._time = ""

    def event(self, name: str, fields: Mapping[str, Scalar | list[str]]) -> None:
        """Write one event. ASCII and JSON escapes keep a value from starting a line of its own (ASVS 16.4.1)."""
        now = self._clock()
        if now != self._second:
            self._second, self._time = now, datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._write(_json({"time": self._time, "event": name, **fields}) + "\n")
        if self._heard is not None:
            self._heard(name, fields)

    def exception(self, name: str, error: BaseException, fields: Mapping[str, Scalar | list[str]]) -> None:
        """Write an error of ours: the types of its chain and where it came by, never its text."""
        chain: list[str] = []
        current: BaseException | None = error
        while current is not None and len(chain) < PLACES_MAX:
            chain.append(f"{type(current).__module__}.{type(current).__qualname__}")
            current = current.__cause__ or current.__context__
        self.event(name, {**fields, "errors": chain, "places": places(error)})


class TurnWriter:
    """Writes what is logged in one turn of the event loop, or in a few that follow, in one call; outside of a loop at once."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._lines: list[str] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def __call__(self, line: str) -> None:
        """Take one line, its line feed included."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # a thread, or a service that starts or ends
            self._write(line)
            return
        if not self._lines or self._loop is not loop:
            self._loop = loop
            loop.call_soon(self._due, loop, 0, TURNS_MAX)
        self._lines.append(line)

    def _due(self, loop: asyncio.AbstractEventLoop, seen: int, turns: int) -> None:
        """Write, unless lines were added in the last turn: then the next may bring more."""
        if turns and len(self._lines) > seen:
            loop.call_soon(self._due, loop, len(self._lines), turns - 1)
        else:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        lines, self._lines = self._lines, []
        if lines:
            self._write("".join(lines))


def places(error: BaseException) -> list[str]:
    """Return the innermost places of an exception as `file:line function`."""
    frames = traceback.extract_tb(error.__traceback__)[-PLACES_MAX:]
    return [f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]


def _short(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(_ROOT)) if path.is_relative_to(_ROOT) else path.name


@lru_cache(maxsize=4096)  # the callers of a second; whatever else comes pushes out the oldest
def shortened_address(host: str | None) -> str | None:
    """Return the network of an address, /24 or /48: enough to see an attack, too little to find a person."""
    try:
        address = ip_address(host or "")
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return str(IPv6Address(address.packed[:6] + bytes(10))) + "/48"
        address = address.ipv4_mapped
    return ".".join(str(address).split(".")[:3]) + ".0/24"


def route_of(scope: Mapping[str, Any]) -> str:
    """Return the pattern of the route that took a request, or `-`.

    The router leaves the values it cut from the path; each is put back as its name.
    """
    if "endpoint" not in scope:
        return "-"
    path: str = scope["path"]
    for name, value in scope.get("path_params", {}).items():
        text = str(value)
        if not text:
            continue
        head, found, tail = path.rpartition(text)
        if not found:
            return "-"  # a converter rewrote the value; say nothing rather than the path itself
        path = f"{head}{{{name}}}{tail}"
    return path


def patterns_of(routes: Sequence[BaseRoute]) -> list[str]:
    """Return every pattern `route_of` can answer with for these routes."""
    return [_CONVERTER.sub("}", route.path) for route in routes if isinstance(route, Route)]


class LibraryHandler(logging.Handler):
    """Takes what libraries log: the message's template and the level, never the values put into it."""

    def __init__(self, log: Log) -> None:
        super().__init__(level=logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        fields: dict[str, Scalar | list[str]] = {
            "level": record.levelname,
            "logger": record.name,
            # Without arguments the text may have been put together by the caller: then only its place is told.
            "template": record.msg if isinstance(record.msg, str) and record.args else "-",
            "place": f"{_short(record.pathname)}:{record.lineno}",
        }
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            self._log.event("library", fields)
        else:
            self._log.exception("library", error, fields)


def take_over_library_logs(log: Log) -> None:
    """Send every library's warnings to `log`, and nothing anywhere else. Called once, by the composition root."""
    root = logging.getLogger()
    root.handlers[:] = [LibraryHandler(log)]
    root.setLevel(logging.WARNING)
