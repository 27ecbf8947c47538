"""The OpenID Connect benchmark drives the real service, counts what it counts, and says truly whether a target is met."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.sql.sqlite import SqliteDatabase
from benchmarks.oidc_document import document
from benchmarks.oidc_figures import TARGETS, Cost, Figure, Scaling, Slice
from benchmarks.oidc_floor import Floor, measure_floor
from benchmarks.oidc_load import Answer, CodeFlow, Refresh, Repeat, Unexpected, drive, with_form
from benchmarks.oidc_profile import profile_of
from benchmarks.oidc_servers import PERSON, ROOT, Stores, ours
from benchmarks.oidc_slices import plans_of, slice_of
from benchmarks.oidc_walk import Walk
from crypto.jws import verify_jwt
from crypto.suites import Purpose, policy

Run = Callable[[Coroutine[Any, Any, None]], None]
ALL = tuple(TARGETS)


def test_every_endpoint_of_the_real_service_is_measured_without_an_error(tmp_path: Path) -> None:
    core = min(os.sched_getaffinity(0))
    with (
        ours(Stores("embedded", None, None), folder=tmp_path, cores=frozenset({core})) as server,
        Walk(server.issuer, PERSON) as walk,
    ):
        plans = plans_of(server, walk, ALL)
        assert set(plans) == set(ALL)
        for name in ALL:
            measured = slice_of(server, plans[name], core, 0.3)
            assert list(measured.errors) == [], name
            assert measured.per_s > 0, name
            assert measured.cpu_us > 0, name
            assert 0 < measured.p50_ms <= measured.p99_ms, name
        assert server.process.memory_mb()[0] > 0


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """Run a server that gives one answer to every request, in two pieces."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                while connection.recv(65536):
                    connection.sendall(answer[:20])
                    connection.sendall(answer[20:])

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def test_a_refusal_is_an_error_and_no_operation() -> None:
    plan = Repeat("userinfo", b"GET / HTTP/1.1\r\n\r\n")
    with answering(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") as port:
        good = drive(("127.0.0.1", port), plan, connections=2, warm_s=0.05, seconds=0.2)
    assert good.errors == []
    assert good.done == len(good.latencies) > 0
    with answering(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\n\r\nnope") as port:
        bad = drive(("127.0.0.1", port), plan, connections=2, warm_s=0.0, seconds=0.2)
    assert bad.done + bad.outside == 0
    assert bad.errors[0] == "userinfo: 401 b'nope'"


def test_a_refresh_token_that_is_not_replaced_is_an_error() -> None:
    plan = Refresh(b"POST / HTTP/1.1\r\ncontent-length: {length}\r\n\r\nrefresh_token=", [b"old"])
    answer = b'HTTP/1.1 200 OK\r\ncontent-length: 23\r\n\r\n{"refresh_token":"old"}'
    with answering(answer) as port:
        assert drive(("127.0.0.1", port), plan, connections=1, warm_s=0.0, seconds=0.1).errors
    with answering(answer.replace(b"old", b"new")) as port:
        window = drive(("127.0.0.1", port), plan, connections=1, warm_s=0.0, seconds=0.05)
    assert window.done + window.outside == 1
    assert plan.tokens == [b"new"]


def test_a_code_flow_without_an_id_token_is_an_error() -> None:
    flow = CodeFlow((b"GET /", b" HTTP/1.1\r\n\r\n"), b"POST / HTTP/1.1\r\nx: {length}\r\n\r\ncode=", (b"a", b"b"))
    talk = flow.talk(0)
    assert next(talk).startswith(b"GET /0-")
    head = b"HTTP/1.1 303 See Other\r\nlocation: https://c.example/?code=abc&state=1"
    answer = talk.send(Answer(303, head, b""))
    assert answer == b"POST / HTTP/1.1\r\nx: 8\r\n\r\ncode=abc"
    with pytest.raises(Unexpected):
        talk.send(Answer(200, b"HTTP/1.1 200 OK", b'{"access_token":"t"}'))


def test_a_form_is_counted_with_what_was_put_into_it() -> None:
    assert with_form(b"POST / HTTP/1.1\r\nl: {length}\r\n\r\na=", b"12") == b"POST / HTTP/1.1\r\nl: 4\r\n\r\na=12"


GOOD = Slice(per_s=12_000, cpu_us=80, p50_ms=1, p99_ms=5, foreign=0, errors=[])


def test_a_target_is_met_by_rate_and_latency_and_without_an_error() -> None:
    def figure(ours_: Slice, theirs: Slice = GOOD, name: str = "userinfo") -> Figure:
        return Figure(name, Cost.of([ours_]), "peer", Cost.of([theirs]))

    assert figure(GOOD).met(by_cpu=False)
    assert not figure(replace(GOOD, per_s=9_999)).met(by_cpu=False)
    assert figure(replace(GOOD, per_s=9_999)).met(by_cpu=True)
    assert not figure(replace(GOOD, cpu_us=101)).met(by_cpu=True)
    assert not figure(replace(GOOD, p99_ms=10.1)).met(by_cpu=False)
    assert not figure(replace(GOOD, errors=["one"])).met(by_cpu=True)
    assert not figure(GOOD, replace(GOOD, errors=["one"])).met(by_cpu=False)
    assert not figure(GOOD, name="code_flow").met(by_cpu=False)
    assert figure(GOOD, replace(GOOD, per_s=8_000), name="code_flow").met(by_cpu=False)


def test_the_best_slice_counts_and_every_error() -> None:
    cost = Cost.of([replace(GOOD, per_s=1, cpu_us=50, errors=["e"]), GOOD])
    assert (cost.best.per_s, cost.cpu_us, list(cost.errors)) == (12_000, 50, ["e"])
    assert cost.per_core_s == 20_000


def test_two_workers_are_held_to_one() -> None:
    scaling = Scaling("userinfo", 1000, 1800, 100, 112, [])
    value = scaling.to_value()
    assert (value["ratio"], value["met"], value["cpu_ratio"], value["met_by_cpu"]) == (1.8, True, 1.786, False)


def test_a_profile_gives_each_sample_to_the_innermost_section_it_touches() -> None:
    samples: list[list[str | int]] = [
        [3, "/usr/lib/json.py:loads", f"{ROOT}/idp/token/endpoint.py:token", f"{ROOT}/adapters/http/stack.py:x"],
        [1, f"{ROOT}/crypto/jws.py:sign", f"{ROOT}/idp/token/endpoint.py:token"],
    ]
    text = profile_of("code_flow", samples, done=10, threads={"main thread": 0.004}).to_text()
    assert " 75.0%    300.0 µs  token request (idp/token)" in text
    assert " 25.0%    100.0 µs  signatures, hashes, sealing (crypto)" in text
    assert "100.0%    400.0 µs  idp/token/endpoint.py:token" in text


def test_the_document_shows_every_figure_with_its_verdict() -> None:
    figures = [Figure(name, Cost.of([GOOD]), "peer", Cost.of([GOOD])).to_value() for name in ALL]
    scaling = [Scaling("userinfo", 1000, 1700, 100, 104, []).to_value()]
    text = document(
        {
            "cpu": {"name": "a processor", "cores": 2},
            "python": "3.11",
            "peer": {"oidc-provider": "9"},
            "connections": 16,
            "pairings": {
                "embedded": {
                    "figures": figures,
                    "memory_mb": {"edutrust": 88.0, "oidc-provider": 170.0, "target": 120.0, "met": True},
                    "floor": {name: {"cpu_us": 30.0, "p99_ms": 2.0} for name in ("plain", "userinfo", "code_flow")},
                    "two_workers": scaling,
                    "profile": {"cpu_us": 400.0, "sections": [("audit trail", 0.25)]},
                }
            },
        }
    )
    assert "| userinfo | 12,000 | 12,000 | 1.00 | 80 | 80 | 1.00 | 5.00 | 10,000/s | met |" in text
    assert "| code flow, ES256 | 12,000 | 12,000 | 1.00 | 80 | 80 | 1.00 | 5.00 | × 1.5 | **no** |" in text
    assert "| userinfo | 1,000 | 1,700 | 1.70 | 1.92 | × 1.8 | by CPU |" in text
    assert "Memory after it all: 88.0 MB (target 120, met), the peer 170.0 MB." in text
    # What the target comes to where the peer makes 12,000 and not the 9,203 it made where the target was set.
    assert "| userinfo | 10,000 | 9,203 | 12,000 | 13,039 | 12,000 |" in text
    # What the target leaves above the floor, and what we take: 1e6 / 10,000 - 30; 80 / 1.5 - 30; 80 - 30.
    assert "| userinfo | 100 | 30 | 70 | 50 | 2.00 |" in text
    assert "| code flow, ES256 | 53 | 30 | 23 | 50 | 2.00 |" in text
    assert "| refresh" not in text.partition("floor's p99")[2].partition("two workers")[0], (
        "nothing is said that was not measured"
    )
    assert "| audit trail | 25.0% | 100 |" in text


def test_the_floor_answers_every_request_that_the_product_is_asked(tmp_path: Path) -> None:
    floor = measure_floor(tmp_path, min(os.sched_getaffinity(0)), seconds=0.2, rounds=1)
    assert set(floor) == {"plain", *ALL} - {"discovery", "jwks", "code_flow_sm2"}
    assert all(one["cpu_us"] > 0 and one["per_s"] > 0 and one["p99_ms"] > 0 for one in floor.values())


def test_what_the_floor_answers_was_read_written_signed_and_recorded(tmp_path: Path, run: Run) -> None:
    """Else it would be cheaper than what no provider can do without."""

    async def story() -> None:
        database = SqliteDatabase(tmp_path / "floor.sqlite3")
        floor = Floor(database)
        await floor.open()

        async def rows() -> dict[str, int]:
            counts = "SELECT (SELECT count(*) FROM code) AS code, (SELECT count(*) FROM token WHERE expires_at > 0) AS token, (SELECT count(*) FROM audit) AS audit"  # fmt: skip
            return dict(await database.fetch_one(counts) or {})

        async def issued(client: httpx.AsyncClient, form: str) -> dict[str, Any]:
            answer = (await client.post("/token", content=f"grant_type={form}")).json()
            keys = {floor.key.kid: floor.key.public}
            claims = verify_jwt(answer["id_token"], keys=keys, policy=policy(Purpose.ID_TOKEN)).claims
            assert claims["aud"] == "floor"
            return dict(answer)

        async with httpx.AsyncClient(transport=httpx.ASGITransport(floor), base_url="http://floor.example") as client:
            sent = await client.get("/authorize")
            assert (sent.status_code, await rows()) == (303, {"code": 1, "token": 1, "audit": 2})
            token = (await issued(client, f"authorization_code&code={sent.headers['location'].partition('=')[2]}"))[
                "access_token"
            ]
            assert await rows() == {"code": 0, "token": 2, "audit": 3}
            for given, active in ((token, True), (token[::-1], False)):
                answers = (
                    await client.get("/userinfo", headers={"authorization": f"Bearer {given}"}),
                    await client.post("/introspect", content=f"token={given}"),
                )
                assert [answer.json() for answer in answers] == [{"active": active, "sub": "p" if active else ""}] * 2
            following = (await issued(client, f"refresh_token&refresh_token={token}"))["refresh_token"]
            assert await rows() == {"code": 0, "token": 3, "audit": 4}
            assert (await client.post("/introspect", content=f"token={following}")).json()["active"]
            await issued(client, "client_credentials&scope=s")
            assert await rows() == {"code": 0, "token": 3, "audit": 5}
        await database.close()

    run(story())
