"""A backup of keys: whole or refused, opened by the key it is under and by nothing else, restored into emptiness only."""

from __future__ import annotations

import io
import os
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from adapters.kek import add_kek, read_kek, write_kek
from adapters.key_backup import (
    BACKED_TABLES,
    CHUNK_BYTES,
    KeyBackupRefused,
    check_backup,
    read_header,
    require_empty,
    restore_rows,
    write_backup,
)
from adapters.operator_keys import OperatorKeys
from adapters.sql.credentials_keys import SqlIssuerKeys
from adapters.sql.engine import open_database
from adapters.sql.idp_keys import SqlKeyStore
from adapters.sql.key_officers import OfficersRoll
from adapters.sql.keyring_changes import rewrap
from adapters.sql.migrate import target_of, upgrade
from crypto.errors import TrustError
from crypto.sm2 import BACKENDS, select_backend
from crypto.suites import Alg, Purpose
from idp.keys import NATIONAL_ALGORITHMS, OWNER, open_idp_keys
from tests.adapters.keys_world import KeysWorld, keys_world
from tests.conftest import OpenDatabase
from tests.scale import trials
from tests.services.clock import StillClock

Run = Callable[[Coroutine[Any, Any, None]], None]
SCHOOL = "https://trust.example/schools/1"
FLIPS = trials(300, full=20_000)


async def keys_of(world: KeysWorld, clock: StillClock, schools: int) -> list[str]:
    """Use every kind of key, making those that are missing; return what was signed with, in order."""
    backend = select_backend(BACKENDS)
    provider = await open_idp_keys(SqlKeyStore(world.idp), sealer=world.sealer, backend=backend, clock=clock)
    operator = OperatorKeys(SqlKeyStore(world.idp), sealer=world.sealer, backend=backend)
    issuers = SqlIssuerKeys(world.credentials, sealer=world.sealer, backend=backend, clock=clock)
    _, log_key = await operator.ensure("log:a", Purpose.CHECKPOINT, Alg.SGD_SM3_SM2, now=clock())
    keys = [provider.active(alg) for alg in NATIONAL_ALGORITHMS] + [log_key]
    keys += [await issuers.credential_key(f"{SCHOOL}{number}") for number in range(schools)]
    for key in keys:
        key.public.verify(b"message", key.sign(b"message"))
    return [key.kid for key in keys]


async def backed_up(world: KeysWorld) -> bytes:
    out = io.BytesIO()
    databases = {"idp": world.idp, "credentials": world.credentials}
    await write_backup(
        out, databases, read_kek(world.kek_file), now=world.clock(), deployment="a", random_bytes=os.urandom
    )
    return out.getvalue()


def test_everything_opens_after_a_restore_into_a_new_place(
    migrated: OpenDatabase, tmp_path: Path, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with keys_world(migrated, tmp_path, clock) as world:
            schools = 200
            kids = await keys_of(world, clock, schools)
            backend = select_backend(BACKENDS)
            private = backend.generate()
            await OfficersRoll(world.idp, world.sealer, backend).enrol("wang", backend.public_of(private), now=clock())
            await world.rotate()
            await world.resealer.walk()
            add_kek(world.kek_file, random_bytes=os.urandom)
            await rewrap(world.idp, world.kek_sealer())
            sealed = world.sealer.seal(b"x", aad=b"a")
            data = await backed_up(world)
            assert len(data) > CHUNK_BYTES / 4
            kek = read_kek(world.kek_file)
            for key in kek.by_kid.values():
                assert key.hex().encode() not in data

        new = tmp_path / "new"
        new.mkdir()
        url = f"sqlite:///{new}"
        for room in ("keyring", "registry", "access", "credentials"):
            upgrade(room, target_of(room, url))
        idp, credentials = await open_database(url, "idp"), await open_database(url, "credentials")
        databases = {"idp": idp, "credentials": credentials}
        source = io.BytesIO(data)
        header = read_header(source)
        start = source.tell()
        contents = check_backup(source, header, kek.by_kid)
        await require_empty(databases)
        source.seek(start)
        assert await restore_rows(source, header, kek.by_kid, databases) == contents.rows
        with pytest.raises(KeyBackupRefused) as refused:
            await require_empty(databases)
        assert refused.value.rule == "not_empty"
        (new / "keys").mkdir()
        write_kek(new / "keys" / "kek", contents.kek)
        await idp.close()
        await credentials.close()

        def migrated_there(*rooms: str) -> Any:
            return opened(url, rooms)

        async with keys_world(migrated_there, new, clock) as restored:
            assert restored.sealer.open(sealed, aad=b"a") == b"x"
            assert await keys_of(restored, clock, schools) == kids
            roll = OfficersRoll(restored.idp, restored.sealer, backend)
            assert (await roll.of_private(private)).name == "wang"
            assert await restored.resealer.count(None) == {}

    run(story())


def opened(url: str, rooms: tuple[str, ...]) -> Any:
    from contextlib import asynccontextmanager

    from adapters.sql.migrate import SCHEMA_OF_ROOM

    @asynccontextmanager
    async def there() -> Any:
        database = await open_database(url, SCHEMA_OF_ROOM[rooms[0]])
        yield database
        await database.close()

    return there()


def test_another_key_opens_no_backup(migrated: OpenDatabase, tmp_path: Path, clock: StillClock, run: Run) -> None:
    async def story() -> None:
        async with keys_world(migrated, tmp_path, clock) as world:
            data = await backed_up(world)
        for kek in ({"kek-1": os.urandom(16)}, {"kek-9": os.urandom(16)}, {}):
            source = io.BytesIO(data)
            with pytest.raises(KeyBackupRefused) as refused:
                check_backup(source, read_header(source), kek)
            assert refused.value.rule == "other_key"

    run(story())


@pytest.mark.soak
def test_no_altered_cut_or_lengthened_backup_is_taken(
    migrated: OpenDatabase, tmp_path: Path, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with keys_world(migrated, tmp_path, clock) as world:
            await keys_of(world, clock, 2)
            data = await backed_up(world)
            kek = read_kek(world.kek_file).by_kid
        draw = random.Random(20261122)
        altered = []
        for _ in range(FLIPS):
            place = draw.randrange(8 * len(data))
            flipped = bytearray(data)
            flipped[place // 8] ^= 1 << place % 8
            altered.append(bytes(flipped))
        altered += [data[: draw.randrange(len(data))] for _ in range(50)]
        altered += [data + b"\x00", data + data, b"", b"\n", b"{}\n" + data]
        for wrong in altered:
            source = io.BytesIO(wrong)
            with pytest.raises(TrustError):
                check_backup(source, read_header(source), kek)

    run(story())


def test_the_chunks_of_two_backups_do_not_mix_and_none_can_be_left_out(
    migrated: OpenDatabase, tmp_path: Path, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with keys_world(migrated, tmp_path, clock) as world:
            issuers = SqlIssuerKeys(
                world.credentials, sealer=world.sealer, backend=select_backend(BACKENDS), clock=clock
            )
            for number in range(450):
                await issuers.credential_key(f"{SCHOOL}{number}")
            one, two = await backed_up(world), await backed_up(world)
            kek = read_kek(world.kek_file).by_kid
        (head_one, *first), (_, *second) = chunks_of(one), chunks_of(two)
        assert len(first) >= 2
        for wrong in (
            [head_one, second[0], *first[1:]],
            [head_one, *first[:-1]],
            [head_one, *first[1:]],
            [head_one, first[1], first[0], *first[2:]],
            [head_one, first[0], *first],
        ):
            source = io.BytesIO(b"".join(wrong))
            with pytest.raises(KeyBackupRefused) as refused:
                check_backup(source, read_header(source), kek)
            assert refused.value.rule == "damaged"
        source = io.BytesIO(one)
        check_backup(source, read_header(source), kek)

    run(story())


def chunks_of(data: bytes) -> list[bytes]:
    head, _, rest = data.partition(b"\n")
    found = [head + b"\n"]
    while rest:
        size = 4 + (int.from_bytes(rest[:4], "big") & (1 << 31) - 1)
        found.append(rest[:size])
        rest = rest[size:]
    return found


def test_every_table_of_keys_is_in_the_backup(
    migrated: OpenDatabase, tmp_path: Path, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with keys_world(migrated, tmp_path, clock) as world:
            await keys_of(world, clock, 1)
            source = io.BytesIO(await backed_up(world))
            contents = check_backup(source, read_header(source), read_kek(world.kek_file).by_kid)
            expected = 0
            for table in BACKED_TABLES:
                database = {"idp": world.idp, "credentials": world.credentials}[table.schema]
                row = await database.fetch_one(f"SELECT count(*) AS n FROM {table.table}")  # noqa: S608  # our own names
                assert row is not None
                expected += row["n"]
            assert contents.rows == expected
            record = await SqlKeyStore(world.idp).active(OWNER, Purpose.ID_TOKEN, Alg.ES256)
            assert record.sealed_private is not None

    run(story())
