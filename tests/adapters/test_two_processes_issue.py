"""Two services on the same stores issue the same batches at the same moment, as two nodes would that know nothing of each other."""

from __future__ import annotations

import asyncio
import secrets
import time
from pathlib import Path

from adapters.app import Application, build_application
from adapters.parts import Parts, open_parts
from adapters.records import open_records
from benchmarks.house import House, open_house
from benchmarks.records import graduates_file
from credentials.model import BatchState

ROWS, BATCHES, ROUNDS_MAX = 30, 2, 500


async def _approved_batch(house: House, first: int) -> str:
    issuance, school = house.application.records.services.issuance, house.province.schools[0].code
    preview = await issuance.draft_diplomas(house.registrar, school, graduates_file(house, first, ROWS))
    assert not preview.refusals
    await issuance.submit(house.registrar, preview.batch.id)
    await issuance.approve(house.approver, preview.batch.id)
    return preview.batch.id


async def _work(parts: Parts, application: Application) -> None:
    """Do what the background loops do until nothing is left."""
    for _ in range(ROUNDS_MAX):
        if await application.records.services.work() == 0:
            return
        await parts.ledger.anchor_now()
        await asyncio.sleep(0)
    raise AssertionError("the work never ends")


def test_what_two_issue_at_once_is_issued_once_and_the_log_is_whole(tmp_path: Path) -> None:
    async def story() -> None:
        def clock() -> int:
            return int(time.time())

        async with (
            open_house(tmp_path) as house,
            open_parts(house.parts.settings, clock=clock, random_bytes=secrets.token_bytes) as parts,
        ):
            other = build_application(parts, await open_records(parts), stated_acr={}, write_log=lambda _line: None)
            try:
                batches = [await _approved_batch(house, number * ROWS + 1) for number in range(BATCHES)]
                await asyncio.gather(_work(house.parts, house.application), _work(parts, other))
                services, school = other.records.services, house.province.schools[0].code
                for batch in batches:
                    progress = await services.issuance.advance(batch)
                    assert progress.batch.state is BatchState.DONE
                issued = await services.statuses.credentials_of(house.approver, school, after=None)
                assert len({held.id for held in issued}) == len(issued) == ROWS * BATCHES

                report = await parts.ledger.fsck(parts.log_trust)
                assert report.clean
                assert report.size == ROWS * BATCHES
            finally:
                other.close()

    asyncio.run(story())
