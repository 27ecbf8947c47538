"""The contract of short-lived state, on every database: taken once, by its kind, within its time."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from adapters.sql.database import Database
from adapters.sql.idp_transient import SqlTransientStore
from idp.transient import PAYLOAD_BYTES_MAX, TransientKind
from tests.conftest import OpenDatabase
from tests.services.clock import StillClock

Run = Callable[[Coroutine[Any, Any, None]], None]


@asynccontextmanager
async def _store(migrated: OpenDatabase, clock: StillClock) -> AsyncIterator[tuple[SqlTransientStore, Database]]:
    async with migrated("access") as db:
        yield SqlTransientStore(db, clock=clock, random_bytes=secrets.token_bytes), db


def test_of_sixteen_takers_one_gets_it(migrated: OpenDatabase, clock: StillClock, run: Run) -> None:
    async def story() -> None:
        async with _store(migrated, clock) as (store, _):
            for _ in range(50):
                handle = await store.put(TransientKind.LOGIN, b"once", lifetime_s=60)
                taken = await asyncio.gather(*(store.take(TransientKind.LOGIN, handle) for _ in range(16)))
                assert sorted(taken, key=lambda value: value is None) == [b"once"] + [None] * 15

    run(story())


def test_a_handle_of_one_kind_is_nothing_as_another(migrated: OpenDatabase, clock: StillClock, run: Run) -> None:
    """CVE-2026-4282, CVE-2026-4325: untyped key space."""

    async def story() -> None:
        async with _store(migrated, clock) as (store, _):
            for made in TransientKind:
                handle = await store.put(made, b"x", lifetime_s=60)
                for asked in set(TransientKind) - {made}:
                    for presented in (handle, f"s{asked}_{handle[4:]}", f"r{asked}_{handle[4:]}"):
                        assert await store.read(asked, presented) is None
                        assert await store.take(asked, presented) is None
                        assert not await store.replace(asked, presented, expected=b"x", payload=b"y")
                for bad in ("", handle[:-1], handle + "x", handle.upper(), "\x00", "é" * 47, handle + "\n"):
                    assert await store.take(made, bad) is None
                assert await store.take(made, handle) == b"x"

    run(story())


def test_an_entry_past_its_lifetime_is_as_if_it_had_never_been(
    migrated: OpenDatabase, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with _store(migrated, clock) as (store, db):
            handle = await store.put(TransientKind.LOGOUT, b"x", lifetime_s=60)
            lasting = await store.put(TransientKind.LOGOUT, b"y", lifetime_s=61)
            clock.advance(60)
            assert await store.read(TransientKind.LOGOUT, handle) is None
            assert not await store.replace(TransientKind.LOGOUT, handle, expected=b"x", payload=b"z")
            assert await store.take(TransientKind.LOGOUT, handle) is None
            assert await store.discard_expired() == 1
            assert await store.read(TransientKind.LOGOUT, lasting) == b"y"
            assert len(await db.fetch("SELECT payload FROM transient_entry")) == 1

    run(story())


def test_replace_changes_only_what_was_expected(migrated: OpenDatabase, clock: StillClock, run: Run) -> None:
    async def story() -> None:
        async with _store(migrated, clock) as (store, _):
            handle = await store.put(TransientKind.LOGIN, b"0", lifetime_s=60)
            changed = await asyncio.gather(
                *(store.replace(TransientKind.LOGIN, handle, expected=b"0", payload=bytes([n])) for n in range(1, 17))
            )
            assert changed.count(True) == 1
            with pytest.raises(ValueError, match="bounded"):
                await store.put(TransientKind.LOGIN, b"x" * (PAYLOAD_BYTES_MAX + 1), lifetime_s=60)

    run(story())


def test_no_handle_is_stored(migrated: OpenDatabase, clock: StillClock, run: Run) -> None:
    async def story() -> None:
        async with _store(migrated, clock) as (store, db):
            handle = await store.put(TransientKind.AUTHORIZATION_CODE, b"x", lifetime_s=60)
            [row] = await db.fetch("SELECT handle_hash FROM transient_entry")
            assert len(row["handle_hash"]) == 32
            assert handle.encode()[4:] not in bytes(row["handle_hash"])

    run(story())
