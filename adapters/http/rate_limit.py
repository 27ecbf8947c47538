"""Limits on attempts: a token bucket a caller and act. What cannot be counted is refused, never waved through."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.http.refusals import RateLimited
from crypto.sm3 import sm3

# A bucket is 24 bytes of state and about 200 with its key; 20 MB at the most.
BUCKETS_MAX = 100_000
FULL_RETRY_S = 30


@dataclass(frozen=True, slots=True)
class Limit:
    """`burst` attempts at once, then one every `period_s` seconds. `name` keeps the acts apart."""

    name: str
    burst: int
    period_s: float


class RateLimiter(Protocol):
    """Counts attempts by key. Contract: atomic; a limiter that has lost its store raises, and so refuses."""

    async def take(self, limit: Limit, key: str) -> None:
        """Spend one attempt. Raises `RateLimited` when none is left, `StoreUnavailable` when it cannot tell."""


class LocalRateLimiter:
    """The limiter of one process. `monotonic` gives seconds that never go back.

    One of several `processes` that share the callers gives each its share of the limit and no more: whoever meets only
    one of them waits sooner, and nobody gets more than the limit by meeting all.
    """

    def __init__(self, monotonic: Callable[[], float], *, processes: int = 1) -> None:
        self._monotonic = monotonic
        self._processes = processes
        # Per key: when the bucket will be full again. A bucket is one number: `full_at - now` is what has been spent.
        self._full_at: dict[bytes, float] = {}

    async def take(self, limit: Limit, key: str) -> None:
        """See `RateLimiter.take`."""
        now = self._monotonic()
        bucket = sm3(f"{limit.name}\x00{key}".encode())[:16]
        full_at = max(self._full_at.get(bucket, now), now)
        spent_s = full_at - now
        period_s = limit.period_s * self._processes
        allowance_s = period_s * (max(1, limit.burst // self._processes) - 1)
        if spent_s > allowance_s + 1e-9:
            raise RateLimited(max(1, math.ceil(spent_s - allowance_s)))
        if bucket not in self._full_at and len(self._full_at) >= BUCKETS_MAX:
            self._forget_full(now)
            if len(self._full_at) >= BUCKETS_MAX:
                # Dropping a live bucket would give its owner new attempts: a flood of keys must not buy that.
                raise RateLimited(FULL_RETRY_S)
        self._full_at[bucket] = full_at + period_s

    def _forget_full(self, now: float) -> None:
        self._full_at = {key: full_at for key, full_at in self._full_at.items() if full_at > now}


def network_key(host: str | None) -> str:
    """Return what counts as one caller: an IPv4 address, or an IPv6 /64 (one household or one machine)."""
    try:
        address = ip_address(host or "")
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return address.packed[:8].hex()
    return str(address)


@dataclass(frozen=True, slots=True)
class RateRule:
    """Which requests spend from which limit: a method and the start of a path."""

    method: str
    path_prefix: str
    limit: Limit


class RateLimits:
    """Applies rules a caller's network; limits an account are spent where the account is known, by the same limiter."""

    def __init__(self, app: ASGIApp, *, limiter: RateLimiter, rules: Sequence[RateRule]) -> None:
        self._app = app
        self._limiter = limiter
        methods = {rule.method for rule in rules}
        self._rules = {method: tuple(rule for rule in rules if rule.method == method) for method in methods}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Spend, then pass on."""
        if scope["type"] == "http":
            client = scope.get("client")
            for rule in self._rules.get(scope["method"], ()):
                if scope["path"].startswith(rule.path_prefix):
                    await self._limiter.take(rule.limit, network_key(client[0] if client else None))
        await self._app(scope, receive, send)
