"""Records: issuing a year's diplomas from the registrar's file to the anchored receipt, judging bundles, growing the log."""

from __future__ import annotations

import csv
import io
import secrets
import time
from dataclasses import replace
from datetime import date, timedelta

from adapters.demo.graduates import COLUMNS, certificate_number, degree_number
from benchmarks.house import House
from benchmarks.measure import Figure, Tally
from credentials.model import BatchState
from credentials.verification import verify_bundle
from idp.registry.id_number import check_sign
from ledger.sequencer import MAX_POOL_ENTRIES

BATCH = 500
# A slow machine measures fewer batches rather than longer.
ISSUING_S_MAX = 45.0

# The size of the entry that a credential leaves in the log: kind, commitment, issuer and batch.
ENTRY_BYTES = 200


def graduates_file(house: House, first: int, count: int) -> bytes:
    """Return the registrar's file of so many invented graduates, numbered from `first`."""
    school, year = house.province.schools[0].code, house.province.graduation_year
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for sequence in range(first, first + count):
        # 500000 is the province itself: no ID number was ever issued under it.
        payload = f"{house.province.region}{date(year - 22, 1, 1) + timedelta(days=sequence // 999):%Y%m%d}"
        payload += f"{sequence % 999 + 1:03}"
        writer.writerow(
            [
                "李明", payload + check_sign(payload), f"{year - 4}{sequence:06}", school.value, "法学", "030101K", "本科", "4",
                f"{year - 4}-09-01", f"{year}-06-20",
                certificate_number(school, year=year, level="05", sequence=sequence),
                degree_number(school, year=year, degree="4", sequence=sequence),
            ]
        )  # fmt: skip
    return text.getvalue().encode()


async def issuance_figure(house: House, *, count: int) -> Figure:
    """Measure batches: read the file, two persons, every diploma signed, logged under a checkpoint, anchored."""
    done, spent = 0, 0.0
    while done < count and spent < ISSUING_S_MAX:
        size = min(BATCH, count - done)
        data = graduates_file(house, done + 1, size)
        begun = time.perf_counter()
        await _issue(house, data, size)
        spent += time.perf_counter() - begun
        done += size
    return Figure(f"diplomas issued, file to anchored receipt, {done} in batches of {BATCH}", done / spent)


async def _issue(house: House, data: bytes, size: int) -> None:
    issuance, school = house.application.records.services.issuance, house.province.schools[0].code
    preview = await issuance.draft_diplomas(house.registrar, school, data)
    if preview.refusals or preview.batch.total != size:
        raise RuntimeError(f"{len(preview.refusals)} rows were refused")
    await issuance.submit(house.registrar, preview.batch.id)
    await issuance.approve(house.approver, preview.batch.id)
    while True:
        progress = await issuance.advance(preview.batch.id)
        if progress.batch.state is BatchState.DONE:
            return
        if progress.batch.state is BatchState.LOGGED:
            await house.parts.ledger.anchor_now()


async def verification_figure(house: House, *, seconds: float) -> Figure:
    """Measure the whole judgement of one bundle with everything disclosed, offline."""
    services, school = house.application.records.services, house.province.schools[0].code
    held = (await services.statuses.credentials_of(house.approver, school, after=None))[0]
    data = await services.wallet.bundle(replace(house.registrar, person=held.holder, offices=()), held.id)
    now = house.parts.clock()
    if verify_bundle(data, trust=services.trust, now=now, status=None).verdict != "valid":
        raise RuntimeError("the bundle to be judged is not valid")
    tally = Tally()
    tally.run(lambda: verify_bundle(data, trust=services.trust, now=now, status=None), seconds)
    return Figure("bundles verified offline, every check", tally.per_s)


async def ledger_figure(house: House, *, seconds: float) -> Figure:
    """Measure entries made durable under a signed checkpoint of both trees, in full pools."""
    pools = 0
    begun = time.perf_counter()
    while (spent := time.perf_counter() - begun) < seconds:
        pool = [(secrets.token_bytes(ENTRY_BYTES), secrets.token_bytes(32)) for _ in range(MAX_POOL_ENTRIES)]
        await house.parts.ledger.append(pool)
        pools += 1
    return Figure(f"ledger entries appended, pools of {MAX_POOL_ENTRIES}", pools * MAX_POOL_ENTRIES / spent)
