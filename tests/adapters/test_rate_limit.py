"""The limiter counts exactly and, when it cannot count, refuses."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.http import rate_limit
from adapters.http.rate_limit import Limit, LocalRateLimiter, network_key
from adapters.http.refusals import RateLimited
from tests.adapters.service import Ticking


def passes(limiter: LocalRateLimiter, limit: Limit, key: str) -> bool:
    try:
        asyncio.run(limiter.take(limit, key))
    except RateLimited:
        return False
    return True


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 30), max_size=40), st.integers(1, 5), st.floats(0.5, 20))
def test_no_window_of_time_holds_more_than_its_share(pauses: list[float], burst: int, period_s: float) -> None:
    clock = Ticking()
    limiter = LocalRateLimiter(clock)
    passed: list[float] = []
    for pause in pauses:
        clock.now += pause
        if passes(limiter, Limit("a", burst, period_s), "k"):
            passed.append(clock.now)
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            window = passed[last] - passed[first]
            assert last - first + 1 <= burst + window / period_s + 1e-6


def test_acts_and_keys_are_counted_apart() -> None:
    limiter = LocalRateLimiter(Ticking())
    one, other = Limit("one", 1, 10), Limit("other", 1, 10)
    assert [passes(limiter, one, "a"), passes(limiter, other, "a"), passes(limiter, one, "b")] == [True] * 3
    assert not passes(limiter, one, "a")


def test_a_flood_of_callers_buys_nobody_a_new_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "BUCKETS_MAX", 50)
    clock = Ticking()
    limiter = LocalRateLimiter(clock)
    limit = Limit("a", 1, 10)
    assert passes(limiter, limit, "attacker")
    assert [passes(limiter, limit, str(n)) for n in range(60)].count(True) == 49
    assert not passes(limiter, limit, "attacker")
    clock.now += 11
    assert passes(limiter, limit, "somebody new")


def test_a_refused_attempt_costs_nothing_and_says_when_to_come_back() -> None:
    clock = Ticking()
    limiter = LocalRateLimiter(clock)
    limit = Limit("a", 1, 10)
    assert passes(limiter, limit, "k")
    for _ in range(5):
        with pytest.raises(RateLimited) as caught:
            asyncio.run(limiter.take(limit, "k"))
        assert caught.value.retry_after_s == 10
    clock.now += 10
    assert passes(limiter, limit, "k")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::9", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("198.51.100.1", "::ffff:198.51.100.1", True),
        ("198.51.100.1", "198.51.100.2", False),
        (None, "not an address", True),
    ],
)
def test_a_caller_is_an_address_or_a_household(one: str | None, other: str | None, *, same: bool) -> None:
    assert (network_key(one) == network_key(other)) is same


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.0, 0.5, 3.0]), st.integers(0, 2)), min_size=20, max_size=60))
def test_several_processes_together_give_no_more_than_the_limit(attempts: list[tuple[float, int]]) -> None:
    clock = Ticking()
    limiters = [LocalRateLimiter(clock, processes=3) for _ in range(3)]
    limit = Limit("a", 6, 1.0)
    passed: list[float] = []
    for pause, process in attempts:
        clock.now += pause
        if passes(limiters[process], limit, "k"):
            passed.append(clock.now)
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            assert last - first + 1 <= limit.burst + (passed[last] - passed[first]) / limit.period_s + 1e-6


def test_a_share_of_a_small_limit_is_still_one_attempt() -> None:
    limiter = LocalRateLimiter(Ticking(), processes=8)
    limit = Limit("a", 3, 1.0)
    assert [passes(limiter, limit, "k") for _ in range(2)] == [True, False]
