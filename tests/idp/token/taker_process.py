"""Half of sixteen takers: for each handle read, take it eight times at once and say how many got it.

Run as `python -m tests.idp.token.taker_process URL TIME`, one handle a line; used by the test of single use.
"""

from __future__ import annotations

import asyncio
import sys

from idp.transient import TransientKind
from tests.idp.token.transient_stores import redis_takers, sql_store
from tests.services.clock import StillClock

TAKERS = 8


async def _serve(url: str, now: int) -> None:
    clock = StillClock(now)
    loop = asyncio.get_running_loop()
    async with redis_takers(url, clock) if url.startswith("redis") else sql_store(url, clock) as opened:
        # Connections are made before the first race, so that both halves begin alike.
        nobodys = ("r" if url.startswith("redis") else "s") + "lt_" + "A" * 43
        await asyncio.gather(*(opened.store.take(TransientKind.LOGIN, nobodys) for _ in range(TAKERS)))
        _say("ready")
        while line := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
            kind = TransientKind(line[1:3])
            taken = await asyncio.gather(*(opened.store.take(kind, line) for _ in range(TAKERS)))
            _say(str(sum(1 for payload in taken if payload is not None)))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2])))
