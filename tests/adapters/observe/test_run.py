"""`edutrust run --metrics`: the command with its workers, a whole sign-in, and what a scrape says of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from itertools import cycle
from pathlib import Path
from urllib.parse import urlencode

import pytest

from adapters.settings import SettingsRefused, check_settings
from tests.adapters.observe.scraping import Scrape, scraped
from tests.adapters.workers import (
    CALLBACK,
    CHALLENGE,
    PASSWORD,
    SECRET,
    VERIFIER,
    Browser,
    Service,
    authorization,
    command,
    redemption,
    refreshing,
    running,
    sign_in,
    wait_until,
)
from tests.services.ports import free_port

WRONG = "canary-hunter-2"


def two_free_ports() -> int:
    """Return the first of two neighbouring ports that nobody uses."""
    while True:
        first = free_port()
        try:
            with socket.create_server(("127.0.0.1", first)), socket.create_server(("127.0.0.1", first + 1)):
                return first
        except OSError:
            continue


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, int]]:
    """Return a service of two workers and the first port of its metrics."""
    port, folder = two_free_ports(), tmp_path_factory.mktemp("metrics")
    with running(folder, workers=2, environment={"EDUTRUST_METRICS": f"127.0.0.1:{port}"}) as service:
        yield service, port


def total(scrapes: list[Scrape], name: str) -> dict[tuple[str, ...], float]:
    """Return a counter's values summed over the workers, as Prometheus would."""
    sums: dict[tuple[str, ...], float] = {}
    for scrape in scrapes:
        for labels, value in scrape.nonzero(name).items():
            sums[labels] = sums.get(labels, 0) + value
    return sums


def posted(connection: HTTPConnection, form: dict[str, str]) -> dict[str, str]:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/token", urlencode(form), headers)
    answer: dict[str, str] = json.loads(connection.getresponse().read())
    return answer


def test_a_whole_sign_in_is_counted_once_and_leaves_nothing_of_itself(metrics: tuple[Service, int]) -> None:
    service, port = metrics
    browser = Browser()
    with closing(service.connect(service.workers[0])) as one, closing(service.connect(service.workers[1])) as other:
        turns = cycle([one, other])
        answer, page = browser.get(next(turns), authorization())
        while answer.status in {302, 303}:
            answer, page = browser.get(next(turns), answer.headers["location"])
        hidden = {name: page.partition(f'name="{name}" value="')[2].partition('"')[0] for name in ("csrf", "t")}
        answer, page = browser.post(
            next(turns), "/signin/password", {**hidden, "username": "person", "password": WRONG}
        )
        code = sign_in(Browser(), lambda: next(turns))
        tokens = posted(next(turns), redemption(code))
        fresh = posted(next(turns), refreshing(tokens["refresh_token"]))
        assert "access_token" in fresh
        assert posted(next(turns), refreshing(tokens["refresh_token"]))["error"] == "invalid_grant"
        assert posted(next(turns), redemption(code))["error"] == "invalid_grant"

    scrapes = [scraped(port), scraped(port + 1)]
    assert total(scrapes, "edutrust_sign_ins_total") == {("pwd", "ok"): 1, ("pwd", "refused"): 1}
    issued = total(scrapes, "edutrust_tokens_issued_total")
    assert issued == {("authorization",): 1, ("refresh_token",): 1}
    refusals = total(scrapes, "edutrust_token_refusals_total")
    assert refusals[("refresh_replayed",)] >= 1
    assert total(scrapes, "edutrust_http_requests_total")[("/token", "2xx")] == 2
    assert total(scrapes, "edutrust_http_requests_total")[("/token", "4xx")] == 2

    secrets = [PASSWORD, WRONG, SECRET, VERIFIER, CHALLENGE, CALLBACK, code, *hidden.values()]
    secrets += [one[name] for one in (tokens, fresh) for name in ("access_token", "refresh_token", "id_token")]
    for scrape in scrapes:
        for secret in secrets:
            assert secret not in scrape.text
        values = {value for _, labels in scrape.series for _, value in labels}
        # Who signed in, where, and from where.
        assert values.isdisjoint({"person", "Person", "platform", "Platform", "127.0.0.1"})
        assert not [value for value in values if "127.0.0." in value]


def test_each_worker_answers_on_a_port_of_its_own(metrics: tuple[Service, int]) -> None:
    service, port = metrics
    first, second = scraped(port), scraped(port + 1)
    assert first["process_start_time_seconds"] <= second["process_start_time_seconds"]

    def jobs(scrape: Scrape) -> set[tuple[str, ...]]:
        return set(scrape.nonzero("edutrust_job_last_success_timestamp_seconds"))

    # The first does the work of all; each looks after the signing keys itself.
    everything = {
        ("signing_keys",),
        ("issue",),
        ("tell_platforms",),
        ("anchor",),
        ("checkpoint",),
        ("tidy",),
        ("reseal",),
    }
    wait_until(lambda: jobs(scraped(port)) >= everything, "the jobs have run")
    assert jobs(second) == {("signing_keys",)}
    assert not scraped(port).nonzero("edutrust_job_failures_total")

    # A worker that dies is back on its port, and counts from nothing.
    killed = service.workers[1]
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: len(service.workers) == 2 and killed not in service.workers, "a new worker")
    again = scraped(port + 1)
    assert again["process_start_time_seconds"] >= second["process_start_time_seconds"]


def test_the_public_address_never_has_them(metrics: tuple[Service, int]) -> None:
    service, port = metrics
    for asked, status in ((service.port, 404), (port, 200)):
        with closing(HTTPConnection("127.0.0.1", asked, timeout=30)) as connection:
            connection.request("GET", "/metrics")
            answer = connection.getresponse()
            assert (answer.status, b"edutrust_" in answer.read()) == (status, status == 200)
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        for path in ("/", "/healthz", "/metrics/", "/token"):
            connection.request("GET", path)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (404, b"")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_port_that_is_taken_is_a_clear_error_at_the_start(tmp_path: Path, workers: int) -> None:
    first = two_free_ports()
    taken = first + workers - 1
    arguments = command(tmp_path, free_port(), "--workers", str(workers), "--metrics", f"127.0.0.1:{first}")
    with socket.create_server(("127.0.0.1", taken)):
        ended = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    assert f"Port {taken} on 127.0.0.1 cannot be used" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "value", ["9464", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65535", "http://127.0.0.1:9464", "127.0.0.1:9464/metrics"]
)
def test_an_address_that_is_none_is_a_clear_error(value: str) -> None:
    with pytest.raises(SettingsRefused, match=r"metrics: must be an address such as 127\.0\.0\.1:9464"):
        check_settings({"metrics": value, "workers": 2})


@pytest.mark.parametrize("port", [9463, 9464])
def test_metrics_have_ports_of_their_own(port: int) -> None:
    with pytest.raises(SettingsRefused, match="metrics: needs ports of its own"):
        check_settings({"metrics": "127.0.0.1:9463", "port": port, "workers": 2})


def test_metrics_are_off_unless_asked_for() -> None:
    assert check_settings({}).metrics_address is None
    assert check_settings({"metrics": "[::1]:9464"}).metrics_address == ("::1", 9464)
