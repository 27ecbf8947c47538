"""A PostgreSQL server of one test's own, to be stopped, killed, frozen and started again on the same data and port."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.services.ports import free_port
from tests.services.postgres import binaries, unprivileged

START_S = 60


class OwnPostgres:
    """One cluster. With `fsync` off it still survives the end of its processes, which is all that is done to it here."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._data = home / "data"
        self._identity = unprivileged()
        self._port = free_port()
        self._environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(home)}

    @property
    def url(self) -> str:
        """The address of its one database."""
        return f"postgresql://edutrust@127.0.0.1:{self._port}/postgres"

    def make(self) -> None:
        """Make the cluster."""
        self._call("initdb", "-D", str(self._data), "-U", "edutrust", "-A", "trust", "-E", "UTF8", "--no-sync", "-N")

    def start(self) -> None:
        """Start and wait until it answers."""
        options = f"-c listen_addresses=127.0.0.1 -p {self._port} -k {self._home} -c fsync=off -c max_connections=200"
        log = str(self._home / "log")
        self._call("pg_ctl", "-D", str(self._data), "-l", log, "-o", options, "-t", str(START_S), "-w", "start")

    def end(self, mode: str = "immediate") -> None:
        """End it: `immediate` as a power cut does, `fast` as an operator does."""
        self._call("pg_ctl", "-D", str(self._data), "-m", mode, "-w", "stop")

    def freeze(self) -> None:
        """Let every process of it keep its connections and answer nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        self._signal(signal.SIGCONT)

    def running(self) -> bool:
        """Whether there is a server to stop."""
        return (self._data / "postmaster.pid").exists()

    def _signal(self, number: signal.Signals) -> None:
        postmaster = int((self._data / "postmaster.pid").read_text("utf-8").split("\n", 1)[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text("utf-8").split()
        for process in (postmaster, *map(int, children)):
            os.kill(process, number)

    def _call(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(binaries() / program), *arguments],
            cwd=self._home,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=START_S + 10,
            check=False,
            **self._identity,  # type: ignore[call-overload]  # user and group, or nothing
        )
        assert done.returncode == 0, (program, arguments)


@contextmanager
def own_postgres() -> Iterator[OwnPostgres]:
    """Make and start a server; end it and remove its data."""
    # Unix socket paths are limited to 107 bytes, so not below pytest's long temporary folders.
    home = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        for_whom = unprivileged()
        if for_whom:
            os.chown(home, for_whom["user"], for_whom["group"])
        server = OwnPostgres(home)
        server.make()
        server.start()
        try:
            yield server
        finally:
            if server.running():
                server.end()
    finally:
        shutil.rmtree(home, ignore_errors=True)
