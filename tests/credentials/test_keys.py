"""Issuers', holders' and officers' keys: made once, rotated without a gap, dead when reported, sealed at rest."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest

from credentials.accreditation import KeyPurpose, unverified_statement
from credentials.verdict import Outcome
from credentials.verification import verify_bundle
from crypto.errors import TrustError
from crypto.suites import Alg
from tests.credentials.world import BASE, SCHOOL, World, graduate, holder, play
from tests.services.clock import StillClock

ISSUER = f"{BASE}/schools/{SCHOOL}"


def test_first_uses_at_once_make_one_key(database_url: str, tmp_path: Path, clock: StillClock) -> None:
    async def story(world: World) -> None:
        made = await asyncio.gather(*(world.keys.credential_key(ISSUER) for _ in range(16)))
        assert len({key.kid for key in made}) == 1
        other = await world.keys.credential_key(f"{BASE}/schools/other")
        status = await world.keys.status_key(ISSUER)
        assert len({made[0].kid, other.kid, status.kid}) == 3
        assert (await world.keys.document_key(ISSUER)).alg is Alg.ES256
        assert made[0].alg is Alg.SGD_SM3_SM2

    play(database_url, tmp_path, clock, story)


def test_a_rotated_key_signs_nothing_and_what_it_signed_stays_valid(
    database_url: str, tmp_path: Path, clock: StillClock
) -> None:
    async def story(world: World) -> None:
        (one,) = await world.diplomas(graduate(1))
        before = await world.keys.credential_key(ISSUER)
        clock.advance(3600)
        after = await world.keys.rotate(ISSUER, KeyPurpose.CREDENTIAL)
        assert (await world.keys.credential_key(ISSUER)).kid == after.kid != before.kid
        (two,) = await world.diplomas(graduate(2))
        clock.advance(400 * 86400)
        for held in (one, two):
            data = await world.services.wallet.bundle(holder(held.holder), held.id)
            assert (await world.services.desk.of_file(data)).outcome is Outcome.VALID
        school = await world.registry.school(SCHOOL)
        statement = unverified_statement((await world.services.accreditation.chain(school))[-1])
        kids = [key.public.kid for key in statement.keys if key.purpose is KeyPurpose.CREDENTIAL]
        assert kids == [before.kid, after.kid]

    play(database_url, tmp_path, clock, story)


def test_a_compromise_spares_what_was_anchored_before_and_nothing_after(
    database_url: str, tmp_path: Path, clock: StillClock
) -> None:
    async def story(world: World) -> None:
        (one,) = await world.diplomas(graduate(1))
        old_copy = await world.services.wallet.bundle(holder(one.holder), one.id)
        clock.advance(3600)
        (two,) = await world.diplomas(graduate(2))
        copy_of_two = await world.services.wallet.bundle(holder(two.holder), two.id)
        stolen = await world.keys.credential_key(ISSUER)
        clock.advance(3600)
        await world.keys.report_compromise(stolen.kid, at=clock() - 4000)
        await world.keys.report_compromise(stolen.kid, at=clock())
        assert (await world.keys.credential_key(ISSUER)).kid != stolen.kid
        desk = world.services.desk
        assert (await desk.of_file(old_copy)).outcome is Outcome.VALID
        # The bundle made before the report still brings the old statement along; the desk knows the newer one.
        assert (await desk.of_file(copy_of_two)).outcome is Outcome.INVALID
        assert verify_bundle(copy_of_two, trust=world.services.trust, now=clock(), status=None).outcome is Outcome.VALID

    play(database_url, tmp_path, clock, story)


def test_private_keys_are_sealed_and_open_only_in_their_own_row(tmp_path: Path, clock: StillClock) -> None:
    async def story(world: World) -> None:
        one, two = await world.keys.credential_key(ISSUER), await world.keys.status_key(ISSUER)
        stored = b"".join((tmp_path / f"credentials.sqlite3{end}").read_bytes() for end in ("", "-wal"))
        assert one.private_jwk["d"].encode() not in stored
        with sqlite3.connect(tmp_path / "credentials.sqlite3") as connection:
            rows = connection.execute("SELECT public_jwk FROM signing_key").fetchall()
            assert all("d" not in json.loads(row[0]) for row in rows)
            connection.execute(
                "UPDATE signing_key SET sealed = (SELECT sealed FROM signing_key WHERE kid = ?) WHERE kid = ?",
                (one.kid, two.kid),
            )
        connection.close()
        world.keys._opened.clear()
        with pytest.raises(TrustError):
            await world.keys.status_key(ISSUER)

    play(f"sqlite:///{tmp_path}", tmp_path, clock, story)
