"""Clients read a moment ago: seen again without the database, never after a change here, never without bound."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from adapters.sql import idp_clients
from adapters.sql.idp_access import SqlAccessStore
from adapters.sql.idp_clients import CACHE_S, ClientCache, SqlClients
from idp.clients.model import ClientState
from idp.clients.registration import parse_client
from tests.conftest import OpenDatabase
from tests.idp.registry.people import REGION
from tests.protocol.world import Interleaved, registration

Run = Callable[[Coroutine[Any, Any, None]], None]


class Hand:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Counted(Interleaved):
    """Counts look-ups."""

    looked = 0

    async def fetch_one(self, sql: str, *args: Any) -> Any:
        self.looked += 1
        return await super().fetch_one(sql, *args)


@pytest.fixture
def opened(migrated: OpenDatabase) -> Any:
    @asynccontextmanager
    async def store() -> Any:
        async with migrated("registry", "access") as database:
            db, hand = Counted(database), Hand()
            clients = SqlClients(db, region=REGION, monotonic=hand)
            await clients.register_clients((parse_client(registration("one")),), 0)
            yield clients, db, hand

    return store


def test_a_client_is_looked_up_once_in_its_time(opened: Any, run: Run) -> None:
    async def story() -> None:
        async with opened() as (clients, db, hand):
            first = await clients.client("one")
            assert await clients.client("one") is first
            assert db.looked == 1
            hand.now = CACHE_S
            assert await clients.client("one") == first
            assert db.looked == 2

    run(story())


def test_every_change_made_here_is_seen_at_once(opened: Any, run: Run) -> None:
    async def story() -> None:
        async with opened() as (clients, db, _hand):
            await clients.client("one")
            await clients.set_client_state("one", ClientState.DISABLED, 0)
            assert (await clients.client("one")).state is ClientState.DISABLED
            await clients.register_clients((parse_client(registration("one", name_en="New")),), 0)
            assert (await clients.client("one")).name_en == "New"
            whole = SqlAccessStore(db, region=REGION)
            assert await whole.client("one")
            assert await whole.delete_client("one")
            assert await whole.client("one") is None

    run(story())


def test_a_look_up_that_a_change_overtakes_is_not_kept(opened: Any, run: Run) -> None:
    async def story() -> None:
        async with opened() as (clients, _db, _hand):
            for _ in range(20):
                await clients.set_client_state("one", ClientState.ACTIVE, 0)
                await asyncio.gather(
                    clients.client("one"),
                    clients.set_client_state("one", ClientState.DISABLED, 0),
                    clients.client("one"),
                )
                assert (await clients.client("one")).state is ClientState.DISABLED

    run(story())


def test_names_nobody_has_are_not_remembered_and_those_that_are_have_a_bound(
    opened: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with opened() as (clients, db, _hand):
            for _ in range(3):
                assert await clients.client("invented") is None
            assert db.looked == 3
            monkeypatch.setattr(idp_clients, "CACHE_CLIENTS_MAX", 2)
            names = [f"many-{number}" for number in range(5)]
            await clients.register_clients(tuple(parse_client(registration(name)) for name in names), 0)
            for name in names:
                await clients.client(name)
            before = db.looked
            await clients.client(names[-1])
            await clients.client(names[-2])
            assert db.looked == before
            await clients.client(names[0])
            assert db.looked == before + 1

    run(story())


def test_what_was_read_before_a_change_is_not_kept_after_it() -> None:
    cache = ClientCache(Hand())
    client = parse_client(registration("one"))
    read_at = cache.changes
    cache.forget("one")
    cache.keep(client, read_at=read_at)
    assert cache.get("one") is None
    cache.keep(client, read_at=cache.changes)
    assert cache.get("one") is client
