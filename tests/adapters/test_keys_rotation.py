"""The column key turns under a running service: nothing stops, nothing is lost, and nothing is destroyed too early."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from adapters.kek import KekRefused, add_kek, read_kek, remove_kek, write_kek
from adapters.sql.database import StoreUnavailable
from adapters.sql.keyring import STALE_S, KeyringRefused, check_key_encryption_keys, open_keyring
from adapters.sql.keyring_changes import (
    SETTLE_S,
    SPREAD_S,
    KeyringChangeRefused,
    data_key_lines,
    destroy_column_key,
    kek_lines,
    mark_kek_destroyed,
    require_unused_kek,
    rewrap,
    rotate_column_key,
)
from adapters.sql.resealing import BATCH_ROWS, Place
from crypto.errors import DecryptionFailed
from crypto.keys import KeyState
from crypto.sealed import ColumnSealer
from tests.adapters.keys_world import keys_world, sealer_of
from tests.conftest import OpenDatabase
from tests.idp.registry.people import id_number
from tests.services.clock import StillClock

Run = Callable[[Coroutine[Any, Any, None]], None]
ROOT = Path(__file__).resolve().parents[2]


def test_a_new_column_key_is_known_to_every_process_before_it_seals(
    migrated: OpenDatabase, tmp_path: Path, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with keys_world(migrated, tmp_path, clock) as one, keys_world(migrated, tmp_path, clock) as two:
            before = one.sealer.active
            now = clock()
            kid = await rotate_column_key(
                one.idp, one.kek_sealer(), now=now, seals_from=now + SPREAD_S, random_bytes=os.urandom
            )
            with pytest.raises(KeyringChangeRefused) as refused:
                await rotate_column_key(
                    one.idp, one.kek_sealer(), now=now, seals_from=now + 1000, random_bytes=os.urandom
                )
            assert refused.value.rule == "pending"
            for process in (one, two):
                await process.pass_time(0)
                assert process.sealer.active == before
            sealed = one.sealer.seal(b"x", aad=b"a")
            clock.advance(SPREAD_S)
            assert [one.sealer.active, two.sealer.active] == [kid, kid]
            # Neither has read the table again: the key was in both rings before its time came.
            assert two.sealer.open(one.sealer.seal(b"y", aad=b"a"), aad=b"a") == b"y"
            assert two.sealer.open(sealed, aad=b"a") == b"x"

    run(story())


def test_a_process_that_cannot_read_the_keyring_seals_nothing_more_and_opens_what_it_knows(
    migrated: OpenDatabase, tmp_path: Path, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with keys_world(migrated, tmp_path, clock) as one, keys_world(migrated, tmp_path, clock) as cut_off:
            sealed = cut_off.sealer.seal(b"x", aad=b"a")
            await one.rotate()
            with pytest.raises(DecryptionFailed) as refused:
                cut_off.sealer.open(one.sealer.seal(b"y", aad=b"a"), aad=b"a")
            assert refused.value.rule == "unknown_key"
            cut_off.monotonic.now += STALE_S
            cut_off.sealer.seal(b"x", aad=b"a")
            cut_off.monotonic.now += 0.1
            with pytest.raises(StoreUnavailable):
                cut_off.sealer.seal(b"x", aad=b"a")
            assert cut_off.sealer.open(sealed, aad=b"a") == b"x"
            await cut_off.ring.refresh()
            assert cut_off.sealer.active == one.sealer.active
            cut_off.sealer.seal(b"x", aad=b"a")

    run(story())


def test_a_running_ring_reads_the_keyring_by_itself_and_at_once_for_an_unknown_key(
    migrated: OpenDatabase, tmp_path: Path, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with (
            keys_world(migrated, tmp_path, clock) as one,
            keys_world(migrated, tmp_path, clock) as two,
            two.ring.kept_fresh(),
        ):
            await one.rotate()
            sealed = one.sealer.seal(b"x", aad=b"a")
            begun = time.monotonic()
            while two.ring.opening(ColumnSealer.key_of(sealed)) is None:
                await asyncio.sleep(0.01)
                assert time.monotonic() - begun < 60
            assert two.sealer.open(sealed, aad=b"a") == b"x"

    run(story())


def test_resealing_brings_every_row_under_the_new_key_in_bounded_steps_and_loses_nothing(
    migrated: OpenDatabase, tmp_path: Path, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with keys_world(migrated, tmp_path, clock) as world:
            people = await world.enrol(2 * BATCH_ROWS + 7)
            assert not await world.job.step(), "nothing to do before the key turns"
            old, new = world.sealer.active, await world.rotate()
            assert await world.names() == {old}
            assert sum((await world.resealer.count(old)).values()) == 4 * len(people)
            heard: list[Place] = []
            tally = await world.resealer.walk(lambda place, _: heard.append(place))
            assert (tally.resealed, tally.overtaken, tally.unopened) == (4 * len(people), 0, 0)
            assert len(heard) >= 3
            assert await world.names() == {new}
            assert await world.resealer.count(None) == await world.resealer.count(old) == {}
            again = await world.resealer.walk()
            assert (again.resealed, again.rows) == (0, tally.rows)
            for sequence, number in enumerate(people):
                assert await world.registry.id_number(number) == id_number(sequence)

    run(story())


def test_the_worker_reseals_until_a_whole_pass_finds_nothing_and_then_rests(
    migrated: OpenDatabase, tmp_path: Path, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with keys_world(migrated, tmp_path, clock) as world:
            await world.enrol(BATCH_ROWS + 1)
            old, new = world.sealer.active, await world.rotate()
            await world.work_off()
            assert await world.names() == {new}
            # Not marked yet: for STALE_S another process might have sealed under the old key.
            assert [key.kid for key in world.ring.left_behind()] == [old]
            await world.pass_time(int(STALE_S))
            await world.work_off()
            assert world.ring.left_behind() == ()
            assert await world.job.step() is False

    run(story())


def test_a_key_is_destroyed_only_when_it_is_settled_and_the_count_is_zero(
    migrated: OpenDatabase, tmp_path: Path, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with keys_world(migrated, tmp_path, clock) as world:
            people = await world.enrol(3)
            old = world.sealer.active

            async def refused(kid: str) -> str | None:
                with pytest.raises(KeyringChangeRefused) as error:
                    await destroy_column_key(world.idp, world.resealer, kid, now=clock())
                return error.value.rule

            assert await refused(old) == "in_use"
            new = await world.rotate()
            assert await refused(new) == "in_use"
            assert await refused(old) == "settling"
            await world.pass_time(SETTLE_S)
            assert await refused(old) == "values_left"
            await world.resealer.walk()
            await destroy_column_key(world.idp, world.resealer, old, now=clock())
            assert await refused(old) == "retired"
            assert await refused("column-none") == "unknown_key"
            assert await refused(world.keyring["blind-index"].active) == "unknown_key"
            states = {
                line.kid: line.state
                for line in await data_key_lines(world.idp, now=clock())
                if line.purpose == "column"
            }
            assert states == {old: KeyState.RETIRED, new: KeyState.ACTIVE}
            row = await world.idp.fetch_one("SELECT sealed FROM data_key WHERE kid = $1", old)
            assert row is not None
            assert bytes(row["sealed"]) == b""
            assert await world.registry.phone(people[0]) == "15400000000"
            async with keys_world(migrated, tmp_path, clock) as restarted:
                assert await restarted.registry.phone(people[0]) == "15400000000"

    run(story())


def test_a_value_that_does_not_open_is_counted_passed_over_and_keeps_its_key_alive(
    migrated: OpenDatabase, tmp_path: Path, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with keys_world(migrated, tmp_path, clock) as world:
            one, two, three = await world.enrol(3)
            old = world.sealer.active
            await world.idp.execute(
                "UPDATE person SET phone = (SELECT phone FROM person WHERE number = $1) WHERE number = $2",
                one.value,
                two.value,
            )
            new = await world.rotate()
            tally = await world.resealer.walk()
            assert (tally.resealed, tally.unopened) == (11, 1)
            assert await world.resealer.count(old) == {"idp.person.phone": 1}
            assert await world.registry.phone(three) == "15400000002"
            await world.pass_time(SETTLE_S)
            await world.work_off()
            assert [key.kid for key in world.ring.left_behind()] == [old]
            with pytest.raises(KeyringChangeRefused) as refused:
                await destroy_column_key(world.idp, world.resealer, old, now=clock())
            assert refused.value.rule == "values_left"
            assert world.sealer.active == new
            # The job does not go round and round over what it cannot open.
            assert await world.work_off(1) == 1

    run(story())


def test_a_writer_during_the_walk_is_never_overwritten(
    migrated: OpenDatabase, tmp_path: Path, clock: StillClock, run: Run
) -> None:
    """Writers change phones while two processes walk: what stands at the end is each writer's last word."""

    async def story() -> None:
        async with keys_world(migrated, tmp_path, clock) as one, keys_world(migrated, tmp_path, clock) as two:
            people = await one.enrol(60)
            draw = random.Random(7)
            expected: dict[str, str] = {}
            for turn in range(3):
                new = await one.rotate()
                await two.pass_time(0)
                ended = asyncio.Event()

                async def write(turn: int = turn, ended: asyncio.Event = ended) -> None:
                    number = 0
                    while not ended.is_set():
                        person = draw.choice(people)
                        phone = f"15{turn}{number:08}"
                        await two.registry.set_phone(person, phone, now=clock())
                        expected[person.value] = phone
                        number += 1
                        await asyncio.sleep(0)

                writers = [asyncio.create_task(write())]
                tallies = await asyncio.gather(one.resealer.walk(), two.resealer.walk())
                ended.set()
                await asyncio.gather(*writers)
                assert sum(tally.unopened for tally in tallies) == 0
                await one.resealer.walk()
                assert await one.names() == {new}
            for number in people:
                if number.value in expected:
                    assert await one.registry.phone(number) == expected[number.value]

    run(story())


def test_a_value_changed_between_reading_and_writing_stays_as_its_writer_left_it(
    migrated: OpenDatabase, tmp_path: Path, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with keys_world(migrated, tmp_path, clock) as world:
            (person,) = await world.enrol(1)
            await world.rotate()
            swap_all = world.resealer._swap_all

            async def late(database: Any, changes: Any) -> int:
                if changes:
                    await world.registry.set_phone(person, "15999999999", now=clock())
                return await swap_all(database, changes)

            world.resealer._swap_all = late  # type: ignore[method-assign]  # the moment between reading and writing
            tally = await world.resealer.walk()
            assert (tally.resealed, tally.overtaken) == (3, 1)
            assert await world.registry.phone(person) == "15999999999"

    run(story())


def test_killed_in_the_middle_the_walk_goes_on_from_what_is_done(
    migrated: OpenDatabase, database_url: str, tmp_path: Path, clock: StillClock, run: Run
) -> None:
    people: list[str] = []

    async def prepare() -> None:
        async with keys_world(migrated, tmp_path, clock) as world:
            people.extend(number.value for number in await world.enrol(3 * BATCH_ROWS))
            await world.rotate()

    left: list[int] = []

    async def finish() -> None:
        async with keys_world(migrated, tmp_path, clock) as world:
            left.append(sum((await world.resealer.count(None)).values()))
            tally = await world.resealer.walk()
            assert tally.resealed == left[-1]
            assert await world.resealer.count(None) == {}
            for sequence in range(0, len(people), 17):
                found = await world.registry.find_by_id_number(id_number(sequence))
                assert found is not None
                assert await world.registry.phone(found.number) == f"154{sequence:08}"

    run(prepare())
    walker = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.adapters.reseal_process",
            database_url,
            str(tmp_path / "keys" / "kek"),
            str(clock()),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    assert walker.stdout is not None
    while (line := walker.stdout.readline()) and not line.startswith(b"resealed "):
        pass
    walker.kill()
    walker.stdout.close()
    walker.wait()
    run(finish())
    assert 0 < left[0] < 4 * len(people), "killed in the middle"


def test_the_key_encryption_key_turns_under_a_running_service(
    migrated: OpenDatabase, tmp_path: Path, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with keys_world(migrated, tmp_path, clock) as world:
            (person,) = await world.enrol(1)
            before = read_kek(world.kek_file)
            after = add_kek(world.kek_file, random_bytes=os.urandom)
            assert (before.active, after.active) == ("kek-1", "kek-2")
            await check_key_encryption_keys(world.idp, after, now=clock())
            with pytest.raises(KeyringChangeRefused):
                await require_unused_kek(world.idp, "kek-1")
            assert await rewrap(world.idp, world.kek_sealer()) == len(world.keyring)
            assert await rewrap(world.idp, world.kek_sealer()) == 0
            # The process that runs reads nothing it cannot open, and meets the next data key through the file.
            await world.pass_time(1)
            assert await world.registry.phone(person) == "15400000000"
            await world.rotate()
            await world.registry.set_phone(person, "15400000009", now=clock())
            lines = await kek_lines(world.idp, in_file=list(read_kek(world.kek_file).by_kid))
            assert [(line.kid, line.state, line.data_keys) for line in lines] == [
                ("kek-1", KeyState.RETIRING, 0),
                ("kek-2", KeyState.ACTIVE, len(world.keyring) + 1),
            ]
            await require_unused_kek(world.idp, "kek-1")
            with pytest.raises(KekRefused):
                remove_kek(world.kek_file, "kek-2")
            remove_kek(world.kek_file, "kek-1")
            await mark_kek_destroyed(world.idp, "kek-1", now=clock())
            async with keys_world(migrated, tmp_path, clock) as restarted:
                assert await restarted.registry.phone(person) == "15400000009"

    run(story())


def test_after_a_rotation_the_old_key_alone_or_another_of_the_same_name_opens_nothing(
    migrated: OpenDatabase, tmp_path: Path, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with keys_world(migrated, tmp_path, clock) as world:
            before = read_kek(world.kek_file)
            after = add_kek(world.kek_file, random_bytes=os.urandom)
            await check_key_encryption_keys(world.idp, after, now=clock())
            await rewrap(world.idp, sealer_of(after))
            with pytest.raises(KeyringRefused):
                await open_keyring(world.idp, sealer_of(before), now=clock(), random_bytes=os.urandom)
            forged = write_kek(tmp_path / "forged", {"kek-1": os.urandom(16), "kek-2": after.by_kid["kek-2"]})
            await open_keyring(world.idp, sealer_of(forged), now=clock(), random_bytes=os.urandom)
            with pytest.raises(KeyringRefused):
                await check_key_encryption_keys(world.idp, forged, now=clock())

    run(story())


def test_a_crash_between_the_file_and_the_keyring_leaves_both_keys_in_the_file(
    migrated: OpenDatabase, tmp_path: Path, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with keys_world(migrated, tmp_path, clock) as world:
            (person,) = await world.enrol(1)
            add_kek(world.kek_file, random_bytes=os.urandom)
            world.kek_file.with_name("kek.new").write_text("left by a crash", "utf-8")
            async with keys_world(migrated, tmp_path, clock) as restarted:
                assert await restarted.registry.phone(person) == "15400000000"
            assert add_kek(world.kek_file, random_bytes=os.urandom).active == "kek-3"

    run(story())
