"""The product as a stranger starts it: the command, its two platforms, its accounts."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.services.ports import free_port

ROOT = Path(__file__).parents[2]
# The first start enrols three hundred people.
START_TIMEOUT_S = 180
STOP_TIMEOUT_S = 30
PORTS = 3
TRIES = 50
_COMMAND = "import sys; from adapters.cli import main; sys.exit(main(sys.argv[1:]))"


@dataclass(frozen=True, slots=True)
class Demo:
    """Where everything listens, and the password of every account."""

    origin: str
    learning: str
    library: str
    data_dir: Path
    password: str = field(repr=False)


@contextmanager
def running(data_dir: Path) -> Iterator[Demo]:
    """Run `edutrust run --demo` until the block ends; then stop it as Ctrl-C does and ask for a clean end."""
    port = _three_free_ports()
    arguments = ["run", "--demo", "--data-dir", str(data_dir), "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _COMMAND, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )
    said: list[str] = []
    try:
        _wait_until_ready(process, said)
        password = json.loads((data_dir / "demo.json").read_text("utf-8"))["password"]
        local = "http://127.0.0.1:{}".format
        yield Demo(local(port), local(port + 1), local(port + 2), data_dir, password)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=STOP_TIMEOUT_S) == 0, "".join(said)
        for other in range(port, port + PORTS):
            assert not _listens(other), f"something still listens on {other}"
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _three_free_ports() -> int:
    """Return a port that is free, as are the next two, where the platforms will listen."""
    for _ in range(TRIES):
        port = free_port()
        if port + PORTS < 1 << 16 and not any(_listens(port + offset) for offset in range(PORTS)):
            return port
    pytest.fail("no three free ports in a row", pytrace=False)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait_until_ready(process: subprocess.Popen[str], said: list[str]) -> None:
    """Read what the command says until it is READY; a thread goes on reading, so that the pipe never fills."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            line = lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            pytest.fail("the demo was not ready in time:\n" + "".join(said), pytrace=False)
        if line is None:
            pytest.fail("the demo ended before it was ready:\n" + "".join(said), pytrace=False)
        if line.startswith("READY "):
            return
