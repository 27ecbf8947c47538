"""The load: so many connections, each with one request under way, over plain sockets; the same code for every server.

A plan is what one connection says, again and again: a request as bytes, an answer back, the next request. Everything
that can be built before is built before, so that the driver costs little beside what it measures.
"""

from __future__ import annotations

import asyncio
import gc
import os
import re
import time
from array import array
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol, cast

import uvloop

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_CODE: Final = re.compile(rb"[?&]code=([^&\s]+)")
_ACCESS_TOKEN: Final = re.compile(rb'"access_token" *: *"([^"]+)"')
_REFRESH_TOKEN: Final = re.compile(rb'"refresh_token" *: *"([^"]+)"')
ERRORS_SHOWN: Final = 3
DRAIN_S: Final = 10.0


class Answer(NamedTuple):
    """One response: status, head (status line and headers as sent) and body."""

    status: int
    head: bytes
    body: bytes


class Unexpected(Exception):
    """A server answered something that the plan does not expect."""

    def __init__(self, what: str, answer: Answer) -> None:
        super().__init__(f"{what}: {answer.status} {answer.body[:200]!r}")


Talk = Generator[bytes, Answer, None]
"""One operation: yields requests, is sent their answers, returns when it is done. Raises `Unexpected`."""


class Plan(Protocol):
    """What a connection does. `place` numbers the connection."""

    def talk(self, place: int) -> Talk:
        """Begin one operation."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same request each time; 200 is due."""

    name: str
    request: bytes

    def talk(self, place: int) -> Talk:
        """See `Plan.talk`."""
        del place
        answer = yield self.request
        if answer.status != 200:
            raise Unexpected(self.name, answer)


@dataclass(frozen=True, slots=True)
class Refresh:
    """Refresh tokens, each used once; a connection has a token of its own and keeps the next."""

    request: bytes
    """With `{length}` for Content-Length and nothing after `refresh_token=`."""
    tokens: list[bytes]

    def talk(self, place: int) -> Talk:
        """See `Plan.talk`."""
        answer = yield with_form(self.request, self.tokens[place])
        found = _REFRESH_TOKEN.search(answer.body)
        if answer.status != 200 or found is None or found[1] == self.tokens[place]:
            raise Unexpected("refresh", answer)
        self.tokens[place] = found[1]


@dataclass(frozen=True, slots=True)
class CodeFlow:
    """Authorization with a live session and remembered consent, token, userinfo."""

    authorize: tuple[bytes, ...]
    """What stands around a number that makes `state` and `nonce` differ."""
    token: bytes
    """With `{length}` and nothing after `code=`."""
    userinfo: tuple[bytes, ...]
    """What stands before and after the access token."""

    def talk(self, place: int) -> Talk:
        """See `Plan.talk`."""
        number = b"%d-%d" % (place, time.monotonic_ns())
        answer = yield number.join(self.authorize)
        code = _CODE.search(answer.head)
        if not 300 <= answer.status < 400 or code is None:
            raise Unexpected("authorize", answer)
        answer = yield with_form(self.token, code[1])
        token = _ACCESS_TOKEN.search(answer.body)
        if answer.status != 200 or token is None or b'"id_token"' not in answer.body:
            raise Unexpected("token", answer)
        answer = yield token[1].join(self.userinfo)
        if answer.status != 200 or b'"sub"' not in answer.body:
            raise Unexpected("userinfo", answer)


def with_form(request: bytes, ending: bytes) -> bytes:
    """Return a request whose form ends with a value, its length filled in."""
    head, form = request.split(b"\r\n\r\n")
    form += ending
    return head.replace(b"{length}", b"%d" % len(form)) + b"\r\n\r\n" + form


@dataclass(slots=True)
class Window:
    """What happened in the measured part of a slice."""

    seconds: float = 0.0
    done: int = 0
    latencies: array[float] = field(default_factory=lambda: array("d"))
    """Of each request, in seconds."""
    errors: list[str] = field(default_factory=list)
    """Of the whole slice, the warm-up and the drain too."""
    outside: int = 0
    """Operations done in the warm-up and the drain."""

    @property
    def per_s(self) -> float:
        """Operations a second."""
        return self.done / self.seconds

    def quantile_ms(self, share: float) -> float:
        """Return a quantile of the latencies in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 if ordered else 0.0


class _Load:
    """What the connections of a slice share."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.window = Window()
        self.stopping = False


class _Connection(asyncio.Protocol):
    """Sends a request, reads its answer, asks the talk for the next."""

    def __init__(self, load: _Load, place: int, ended: asyncio.Future[None]) -> None:
        self._load = load
        self._place = place
        self._ended = ended
        self._buffer = b""
        self._sent_at = 0.0
        self._talk: Talk

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._begin()

    def _begin(self) -> None:
        if self._load.stopping:
            self._transport.close()
            return
        self._talk = self._load.plan.talk(self._place)
        self._say(next(self._talk))

    def _say(self, request: bytes) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._buffer = data
            return
        head = data[:end]
        length = _LENGTH.search(head)
        whole = end + 4 + (0 if length is None else int(length[1]))
        if len(data) < whole:
            self._buffer = data
            return
        self._buffer = b""
        self._load.window.latencies.append(time.perf_counter() - self._sent_at)
        self._heard(Answer(int(head[9:12]), head, data[end + 4 : whole]))

    def _heard(self, answer: Answer) -> None:
        try:
            request = self._talk.send(answer)
        except StopIteration:
            self._load.window.done += 1
            self._begin()
        except Unexpected as unexpected:
            self._load.window.errors.append(str(unexpected))
            # One more try each, so that a server that only refuses is not hammered; the figure is void anyway.
            self._transport.close()
        else:
            self._say(request)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._load.stopping and not self._load.window.errors:
            self._load.window.errors.append(f"the server closed a connection: {exc}")
        if not self._ended.done():
            self._ended.set_result(None)


def drive(
    address: tuple[str, int],
    plan: Plan,
    *,
    connections: int,
    warm_s: float,
    seconds: float,
    at_edges: Callable[[], None] | None = None,
) -> Window:
    """Run one slice; `at_edges` is called as the measured part begins and as it ends."""
    return uvloop.run(_drive(address, plan, connections, warm_s, seconds, at_edges or _nothing))


def drive_on(
    core: int, address: tuple[str, int], plan: Plan, connections: int, warm_s: float, seconds: float
) -> Window:
    """Run one slice in this process, pinned to a core."""
    os.sched_setaffinity(0, {core})
    return drive(address, plan, connections=connections, warm_s=warm_s, seconds=seconds)


def _nothing() -> None:
    """Do nothing at an edge."""


async def _drive(
    address: tuple[str, int],
    plan: Plan,
    connections: int,
    warm_s: float,
    seconds: float,
    at_edges: Callable[[], None],
) -> Window:
    loop = asyncio.get_running_loop()
    load = _Load(plan)
    ends = [loop.create_future() for _ in range(connections)]
    gc.collect()
    gc.disable()
    try:
        for place, ended in enumerate(ends):
            await loop.create_connection(lambda p=place, e=ended: _Connection(load, p, e), *address)  # type: ignore[misc]  # mypy cannot infer a lambda with defaults
        await asyncio.sleep(warm_s)
        warm = load.window
        load.window = window = Window(errors=warm.errors)
        at_edges()
        begun = time.perf_counter()
        await asyncio.sleep(seconds)
        window.seconds = time.perf_counter() - begun
        at_edges()
        load.window = rest = Window(errors=warm.errors)  # what is under way still ends, outside the window
        load.stopping = True
        await asyncio.wait(ends, timeout=DRAIN_S)
        window.outside = warm.done + rest.done
    finally:
        gc.enable()
    if not all(ended.done() for ended in ends):
        window.errors.append("a request was never answered")
    return window
