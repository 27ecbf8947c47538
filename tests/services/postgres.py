"""A real PostgreSQL server for the session: its own data folder, its own port, no privileges."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.services import databases
from tests.services.ports import free_port

START_TIMEOUT_S = 60


def binaries() -> Path:
    """Return the folder holding initdb and postgres; fail, naming the package to install, where there is none."""
    on_path = shutil.which("initdb")
    candidates = [Path(on_path).parent] if on_path else []
    # Debian keeps the server's programs off PATH, a folder a major version; take the newest.
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name), reverse=True)
    for folder in candidates:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    pytest.fail("PostgreSQL's server programs are not installed (Debian: apt-get install postgresql)", pytrace=False)


def unprivileged() -> dict[str, int]:
    """Return the user and group to run the server as: `initdb` refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid}
    pytest.fail("the tests run as root and there is no user `postgres` or `nobody` to run PostgreSQL as", pytrace=False)


@contextmanager
def running() -> Iterator[str]:
    """Start a server; yield the URL of its maintenance database; stop it and remove its data."""
    folder = binaries()
    identity = unprivileged()
    # Unix socket paths are limited to 107 bytes, so not below pytest's long temporary folders.
    home = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        if identity:
            os.chown(home, identity["user"], identity["group"])
        data = home / "data"
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(home)}

        def call(*arguments: str) -> None:
            done = subprocess.run(
                arguments,
                cwd=home,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=START_TIMEOUT_S + 10,
                text=True,
                check=False,
                **identity,  # type: ignore[call-overload]  # user and group, or nothing
            )
            if done.returncode:
                log = (home / "log").read_text() if (home / "log").exists() else ""
                pytest.fail(f"{Path(arguments[0]).name} failed:\n{done.stdout}\n{log}", pytrace=False)

        call(str(folder / "initdb"), "-D", str(data), "-U", "edutrust", "-A", "trust", "-E", "UTF8", "--no-sync", "-N")
        port = free_port()
        # fsync off: a test server's data need not survive the machine, and the durability tests are SQLite's.
        options = f"-c listen_addresses=127.0.0.1 -p {port} -k {home} -c fsync=off -c max_connections=200"
        control = str(folder / "pg_ctl")
        call(
            control, "-D", str(data), "-l", str(home / "log"), "-o", options, "-t", str(START_TIMEOUT_S), "-w", "start"
        )
        url = f"postgresql://edutrust@127.0.0.1:{port}/postgres"
        try:
            yield url
        finally:
            databases.forget(url)
            call(control, "-D", str(data), "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)
