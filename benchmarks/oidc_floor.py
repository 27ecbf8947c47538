"""`python -m benchmarks.oidc_floor --json`: what each request costs with nothing left in it that makes a provider.

The same requests as `benchmarks.oidc` drives, over the same uvicorn and the same SQLite driver with the same durable, shared
commits, the same ES256 signatures and as many audit rows; but no parsing, no check, no header rule, no consent, no limit, no
log, no error: nothing the product adds. It says how much of a request's time no work on the product can remove, and so which
targets are within reach of this stack: what is left of a target's CPU time above the floor is all that a provider may cost.
The floor's p99 is the disk's: it waits for flushes and for nothing else. Nobody may use it as a provider.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import uvicorn
import uvloop

from adapters.sm2_backend import checked_backend
from adapters.sql.database import Transaction
from adapters.sql.sqlite import SqliteDatabase
from benchmarks.oidc_load import CodeFlow, Plan, Repeat
from benchmarks.oidc_servers import Server
from benchmarks.oidc_slices import slice_of
from benchmarks.processes import Cores, NotStarted, first_in_line, running
from crypto.jws import sign_jwt
from crypto.keys import generate_signing_key
from crypto.sm3 import sm3
from crypto.suites import Alg, Purpose, policy
from tests.services.ports import free_port

TABLES: Final = (
    "CREATE TABLE standing (session BLOB PRIMARY KEY, person TEXT, state TEXT, granted TEXT) WITHOUT ROWID",
    "CREATE TABLE code (hash BLOB PRIMARY KEY, payload BLOB) WITHOUT ROWID",
    "CREATE TABLE family (id TEXT PRIMARY KEY, person TEXT, scope TEXT) WITHOUT ROWID",
    "CREATE TABLE token (hash BLOB PRIMARY KEY, family TEXT, expires_at INTEGER) WITHOUT ROWID",
    "CREATE TABLE audit (seq INTEGER PRIMARY KEY, event BLOB, leaf BLOB)",
)
SESSION: Final = b"s" * 32
GRANT: Final = json.dumps({"client_id": "floor", "person": "p", "scope": ["openid", "profile"], "nonce": "n"}).encode()
EVENT: Final = b"e" * 300
TOKEN: Final = b"t" * 43


class Floor:
    """A raw ASGI application. A flow: eight statements, one signature and three audit rows, as the product's."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._db = database
        self.key = generate_signing_key(Alg.ES256, backend=checked_backend())
        self._policy = policy(Purpose.ID_TOKEN)

    async def open(self) -> None:
        """Make the tables, the one session and the one token."""
        for table in TABLES:
            await self._db.execute(table)
        await self._db.execute("INSERT INTO standing VALUES ($1, 'p', 'active', 'openid profile')", SESSION)
        await self._db.execute("INSERT INTO family VALUES ('f', 'p', 'openid profile')")
        await self._db.execute("INSERT INTO token VALUES ($1, 'f', $2)", sm3(TOKEN), int(time.time()) + 86_400)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one of the requests, or `/plain` with nothing."""
        path = scope["path"]
        if path == "/plain":
            await _answer(send, 200, b"{}")
        elif path == "/authorize":
            await self._db.fetch_one("SELECT person, state, granted FROM standing WHERE session = $1", SESSION)
            code = secrets.token_urlsafe(32)
            async with self._db.transaction() as tx:
                await tx.execute("INSERT INTO code VALUES ($1, $2)", sm3(code.encode()), GRANT)
                await _record(tx, 2)
            await _answer(send, 303, b"", (b"location", b"http://127.0.0.1:9/callback?code=" + code.encode()))
        elif path == "/token":
            form: bytes = (await receive())["body"]
            grant, _, value = form.rpartition(b"=")
            await _answer(send, 200, await self._GRANTS[grant.partition(b"&")[0]](self, value))
        elif path == "/introspect":
            await _answer(send, 200, await self._standing((await receive())["body"].rpartition(b"=")[2]))
        else:
            token = next(value for name, value in scope["headers"] if name == b"authorization")[7:]
            await _answer(send, 200, await self._standing(token))

    async def _standing(self, token: bytes) -> bytes:
        """Userinfo and introspection: who stands behind a token, in one read."""
        found = await self._db.fetch_one(
            "SELECT f.person FROM token t JOIN family f ON f.id = t.family WHERE t.hash = $1", sm3(token)
        )
        return json.dumps({"active": found is not None, "sub": "" if found is None else found["person"]}).encode()

    async def _redeem(self, code: bytes) -> bytes:
        now = int(time.time())
        token, family = secrets.token_urlsafe(32), secrets.token_urlsafe(16)
        async with self._db.transaction() as tx:
            taken = await tx.fetch_one("DELETE FROM code WHERE hash = $1 RETURNING payload", sm3(code))
            grant = json.loads(GRANT if taken is None else taken["payload"])
            await tx.execute("INSERT INTO family VALUES ($1, $2, $3)", family, grant["person"], "openid profile")
            await tx.execute("INSERT INTO token VALUES ($1, $2, $3)", sm3(token.encode()), family, now + 600)
            await _record(tx, 1)
        return self._issued(token, {"sub": grant["person"], "nonce": grant["nonce"]}, now)

    async def _refresh(self, spent: bytes) -> bytes:
        """One token is spent, two are new: the access token and the next refresh token."""
        now, token, following = int(time.time()), secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        async with self._db.transaction() as tx:
            await tx.fetch_one("UPDATE token SET expires_at = 0 WHERE hash = $1 RETURNING family", sm3(spent))
            await tx.execute("INSERT INTO token VALUES ($1, 'f', $2)", sm3(token.encode()), now + 600)
            await tx.execute("INSERT INTO token VALUES ($1, 'f', $2)", sm3(following.encode()), now + 86_400)
            await _record(tx, 1)
        return self._issued(token, {"sub": "p", "refresh_token": following}, now)

    async def _machine(self, _: bytes) -> bytes:
        async with self._db.transaction() as tx:
            await _record(tx, 1)
        return self._issued("", {"sub": "floor"}, int(time.time()))

    def _issued(self, token: str, claims: dict[str, Any], now: int) -> bytes:
        claims = {"iss": "https://floor.example", "aud": "floor", "iat": now, "exp": now + 600, **claims}
        signed = sign_jwt(claims, key=self.key, policy=self._policy)
        return json.dumps({"access_token": token, "token_type": "Bearer", "id_token": signed, **claims}).encode()

    _GRANTS: Final = {
        b"grant_type=authorization_code": _redeem,
        b"grant_type=refresh_token": _refresh,
        b"grant_type=client_credentials": _machine,
    }


async def _record(tx: Transaction, rows: int) -> None:
    for _ in range(rows):
        await tx.execute("INSERT INTO audit (event, leaf) VALUES ($1, $2)", EVENT, sm3(EVENT))


async def _answer(send: Any, status: int, body: bytes, *more: tuple[bytes, bytes]) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _serve(port: int, folder: Path) -> None:
    floor = Floor(SqliteDatabase(folder / "floor.sqlite3"))
    await floor.open()
    config = uvicorn.Config(
        floor, host="127.0.0.1", port=port, log_config=None, access_log=False, server_header=False, lifespan="off"
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  # uvicorn offers a flag, no event
        await asyncio.sleep(0.01)
    print("READY", flush=True)
    await task


def _plans(port: int) -> dict[str, Plan]:
    host = f"Host: 127.0.0.1:{port}\r\nAccept: */*\r\n"
    basic = base64.b64encode(b"floor:" + b"s" * 43).decode()
    query = "response_type=code&client_id=floor&redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fcallback&scope=openid+profile"
    form = f"grant_type=authorization_code&code_verifier={'v' * 43}&code="
    token = f"POST /token HTTP/1.1\r\n{host}Authorization: Basic {basic}\r\nContent-Length: {{length}}\r\n\r\n{form}"
    flow = CodeFlow(
        authorize=(
            f"GET /authorize?{query}&state=".encode(),
            b"&nonce=",
            f" HTTP/1.1\r\n{host}Cookie: s={'s' * 43}\r\n\r\n".encode(),
        ),
        token=token.encode(),
        userinfo=(f"GET /userinfo HTTP/1.1\r\n{host}Authorization: Bearer ".encode(), b"\r\n\r\n"),
    )

    def posted(name: str, path: str, form: str) -> Repeat:
        head = f"POST {path} HTTP/1.1\r\n{host}Authorization: Basic {basic}\r\nContent-Length: {len(form)}\r\n\r\n"
        return Repeat(name, (head + form).encode())

    bearer = f"GET /userinfo HTTP/1.1\r\n{host}Authorization: Bearer {TOKEN.decode()}\r\n\r\n"
    return {
        "plain": Repeat("plain", f"GET /plain HTTP/1.1\r\n{host}\r\n".encode()),
        "client_credentials": posted("client_credentials", "/token", "grant_type=client_credentials&scope=s"),
        "introspection": posted("introspection", "/introspect", f"token={TOKEN.decode()}"),
        "userinfo": Repeat("userinfo", bearer.encode()),
        "refresh": posted("refresh", "/token", f"grant_type=refresh_token&refresh_token={TOKEN.decode()}"),
        "code_flow": flow,
    }


def main() -> None:
    """Measure and print, or be the server."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.oidc_floor", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each slice")
    parser.add_argument("--rounds", type=int, default=3, help="of which the cheapest counts")
    parser.add_argument("--serve", type=int, metavar="PORT", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve is not None:
        uvloop.run(_serve(arguments.serve, arguments.folder))
        return
    cores = Cores.here()
    os.sched_setaffinity(0, cores.load)
    with first_in_line(), tempfile.TemporaryDirectory(prefix="edutrust-floor-") as made:
        report = measure_floor(Path(made), cores.server, seconds=arguments.seconds, rounds=arguments.rounds)
    print(json.dumps(report) if arguments.json else report)


def measure_floor(folder: Path, core: int, *, seconds: float, rounds: int) -> dict[str, Any]:
    """Return CPU time, rate and p99 of a bare answer and of each request on the floor. Raises `NotStarted`."""
    port, report = free_port(), dict[str, Any]()
    command = [sys.executable, "-m", "benchmarks.oidc_floor", "--serve", str(port), "--folder", str(folder)]
    with running(command, cores=frozenset({core}), environment={}, log=folder / "floor.log") as process:
        server = Server("floor", port, process, {}, None)  # type: ignore[arg-type]  # no platform: nobody signs in
        for name, plan in _plans(port).items():
            slices = [slice_of(server, plan, core, seconds) for _ in range(rounds)]
            if any(one.errors for one in slices):
                raise NotStarted(f"{name}: {slices}")
            best = min(slices, key=lambda one: one.cpu_us)
            report[name] = {
                "cpu_us": round(best.cpu_us, 1),
                "per_s": round(best.per_s),
                "p99_ms": round(best.p99_ms, 2),
            }
    return report


if __name__ == "__main__":
    main()
