"""Registrations in the store: keys come back, and what was written before there were keys is still read."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from adapters.sql.idp_access import SqlAccessStore
from crypto.suites import Alg
from idp.clients.registration import parse_client
from tests.idp.clients.assertions import keyed
from tests.idp.registry.people import REGION
from tests.protocol.world import OpenWorld

Run = Callable[[Coroutine[Any, Any, None]], None]


def test_keys_algorithm_and_scopes_come_back_the_same(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            document = keyed("robot", *Alg, token_endpoint_auth_signing_alg="SGD_SM3_SM2")
            await world.register(document)
            assert await world.client("robot") == parse_client(document)

    run(story())


def test_a_registration_of_the_first_version_is_still_read(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            row = await world.db.fetch_one("SELECT registration FROM client WHERE client_id = 'learning'")
            assert row is not None
            stored = json.loads(row["registration"])
            for later in ("scopes_client", "token_endpoint_auth_signing_alg", "require_pushed_authorization_requests"):
                del stored[later]
            before = await world.client("learning")
            await world.db.execute(
                "UPDATE client SET registration = $1 WHERE client_id = 'learning'", json.dumps(stored)
            )
            # a store of its own: this one remembers what it read a moment ago
            assert await SqlAccessStore(world.db, region=REGION).client("learning") == before

    run(story())


def test_a_value_is_used_once_until_its_end(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            assert await world.store.use_once(b"d" * 32, until=100)
            assert not await world.store.use_once(b"d" * 32, until=200)
            assert await world.store.use_once(b"e" * 32, until=100)
            assert await world.store.discard_used(99) == 0
            assert not await world.store.use_once(b"d" * 32, until=100)
            assert await world.store.discard_used(100) == 2
            assert await world.store.use_once(b"d" * 32, until=300)

    run(story())
