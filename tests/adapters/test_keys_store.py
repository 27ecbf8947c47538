"""The key stores asked by a verifier: which key may still vouch for what it signed, and when."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from adapters.sql.credentials_keys import SqlIssuerKeys
from adapters.sql.idp_keys import SqlKeyStore
from adapters.sql.key_inventory import signing_key_lines, signing_key_of
from credentials.errors import KeyUnavailable
from crypto.keys import KeyState
from crypto.keystore import KeyStateRefused, KeyUnknown
from crypto.sm2 import BACKENDS, select_backend
from crypto.suites import Alg
from idp.keys import OWNER, open_idp_keys
from idp.registry.person_number import new_person_number
from tests.adapters.keys_world import KeysWorld, keys_world
from tests.conftest import OpenDatabase
from tests.services.clock import StillClock

Run = Callable[[Coroutine[Any, Any, None]], None]
ISSUER = "https://trust.example/schools/1"


def issuers(world: KeysWorld) -> SqlIssuerKeys:
    return SqlIssuerKeys(world.credentials, sealer=world.sealer, backend=select_backend(BACKENDS), clock=world.clock)


def test_a_signature_at_or_after_a_compromise_or_outside_the_dates_is_refused(
    migrated: OpenDatabase, tmp_path: Path, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with keys_world(migrated, tmp_path, clock) as world:
            store = SqlKeyStore(world.idp)
            keys = await open_idp_keys(store, sealer=world.sealer, backend=select_backend(BACKENDS), clock=clock)
            kid, now = keys.active(Alg.ES256).kid, clock()
            assert (await store.verifying(OWNER, kid, now)).kid == kid
            for signed_at in (now - 1, now + 10**9):
                with pytest.raises(KeyStateRefused) as refused:
                    await store.verifying(OWNER, kid, signed_at)
                assert refused.value.rule == "outside_dates"
            with pytest.raises(KeyUnknown):
                await store.verifying("another", kid, now)
            # A report that was noted while the key still stood in its old state counts from its moment on.
            await world.idp.execute("UPDATE signing_key SET compromised_at = $1 WHERE kid = $2", now + 100, kid)
            assert (await store.verifying(OWNER, kid, now + 99)).kid == kid
            for signed_at in (now + 100, now + 101):
                with pytest.raises(KeyStateRefused) as refused:
                    await store.verifying(OWNER, kid, signed_at)
                assert refused.value.rule == "compromised"
            # Reported, it is retired: nothing it signed is vouched for here any more, whatever time it bears.
            await store.report_compromise(OWNER, kid, now + 100)
            with pytest.raises(KeyStateRefused) as refused:
                await store.verifying(OWNER, kid, now)
            assert refused.value.rule == "not_verifying"
            line = await signing_key_of(world.idp, world.credentials, kid)
            assert line is not None
            assert (line.state, line.sealed_under, line.compromised_at) == (KeyState.RETIRED, None, now + 100)

    run(story())


def test_an_issuers_retired_key_keeps_vouching_for_the_past_and_its_private_half_is_gone(
    migrated: OpenDatabase, tmp_path: Path, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with keys_world(migrated, tmp_path, clock) as world:
            keys = issuers(world)
            first = await keys.credential_key(ISSUER)
            clock.advance(100)
            await keys.retire(first.kid)
            with pytest.raises(KeyUnavailable):
                await keys.retire(first.kid)
            second = await keys.credential_key(ISSUER)
            assert second.kid != first.kid
            (old, new) = await keys.accredited(ISSUER)
            assert (old.public.kid, old.not_after, old.compromised_at) == (first.kid, clock(), None)
            assert new.public.kid == second.kid
            await keys.report_compromise(second.kid, at=clock() - 5)
            rows = await world.credentials.fetch("SELECT sealed FROM signing_key")
            assert [bytes(row["sealed"]) for row in rows] == [b"", b""]
            # What is destroyed is not walked over.
            await world.rotate()
            tally = await world.resealer.walk()
            assert (tally.resealed, tally.unopened) == (0, 0)

    run(story())


def test_the_inventory_leaves_single_persons_out_unless_asked(
    migrated: OpenDatabase, tmp_path: Path, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with keys_world(migrated, tmp_path, clock) as world:
            keys = issuers(world)
            await keys.credential_key(ISSUER)
            for sequence in range(3):
                await keys.holder_key(new_person_number(lambda count, n=sequence: bytes((n,)) * count))  # type: ignore[misc]  # mypy cannot type a default
            lines, hidden = await signing_key_lines(world.idp, world.credentials, persons=False)
            assert ([line.owner for line in lines], hidden) == ([ISSUER], 3)
            lines, hidden = await signing_key_lines(world.idp, world.credentials, persons=True)
            assert (len(lines), hidden) == (4, 0)
            assert {line.sealed_under for line in lines} == {world.sealer.active}

    run(story())
