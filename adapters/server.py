"""One running service: databases migrated, parts opened, pages mounted, worker beside them, until somebody stops it."""

from __future__ import annotations

import asyncio
import fcntl
import importlib
import os
import secrets
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from starlette.types import ASGIApp

from adapters.app import Application, build_application
from adapters.ledger_sentences import ledger_sentence
from adapters.observe.log import Log, take_over_library_logs
from adapters.parts import MoreAnchors, Parts, open_parts
from adapters.records import open_records
from adapters.redis.condition import condition_of
from adapters.settings import Settings
from adapters.sm2_backend import backend_sentence
from adapters.sql.keyring import KeyringRefused
from adapters.worker import working
from crypto.errors import TrustError
from idp.model import Acr

if TYPE_CHECKING:
    from adapters.scrape.exposition import MetricsPage

GRACE_S: Final = 5  # how long answers under way may take to finish once the service is told to stop
BACKLOG: Final = 2048
SCRAPES_MAX: Final = 16  # connections at once; more than the few who watch a service need
# `proxy_headers`: TrustedProxies decides whom to believe.
_PLAIN: Final[Mapping[str, Any]] = MappingProxyType(
    {"log_config": None, "access_log": False, "server_header": False, "proxy_headers": False, "lifespan": "off"}
)

Prepare = Callable[[Parts], Awaitable[Mapping[str, Acr]]]
"""Brings in what an operator stated, before anything is served; returns the assurance stated for single people."""


class StartFailed(Exception):
    """The service cannot start; the text is one clear sentence for the operator."""


@contextmanager
def sole_owner(data_dir: Path) -> Iterator[None]:
    """Hold the data folder for this process. Raises `StartFailed` where another service holds it."""
    path = data_dir / ".lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartFailed(f"The data folder {data_dir} cannot be written: {error.strerror}.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StartFailed(f"Another service is already running on the data folder {data_dir}.") from error
    try:
        yield
    finally:
        os.close(descriptor)


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket bound to the address, dual-stack on `::`. Raises `StartFailed` where it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol by its name: asyncio sends small answers at once (TCP_NODELAY) only where it sees it.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        made.bind((host, port))
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        raise StartFailed(f"Port {port} on {host} cannot be used: {error.strerror}.") from error
    return made


@asynccontextmanager
async def service(
    settings: Settings,
    *,
    write_log: Callable[[str], object],
    more_anchors: MoreAnchors | None = None,
    prepare: Prepare | None = None,
    background: bool = True,
) -> AsyncIterator[tuple[Parts, Application]]:
    """Open the whole service below the socket; raises what `open_parts` raises. `write_log` takes one line.

    `background` False: another process on the same stores does the work beside the requests.
    """
    async with open_parts(
        settings, clock=lambda: int(time.time()), random_bytes=secrets.token_bytes, more_anchors=more_anchors
    ) as parts:
        log = Log(clock=parts.clock, write=write_log)
        log.event("crypto", {"sm2_backend": parts.backend.name, "sentence": backend_sentence(parts.backend)})
        if parts.redis is not None:
            condition = await condition_of(parts.redis)
            log.event("redis", {"answers": condition.answers, "keeps": condition.keeps, "sentence": condition.sentence})
        stated = {} if prepare is None else await prepare(parts)
        application = build_application(parts, await open_records(parts), stated_acr=stated, write_log=write_log)
        try:
            async with working(parts, application, application.outbound, background=background):
                yield parts, application
        finally:
            application.close()


@asynccontextmanager
async def serving(app: ASGIApp, listener: socket.socket, settings: Settings) -> AsyncIterator[asyncio.Event]:
    """Serve on the socket while the block lasts; yields an event that is set when a signal asks to stop."""
    config = uvicorn.Config(
        app,
        **_PLAIN,
        date_header=True,
        timeout_graceful_shutdown=GRACE_S,
        ssl_certfile=None if settings.tls_cert is None else str(settings.tls_cert),
        ssl_keyfile=None if settings.tls_key is None else str(settings.tls_key),
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with _listening(config, listener):
        yield stop


@asynccontextmanager
async def answering_scrapes(parts: Parts, listener: socket.socket | None) -> AsyncIterator[None]:
    """Answer scrapes on the socket while the block lasts; without one, load nothing of what that takes."""
    if listener is None:
        yield
        return
    page: MetricsPage = importlib.import_module("adapters.scrape.exposition").MetricsPage(parts)
    config = uvicorn.Config(page, **_PLAIN, timeout_graceful_shutdown=1, limit_concurrency=SCRAPES_MAX)
    try:
        async with _listening(config, listener):
            yield
    finally:
        page.close()


@asynccontextmanager
async def _listening(config: uvicorn.Config, listener: socket.socket) -> AsyncIterator[None]:
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    try:
        while not server.started and not task.done():  # noqa: ASYNC110  # uvicorn offers a flag, no event
            await asyncio.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        await task


class _Server(uvicorn.Server):
    """Leaves signals to us: the worker and the databases must stop after the last answer, in order."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield


async def run_service(
    settings: Settings,
    when_ready: Callable[[Parts, Application], Awaitable[None]],
    *,
    listener: socket.socket,
    metrics: socket.socket | None = None,
    write_log: Callable[[str], object],
    prepare: Prepare | None = None,
    background: bool = True,
    supervisor_fd: int | None = None,
) -> None:
    """Run until a signal. `when_ready` is awaited once the service answers. Raises `StartFailed`.

    `metrics`: where scrapes are answered, if they are. `background`: see `service`. `supervisor_fd`: where the end of the
    supervisor shows; then this process stops, too.
    """
    try:
        async with (
            service(settings, write_log=write_log, prepare=prepare, background=background) as (parts, application),
            answering_scrapes(parts, metrics),
            serving(application.asgi, listener, settings) as stop,
        ):
            if supervisor_fd is not None:
                asyncio.get_running_loop().add_reader(supervisor_fd, stop.set)
            take_over_library_logs(application.log)
            await when_ready(parts, application)
            await stop.wait()
    except KeyringRefused as refused:
        raise StartFailed(
            f"The key-encryption key file {settings.kek_file} is not the one this database was made with."
        ) from refused
    except TrustError as refused:
        sentence = ledger_sentence(refused, settings)
        raise StartFailed(sentence or f"The service cannot start or go on: {refused}.") from refused
