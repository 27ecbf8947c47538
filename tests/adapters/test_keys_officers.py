"""Two officers: one asks, another approves, each by a key of their own; once, in time, and for exactly what was asked."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapters.sql.key_officers import (
    REQUEST_LIFETIME_S,
    KeyRequest,
    KeyRequestRefused,
    KeyRequests,
    OfficerRefused,
    OfficersRoll,
)
from crypto.errors import DecryptionFailed
from crypto.sealed import ColumnSealer
from crypto.sm2 import BACKENDS, select_backend
from tests.adapters.keys_world import KeysWorld, keys_world
from tests.conftest import OpenDatabase
from tests.protocol.world import Interleaved
from tests.services.clock import StillClock

Run = Callable[[Coroutine[Any, Any, None]], None]
ASKED = {"kid": "column-1"}


@dataclass
class Office:
    world: KeysWorld
    roll: OfficersRoll
    requests: KeyRequests
    wang: bytes
    li: bytes

    def now(self) -> int:
        return self.world.clock()

    async def file(self, private: bytes | None = None) -> KeyRequest:
        return await self.requests.file("retire", ASKED, private or self.wang, now=self.now(), random_bytes=os.urandom)

    async def refused(
        self, request: str, private: bytes, *, action: str = "retire", asked: dict[str, str] | None = None
    ) -> str | None:
        with pytest.raises(KeyRequestRefused) as error:
            await self.requests.approve(request, action, ASKED if asked is None else asked, private, now=self.now())
        return error.value.rule


@asynccontextmanager
async def office(
    migrated: OpenDatabase, folder: Path, clock: StillClock, *, deployment: str = "a"
) -> AsyncIterator[Office]:
    async with keys_world(migrated, folder, clock) as world:
        backend = select_backend(BACKENDS)
        roll = OfficersRoll(world.idp, world.sealer, backend)
        requests = KeyRequests(world.idp, world.sealer, backend, roll, deployment=deployment)
        wang, li = backend.generate(), backend.generate()
        await roll.enrol("wang", backend.public_of(wang), now=clock())
        await roll.enrol("li", backend.public_of(li), now=clock())
        yield Office(world, roll, requests, wang, li)


def test_one_files_another_approves_and_the_request_is_used_up(
    migrated: OpenDatabase, tmp_path: Path, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with office(migrated, tmp_path, clock) as it:
            request = await it.file()
            assert [waiting.id for waiting in await it.requests.waiting(now=clock())] == [request.id]
            approved = await it.requests.approve(request.id, "retire", ASKED, it.li, now=clock())
            assert (approved.request.filed_by, approved.approved_by) == ("wang", "li")
            assert await it.refused(request.id, it.li) == "used"
            assert await it.requests.waiting(now=clock()) == ()

    run(story())


def test_nobody_approves_what_they_filed_themselves(
    migrated: OpenDatabase, tmp_path: Path, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with office(migrated, tmp_path, clock) as it:
            request = await it.file()
            assert await it.refused(request.id, it.wang) == "same_officer"
            # The refusal uses nothing up.
            await it.requests.approve(request.id, "retire", ASKED, it.li, now=clock())

    run(story())


def test_an_approval_is_for_exactly_what_was_asked_and_in_time(
    migrated: OpenDatabase, tmp_path: Path, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with office(migrated, tmp_path, clock) as it:
            request = await it.file()
            assert await it.refused(request.id, it.li, action="backup") == "other_action"
            assert await it.refused(request.id, it.li, asked={"kid": "column-2"}) == "other_action"
            assert await it.refused(request.id, it.li, asked={}) == "other_action"
            assert await it.refused("0000000000", it.li) == "unknown"
            clock.advance(REQUEST_LIFETIME_S)
            await it.world.ring.refresh()
            assert await it.refused(request.id, it.li) == "expired"

    run(story())


def test_of_many_approvals_at_once_one_counts(
    migrated: OpenDatabase, tmp_path: Path, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with office(migrated, tmp_path, clock) as it:
            request = await it.file()
            backend = select_backend(BACKENDS)
            # Each statement lets the others run first, so that all have read the request before one takes it.
            database = Interleaved(it.world.idp)
            roll = OfficersRoll(database, it.world.sealer, backend)
            requests = KeyRequests(database, it.world.sealer, backend, roll, deployment="a")
            answers = await asyncio.gather(
                *(requests.approve(request.id, "retire", ASKED, it.li, now=clock()) for _ in range(8)),
                return_exceptions=True,
            )
            assert sum(not isinstance(answer, BaseException) for answer in answers) == 1
            assert all(answer.rule == "used" for answer in answers if isinstance(answer, KeyRequestRefused))

    run(story())


def test_a_stranger_files_and_approves_nothing(
    migrated: OpenDatabase, tmp_path: Path, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with office(migrated, tmp_path, clock) as it:
            stranger = select_backend(BACKENDS).generate()
            request = await it.file()
            for attempt in (it.file(stranger), it.requests.approve(request.id, "retire", ASKED, stranger, now=clock())):
                with pytest.raises(OfficerRefused) as error:
                    await attempt
                assert error.value.rule == "unknown_key"

    run(story())


def test_two_officers_stay_and_who_left_files_and_approves_nothing_and_comes_back_under_no_old_name(
    migrated: OpenDatabase, tmp_path: Path, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with office(migrated, tmp_path, clock) as it:
            with pytest.raises(OfficerRefused) as error:
                await it.roll.remove("wang", now=clock())
            assert error.value.rule == "last_two"
            backend = select_backend(BACKENDS)
            zhao = backend.generate()
            await it.roll.enrol("zhao", backend.public_of(zhao), now=clock())
            request = await it.file()
            await it.roll.remove("wang", now=clock())
            assert await it.refused(request.id, it.li) == "officer_gone"
            with pytest.raises(OfficerRefused):
                await it.file()
            for name, key, rule in (
                ("wang", backend.public_of(backend.generate()), "name_taken"),
                ("sun", backend.public_of(it.wang), "key_taken"),
                ("Sun", backend.public_of(backend.generate()), "name"),
                ("", backend.public_of(backend.generate()), "name"),
                ("a" * 33, backend.public_of(backend.generate()), "name"),
            ):
                with pytest.raises(OfficerRefused) as error:
                    await it.roll.enrol(name, key, now=clock())
                assert error.value.rule == rule

    run(story())


def test_fewer_than_two_officers_file_nothing(
    migrated: OpenDatabase, tmp_path: Path, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with keys_world(migrated, tmp_path, clock) as world:
            backend = select_backend(BACKENDS)
            roll = OfficersRoll(world.idp, world.sealer, backend)
            requests = KeyRequests(world.idp, world.sealer, backend, roll, deployment="a")
            alone = backend.generate()
            await roll.enrol("wang", backend.public_of(alone), now=clock())
            with pytest.raises(KeyRequestRefused) as error:
                await requests.file("retire", ASKED, alone, now=clock(), random_bytes=os.urandom)
            assert error.value.rule == "too_few_officers"

    run(story())


def test_writing_into_the_database_makes_no_officer_and_no_request(
    migrated: OpenDatabase, tmp_path: Path, clock: StillClock, run: Run
) -> None:
    """Rows copied to another name or id, or altered, do not open; and the roll fails closed."""

    async def story() -> None:
        async with office(migrated, tmp_path, clock) as it:
            request = await it.file()
            await it.world.idp.execute(
                "INSERT INTO key_request (id, sealed, filed_at, expires_at)"
                " SELECT $1, sealed, filed_at, expires_at FROM key_request WHERE id = $2",
                "ffffffffff",
                request.id,
            )
            with pytest.raises(DecryptionFailed):
                await it.requests.approve("ffffffffff", "retire", ASKED, it.li, now=clock())
            await it.world.idp.execute(
                "INSERT INTO key_officer (name, sealed) SELECT $1, sealed FROM key_officer WHERE name = $2",
                "zhao",
                "li",
            )
            with pytest.raises(DecryptionFailed):
                await it.roll.serving()

    run(story())


def test_a_request_of_another_deployment_with_the_same_key_does_not_verify(
    migrated: OpenDatabase, tmp_path: Path, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with office(migrated, tmp_path, clock) as it:
            request = await it.file()
            backend = select_backend(BACKENDS)
            elsewhere = KeyRequests(it.world.idp, it.world.sealer, backend, it.roll, deployment="b")
            with pytest.raises(KeyRequestRefused) as error:
                await elsewhere.approve(request.id, "retire", ASKED, it.li, now=clock())
            assert error.value.rule == "signature"

    run(story())


def test_roll_and_requests_are_resealed_with_everything_else(
    migrated: OpenDatabase, tmp_path: Path, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with office(migrated, tmp_path, clock) as it:
            request = await it.file()
            new = await it.world.rotate()
            assert (await it.world.resealer.walk()).resealed == 3
            rows = await it.world.idp.fetch("SELECT sealed FROM key_officer UNION ALL SELECT sealed FROM key_request")
            assert {ColumnSealer.key_of(bytes(row["sealed"])) for row in rows} == {new}
            await it.requests.approve(request.id, "retire", ASKED, it.li, now=clock())

    run(story())
