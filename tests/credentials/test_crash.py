"""A crash at any point of issuance: whoever starts again finds the work where it stands and makes no record twice."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from credentials.errors import StatusChangeRefused
from credentials.issuing import Issuing
from credentials.model import Act, BatchState, Reason
from credentials.ports import Issuers
from credentials.status import Status
from credentials.status_changes import StatusChanges
from credentials.verdict import Outcome
from credentials.verification import verify_bundle
from tests.credentials.world import BASE, SCHOOL, World, csv_of, graduate, holder, play
from tests.services.clock import StillClock


class PowerLoss(BaseException):
    """Nothing in the product may catch this."""


class Failing:
    """A port whose n-th writing call dies, before it took effect or after, like a machine that loses power."""

    VERBS = frozenset(
        {"plan_items", "sign_items", "log_items", "append", "request_anchor", "note_anchor_requested", "finish_batch",
         "change_status", "log_change", "keep_status_token", "enrol_person"}
    )  # fmt: skip

    def __init__(self, inner: Any, fuse: list[int], *, after: bool) -> None:
        self._inner, self._fuse, self._after = inner, fuse, after

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._inner, name)
        if name not in self.VERBS:
            return call

        async def failing(*args: Any, **kwargs: Any) -> Any:
            self._fuse[0] -= 1
            if self._fuse[0] == 0 and not self._after:
                raise PowerLoss
            answer = await call(*args, **kwargs)
            if self._fuse[0] == 0:
                raise PowerLoss
            return answer

        return failing


def failing_issuing(world: World, fuse: list[int], *, after: bool) -> Issuing:
    def wrap(port: Any) -> Any:
        return Failing(port, fuse, after=after)

    return Issuing(
        store=wrap(world.store), keys=world.keys, ledger=wrap(world.ledger), people=wrap(world.registry),
        audit=world.audit, accreditation=world.services.accreditation, issuers=Issuers(BASE), clock=world.clock, random_bytes=secrets.token_bytes,
    )  # fmt: skip


@pytest.mark.parametrize("after", [False, True], ids=["before the write", "after the write"])
def test_issuance_resumes_after_a_crash_at_every_write(tmp_path: Path, clock: StillClock, *, after: bool) -> None:
    async def story(world: World) -> None:
        issuance = world.services.issuance
        crashes = 0
        for point in range(1, 40):
            rows = [graduate(point * 10 + n) for n in range(3)]
            batch = (await issuance.draft_diplomas(world.registrar, SCHOOL, csv_of(rows))).batch
            await issuance.submit(world.registrar, batch.id)
            await issuance.approve(world.approver, batch.id)
            fuse = [point]
            issuing = failing_issuing(world, fuse, after=after)
            try:
                while (await issuing.advance(batch.id)).batch.state is not BatchState.DONE:
                    await world.ledger.anchor_now()
            except PowerLoss:
                crashes += 1
            await world.finish(batch.id)
            held = await world.services.statuses.credentials_of(world.approver, SCHOOL, after=None)
            assert len(held) == 3 * point
            assert len({one.leaf_index for one in held}) == 3 * point
            assert (await world.ledger.checkpoints(1))[0].size == 3 * point, "an entry logged twice"
            if fuse[0] > 0:
                break
        assert crashes >= 9, "plan, sign, log, append, anchor, note, finish and three enrolments were not all reached"
        seen = set()
        for one in held:
            data = await world.services.wallet.bundle(holder(one.holder), one.id)
            verdict = verify_bundle(data, trust=world.services.trust, now=clock(), status=None)
            assert verdict.outcome is Outcome.VALID
            stored = await world.store.credential(one.id)
            seen.add((stored.status_list, stored.status_index))
        assert len(seen) == len(held), "a place in a status list given twice"

    play(f"sqlite:///{tmp_path}", tmp_path, clock, story)


@pytest.mark.parametrize("after", [False, True], ids=["before the write", "after the write"])
def test_a_change_of_status_is_logged_once_after_a_crash_at_every_write(
    tmp_path: Path, clock: StillClock, *, after: bool
) -> None:
    async def story(world: World) -> None:
        for point in range(1, 10):
            (held,) = await world.diplomas(graduate(point))
            before = (await world.ledger.checkpoints(1))[0].size
            fuse = [point]
            statuses = StatusChanges(
                store=Failing(world.store, fuse, after=after), keys=world.keys,
                ledger=Failing(world.ledger, fuse, after=after),
                audit=world.audit, issuers=Issuers(BASE), clock=clock, random_bytes=secrets.token_bytes,
            )  # fmt: skip
            try:
                await statuses.change(world.approver, held.id, Act.REVOKE, Reason.FRAUD_FOUND, None)
            except PowerLoss:
                # The officer sees no answer and tries again; the worker makes its round.
                with suppress(StatusChangeRefused):
                    await world.services.statuses.change(world.approver, held.id, Act.REVOKE, Reason.FRAUD_FOUND, None)
            await world.services.statuses.work()
            assert await world.services.statuses.work() == 0
            assert (await world.store.credential(held.id)).status is Status.REVOKED
            (change,) = await world.store.changes_of(held.id)
            assert change.leaf_index == before
            assert (await world.ledger.checkpoints(1))[0].size == before + 1
            data = await world.services.wallet.bundle(holder(held.holder), held.id)
            verdict = verify_bundle(data, trust=world.services.trust, now=clock(), status=None)
            assert verdict.outcome is Outcome.REVOKED
            if fuse[0] > 0:
                return
        raise AssertionError("more writes than expected")

    play(f"sqlite:///{tmp_path}", tmp_path, clock, story)


def test_a_batch_without_an_anchor_yet_is_not_done(tmp_path: Path, clock: StillClock) -> None:
    async def story(world: World) -> None:
        issuance = world.services.issuance
        batch = (await issuance.draft_diplomas(world.registrar, SCHOOL, csv_of([graduate(1)]))).batch
        await issuance.submit(world.registrar, batch.id)
        await issuance.approve(world.approver, batch.id)
        silent = replace_ledger(world)
        for _ in range(6):
            progress = await silent.advance(batch.id)
        assert (progress.batch.state, progress.percent) == (BatchState.LOGGED, 99)
        await world.finish(batch.id)

    play(f"sqlite:///{tmp_path}", tmp_path, clock, story)


class Unanchored:
    """A log whose chain is silent."""

    def __init__(self, inner: Any) -> None:
        self.append = inner.append
        self._receipt = inner.receipt

    async def request_anchor(self) -> None:
        """Lose the request."""

    async def receipt(self, index: int) -> Any:
        return replace(await self._receipt(index), anchors=())


def replace_ledger(world: World) -> Issuing:
    ledger: Any = Unanchored(world.ledger)
    return Issuing(
        store=world.store, keys=world.keys, ledger=ledger, people=world.registry, audit=world.audit, accreditation=world.services.accreditation,
        issuers=Issuers(BASE), clock=world.clock, random_bytes=secrets.token_bytes,
    )  # fmt: skip
