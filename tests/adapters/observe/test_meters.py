"""The counting by itself: what is known beforehand is counted by name, everything else as `other`."""

from __future__ import annotations

from bisect import bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from adapters.observe import metrics
from adapters.observe.counting import Counter, Distribution, Histogram, Reading
from adapters.observe.ledger_meter import LedgerMeter
from adapters.observe.log import patterns_of
from adapters.observe.meters import STATUSES, ActMeter, HttpMeter, JobMeter
from crypto.errors import TrustError
from idp.model import AuthenticatorKind
from idp.store import Attempt
from ledger.audit import AuditEvent
from ledger.errors import CheckpointConflict, CheckpointRefused, ClockWentBack, IntegrityBroken, LedgerUnavailable

BOUNDS = (0.5, 1.0, 4.0)


def counts(readings: list[Reading]) -> dict[tuple[str, ...], float]:
    """Return the plain values by metric and labels, zeros left out."""
    return {
        (reading.metric.name, *reading.labels): reading.value
        for reading in readings
        if not isinstance(reading.value, Distribution) and reading.value
    }


def act(action: str, *, result: str = "ok", **details: str) -> AuditEvent:
    return AuditEvent(0, action, "person", "person", result, None, None, details)


@given(st.lists(st.floats(0, 100, allow_nan=False)))
def test_a_histogram_counts_up_to_and_with_each_bound(values: list[float]) -> None:
    histogram = Histogram(BOUNDS)
    for value in values:
        histogram.add(value)
    read = histogram.read()
    expected = [bisect_right(sorted(values), bound) for bound in BOUNDS]
    assert [count for _, count in read.buckets] == [*expected, len(values)]
    assert [name for name, _ in read.buckets] == ["0.5", "1.0", "4.0", "+Inf"]
    assert read.total == pytest.approx(sum(values))


@given(st.lists(st.tuples(st.text(), st.text())))
def test_a_counter_never_gets_longer(labels: list[tuple[str, str]]) -> None:
    counter = Counter(metrics.SIGN_INS, [("pwd", "ok"), ("other", "ok")])
    for one in labels:
        counter.add(*one)
    read = list(counter.read())
    assert [reading.labels for reading in read] == [("pwd", "ok"), ("other", "ok")]
    assert sum(reading.value for reading in read if not isinstance(reading.value, Distribution)) == len(labels)


@given(st.text(), st.integers() | st.text() | st.none())
def test_a_request_counts_by_a_route_that_is_known_and_a_status_class(route: str, status: object) -> None:
    meter = HttpMeter()
    meter.know(["/token"])
    meter.heard("request", {"route": route, "status": status, "ms": 1.5})
    for reading in meter.read():
        assert reading.labels[0] in {"/token", "unrouted", "other"}
        assert reading.metric is not metrics.REQUESTS or reading.labels[1] in STATUSES


def test_requests_are_counted_from_their_lines_in_the_log_and_nothing_else_is() -> None:
    meter = HttpMeter()
    meter.know(["/log/{index}"])
    meter.heard("request", {"route": "/log/{index}", "status": 200, "ms": 3.0})
    meter.heard("request", {"route": "/log/{index}", "status": 404, "ms": 30.0})
    meter.heard("request", {"route": "-", "status": 499, "ms": 1.0})
    meter.heard("library", {"route": "/log/{index}", "status": 200, "ms": 3.0})
    read = list(meter.read())
    name = metrics.REQUESTS.name
    assert counts(read) == {
        (name, "/log/{index}", "2xx"): 1,
        (name, "/log/{index}", "4xx"): 1,
        (name, "unrouted", "4xx"): 1,
    }
    [seconds] = [one.value for one in read if one.metric is metrics.REQUEST_SECONDS and one.labels[0] != "unrouted"]
    assert isinstance(seconds, Distribution)
    assert seconds.total == pytest.approx(0.033)


def test_the_table_of_routes_has_the_patterns_the_log_writes() -> None:
    async def nothing(_request: Request) -> Response:
        return PlainTextResponse("")

    routes = [Route("/tile/{path:path}", nothing), Route("/{a:int}/{b}", nothing), Route("/x", nothing)]
    assert patterns_of(routes) == ["/tile/{path}", "/{a}/{b}", "/x"]


def test_acts_are_counted_by_what_the_trail_says_of_them() -> None:
    meter = ActMeter()
    for event in (
        act("idp.login.signed_in", amr="pwd otp"),
        act("idp.login.signed_in", amr="pwd swk"),
        act("idp.login.password_refused", result="idp.login.refused"),
        act("idp.login.totp_refused", result="idp.login.code_refused"),
        act("idp.token.issued"),
        act("idp.token.refreshed"),
        act("idp.token.issued_to_client"),
        act("idp.token.refused", result="invalid_grant"),
        act("idp.token.refused", result="something_new"),
        act("idp.token.refresh_replayed"),
        act("idp.consent.given"),
    ):
        meter.event(event)
    meter.tried(AuthenticatorKind.TOTP, Attempt.DISABLED)
    meter.tried(AuthenticatorKind.TOTP, Attempt.ALLOWED)
    meter.tried(AuthenticatorKind.PASSWORD, Attempt.ABSENT)
    assert counts(list(meter.read())) == {
        ("edutrust_sign_ins_total", "pwd otp", "ok"): 1,
        ("edutrust_sign_ins_total", "other", "ok"): 1,
        ("edutrust_sign_ins_total", "pwd", "refused"): 1,
        ("edutrust_sign_ins_total", "otp", "refused"): 1,
        ("edutrust_tokens_issued_total", "authorization"): 1,
        ("edutrust_tokens_issued_total", "refresh_token"): 1,
        ("edutrust_tokens_issued_total", "client_credentials"): 1,
        ("edutrust_token_refusals_total", "invalid_grant"): 1,
        ("edutrust_token_refusals_total", "other"): 1,
        ("edutrust_token_refusals_total", "refresh_replayed"): 1,
        ("edutrust_sign_in_tries_held_back_total", "totp", "disabled"): 1,
    }


@pytest.mark.parametrize(
    ("error", "refuses"),
    [
        (ClockWentBack(), True),
        (IntegrityBroken(), True),
        (CheckpointRefused(), True),
        (LedgerUnavailable(), False),
        (CheckpointConflict(), False),
    ],
)
def test_a_contradiction_is_a_refusal_to_sign_until_a_pool_goes_through(error: TrustError, refuses: bool) -> None:
    ticks = iter(range(100))
    meter = LedgerMeter(lambda: float(next(ticks)))
    answers: list[TrustError | None] = [error, LedgerUnavailable(), None]

    def commit(requests: object) -> None:
        answer = answers.pop(0)
        if answer is not None:
            raise answer

    measured = meter.measuring(commit)
    for _ in range(2):  # that a database goes away afterwards settles nothing
        with pytest.raises(TrustError):
            measured([[1, 2]])
        assert meter.refuses is refuses
    measured([[1, 2], [3]])
    assert not meter.refuses
    entries, seconds = (reading.value for reading in meter.read())
    assert isinstance(entries, Distribution)
    assert isinstance(seconds, Distribution)
    assert (entries.total, entries.buckets[-1]) == (3, ("+Inf", 1))
    assert seconds.total == 1


def test_a_job_is_there_once_it_has_run_and_its_failures_from_the_start() -> None:
    meter = JobMeter()
    meter.know(["anchor", "issue"])
    meter.ran("anchor", 17)
    meter.failed("issue")
    assert counts(list(meter.read())) == {
        ("edutrust_job_last_success_timestamp_seconds", "anchor"): 17,
        ("edutrust_job_failures_total", "issue"): 1,
    }
