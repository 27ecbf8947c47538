"""`edutrust run --workers 2` for the tests, and connections of which one knows who answers them."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

from adapters.kek import create_kek
from tests.services.ports import free_port

EDUTRUST: Final = (sys.executable, "-m", "adapters.cli")
START_S: Final = 120.0
STOP_S: Final = 60.0
CALLBACK: Final = "https://platform.example/callback"
SECRET: Final = "Zq3vXo9cT1mK7bWd5RyLh2PsNf8UaGj4EiVxB6tQ0wM"
PASSWORD: Final = "correct horse battery"
VERIFIER: Final = "v" * 43
CHALLENGE: Final = "7w_YNF9DSfIdPf_pRjSq646_kPr-2-o9NAl16JGghdM"
CLIENTS: Final = [
    {
        "client_id": "platform",
        "client_name": "Platform",
        "client_secret": SECRET,
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "client_secret_post",
        "scope": "openid profile offline_access",
    }
]
USERS: Final = [{"username": "person", "password": PASSWORD, "display_name": "Person", "second_factor": "none"}]


class Service:
    """The running command: its address and its processes."""

    def __init__(self, process: subprocess.Popen[str], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.log = log

    @property
    def workers(self) -> list[int]:
        """The workers' process ids, as they are now."""
        return [int(pid) for pid in _read(f"/proc/{self.process.pid}/task/{self.process.pid}/children").split()]

    def listeners(self) -> set[str]:
        """Return the sockets that listen on the port."""
        return {inode for local, _, state, inode in _sockets() if state == "0A" and local == self.port}

    def listener_of(self, worker: int) -> set[str]:
        """Return the socket on which a worker listens, if it does."""
        return self.listeners() & _inodes(worker)

    def listening(self) -> list[int]:
        """Return the workers that listen on the port."""
        return [pid for pid in self.workers if self.listener_of(pid)]

    def connect(self, worker: int) -> HTTPConnection:
        """Return a connection that this worker has accepted."""
        for _ in range(200):
            connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"ok")
            mine = connection.sock.getsockname()[1]
            served = {inode for local, remote, _, inode in _sockets() if (local, remote) == (self.port, mine)}
            if served & _inodes(worker):
                return connection
            connection.close()
        raise AssertionError("this worker was given none of 200 connections")


def _sockets() -> Iterator[tuple[int, int, str, str]]:
    """Yield local port, remote port, state and inode of this machine's TCP sockets."""
    for line in _read("/proc/net/tcp").splitlines()[1:]:
        fields = line.split()
        yield int(fields[1].split(":")[1], 16), int(fields[2].split(":")[1], 16), fields[3], fields[9]


def _inodes(pid: int) -> set[str]:
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found |= set(re.findall(r"socket:\[([0-9]+)\]", str(descriptor.readlink())))
        except OSError:  # closed in between
            continue
    return found


def _read(path: str) -> str:
    try:
        return Path(path).read_text("utf-8")
    except OSError:
        return ""


def alive(pid: int) -> bool:
    """Say whether a process runs (a zombie does not)."""
    return any(line.startswith("State:") and "Z" not in line for line in _read(f"/proc/{pid}/status").splitlines())


def wait_until(true: Callable[[], bool], what: str, seconds: float = START_S) -> None:
    """Wait for something that happens by itself."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def write(path: Path, value: object) -> str:
    """Write a JSON file that only its owner may read."""
    path.write_text(json.dumps(value), "utf-8")
    path.chmod(0o600)
    return str(path)


def command(folder: Path, port: int, *more: str) -> list[str]:
    """Return the command on a data folder whose key file is there."""
    data = folder / "data"
    if not data.exists():
        create_kek(data / "kek", random_bytes=secrets.token_bytes)
    files = ["--clients", write(folder / "clients.json", CLIENTS), "--users", write(folder / "users.json", USERS)]
    return [*EDUTRUST, "run", "--data-dir", str(data), "--port", str(port), *files, *more]


@contextmanager
def running(folder: Path, *, workers: int, environment: Mapping[str, str]) -> Iterator[Service]:
    """Start the service; whatever is left of it at the end is killed."""
    port, log = free_port(), folder / "log"
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            command(folder, port, "--workers", str(workers)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
        )
    assert process.stdout is not None
    service = Service(process, port, log)
    pids: list[int] = []
    try:
        assert process.stdout.readline() == f"READY http://127.0.0.1:{port}\n", log.read_text("utf-8")[-3000:]
        pids = service.workers
        yield service
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=STOP_S)
        process.stdout.close()
        for pid in pids:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)


class Browser:
    """A cookie jar that is sent over whatever connection the test chooses."""

    def __init__(self) -> None:
        self._cookies: dict[str, str] = {}

    def get(self, connection: HTTPConnection, target: str) -> tuple[HTTPResponse, str]:
        """GET; return answer and body."""
        return self._call(connection, "GET", target, None)

    def post(self, connection: HTTPConnection, target: str, form: Mapping[str, str]) -> tuple[HTTPResponse, str]:
        """POST a form as the page's own origin does."""
        return self._call(connection, "POST", target, urlencode(form))

    def _call(self, connection: HTTPConnection, method: str, target: str, body: str | None) -> tuple[HTTPResponse, str]:
        parts = urlsplit(target)
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
        if body is not None:
            headers |= {
                "Content-Type": "application/x-www-form-urlencoded",
                "Origin": f"http://127.0.0.1:{connection.port}",
            }
        connection.request(method, f"{parts.path}?{parts.query}" if parts.query else parts.path, body, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        for cookie in answer.headers.get_all("set-cookie", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            self._cookies[name] = value
        return answer, text


def authorization() -> str:
    """Return the target of an authorization request."""
    query = {
        "response_type": "code",
        "client_id": "platform",
        "redirect_uri": CALLBACK,
        "scope": "openid profile offline_access",
        "prompt": "consent",
        "state": "a state",
        "nonce": "a nonce",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    return f"/authorize?{urlencode(query)}"


def sign_in(browser: Browser, next_connection: Callable[[], HTTPConnection]) -> str:
    """Walk from the authorization request to the code, each request over the next connection; return the code."""
    answer, page = browser.get(next_connection(), authorization())
    for _ in range(12):
        if answer.status in {302, 303}:
            target = answer.headers["location"]
            if target.startswith(CALLBACK):
                return parse_qs(urlsplit(target).query)["code"][0]
            answer, page = browser.get(next_connection(), target)
        else:
            assert answer.status == 200, page[:300]
            found = re.search(r'action="(/signin/(?:password|consent))"', page)
            assert found is not None, page[:1000]
            hidden = {name: re.findall(rf'name="{name}" value="([^"]*)"', page)[0] for name in ("csrf", "t")}
            typed = {"username": "person", "password": PASSWORD} if found[1].endswith("password") else {}
            answer, page = browser.post(next_connection(), found[1], {**hidden, **typed})
    raise AssertionError("the sign-in did not end")


def redemption(code: str) -> dict[str, str]:
    """Return the form that redeems a code."""
    return {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
        "client_id": "platform",
        "client_secret": SECRET,
    }


def refreshing(token: str) -> dict[str, str]:
    """Return the form that uses a refresh token."""
    return {
        "grant_type": "refresh_token",
        "refresh_token": token,
        "client_id": "platform",
        "client_secret": SECRET,
    }
