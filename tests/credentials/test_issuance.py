"""The one path: draft, submit, approve, issue; and what a crash, a retry or a second worker may not do to it."""

from __future__ import annotations

from pathlib import Path

from credentials.verdict import Outcome, Result
from credentials.verification import verify_bundle
from tests.credentials.world import World, graduate, holder, play
from tests.services.clock import StillClock


def test_a_diploma_goes_from_a_row_to_a_valid_verdict(database_url: str, tmp_path: Path, clock: StillClock) -> None:
    async def story(world: World) -> None:
        held = await world.diplomas(graduate(1, name="𠮷㐂·艾力"), graduate(2))
        assert len(held) == 2
        mine = next(one for one in held if one.claims["name"] == "𠮷㐂·艾力")
        data = await world.services.wallet.bundle(holder(mine.holder), mine.id)
        verdict = verify_bundle(data, trust=world.services.trust, now=clock(), status=None)
        assert [(c.name, c.result, dict(c.evidence)) for c in verdict.checks if c.result is not Result.PASS] == []
        assert verdict.outcome is Outcome.VALID
        assert verdict.facts["name"] == "𠮷㐂·艾力"

    play(database_url, tmp_path, clock, story)
