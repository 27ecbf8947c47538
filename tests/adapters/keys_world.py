"""A small deployment whose keys turn: both databases, the key file, a ring, and people whose facts are sealed."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from adapters.kek import KeyEncryptionKeys, create_kek, read_kek
from adapters.sql.database import Database
from adapters.sql.idp_registry import SqlRegistryStore
from adapters.sql.keyring import ColumnKeyRing, DataKeys, check_key_encryption_keys, open_keyring
from adapters.sql.keyring_changes import SPREAD_S, rotate_column_key
from adapters.sql.resealing import Resealer, ResealJob
from crypto.sealed import BlindIndex, ColumnSealer, RingSealer
from idp.registry.model import Source
from idp.registry.person_number import PersonNumber
from tests.conftest import OpenDatabase
from tests.idp.registry.people import FIRST, REGION, id_number, request, school_row
from tests.services.clock import StillClock


class Hand:
    """A monotonic clock moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class KeysWorld:
    """One process of the deployment."""

    idp: Database
    credentials: Database
    kek_file: Path
    clock: StillClock
    monotonic: Hand
    keyring: dict[str, DataKeys]
    ring: ColumnKeyRing
    sealer: RingSealer
    registry: SqlRegistryStore
    resealer: Resealer
    job: ResealJob

    def kek_sealer(self) -> ColumnSealer:
        return sealer_of(read_kek(self.kek_file))

    async def rotate(self) -> str:
        """Turn the column key and let its time come, as an operator and a minute do."""
        now = self.clock()
        kid = await rotate_column_key(
            self.idp, self.kek_sealer(), now=now, seals_from=now + SPREAD_S, random_bytes=os.urandom
        )
        await self.pass_time(SPREAD_S)
        return kid

    async def pass_time(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.monotonic.now += seconds
        await self.ring.refresh()

    async def enrol(self, count: int, *, start: int = 0) -> list[PersonNumber]:
        return [
            (
                await self.registry.enrol_person(
                    request(number=id_number(sequence), local=f"{sequence:06}", phone=f"154{sequence:08}"),
                    now=self.clock(),
                )
            ).person.number
            for sequence in range(start, start + count)
        ]

    async def work_off(self, most: int = 2000) -> int:
        """Let the worker's job run until it has nothing to do at once; return the number of its steps."""
        for step in range(most):
            if not await self.job.step():
                return step + 1
        raise AssertionError("the job never ends")

    async def names(self) -> set[str]:
        """Return under which keys the people's facts are."""
        rows = await self.idp.fetch("SELECT real_name, birth, id_number, phone FROM person")
        return {ColumnSealer.key_of(bytes(value)) for row in rows for value in row.values()}


def sealer_of(kek: KeyEncryptionKeys) -> ColumnSealer:
    return ColumnSealer(kek.by_kid, kek.active, os.urandom)


@asynccontextmanager
async def keys_world(migrated: OpenDatabase, folder: Path, clock: StillClock) -> AsyncIterator[KeysWorld]:
    """Open one process; opened twice in one test it is a second one on the same deployment."""
    kek_file = folder / "keys" / "kek"
    if not kek_file.exists():
        create_kek(kek_file, random_bytes=os.urandom)
    async with migrated("keyring", "registry", "access") as idp, migrated("credentials") as credentials:
        kek = read_kek(kek_file)
        keyring = await open_keyring(idp, sealer_of(kek), now=clock(), random_bytes=os.urandom)
        await check_key_encryption_keys(idp, kek, now=clock())
        monotonic = Hand()
        ring = ColumnKeyRing(idp, kek=lambda: sealer_of(read_kek(kek_file)), clock=clock, monotonic=monotonic)
        await ring.refresh()
        sealer = RingSealer(ring, os.urandom)
        registry = SqlRegistryStore(
            idp,
            sealer=sealer,
            index=BlindIndex(keyring["blind-index"].current),
            random_bytes=random.Random(os.urandom(8)).randbytes,
            region=REGION,
        )
        await registry.import_schools([school_row(2, FIRST.value)], source=Source.OFFICIAL_LIST, now=clock())
        resealer = Resealer({"idp": idp, "credentials": credentials}, sealer)
        job = ResealJob(ring, resealer, idp, clock=clock)
        yield KeysWorld(idp, credentials, kek_file, clock, monotonic, keyring, ring, sealer, registry, resealer, job)
