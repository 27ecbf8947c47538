"""A real Redis server: one for the session, in memory only, or one of a test's own to stop and start."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.services.ports import free_port

START_TIMEOUT_S = 30


class RedisProcess:
    """A server on one port that a test stops, freezes and starts again; its files lie in `folder`."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.port = free_port()
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it listens."""
        arguments = [_binary(), "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)]
        arguments += self._options or ("--save", "", "--appendonly", "no")
        self._process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        _wait_for(self.port, self._process)

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it, and wait until it has ended."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(how)
            self._process.wait(timeout=START_TIMEOUT_S)
            self._process = None

    def freeze(self) -> None:
        """Let it keep its connections and answer nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def own(folder: Path, *options: str) -> Iterator[RedisProcess]:
    """Start a server of this test's own, whatever options replace those of the session's; end it."""
    server = RedisProcess(folder, *options)
    server.start()
    try:
        yield server
    finally:
        server.end()


@contextmanager
def running() -> Iterator[str]:
    """Start a server; yield its URL; stop it."""
    port = free_port()
    arguments = [_binary(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    server = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        _wait_for(port, server)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(timeout=START_TIMEOUT_S)


def _binary() -> str:
    binary = shutil.which("redis-server") or shutil.which("valkey-server")
    if binary is None:
        pytest.fail("Redis is not installed (Debian: apt-get install redis-server)", pytrace=False)
    return binary


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            pytest.fail(f"redis-server ended with {server.returncode} before it listened", pytrace=False)
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    pytest.fail("redis-server did not listen in time", pytrace=False)
