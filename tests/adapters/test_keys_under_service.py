"""Keys turn while the service serves: people sign in all the while, and it learns of every change by itself."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.kek import create_kek, read_kek
from adapters.server import service
from adapters.settings import Settings, check_settings
from adapters.sql.keyring_changes import rotate_column_key
from adapters.sql.migrate import target_of, upgrade
from adapters.sql.resealing import Resealer
from crypto.sealed import ColumnSealer, RingSealer
from idp.keys import OWNER
from tests.adapters.keys_world import sealer_of
from tests.conftest import OpenDatabase
from tests.protocol import world as protocol_world
from tests.protocol.world import World, open_world
from tests.services.tables import make_tables

Run = Callable[[Coroutine[Any, Any, None]], None]
ISSUER = "http://127.0.0.1:8080"


class TurningKeys:
    """`SealingKeys` that a test turns at a moment of its choosing."""

    def __init__(self) -> None:
        self.keys = {"k1": bytes(range(16))}
        self.active = "k1"

    def turn(self) -> None:
        self.active = f"k{len(self.keys) + 1}"
        self.keys[self.active] = os.urandom(16)

    def sealing(self) -> tuple[str, bytes]:
        return self.active, self.keys[self.active]

    def opening(self, name: str) -> bytes | None:
        return self.keys.get(name)


async def sign_in_with_two_factors(world: World, username: str) -> None:
    """Sign in as a person does; enrols a phone the first time and uses its code ever after."""
    browser = world.browser()
    page = await world.sign_in(browser, username)
    if "totp-seed" in page.text:
        found = re.search(r'id="totp-seed">([A-Z2-7 ]+)<', page.text)
        assert found is not None
        world.seeds[username] = base64.b32decode(found[1].replace(" ", ""))
        path = "/signin/enrol"
    else:
        assert "/signin/totp" in page.text, page.text[:500]
        path = "/signin/totp"
    form = {"t": page.hidden("t"), "csrf": "f", "code": world.code_of(world.seeds[username])}
    done = await browser.follow(await browser.post(path, form))
    assert browser.session_cookie is not None, done.text[:500]


def test_people_sign_in_with_two_factors_while_the_column_key_turns_and_rows_are_resealed(
    migrated: OpenDatabase, database_url: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = TurningKeys()
    monkeypatch.setattr(protocol_world, "_sealer", lambda: RingSealer(ring, os.urandom))
    upgrade("keyring", target_of("keyring", database_url))

    async def story() -> None:
        async with open_world(migrated, second_factor_for_all=True) as world, migrated("credentials") as credentials:
            people = ["lin", *(f"p{number}" for number in range(4))]
            for number, name in enumerate(people[1:], start=2):
                await world.add_person(name, number)
            for name in people:
                await sign_in_with_two_factors(world, name)
            resealer = Resealer({"idp": world.db, "credentials": credentials}, RingSealer(ring, os.urandom))
            for _ in range(3):
                ring.turn()
                world.clock.advance(60)
                walk = asyncio.create_task(resealer.walk())
                await asyncio.gather(*(sign_in_with_two_factors(world, name) for name in people))
                tally = await walk
                assert tally.unopened == 0
                await resealer.walk()
                assert await resealer.count(None) == {}
            ring.keys = {ring.active: ring.keys[ring.active]}
            world.clock.advance(60)
            await sign_in_with_two_factors(world, "lin")
            await world.keys.load()

    run(story())


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Return settings of a migrated, empty deployment with its key file."""
    made = check_settings({"issuer": ISSUER, "data_dir": str(tmp_path), "database_url": database_url})
    create_kek(made.kek_file, random_bytes=os.urandom)
    make_tables(made.database_url)
    return made


async def becomes(true: Callable[[], Awaitable[bool]], limit_s: float = 90.0) -> None:
    """Wait until something is so; the limit is only there to end a failing test."""
    begun = time.monotonic()
    while not await true():
        await asyncio.sleep(0.05)
        assert time.monotonic() - begun < limit_s


def test_a_running_service_learns_of_a_new_column_key_and_reseals_by_itself(settings: Settings, run: Run) -> None:
    async def story() -> None:
        async with service(settings, write_log=lambda _: None) as (parts, _):
            old, now = parts.column_sealer.active, parts.clock()
            new = await rotate_column_key(
                parts.idp_database,
                sealer_of(read_kek(settings.kek_file)),
                now=now,
                seals_from=now + 8,
                random_bytes=os.urandom,
            )
            assert parts.column_sealer.active == old

            async def moved() -> bool:
                return parts.column_sealer.active == new and await parts.resealer.count(None) == {}

            await becomes(moved)
            rows = await parts.idp_database.fetch("SELECT sealed_private FROM signing_key")
            assert {ColumnSealer.key_of(bytes(row["sealed_private"])) for row in rows} == {new}

    run(story())


def test_a_key_another_process_retires_or_reports_signs_nothing_more_here(settings: Settings, run: Run) -> None:
    async def story() -> None:
        async with service(settings, write_log=lambda _: None) as (parts, application):
            transport = httpx.ASGITransport(application.asgi)
            async with httpx.AsyncClient(transport=transport, base_url=ISSUER) as client:
                before = {key["kid"]: key["alg"] for key in (await client.get("/jwks")).json()["keys"]}
                stolen = next(kid for kid, alg in before.items() if alg == "ES256")
                await parts.keystore.report_compromise(OWNER, stolen, parts.clock() - 60)

                async def replaced() -> bool:
                    keys = (await client.get("/jwks")).json()["keys"]
                    return stolen not in {key["kid"] for key in keys} and len(keys) == len(before)

                await becomes(replaced)

    run(story())
