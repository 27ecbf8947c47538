"""Single-use values forged through a shared store: security test list, classes 7, 9 and 44.

CVE-2026-4282 and CVE-2026-4325: every kind of single-use value stood in one key space, untyped, so a value somebody was
given for one purpose, or could have written for another, served as an authorization code.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from adapters.redis.server import RedisServer
from adapters.redis.transient import RedisTransientStore
from adapters.sql.idp_transient import SqlTransientStore
from idp.transient import TransientKind, TransientStore
from tests.conftest import OpenDatabase
from tests.services.clock import StillClock
from tests.services.redis import own

ADVISORY_CLASSES: tuple[int, ...] = (7, 9)
SEEN_RED: dict[str, str] = {
    "test_cve_2026_4282_a_value_of_one_kind_is_no_code_in_sql": "idp/transient.py: the kind of a handle not compared",
}

Run = Callable[[Coroutine[Any, Any, None]], None]


@asynccontextmanager
async def _redis(url: str, clock: StillClock) -> AsyncIterator[RedisTransientStore]:
    server = RedisServer(url, monotonic=time.monotonic)
    try:
        yield RedisTransientStore(server, clock=clock, random_bytes=secrets.token_bytes)
    finally:
        await server.close()


async def _serves_only_as_what_it_was_made_for(store: TransientStore) -> None:
    for made in TransientKind:
        for wanted in set(TransientKind) - {made}:
            handle = await store.put(made, b"written for another purpose", lifetime_s=60)
            renamed = handle[0] + wanted + handle[3:]
            for forged in (handle, renamed, handle[3:], f"{handle[0]}{wanted}_{handle}"):
                assert await store.read(wanted, forged) is None
                assert await store.take(wanted, forged) is None
            assert await store.take(made, renamed) is None
            assert await store.take(made, handle) == b"written for another purpose"


def test_cve_2026_4282_a_value_of_one_kind_is_no_code_in_sql(
    migrated: OpenDatabase, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with migrated("access") as db:
            await _serves_only_as_what_it_was_made_for(
                SqlTransientStore(db, clock=clock, random_bytes=secrets.token_bytes)
            )

    run(story())


def test_cve_2026_4282_a_value_of_one_kind_is_no_code_in_redis(redis_url: str, clock: StillClock, run: Run) -> None:
    async def story() -> None:
        async with _redis(redis_url, clock) as store:
            await _serves_only_as_what_it_was_made_for(store)

    run(story())


def test_cve_2026_4282_a_key_named_like_a_handle_is_no_code(redis_url: str, clock: StillClock, run: Run) -> None:
    """Whoever can make another program write a key of a chosen name has not made a code."""

    async def story() -> None:
        async with _redis(redis_url, clock) as store, Redis.from_url(redis_url) as other_program:
            handle = f"rac_{secrets.token_urlsafe(32)}"
            for name in (handle, handle[4:], f"edutrust:t:{handle}", f"edutrust:t:{handle[4:]}"):
                await other_program.set(name, b"ac" + b"9" * 12 + b'{"person":"victim"}')
            assert await store.take(TransientKind.AUTHORIZATION_CODE, handle) is None

    run(story())


@pytest.mark.parametrize("kind", list(TransientKind))
def test_a_backup_brought_back_does_not_revive_what_was_consumed(
    kind: TransientKind, tmp_path: Path, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        with own(tmp_path) as server:
            async with _redis(server.url, clock) as store:
                handle = await store.put(kind, b"once", lifetime_s=600)
                async with Redis.from_url(server.url) as operator:
                    await operator.save()
                assert await store.take(kind, handle) == b"once"
                async with Redis.from_url(server.url) as operator:
                    await operator.shutdown(nosave=True)
                server.end()
                server.start()
                async with Redis.from_url(server.url) as operator:
                    assert await operator.dbsize() == 1, "the backup was not brought back: nothing is tested"
                assert await store.take(kind, handle) is None

    run(story())
