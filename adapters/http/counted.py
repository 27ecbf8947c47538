"""A limiter whose refusals are counted by the names of its limits."""

from __future__ import annotations

from adapters.http.rate_limit import Limit, RateLimiter
from adapters.http.refusals import RateLimited
from adapters.observe.meters import LimitMeter


class CountedLimiter:
    """`RateLimiter` over another one."""

    def __init__(self, limiter: RateLimiter, meter: LimitMeter) -> None:
        self._limiter = limiter
        self._meter = meter

    async def take(self, limit: Limit, key: str) -> None:
        """See `RateLimiter.take`."""
        try:
            await self._limiter.take(limit, key)
        except RateLimited:
            self._meter.refused(limit.name)
            raise
