"""The provider's keys: published before they sign, verifying after, never two active, never in the clear."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from adapters.sql.idp_keys import SqlKeyStore
from crypto.keys import KeyState
from crypto.keystore import KeyStateRefused, KeyUnknown
from crypto.sealed import ColumnSealer
from crypto.sm2 import select_backend
from crypto.suites import Alg, Purpose
from idp.keys import OWNER, open_idp_keys
from tests.conftest import OpenDatabase
from tests.protocol.world import OpenWorld, header_of
from tests.services.clock import StillClock

Run = Callable[[Coroutine[Any, Any, None]], None]


def test_rotation_overlaps(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            before = (await world.tokens(browser))["id_token"]
            old = header_of(before)["kid"]
            successor = await world.keys.prepare_successor(Alg.ES256)
            kids = {key["kid"] for key in (await browser.get("/jwks")).json()["keys"]}
            assert {old, successor} <= kids, "published before it signs"
            assert header_of((await world.tokens(browser))["id_token"])["kid"] == old
            await world.keys.rotate(successor)
            assert header_of((await world.tokens(browser))["id_token"])["kid"] == successor
            kids = {key["kid"] for key in (await browser.get("/jwks")).json()["keys"]}
            assert {old, successor} <= kids, "published after it has stopped signing"
            assert (await world.browser().get("/end-session", id_token_hint=before)).status == 303
            await world.keys.retire(old)
            kids = {key["kid"] for key in (await browser.get("/jwks")).json()["keys"]}
            assert old not in kids
            assert (await world.browser().get("/end-session", id_token_hint=before)).status == 400
            row = await world.db.fetch_one("SELECT sealed_private FROM signing_key WHERE kid = $1", old)
            assert row is not None
            assert row["sealed_private"] is None

    run(story())


def test_a_key_past_its_dates_signs_nothing(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            world.clock.advance(10**8)
            with pytest.raises(KeyStateRefused):
                world.keys.active(Alg.ES256)

    run(story())


def test_two_first_starts_agree_on_one_key_and_a_second_start_finds_it(
    migrated: OpenDatabase, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with migrated("access") as one, migrated("access") as two:
            sealer = ColumnSealer({"k": bytes(16)}, "k", secrets.token_bytes)
            backend = select_backend(("libcrypto",))

            async def start(store: SqlKeyStore) -> str:
                keys = await open_idp_keys(store, sealer=sealer, backend=backend, clock=clock)
                return keys.active(Alg.SGD_SM3_SM2).kid

            kids = await asyncio.gather(start(SqlKeyStore(one)), start(SqlKeyStore(two)))
            assert len(set(kids)) == 1
            assert await start(SqlKeyStore(one)) == kids[0]
            for row in await one.fetch("SELECT sealed_private, public_jwk FROM signing_key"):
                assert b'"d"' not in bytes(row["sealed_private"])
                assert '"d"' not in row["public_jwk"]

    run(story())


def test_the_store_keeps_one_active_key_and_the_order_of_states(
    migrated: OpenDatabase, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with migrated("access") as db:
            store = SqlKeyStore(db)
            sealer = ColumnSealer({"k": bytes(16)}, "k", secrets.token_bytes)
            keys = await open_idp_keys(store, sealer=sealer, backend=select_backend(("libcrypto",)), clock=clock)
            active = await store.active(OWNER, Purpose.ID_TOKEN, Alg.ES256)
            with pytest.raises(KeyStateRefused):
                await store.add(active)
            successor = await keys.prepare_successor(Alg.ES256)
            with pytest.raises(KeyUnknown):
                await store.by_kid("another owner", successor)
            with pytest.raises(KeyStateRefused):
                await store.rotate(OWNER, active.kid)
            rotated = await asyncio.gather(*(store.rotate(OWNER, successor) for _ in range(4)), return_exceptions=True)
            assert sum(not isinstance(answer, BaseException) for answer in rotated) == 1
            compromised = await store.report_compromise(OWNER, successor, clock())
            assert compromised.state is KeyState.RETIRED
            assert compromised.sealed_private is None
            assert successor not in {record.kid for record in await store.published(OWNER)}
            with pytest.raises(KeyUnknown):
                await store.active(OWNER, Purpose.ID_TOKEN, Alg.ES256)

    run(story())
