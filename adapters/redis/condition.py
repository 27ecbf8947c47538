"""What an operator should know of the Redis a deployment names, in one line. Never a reason not to start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from adapters.redis.server import RedisServer, RedisUnavailable

KEEPS_EVERYTHING: Final = "noeviction"
"""With it a full server refuses new entries, and they go to SQL. Every other policy drops somebody's sign-in instead."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Whether Redis serves, whether it will keep what it is given, and the sentence that says so."""

    answers: bool
    keeps: bool
    sentence: str


async def condition_of(server: RedisServer) -> Condition:
    """Reach the server once and say how it is."""
    try:
        epoch = await server.epoch()
    except RedisUnavailable as unavailable:
        return Condition(
            answers=False,
            keeps=False,
            sentence=f"Redis is away ({unavailable.rule}): short-lived state is kept in SQL.",
        )
    if epoch.eviction_policy != KEEPS_EVERYTHING:
        return Condition(
            answers=True,
            keeps=False,
            sentence=f"Redis {epoch.version} may drop entries before their time (maxmemory-policy {epoch.eviction_policy}):"
            f" set {KEEPS_EVERYTHING}.",
        )
    return Condition(answers=True, keeps=True, sentence=f"Redis {epoch.version} keeps short-lived state.")
