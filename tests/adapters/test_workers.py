"""`edutrust run --workers N`: one service in several processes, of which each may die."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.workers import (
    PASSWORD,
    STOP_S,
    Browser,
    Service,
    alive,
    command,
    redemption,
    refreshing,
    running,
    sign_in,
    wait_until,
)
from tests.services.ports import free_port

Call = Callable[[HTTPConnection, str, Mapping[str, str]], tuple[int, dict[str, Any]]]


@pytest.fixture(params=["embedded", "postgresql and redis"])
def environment(request: pytest.FixtureRequest) -> Mapping[str, str]:
    """Return the settings of each kind of deployment."""
    if request.param == "embedded":
        return {}
    return {
        "EDUTRUST_DATABASE_URL": request.getfixturevalue("postgres_url"),
        "EDUTRUST_REDIS_URL": request.getfixturevalue("redis_url"),
    }


@pytest.fixture
def service(tmp_path: Path, environment: Mapping[str, str]) -> Iterator[Service]:
    """Return a service of two workers."""
    with running(tmp_path, workers=2, environment=environment) as started:
        yield started


def post(connection: HTTPConnection, path: str, form: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
    answer, text = Browser().post(connection, path, form)
    return answer.status, json.loads(text)


def userinfo(connection: HTTPConnection, token: str) -> int:
    connection.request("GET", "/userinfo", headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    answer.read()
    return answer.status


def test_each_step_of_a_sign_in_may_meet_another_worker(service: Service) -> None:
    # READY was read once, and by then every worker listened.
    assert len(service.workers) == 2
    assert service.listening() == service.workers

    with closing(service.connect(service.workers[0])) as one, closing(service.connect(service.workers[1])) as other:
        turns = cycle([one, other])
        code = sign_in(Browser(), lambda: next(turns))
        status, tokens = post(next(turns), "/token", redemption(code))
        assert status == 200, tokens
        assert [userinfo(connection, tokens["access_token"]) for connection in (one, other)] == [200, 200]

        status, fresh = post(other, "/token", refreshing(tokens["refresh_token"]))
        assert status == 200, fresh
        # The token that worker gave away is used again at the first one: it knows, and so dies the whole family.
        assert post(one, "/token", refreshing(tokens["refresh_token"]))[0] == 400
        assert post(other, "/token", refreshing(fresh["refresh_token"]))[0] == 400
        assert userinfo(other, fresh["access_token"]) == 401

        # Asked for at both at the same moment it is never given twice; whether once is the business of the code's own tests.
        code = sign_in(Browser(), lambda: next(turns))
        assert _successes(service, code) <= 1


def _successes(service: Service, code: str) -> int:
    """Redeem one code at both workers at once, eight times each; return how often it was taken."""
    connections = [service.connect(worker) for worker in service.workers for _ in range(8)]
    with ThreadPoolExecutor(len(connections)) as threads:
        answers = list(threads.map(lambda connection: post(connection, "/token", redemption(code)), connections))
    for connection in connections:
        connection.close()
    assert {status for status, _ in answers} <= {200, 400}, answers
    return [status for status, _ in answers].count(200)


def test_a_worker_killed_in_the_middle_of_a_sign_in_is_missed_by_nobody(service: Service) -> None:
    first, second = service.workers
    with closing(service.connect(first)) as one:
        code = sign_in(Browser(), lambda: one)
    gone = service.listener_of(first)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not gone & service.listeners(), "its socket is closed")

    # Another one answers at once; nothing waits for the place to be filled again.
    with closing(HTTPConnection("127.0.0.1", service.port, timeout=30)) as new:
        status, tokens = post(new, "/token", redemption(code))
        assert status == 200, tokens

    wait_until(lambda: len(service.listening()) == 2, "the place is filled again")
    assert first not in service.workers
    (fresh,) = set(service.workers) - {second}
    with closing(service.connect(fresh)) as again:
        assert userinfo(again, tokens["access_token"]) == 200
    ended = [json.loads(line) for line in service.log.read_text("utf-8").splitlines() if "worker_ended" in line]
    assert [(event["worker"], event["ended_with"]) for event in ended] == [(0, "SIGKILL")]


def test_told_to_stop_it_leaves_no_process_and_said_ready_once(tmp_path: Path) -> None:
    with running(tmp_path, workers=2, environment={}) as service:
        workers = service.workers
        service.process.terminate()
        assert service.process.wait(timeout=STOP_S) == 0
        assert service.process.stdout is not None
        assert service.process.stdout.read() == "Stopped.\n"
        assert not [pid for pid in workers if alive(pid)]


def test_workers_do_not_outlive_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    with running(tmp_path, workers=2, environment={}) as service:
        workers = service.workers
        service.process.kill()
        service.process.wait(timeout=STOP_S)
        wait_until(lambda: not any(alive(pid) for pid in workers), "the workers end by themselves")


def test_what_cannot_start_is_one_sentence_and_an_exit_code(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(command(tmp_path, port, "--workers", "2"), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"Port {port} on 127.0.0.1 cannot be used: Address already in use.\n"
    assert done.stdout == ""


def test_a_worker_that_cannot_start_ends_the_start_of_all(tmp_path: Path) -> None:
    # Made with one key file, started with another: only a worker, which opens the databases, can notice.
    with running(tmp_path, workers=2, environment={}):
        pass
    (tmp_path / "data" / "kek").unlink()
    made = [*command(tmp_path, 1)[:3], "keys", "init", "--data-dir", str(tmp_path / "data")]
    subprocess.run(made, capture_output=True, check=True)
    starting = command(tmp_path, free_port(), "--workers", "2")
    done = subprocess.run(starting, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "is not the one this database was made with." in done.stderr
    assert done.stderr.endswith("A worker could not be started; what it said stands above.\n")
    assert "Traceback" not in done.stderr
    assert PASSWORD not in done.stderr
    assert done.stdout == ""


def test_the_demonstration_is_one_process(tmp_path: Path) -> None:
    asked = [*command(tmp_path, free_port())[:4], "--demo", "--workers", "2", "--data-dir", str(tmp_path / "demo")]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "--demo is one process: leave --workers out.\n")
