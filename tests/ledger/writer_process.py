"""Processes that append without end and note what was acknowledged, until they are killed.

One process loads the program once and forks a writer for each line it reads: `start URL ORIGIN WRITER FILE` is answered with
the writer's pid, `twice URL ORIGIN FIRST GATE FILE` with that of a process that appends two pools once the gate is opened,
`wait PID` with how a process ended. Each is a process of its own from its first connection on.
"""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from adapters.sql.ledger_engine import LedgerDatabase
from adapters.sql.ledger_open import open_ledger_database
from adapters.sql.ledger_store import SqlLedgerStore
from crypto.keys import SigningKey, export_private, signing_key_from_bytes
from crypto.sm2 import BACKENDS, select_backend
from ledger.checkpoint import LogIdentity
from ledger.sequencer import Sequencer
from tests.ledger.parts import entries, entry

ROOT = Path(__file__).parents[2]
OWN = 3
POOL = 3
SAID_BYTES = 4096
AT_GATE = SAID_BYTES - 1
RANGE = 1_000_000
"""The numbers of one writer's entries; those of range 0 of a trial are brought by all its writers."""


def open_log(database: LedgerDatabase, origin: str, sm2_key: SigningKey) -> Sequencer:
    """Open the log as a process that starts does."""
    sequencer = Sequencer(
        SqlLedgerStore(database, origin),
        identity=LogIdentity(origin, sm2_key.public, None),
        sm2_key=sm2_key,
        ed25519_key=None,
        clock=lambda: int(time.time()),
        anchor_chains=["file"],
    )
    sequencer.open()
    return sequencer


def write(url: str, origin: str, writer: int, shared: int, said: int, sm2_key: SigningKey) -> None:
    """Append for ever: entries of its own, and one that the others bring as well."""
    begun = time.monotonic()
    sequencer = open_log(open_ledger_database(url), origin, sm2_key)
    turn = 0
    while True:
        numbers = [*range(writer * RANGE + turn * OWN, writer * RANGE + (turn + 1) * OWN), shared * RANGE + turn]
        places = sequencer.append([*entries(numbers[0], numbers[0] + OWN), entry(numbers[-1])])
        lines = "".join(f"{number} {place.index}\n" for number, place in zip(numbers, places, strict=True))
        if turn == 0:
            lines += f"ready {time.monotonic() - begun:.3f}\n"
        os.write(said, lines.encode())
        turn += 1


def append_twice(url: str, origin: str, first: int, gate: str, said: mmap.mmap, sm2_key: SigningKey) -> None:
    """Wait at the gate, then open the log and append two pools. What is said costs no system call of its own."""
    opened = os.open(gate, os.O_RDONLY)
    said[AT_GATE] = 1
    os.read(opened, 1)
    text = ""
    try:
        sequencer = open_log(open_ledger_database(url), origin, sm2_key)
        for at in (first, first + POOL):
            places = sequencer.append(entries(at, at + POOL))
            text += "".join(f"{number} {place.index}\n" for number, place in enumerate(places, at))
            said[: len(text)] = text.encode()
    except Exception as error:  # noqa: BLE001 - whatever it was is said, and judged by the test
        text += f"refused {'.'.join(one.__module__ + ':' + one.__name__ for one in type(error).__mro__[:-3])}\n"
        said[: len(text)] = text.encode()
    os._exit(0)


def serve(key: str) -> None:
    """Fork and reap what is asked for."""
    sm2_key = signing_key_from_bytes(bytes.fromhex(key), backend=select_backend(BACKENDS))
    for line in sys.stdin:
        verb, *arguments = line.split()
        if verb == "start":
            url, origin, writer, shared, file = arguments
            child = os.fork()
            if child == 0:
                said = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                write(url, origin, int(writer), int(shared), said, sm2_key)
            answer = str(child)
        elif verb == "twice":
            url, origin, first, gate, file = arguments
            child = os.fork()
            if child == 0:
                with Path(file).open("r+b") as opened:
                    said_there = mmap.mmap(opened.fileno(), SAID_BYTES)
                append_twice(url, origin, int(first), gate, said_there, sm2_key)
            answer = str(child)
        else:
            _, status = os.waitpid(int(arguments[0]), 0)
            answer = str(os.waitstatus_to_exitcode(status))
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()


@dataclass(frozen=True, slots=True)
class Writers:
    """The process that forks writers."""

    process: subprocess.Popen[str]

    def start(self, url: str, origin: str, writer: int, shared: int, file: Path) -> int:
        """Start a writer; return its pid."""
        return int(self._ask(f"start {url} {origin} {writer} {shared} {file}"))

    def start_twice(self, url: str, origin: str, first: int, gate: Path, file: Path) -> int:
        """Start a process that appends two pools once somebody writes to the FIFO `gate`; return its pid.

        The FIFO is already open for writing. The process waits where the byte AT_GATE of the file has been set.
        """
        file.write_bytes(bytes(SAID_BYTES))
        return int(self._ask(f"twice {url} {origin} {first} {gate} {file}"))

    def wait(self, pid: int) -> int:
        """Wait for the end of a process; return its exit code, or less than 0 for the signal."""
        return int(self._ask(f"wait {pid}"))

    def kill(self, pid: int) -> int:
        """Kill a writer, wait for its end, and return how it ended."""
        os.kill(pid, signal.SIGKILL)
        return self.wait(pid)

    def _ask(self, line: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()


@contextmanager
def writers(key: SigningKey) -> Iterator[Writers]:
    """Start the process that forks writers, and end it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.ledger.writer_process", export_private(key).hex()],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield Writers(process)
        assert process.stdin is not None
        process.stdin.close()


if __name__ == "__main__":
    serve(sys.argv[1])
