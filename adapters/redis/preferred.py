"""The pair of stores: Redis while it answers, SQL whenever it does not.

An entry lives in exactly one of them, and the first letter of its handle says in which. So nothing has to be copied or
reconciled when Redis goes or comes back: new entries go where there is somebody to keep them, older ones are looked for
where they were put. A handle whose store is away opens nothing; whoever holds it begins again.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from adapters.redis import transient
from adapters.redis.server import RedisUnavailable
from adapters.redis.transient import RedisTransientStore
from idp.transient import TransientKind, TransientStore

PAUSE_S: Final = 1.0
"""After a failure Redis is left alone this long, then tried with one request: an outage costs one request a second its
`DEADLINE_S`, and every other one nothing."""

T = TypeVar("T")
_log = logging.getLogger(__name__)


class PreferredTransientStore:
    """`TransientStore` over Redis and SQL. Raises what the SQL store raises."""

    def __init__(self, redis: RedisTransientStore, sql: TransientStore, *, monotonic: Callable[[], float]) -> None:
        self._redis = redis
        self._sql = sql
        self._monotonic = monotonic
        self._away_since: float | None = None
        self._try_again_at = 0.0

    async def put(self, kind: TransientKind, payload: bytes, *, lifetime_s: int) -> str:
        """See `TransientStore.put`."""
        handle = await self._asked(lambda: self._redis.put(kind, payload, lifetime_s=lifetime_s))
        return await self._sql.put(kind, payload, lifetime_s=lifetime_s) if handle is None else handle

    async def put_under(self, kind: TransientKind, secret: bytes, payload: bytes, *, lifetime_s: int) -> str | None:
        """See `TransientStore.put_under`. SQL is asked first: what was put there while Redis was away still counts."""
        if await self._sql.find_under(kind, secret) is not None:
            return None

        async def ask() -> tuple[str | None]:
            return (await self._redis.put_under(kind, secret, payload, lifetime_s=lifetime_s),)

        answer = await self._asked(ask)
        if answer is None:
            return await self._sql.put_under(kind, secret, payload, lifetime_s=lifetime_s)
        return answer[0]

    async def find_under(self, kind: TransientKind, secret: bytes) -> tuple[str, bytes] | None:
        """See `TransientStore.find_under`."""
        found = await self._asked(lambda: self._redis.find_under(kind, secret))
        return await self._sql.find_under(kind, secret) if found is None else found

    async def read(self, kind: TransientKind, handle: str) -> bytes | None:
        """See `TransientStore.read`."""
        if handle.startswith(transient.LETTER):
            return await self._asked(lambda: self._redis.read(kind, handle))
        return await self._sql.read(kind, handle)

    async def take(self, kind: TransientKind, handle: str) -> bytes | None:
        """See `TransientStore.take`."""
        if handle.startswith(transient.LETTER):
            return await self._asked(lambda: self._redis.take(kind, handle))
        return await self._sql.take(kind, handle)

    async def replace(self, kind: TransientKind, handle: str, *, expected: bytes, payload: bytes) -> bool:
        """See `TransientStore.replace`."""
        if handle.startswith(transient.LETTER):
            return bool(
                await self._asked(lambda: self._redis.replace(kind, handle, expected=expected, payload=payload))
            )
        return await self._sql.replace(kind, handle, expected=expected, payload=payload)

    async def discard_expired(self) -> int:
        """See `TransientStore.discard_expired`."""
        return await self._sql.discard_expired()

    async def _asked(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        """Return Redis's answer, or None while it is away."""
        if self._away_since is not None:
            if self._monotonic() < self._try_again_at:
                return None
            self._try_again_at = self._monotonic() + PAUSE_S  # this request tries; the others do not wait with it
        try:
            answer = await ask()
        except RedisUnavailable as unavailable:
            self._try_again_at = self._monotonic() + PAUSE_S
            if self._away_since is None:
                self._away_since = self._monotonic()
                _log.warning("Redis is away (%s): new entries go to SQL", unavailable.rule)
            return None
        if self._away_since is not None:
            _log.warning("Redis is back after %d s: new entries go to it again", self._monotonic() - self._away_since)
            self._away_since = None
        return answer
