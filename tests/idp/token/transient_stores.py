"""Every back end of short-lived state, opened for one test."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from redis.asyncio import Redis

from adapters.redis.preferred import PreferredTransientStore
from adapters.redis.server import RedisServer
from adapters.redis.transient import RedisTransientStore
from adapters.sql.engine import open_database
from adapters.sql.idp_transient import SqlTransientStore
from adapters.sql.targets import SCHEMA_OF_ROOM
from idp.transient import TransientStore
from tests.services.clock import StillClock
from tests.services.tables import make_tables

BACK_ENDS: Final = ("sqlite", "postgresql", "redis", "redis before sqlite")


@dataclass
class Opened:
    """A store, what its server holds, and whether somebody has to sweep it."""

    store: TransientStore
    held: Callable[[], Awaitable[list[bytes]]]
    sweeps: bool


OpenStore = Callable[[], AbstractAsyncContextManager[Opened]]


@asynccontextmanager
async def sql_store(url: str, clock: StillClock) -> AsyncIterator[Opened]:
    """Open the store in SQL; `held` gives key, payload, key, payload, …"""
    make_tables(url, "access")
    database = await open_database(url, SCHEMA_OF_ROOM["access"])

    async def held() -> list[bytes]:
        rows = await database.fetch("SELECT handle_hash, payload FROM transient_entry")
        return [bytes(row[name]) for row in rows for name in ("handle_hash", "payload")]

    try:
        yield Opened(SqlTransientStore(database, clock=clock, random_bytes=secrets.token_bytes), held, sweeps=True)
    finally:
        await database.close()


@asynccontextmanager
async def redis_store(url: str, clock: StillClock) -> AsyncIterator[Opened]:
    """Open the store in an emptied Redis; `held` gives key, value, key, value, …"""
    async with Redis.from_url(url) as client:
        await client.flushall()
    async with redis_takers(url, clock) as opened:
        yield opened


@asynccontextmanager
async def redis_takers(url: str, clock: StillClock) -> AsyncIterator[Opened]:
    """Open the store in Redis as it is."""
    client = Redis.from_url(url)
    server = RedisServer(url, monotonic=time.monotonic)

    async def held() -> list[bytes]:
        found: list[bytes] = []
        for key in await client.keys("*"):
            value = await client.get(key)
            assert isinstance(key, bytes)
            assert isinstance(value, bytes)
            found += [key, value]
        return found

    try:
        yield Opened(RedisTransientStore(server, clock=clock, random_bytes=secrets.token_bytes), held, sweeps=False)
    finally:
        await server.close()
        await client.aclose()


@asynccontextmanager
async def both(redis_url: str, folder: Path, clock: StillClock) -> AsyncIterator[Opened]:
    """Open the pair of stores; `held` gives what is in Redis."""
    async with redis_store(redis_url, clock) as redis, sql_store(f"sqlite:///{folder}", clock) as sql:
        assert isinstance(redis.store, RedisTransientStore)
        yield Opened(
            PreferredTransientStore(redis.store, sql.store, monotonic=time.monotonic), redis.held, sweeps=False
        )
