"""The log's figures: how old its word is, whether it refuses to give it, how far files and chains have come."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from adapters.kek import create_kek
from adapters.observe import metrics
from adapters.parts import MoreAnchors, Parts, open_parts
from adapters.settings import check_settings
from crypto.keys import SigningKey
from ledger.anchor import AnchorDriver, AnchoredHead, AnchorEvidence, AnchorRequest, sign_evidence
from ledger.anchoring import MAX_BACKOFF_S
from ledger.anchoring_transactions import AnchorTransactions
from ledger.checkpoint import verify_checkpoint
from ledger.errors import AnchorRefused, ClockWentBack, IntegrityBroken
from ledger.layout import CheckpointPath
from tests.adapters.observe.scraping import Scraper, scraping
from tests.services.clock import StillClock
from tests.services.tables import make_tables

Run = Callable[[Coroutine[Any, Any, None]], None]
NOW = 1_782_864_000
OTHER_CHAIN = "evm:7"


class Moody:
    """A place of anchoring of this test's own: it says no, holds another history, or does its duty."""

    chain = OTHER_CHAIN

    def __init__(self, witness: SigningKey, clock: StillClock) -> None:
        self._witness = witness
        self._clock = clock
        self.refusing: AnchorRefused | None = None
        self.held: AnchoredHead | None = None

    def head(self, origin: str) -> AnchoredHead | None:
        return self.held

    def anchor(self, request: AnchorRequest) -> AnchorEvidence:
        if self.refusing is not None:
            raise self.refusing
        return sign_evidence(
            request.checkpoint, chain=self.chain, time=self._clock(), reference={"tx": "0x1"}, witness=self._witness
        )


@asynccontextmanager
async def opened(
    folder: Path, clock: StillClock, more_anchors: MoreAnchors | None = None
) -> AsyncIterator[tuple[Parts, Scraper]]:
    settings = check_settings({"issuer": "http://127.0.0.1:8080", "data_dir": str(folder)})
    create_kek(settings.kek_file, random_bytes=os.urandom)
    make_tables(settings.database_url)
    async with (
        open_parts(settings, clock=clock, random_bytes=os.urandom, more_anchors=more_anchors) as parts,
        scraping(parts) as scrape,
    ):
        yield parts, scrape


async def append(parts: Parts, entries: int = 1) -> None:
    await parts.ledger.append([(b"entry", os.urandom(32)) for _ in range(entries)])


def test_the_checkpoint_s_age_grows_with_the_clock(tmp_path: Path, clock: StillClock, run: Run) -> None:
    async def story() -> None:
        async with opened(tmp_path, clock) as (parts, scrape):
            await append(parts, 3)
            ages = []
            for _ in range(3):
                found = await scrape()
                assert found[metrics.LEDGER_ENTRIES.name] == 3
                ages.append(clock() - found[metrics.LEDGER_CHECKPOINT.name])
                clock.advance(3600)
            assert ages == [0, 3600, 7200]
            await append(parts)
            found = await scrape()
            assert clock() == found[metrics.LEDGER_CHECKPOINT.name]
            assert found[metrics.LEDGER_ENTRIES.name] == 4
            assert found[f"{metrics.LEDGER_POOL.name}_sum"] == 4
            assert found[f"{metrics.LEDGER_POOL.name}_count"] == 2
            assert found[f"{metrics.LEDGER_POOL_SECONDS.name}_count"] == 2

    run(story())


def test_a_log_that_refuses_to_sign_says_so_until_it_signs(tmp_path: Path, clock: StillClock, run: Run) -> None:
    async def story() -> None:
        async with opened(tmp_path, clock) as (parts, scrape):
            await append(parts)
            assert (await scrape())[metrics.LEDGER_REFUSES.name] == 0
            clock.advance(-60)
            with pytest.raises(ClockWentBack):
                await append(parts)
            found = await scrape()
            assert found[metrics.LEDGER_REFUSES.name] == 1
            assert found[metrics.LEDGER_ENTRIES.name] == 1
            clock.advance(61)
            await append(parts)
            assert (await scrape())[metrics.LEDGER_REFUSES.name] == 0

    run(story())


def _altered(folder: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(folder / "ledger.sqlite3")) as database, database:
        assert database.execute(statement, values).rowcount == 1


@pytest.mark.parametrize("by", ["an append", "signing again"])
def test_rows_that_contradict_the_signature_are_a_refusal_to_sign(
    tmp_path: Path, clock: StillClock, run: Run, by: str
) -> None:
    async def story() -> None:
        async with opened(tmp_path, clock) as (parts, scrape):
            await append(parts, 3)
            _altered(tmp_path, "UPDATE tile SET data = zeroblob(length(data)) WHERE level = 0 AND tree = 'sm3'")
            with pytest.raises(IntegrityBroken):
                await (append(parts) if by == "an append" else parts.ledger.refresh(0))
            assert (await scrape())[metrics.LEDGER_REFUSES.name] == 1

    run(story())


def test_a_database_behind_its_own_files_is_a_refusal_before_anybody_appends(
    tmp_path: Path, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        async with opened(tmp_path, clock) as (parts, scrape):
            await append(parts)
            older = await parts.ledger.checkpoint()
            await append(parts, 2)
            await parts.ledger.publish_now()
            found = await scrape()
            assert found[metrics.LEDGER_PUBLICATION_LAG.name] == 0
            # What an old backup put back under a running service does.
            _altered(tmp_path, "UPDATE log SET size = 1, note = ?", older)
            found = await scrape()
            assert found[metrics.LEDGER_PUBLICATION_LAG.name] == -2
            assert found[metrics.LEDGER_REFUSES.name] == 1

    run(story())


def test_a_head_that_nobody_signed_is_no_figure(tmp_path: Path, clock: StillClock, run: Run) -> None:
    async def story() -> None:
        async with opened(tmp_path, clock) as (parts, scrape):
            await append(parts)
            note = await parts.ledger.checkpoint()
            at = note.index(b"time ")
            _altered(tmp_path, "UPDATE log SET note = ?", note[: at + 5] + b"9" + note[at + 6 :])
            found = await scrape()
            assert found.get(metrics.LEDGER_CHECKPOINT.name) is None
            assert found.get(metrics.STORE_UP.name, store="ledger") == 0

    run(story())


def test_what_is_signed_and_not_published_yet_is_the_lag(tmp_path: Path, clock: StillClock, run: Run) -> None:
    async def story() -> None:
        async with opened(tmp_path, clock) as (parts, scrape):
            await append(parts)
            await parts.ledger.publish_now()
            published = parts.log_folder.read(CheckpointPath())
            assert published is not None
            with parts.log_folder.locked():  # the publisher waits for it
                await append(parts, 2)
                found = await scrape()
            assert found[metrics.LEDGER_PUBLICATION_LAG.name] == 2
            await parts.ledger.publish_now()
            assert (await scrape())[metrics.LEDGER_PUBLICATION_LAG.name] == 0

    run(story())


def _moody(clock: StillClock) -> tuple[list[Moody], MoreAnchors]:
    made: list[Moody] = []

    def more(witness: SigningKey, _transactions: AnchorTransactions) -> Sequence[AnchorDriver]:
        made.append(Moody(witness, clock))
        return made

    return made, more


def test_each_chain_says_how_far_it_is_and_since_when_something_waits(
    tmp_path: Path, clock: StillClock, run: Run
) -> None:
    async def story() -> None:
        made, more = _moody(clock)
        async with opened(tmp_path, clock, more) as (parts, scrape):
            [chain] = made
            await append(parts, 2)
            await parts.ledger.anchor_now()
            chain.refusing = AnchorRefused(field="node", rule="answers")
            signed = []
            for _ in range(3):
                clock.advance(MAX_BACKOFF_S + 1)
                await append(parts)
                signed.append(clock())
                await parts.ledger.anchor_now()
            found = await scrape()
            assert found.get(metrics.ANCHOR_ENTRIES.name, chain="file") == 5
            assert found.get(metrics.ANCHOR_TIME.name, chain="file") == clock()
            assert found.get(metrics.ANCHOR_WAITING.name, chain="file") is None
            assert found.get(metrics.ANCHOR_ENTRIES.name, chain=OTHER_CHAIN) == 2
            assert found.get(metrics.ANCHOR_TIME.name, chain=OTHER_CHAIN) == NOW
            assert found.get(metrics.ANCHOR_WAITING.name, chain=OTHER_CHAIN) == signed[0]
            assert found.get(metrics.ANCHOR_ATTEMPTS.name, chain=OTHER_CHAIN) == 1
            assert found.get(metrics.ANCHOR_ALARM.name, chain=OTHER_CHAIN) == 0
            chain.refusing = None
            clock.advance(MAX_BACKOFF_S + 1)
            await parts.ledger.anchor_now()
            found = await scrape()
            assert found.get(metrics.ANCHOR_ENTRIES.name, chain=OTHER_CHAIN) == 5
            assert found.get(metrics.ANCHOR_WAITING.name, chain=OTHER_CHAIN) is None
            assert found.get(metrics.ANCHOR_ATTEMPTS.name, chain=OTHER_CHAIN) == 0

    run(story())


@pytest.mark.parametrize("contradiction", ["another history", "nodes disagree"])
def test_a_chain_that_contradicts_is_an_alarm_until_it_agrees(
    tmp_path: Path, clock: StillClock, run: Run, contradiction: str
) -> None:
    async def story() -> None:
        made, more = _moody(clock)
        async with opened(tmp_path, clock, more) as (parts, scrape):
            [chain] = made
            await append(parts, 2)
            if contradiction == "another history":
                chain.held = AnchoredHead(1, bytes(32))
            else:
                chain.refusing = AnchorRefused(field="nodes", rule="disagree")
            await parts.ledger.anchor_now()
            for _ in range(2):  # and it stays while the next try is not due
                found = await scrape()
                assert found.get(metrics.ANCHOR_ALARM.name, chain=OTHER_CHAIN) == 1
                assert found.get(metrics.ANCHOR_ALARM.name, chain="file") == 0
                await parts.ledger.anchor_now()
            chain.held = chain.refusing = None
            clock.advance(MAX_BACKOFF_S + 1)
            await parts.ledger.anchor_now()
            assert (await scrape()).get(metrics.ANCHOR_ALARM.name, chain=OTHER_CHAIN) == 0

    run(story())


def test_another_process_sees_the_fork_that_this_one_met(tmp_path: Path, clock: StillClock, run: Run) -> None:
    async def story() -> None:
        made, more = _moody(clock)
        async with opened(tmp_path, clock, more) as (parts, scrape):
            await append(parts, 2)
            made[0].held = AnchoredHead(1, bytes(32))
            await parts.ledger.anchor_now()
            parts.meters.ledger.alarms.clear()  # what a process that does not anchor knows by itself
            assert (await scrape()).get(metrics.ANCHOR_ALARM.name, chain=OTHER_CHAIN) == 1

    run(story())


def test_what_waits_to_be_written_is_a_figure(tmp_path: Path, clock: StillClock, run: Run) -> None:
    async def story() -> None:
        async with opened(tmp_path, clock) as (parts, scrape):
            note = verify_checkpoint(await parts.ledger.checkpoint(), log=parts.ledger.identity)
            assert note.size == 0
            found = await scrape()
            assert found[metrics.LEDGER_WAITING.name] == found[metrics.AUDIT_WAITING.name] == 0
            assert found[metrics.AUDIT_EVENTS.name] == 0
            assert found[metrics.LEDGER_ENTRIES.name] == 0

    run(story())
