"""`edutrust run`: the service, and with `--demo` the demonstration around it."""

from __future__ import annotations

import argparse
import importlib
import os
import secrets
import socket
import ssl
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Final

import uvloop

from adapters.app import Application
from adapters.commands.kek_sentences import kek_sentence
from adapters.commands.outcome import CommandFailed
from adapters.commands.settings_of import settings_of
from adapters.kek import KekRefused, create_kek, read_kek
from adapters.memory import give_back_large_blocks
from adapters.observe.log import Log, TurnWriter
from adapters.parts import Parts
from adapters.server import Prepare, StartFailed, listening_socket, run_service, sole_owner
from adapters.settings import Settings
from adapters.static_files import StaticFiles, StaticFilesRefused, bring_in, read_static_files
from adapters.supervisor import Place, Supervisor, WorkersFailed, reserve, workers_socket
from adapters.web.assets import AssetsMissingError
from idp.model import Acr

DEMO_DATA_DIR: Final = Path("var/demo")
LEARNING_OFFSET, LIBRARY_OFFSET = 1, 2  # the demo platforms listen on the next two ports


def main(arguments: argparse.Namespace) -> int:
    """Start, serve until told to stop, and end cleanly."""
    try:
        return _run(arguments)
    except (StartFailed, StaticFilesRefused, AssetsMissingError) as failed:
        raise CommandFailed(str(failed)) from failed


def _run(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments)
    static = _static_files(arguments)
    _check_certificate(settings)
    if arguments.demo and settings.workers > 1:
        raise StartFailed("--demo is one process: leave --workers out.")
    give_back_large_blocks()
    with ExitStack() as stack:
        _prepare_folder(settings)
        stack.enter_context(sole_owner(settings.data_dir))
        if settings.workers > 1:
            _run_workers(stack, settings, static)
        else:
            _run_alone(stack, settings, static, demo=arguments.demo)
        print("Stopped.", flush=True)
    return 0


def _run_alone(stack: ExitStack, settings: Settings, static: StaticFiles, *, demo: bool) -> None:
    ports = settings.port + LEARNING_OFFSET, settings.port + LIBRARY_OFFSET
    listener = stack.enter_context(listening_socket(settings.host, settings.port))
    [metrics] = _metrics_listeners(stack, settings)
    if demo:
        for port in ports:
            listening_socket("127.0.0.1", port).close()
    _require_kek(settings, demo=demo)
    _migrate_apart(settings)

    log: IO[str] = sys.stderr
    if demo:
        # The console belongs to the reader; what the service and the platforms log stands in a file.
        log = stack.enter_context((settings.data_dir / "service.log").open("a", encoding="utf-8", buffering=1))

    async def when_ready(parts: Parts, _application: Application) -> None:
        welcome = f"READY {settings.issuer}"
        if demo:
            around = importlib.import_module("adapters.demo.around")
            welcome = await around.set_up_around(parts, ports, stack, log)
        print(welcome, flush=True)

    write_log = TurnWriter(log.write)
    try:
        uvloop.run(
            run_service(
                settings,
                when_ready,
                listener=listener,
                metrics=metrics,
                write_log=write_log,
                prepare=_brought_in(static),
            )
        )
    finally:
        write_log.flush()


def _run_workers(stack: ExitStack, settings: Settings, static: StaticFiles) -> None:
    """Run several workers; this process opens nothing that they would share."""
    try:
        reserved = reserve(settings.host, settings.port)
    except OSError as error:
        raise StartFailed(f"Port {settings.port} on {settings.host} cannot be used: {error.strerror}.") from error
    scrapes = _metrics_listeners(stack, settings)
    _require_kek(settings, demo=False)
    _migrate_apart(settings)

    def serve(place: Place) -> None:
        reserved.close()
        for number, other in enumerate(scrapes):
            if other is not None and number != place.number:
                other.close()
        listener = workers_socket(settings.host, settings.port)

        async def when_ready(_parts: Parts, _application: Application) -> None:
            place.ready()

        write_log = TurnWriter(sys.stderr.write)
        service = run_service(
            settings,
            when_ready,
            listener=listener,
            metrics=scrapes[place.number],
            write_log=write_log,
            prepare=_brought_in(static),
            background=place.first,
            supervisor_fd=place.supervisor_fd,
        )
        try:
            uvloop.run(service)
        except (StartFailed, StaticFilesRefused) as failed:
            print(failed, file=sys.stderr, flush=True)
            raise SystemExit(1) from failed
        finally:
            write_log.flush()

    log = Log(clock=lambda: int(time.time()), write=sys.stderr.write)
    with reserved:
        try:
            Supervisor(settings.workers, serve, log=log.event).run(
                lambda: print(f"READY {settings.issuer}", flush=True)
            )
        except WorkersFailed as failed:
            raise StartFailed(str(failed)) from failed


def _metrics_listeners(stack: ExitStack, settings: Settings) -> list[socket.socket | None]:
    """Return the socket of each worker on which it answers scrapes, or None for each.

    They listen from now on and for as long as this process runs: while a worker is away, its port is nobody else's.
    """
    if settings.metrics_address is None:
        return [None] * settings.workers
    importlib.import_module("adapters.scrape.exposition")  # once, for all workers
    host, port = settings.metrics_address
    return [stack.enter_context(listening_socket(host, port + number)) for number in range(settings.workers)]


def _migrate_apart(settings: Settings) -> None:
    """Migrate in a child process, so that what only migrations need does not stay in memory for the service's life.

    Raises `CommandFailed` with what the child said.
    """
    said_fd, say_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            importlib.import_module("adapters.commands.migrate").migrate(settings)
            code = 0
        except CommandFailed as failed:
            os.write(say_fd, str(failed).encode())
        except BaseException:  # noqa: BLE001  # it has nowhere else to go
            os.write(say_fd, traceback.format_exc().encode())
        finally:
            os._exit(code)
    os.close(say_fd)
    with os.fdopen(said_fd, "r", encoding="utf-8") as said:
        sentence = said.read()
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0:
        raise CommandFailed(sentence or "The databases could not be brought up to date.")


def _brought_in(static: StaticFiles) -> Prepare:
    async def prepare(parts: Parts) -> Mapping[str, Acr]:
        return await bring_in(parts, static)

    return prepare


def _settings(arguments: argparse.Namespace) -> Settings:
    if not arguments.demo:
        return settings_of(arguments)
    if arguments.data_dir is None:
        arguments.data_dir = DEMO_DATA_DIR
    port = arguments.port or 8080
    allowed = [f"127.0.0.1:{port + offset}" for offset in (LEARNING_OFFSET, LIBRARY_OFFSET)]
    return settings_of(arguments, outbound_allowed=allowed)


def _static_files(arguments: argparse.Namespace) -> StaticFiles:
    if arguments.demo and (arguments.clients or arguments.users):
        raise StartFailed("--demo brings its own platforms and people: leave --clients and --users out.")
    static = read_static_files(arguments.clients, arguments.users)
    for warning in static.warnings:
        print(f"Warning: {warning}", file=sys.stderr)
    return static


def _check_certificate(settings: Settings) -> None:
    """Load the certificate and its key once, so that a wrong file is one sentence and not a failed handshake."""
    if settings.tls_cert is None or settings.tls_key is None:
        return
    try:
        # The empty password keeps an encrypted key from asking at a terminal that nobody may be sitting at.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_cert, settings.tls_key, password="")
    except (OSError, ValueError) as error:
        raise StartFailed(
            f"{settings.tls_cert} and {settings.tls_key} are no certificate chain with its unencrypted key, both in PEM."
        ) from error


def _prepare_folder(settings: Settings) -> None:
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartFailed(f"The data folder {settings.data_dir} cannot be made: {error.strerror}.") from error


def _require_kek(settings: Settings, *, demo: bool) -> None:
    """Refuse to start without the key file; only a demo that has no database yet makes its own."""
    try:
        if demo and not settings.kek_file.exists() and not (settings.data_dir / "idp.sqlite3").exists():
            create_kek(settings.kek_file, random_bytes=secrets.token_bytes)
        read_kek(settings.kek_file)
    except KekRefused as refused:
        raise StartFailed(kek_sentence(refused, settings.kek_file)) from refused
