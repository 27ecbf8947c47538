"""Redis lost in the middle of sign-ins: everything goes on, slower, and nothing is given twice (degradation table, G18)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from adapters.redis.preferred import PAUSE_S, PreferredTransientStore
from adapters.redis.server import RedisServer
from adapters.redis.transient import RedisTransientStore
from idp.transient import TransientStore
from tests.adapters.service import Ticking
from tests.conftest import OpenDatabase
from tests.protocol.world import World, open_world
from tests.services.clock import StillClock
from tests.services.redis import RedisProcess, own

Run = Callable[[Coroutine[Any, Any, None]], None]


@asynccontextmanager
async def _world(migrated: OpenDatabase, folder: Path, monotonic: Ticking) -> AsyncIterator[tuple[World, RedisProcess]]:
    with own(folder) as process:
        server = RedisServer(process.url, monotonic=monotonic)

        def before(sql: TransientStore, clock: StillClock) -> TransientStore:
            redis = RedisTransientStore(server, clock=clock, random_bytes=secrets.token_bytes)
            return PreferredTransientStore(redis, sql, monotonic=monotonic)

        try:
            async with open_world(migrated, before_sql=before) as world:
                yield world, process
        finally:
            await server.close()


def test_a_sign_in_over_redis_gives_each_code_once(migrated: OpenDatabase, tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        async with _world(migrated, tmp_path, Ticking()) as (world, _):
            browser = world.browser()
            for _ in range(10):
                code = await world.code(browser)
                assert code.startswith("rac_")
                answers = await asyncio.gather(*(world.redeem(code) for _ in range(16)))
                assert sorted(answer.status for answer in answers) == [200] + [400] * 15

    run(story())


@pytest.mark.parametrize("how", ["ended", "frozen"])
def test_sign_in_goes_on_without_redis_and_back_to_it(
    how: str, migrated: OpenDatabase, tmp_path: Path, run: Run
) -> None:
    async def story() -> None:
        monotonic = Ticking()
        async with _world(migrated, tmp_path, monotonic) as (world, redis):
            signed_in = world.browser()
            lost = await world.code(signed_in)
            used = await world.code(signed_in)
            bought = (await world.redeem(used)).json()

            half_way = world.browser()
            page = await half_way.follow(await world.authorize(half_way))
            assert page.hidden("t").startswith("rlt_")

            redis.end() if how == "ended" else redis.freeze()
            refused = await world.redeem(lost)
            assert (refused.status, refused.json()["error"]) == (400, "invalid_grant")
            left = await half_way.password(page, "lin")
            assert left.status == 400, "a transaction that is gone is said to be gone"
            code = await world.code(half_way)
            assert code.startswith("sac_")
            tokens = await world.redeem(code)
            assert tokens.status == 200
            assert (await world.userinfo(bought["access_token"])).status == 200, "tokens do not depend on Redis"
            assert (await world.refresh(bought["refresh_token"])).status == 200
            assert (await world.redeem(code)).status == 400, "used in SQL, used for good"

            redis.start() if how == "ended" else redis.thaw()
            monotonic.now += PAUSE_S
            again = await world.code(signed_in)
            assert again.startswith("rac_")
            assert (await world.redeem(again)).status == 200
            assert (await world.redeem(again)).status == 400

    run(story())


def test_a_code_used_before_redis_was_lost_is_still_known_as_used(
    migrated: OpenDatabase, tmp_path: Path, run: Run
) -> None:
    """RFC 6749 §4.1.2: what the first use got is revoked at the second, whoever forgot the code meanwhile."""

    async def story() -> None:
        async with _world(migrated, tmp_path, Ticking()) as (world, redis):
            code = await world.code(world.browser())
            bought = (await world.redeem(code)).json()
            redis.end()
            assert (await world.redeem(code)).status == 400
            assert (await world.userinfo(bought["access_token"])).status == 401

    run(story())
