"""`edutrust run` over TLS with platforms and people from two files, as the operations guide says."""

from __future__ import annotations

import json
import os
import secrets
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from adapters.kek import create_kek
from tests.protocol.conformance.live import PASSWORD, Live, PartyServer, certificate
from tests.services.ports import free_port

EDUTRUST = [sys.executable, "-m", "adapters.cli"]
STOP_S = 30
EMBEDDED: Mapping[str, str] = MappingProxyType({})
"""No settings: SQLite, and nothing else."""

PEOPLE = ("lin", "wang", "zhao")


@dataclass(frozen=True, slots=True)
class Service:
    """A started service: its address, the file with its certificate, its data folder, and what a browser needs."""

    issuer: str
    authority_file: Path
    data_dir: Path
    live: Live

    @property
    def environment(self) -> dict[str, str]:
        """What tells curl, Python's httpx and Node to trust the certificate, and where the issuer is."""
        file = str(self.authority_file)
        trust = dict.fromkeys(("CURL_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"), file)
        return {**os.environ, **trust, "ISSUER": self.issuer, "PYTHONUNBUFFERED": "1"}


def write(path: Path, value: object) -> Path:
    """Write JSON that only its owner reads, as the command demands of a file with secrets."""
    path.write_text(json.dumps(value), "utf-8")
    path.chmod(0o600)
    return path


@contextmanager
def serving(
    folder: Path, clients: Sequence[object], people: Sequence[str] = PEOPLE, settings: Mapping[str, str] = EMBEDDED
) -> Iterator[Service]:
    """Run the command on a fresh data folder until the block ends, and ask for a clean end. `settings`: `EDUTRUST_…`."""
    data, port = folder / "data", free_port()
    cert, key = certificate(folder)
    issuer = f"https://localhost:{port}"
    create_kek(data / "kek", random_bytes=secrets.token_bytes)
    users = [
        {"username": name, "password": PASSWORD, "display_name": f"Test {name}", "second_factor": "none"}
        for name in people
    ]
    log = folder / "log"
    process = _start(
        [
            *[*EDUTRUST, "run", "--data-dir", str(data), "--host", "127.0.0.1", "--port", str(port)],
            *["--issuer", issuer, "--tls-cert", str(cert), "--tls-key", str(key)],
            *["--clients", str(write(folder / "clients.json", clients))],
            *["--users", str(write(folder / "users.json", users))],
        ],
        log,
        settings,
    )
    assert process.stdout is not None
    try:
        first = process.stdout.readline().decode()
        assert first == f"READY {issuer}\n", log.read_text("utf-8")
        with PartyServer().listening() as party:
            live = Live(issuer, ssl.create_default_context(cafile=str(cert)), party)
            yield Service(issuer, cert, data, live)
            live.close_clients()
    finally:
        process.terminate()
        process.stdout.read()
        process.stdout.close()
        assert process.wait(timeout=STOP_S) == 0, log.read_text("utf-8")


def _start(command: Sequence[str], log: Path, settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **settings}
    with log.open("wb") as errors:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment)
