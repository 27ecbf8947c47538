"""The ledger and the audit trail as asynchronous callers meet them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from adapters.chain.file import FileAnchor
from adapters.ledger_service import AuditService, LedgerService
from adapters.sql.ledger_audit import SqlAuditStore
from adapters.sql.ledger_store import SqlLedgerStore
from ledger.audit import AuditEvent, verify_chain
from ledger.checkpoint import verify_checkpoint
from ledger.errors import AnchorRefused, EntryUnknown, IdempotencyConflict, LedgerUnavailable
from ledger.merkle import HashAlg, verify_consistency
from ledger.receipt import verify_receipt
from tests.ledger.conftest import OpenLedger
from tests.ledger.parts import Keys, entry
from tests.services.clock import StillClock

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture
def service(store: SqlLedgerStore, keys: Keys, clock: StillClock, tmp_path: Path) -> LedgerService:
    driver = FileAnchor(tmp_path / "anchors", witness=keys.witness, clock=clock)
    return LedgerService(
        store,
        identity=keys.identity,
        sm2_key=keys.sm2,
        ed25519_key=keys.ed25519,
        clock=clock,
        drivers=[driver],
    )


def _pair(number: int) -> tuple[bytes, bytes]:
    one = entry(number)
    return one.body, one.idempotency_key


def test_appends_receipts_anchors_and_the_public_view_work_together(
    service: LedgerService, keys: Keys, run: Run
) -> None:
    async def story() -> None:
        assert (await service.start()).size == 0
        answers = await asyncio.gather(*(service.append([_pair(number)]) for number in range(50)))
        assert sorted(index for [index] in answers) == list(range(50))
        assert await service.append([_pair(7)]) == [answers[7][0]]
        with pytest.raises(IdempotencyConflict):
            await service.append([(b"other", _pair(7)[1])])
        receipt = await service.receipt(answers[9][0])
        assert verify_receipt(receipt, trust=keys.trust).body == _pair(9)[0]
        [evidence] = await service.anchor_now()
        assert evidence.size == 50
        assert await service.anchor_now() == []
        receipts = await service.receipts(range(50))
        assert all(verify_receipt(one, trust=keys.trust).anchored_at == evidence.time for one in receipts)
        await service.append([_pair(50)])
        await service.request_anchor()
        checkpoints = await service.checkpoints(10)
        newest = verify_checkpoint(await service.checkpoint(), log=keys.identity)
        assert checkpoints[0].size == newest.size == 51
        older = verify_checkpoint(await service.checkpoint_at(50), log=keys.identity)
        for alg in HashAlg:
            verify_consistency(
                alg,
                old_size=50,
                new_size=51,
                old_root=older.root(alg),
                new_root=newest.root(alg),
                proof=await service.consistency(alg, 50, 51),
            )
        assert await service.entry(50) == _pair(50)[0]
        with pytest.raises(EntryUnknown):
            await service.entry(51)
        assert (await service.fsck(keys.trust)).clean
        await service.close()
        with pytest.raises(LedgerUnavailable):
            await service.append([_pair(60)])
        with pytest.raises(LedgerUnavailable):
            await service.checkpoint()
        with pytest.raises(LedgerUnavailable):
            await service.request_anchor()

    run(story())


def test_more_entries_than_a_pool_holds_are_appended_in_order(service: LedgerService, keys: Keys, run: Run) -> None:
    async def story() -> None:
        await service.start()
        assert await service.append([_pair(number) for number in range(9000)]) == list(range(9000))
        assert [one.size for one in await service.checkpoints(10)] == [9000, 8192, 4096, 0]
        assert (await service.fsck(keys.trust)).clean
        await service.close()

    run(story())


def test_a_caller_that_goes_away_undoes_nothing(service: LedgerService, keys: Keys, run: Run) -> None:
    async def story() -> None:
        await service.start()
        going = asyncio.ensure_future(service.append([_pair(0)]))
        staying = asyncio.ensure_future(service.append([_pair(1)]))
        await asyncio.sleep(0)
        going.cancel()
        assert len(await staying) == 1
        assert len(await service.append([_pair(0)])) == 1
        assert (await service.fsck(keys.trust)).size == 2
        await service.close()

    run(story())


def test_an_anchor_that_refuses_keeps_nobody_waiting_and_its_job_stays(
    store: SqlLedgerStore, keys: Keys, clock: StillClock, tmp_path: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "blocked").write_text("")
    service = LedgerService(
        store,
        identity=keys.identity,
        sm2_key=keys.sm2,
        ed25519_key=keys.ed25519,
        clock=clock,
        drivers=[FileAnchor(tmp_path / "blocked", witness=keys.witness, clock=clock)],
    )

    async def story() -> None:
        await service.start()
        await service.append([_pair(0)])
        assert await service.anchor_now() == []
        assert AnchorRefused.code in caplog.text
        assert [job.size for job in store.pending_anchors()] == [1]
        assert verify_receipt(await service.receipt(0), trust=keys.trust).anchored_at is None
        await service.close()

    run(story())


def test_audit_events_of_many_callers_are_durable_when_recorded(open_ledger: OpenLedger, run: Run) -> None:
    store = SqlAuditStore(open_ledger(), "audit.example/province-43")

    async def story() -> None:
        audit = AuditService(store)
        audit.start()
        events = [
            AuditEvent(number, "idp.sign_in", "system", "client:1", "ok", None, None, {}) for number in range(200)
        ]
        await asyncio.gather(*(audit.record(event) for event in events))
        head = await audit.head()
        assert head.count == 200
        assert len(await audit.latest(500)) == 200
        await audit.close()
        assert verify_chain(store.origin, store.events(0, 500), head=head) == head

    run(story())
