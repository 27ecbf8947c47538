"""Two processes of the real service over one set of stores, and a client that asks both at the same moment."""

from __future__ import annotations

import asyncio
import html
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qs, urlencode, urlsplit

from adapters.kek import create_kek
from adapters.settings import check_settings
from tests.services.ports import free_port
from tests.services.tables import make_tables

ROOT = Path(__file__).parents[2]
START_S = 120.0
STOP_S = 30.0
ANSWER_S = 60.0
IDLE_S = 2.0
"""The service closes a connection after five idle seconds. Where the machine stood still for that long, a request that is
sent on one may meet its end."""
PASSWORD = "correct horse battery"


class Member:
    """One process, which can be ended, killed, frozen and started again at the same port."""

    def __init__(self, given: dict[str, Any], log: Path) -> None:
        self._given = given
        self.log = log
        self.port: int = given["settings"]["port"]
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it and wait until it serves."""
        with self.log.open("a", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "tests.protocol.server_process", json.dumps(self._given)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        said: IO[str] | None = self._process.stdout
        assert said is not None
        assert said.readline() == "READY\n", self.log.read_text("utf-8")[-4000:]

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it and wait until it has ended."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        process.wait(timeout=STOP_S)
        assert process.stdout is not None
        process.stdout.close()
        if how is signal.SIGTERM:
            assert process.returncode == 0, self.log.read_text("utf-8")[-4000:]


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    cookies: Sequence[str]
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the redirect."""
        return {name: values[0] for name, values in parse_qs(urlsplit(self.headers["location"]).query).items()}

    def json(self) -> Any:
        return json.loads(self.body)

    def hidden(self, name: str) -> str:
        """Return a hidden field of the page."""
        found = re.search(rf'name="{name}" value="([^"]*)"', self.body.decode())
        assert found is not None, (self.status, self.body[:2000])
        return html.unescape(found[1])


@dataclass(slots=True)
class _Line:
    """A connection to a process, and when it was used last."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    used_at: float

    def serves(self) -> bool:
        """Whether a request may be sent on it."""
        idle_s = time.monotonic() - self.used_at
        return idle_s < IDLE_S and not self.reader.at_eof() and not self.writer.is_closing()


@dataclass(slots=True)
class Fleet:
    """The processes, by number, and the clock they share."""

    issuer: str
    members: list[Member]
    clock_file: Path
    _lines: dict[int, list[_Line]] = field(default_factory=dict)

    def ahead(self, seconds: int) -> None:
        """Put the clock of all processes this far ahead of the machine's."""
        with self.clock_file.open("r+b") as file:
            file.write(seconds.to_bytes(8, "little", signed=True))

    def request(self, method: str, target: str, form: Mapping[str, str] | None = None, **headers: str) -> bytes:
        """Return the bytes of a request."""
        body = b"" if form is None else urlencode(form).encode()
        lines = [f"{method} {target} HTTP/1.1", f"host: {urlsplit(self.issuer).netloc}"]
        if form is not None:
            lines += ["content-type: application/x-www-form-urlencoded", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + body

    async def ask(self, member: int, request: bytes) -> Answer:
        """Send one request to one process."""
        answers = await self.at_once([(member, request)])
        return answers[0]

    async def at_once(self, asked: Sequence[tuple[int, bytes]]) -> list[Answer]:
        """Send every request before reading any answer, each on a connection of its own."""
        lines = [await self._line(member) for member, _ in asked]
        for line, (_, request) in zip(lines, asked, strict=True):
            line.writer.write(request)
        async with asyncio.timeout(ANSWER_S):
            answers = await asyncio.gather(*(_read(line.reader) for line in lines))
        for (member, _), line in zip(asked, lines, strict=True):
            line.used_at = time.monotonic()
            self._lines[member].append(line)
        return answers

    async def _line(self, member: int) -> _Line:
        idle = self._lines.setdefault(member, [])
        while idle:
            line = idle.pop()
            if line.serves():
                return line
            line.writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.members[member].port)
        return _Line(reader, writer, time.monotonic())

    async def hang_up(self, member: int | None = None) -> None:
        """Close the idle connections to one process, or to all."""
        for number in list(self._lines) if member is None else [member]:
            for line in self._lines.pop(number, []):
                line.writer.close()

    async def restart(self, member: int, how: signal.Signals = signal.SIGKILL) -> None:
        """End a process and start it again over the same stores."""
        await self.hang_up(member)
        await asyncio.to_thread(self.members[member].end, how)
        await asyncio.to_thread(self.members[member].start)


async def _read(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    cookies = []
    for line in head[1:]:
        name, _, value = line.partition(": ")
        if name.lower() == "set-cookie":
            cookies.append(value.partition(";")[0])
        elif name:
            headers[name.lower()] = value
    size = int(headers.get("content-length", "0"))
    assert "transfer-encoding" not in headers
    return Answer(int(head[0].split(" ")[1]), headers, cookies, await reader.readexactly(size))


class Browser:
    """A cookie jar over the fleet: each request goes to the process named."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.cookies: dict[str, str] = {}

    def headers(self) -> dict[str, str]:
        """Return what the browser sends with each request."""
        jar = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {"accept": "text/html", **({"cookie": jar} if jar else {})}

    def get_bytes(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        """Return a GET of this browser."""
        return self.fleet.request("GET", f"{path}?{urlencode(query)}" if query else path, None, **self.headers())

    def post_bytes(self, path: str, form: Mapping[str, str]) -> bytes:
        """Return a POST of this browser."""
        return self.fleet.request("POST", path, form, **self.headers())

    async def get(self, member: int, path: str, query: Mapping[str, str] | None = None) -> Answer:
        """Open an address; follow redirects within the service."""
        return await self._on(member, await self.fleet.ask(member, self.get_bytes(path, query)))

    async def post(self, member: int, path: str, form: Mapping[str, str]) -> Answer:
        """Send a form; follow redirects within the service."""
        return await self._on(member, await self.fleet.ask(member, self.post_bytes(path, form)))

    async def _on(self, member: int, answer: Answer) -> Answer:
        while True:
            for cookie in answer.cookies:
                name, _, value = cookie.partition("=")
                self.cookies[name] = value.strip('"')
            if answer.status != 303 or not answer.headers["location"].startswith("/"):
                return answer
            answer = await self.fleet.ask(member, self.get_bytes(answer.headers["location"]))

    async def password(self, member: int, page: Answer, username: str) -> Answer:
        """Fill in the sign-in page."""
        form = {"t": page.hidden("t"), "csrf": page.hidden("csrf"), "username": username, "password": PASSWORD}
        return await self.post(member, "/signin/password", form)

    async def allow(self, member: int, page: Answer) -> Answer:
        """Allow everything asked for."""
        form = {"t": page.hidden("t"), "csrf": page.hidden("csrf"), "scope_offline_access": "yes"}
        return await self.post(member, "/signin/consent", form)


@contextmanager
def fleet_over(
    folder: Path,
    clients: Sequence[Mapping[str, object]],
    usernames: Sequence[str],
    *,
    database_url: str | None = None,
    redis_url: str | None = None,
    size: int = 2,
) -> Iterator[Fleet]:
    """Start the processes; end them, asking for a clean end, unless a test ended them itself.

    Without a database address they share the SQLite files of the folder.
    """
    ports = [free_port() for _ in range(size)]
    issuer = f"http://127.0.0.1:{ports[0]}"
    clock_file = folder / "clock"
    clock_file.write_bytes(bytes(8))
    files = {"clients": folder / "clients.json", "users": folder / "users.json"}
    users = [{"username": name, "password": PASSWORD, "display_name": "张·𠮷禾"} for name in usernames]
    for name, content in (("clients", clients), ("users", users)):
        files[name].write_text(json.dumps(content), "utf-8")
        files[name].chmod(0o600)
    common: dict[str, Any] = {"issuer": issuer, "second_factor_for_all": False, "kek_file": str(folder / "kek")}
    if redis_url is not None:
        common["redis_url"] = redis_url
    members = []
    for number, port in enumerate(ports):
        data = folder if database_url is None else folder / f"member-{number}"
        data.mkdir(exist_ok=True)
        address = {} if database_url is None else {"database_url": database_url}
        settings = {**common, **address, "port": port, "data_dir": str(data)}
        # The first brings the people in; the others find them there.
        static = {name: str(path) if number == 0 else None for name, path in files.items()}
        given = {"settings": settings, **static, "clock": str(clock_file)}
        members.append(Member(given, folder / f"member-{number}.log"))
        if number == 0:
            made = check_settings(settings)
            create_kek(made.kek_file, random_bytes=os.urandom)
            make_tables(made.database_url)
    with ExitStack() as stack:
        for member in members:
            stack.callback(member.end)
            member.start()
        yield Fleet(issuer, members, clock_file)


async def until(condition: Any, *, within_s: float) -> float:
    """Ask again and again until the condition holds; return how long that took."""
    began = time.monotonic()
    while not await condition():
        assert time.monotonic() - began < within_s, "not in time"
        await asyncio.sleep(0.02)
    return time.monotonic() - began
