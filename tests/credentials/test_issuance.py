"""The one path: draft, submit, approve, issue; by two people, with no record twice whatever breaks in between."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from datetime import date
from pathlib import Path

import pytest

from credentials.copyright.registration import WorkForm
from credentials.creditbank.record import CreditForm
from credentials.errors import (
    AlreadyRegistered,
    BatchAltered,
    BatchStateRefused,
    BatchUnknown,
    CredentialUnknown,
    RecordRefused,
)
from credentials.model import BatchState
from credentials.verdict import Outcome, Result
from credentials.verification import verify_bundle
from crypto.encoding import b64u_decode, json_object
from crypto.errors import TrustError
from idp.authority.errors import NotAuthorised, SecondFactorRequired, SignInRequired, TwoPersonRule
from idp.authority.model import Actor, Duty
from idp.registry.errors import FileRefused
from tests.credentials.world import (
    COLUMNS,
    OTHER_SCHOOL,
    SCHOOL,
    World,
    csv_of,
    graduate,
    holder,
    id_number,
    officer,
    play,
)
from tests.services.clock import StillClock


def test_a_diploma_goes_from_a_row_to_a_valid_verdict(database_url: str, tmp_path: Path, clock: StillClock) -> None:
    async def story(world: World) -> None:
        held = await world.diplomas(graduate(1, name="𠮷㐂·艾力"), graduate(2))
        assert len(held) == 2
        mine = next(one for one in held if one.claims["name"] == "𠮷㐂·艾力")
        data = await world.services.wallet.bundle(holder(mine.holder), mine.id)
        verdict = verify_bundle(data, trust=world.services.trust, now=clock(), status=None)
        assert [c for c in verdict.checks if c.result is not Result.PASS] == []
        assert verdict.outcome is Outcome.VALID
        assert verdict.facts["name"] == "𠮷㐂·艾力"
        assert (await world.services.desk.of_file(data)).outcome is Outcome.VALID

    play(database_url, tmp_path, clock, story)


def test_bad_rows_are_told_and_the_good_ones_issued(database_url: str, tmp_path: Path, clock: StillClock) -> None:
    async def story(world: World) -> None:
        rows = [graduate(1), graduate(2, level="小学"), graduate(3, school=OTHER_SCHOOL.value), graduate(4)]
        preview = await world.services.issuance.draft_diplomas(world.registrar, SCHOOL, csv_of(rows, "gb18030"))
        assert [(n.line, n.field, n.rule) for n in preview.refusals] == [
            (3, "培养层次", "level_unknown"),
            (4, "学校标识码", "other_school"),
        ]
        assert (preview.batch.total, preview.batch.refused, len(preview.items)) == (2, 2, 2)
        assert len(await world.issue(preview)) == 2

    play(database_url, tmp_path, clock, story)


def test_a_number_is_issued_once_and_free_again_when_its_draft_is_rejected(
    database_url: str, tmp_path: Path, clock: StillClock
) -> None:
    async def story(world: World) -> None:
        issuance = world.services.issuance
        first = await issuance.draft_diplomas(world.registrar, SCHOOL, csv_of([graduate(1), graduate(2)]))
        second = await issuance.draft_diplomas(world.registrar, SCHOOL, csv_of([graduate(2), graduate(3)]))
        assert [(n.line, n.field, n.rule) for n in second.refusals] == [(2, "证书编号", "duplicate_in_store")]
        assert second.batch.total == 1
        await issuance.reject(world.approver, first.batch.id)
        assert (await issuance.preview(world.registrar, first.batch.id)).items == ()
        third = await issuance.draft_diplomas(world.registrar, SCHOOL, csv_of([graduate(1), graduate(2)]))
        assert third.refusals == ()
        await world.issue(third)
        fourth = await issuance.draft_diplomas(world.registrar, SCHOOL, csv_of([graduate(1)]))
        assert fourth.batch.total == 0
        with pytest.raises(RecordRefused):
            await issuance.submit(world.registrar, fourth.batch.id)

    play(database_url, tmp_path, clock, story)


def test_who_drafted_may_not_approve_and_nobody_acts_beyond_their_office(
    database_url: str, tmp_path: Path, clock: StillClock
) -> None:
    async def story(world: World) -> None:
        issuance = world.services.issuance
        both = officer(world.registrar.person, Duty.REGISTRAR, Duty.APPROVER)
        elsewhere = officer(world.approver.person, Duty.REGISTRAR, Duty.APPROVER, school=OTHER_SCHOOL)
        one_factor = Actor(both.person, "", both.offices, "urn:edutrust:acr:1", 0, "s")
        data = csv_of([graduate(1)])
        for actor, error in (
            (None, SignInRequired), (world.approver, NotAuthorised), (elsewhere, NotAuthorised),
            (world.auditor, NotAuthorised), (one_factor, SecondFactorRequired),
        ):  # fmt: skip
            with pytest.raises(error):
                await issuance.draft_diplomas(actor, SCHOOL, data)
        batch = (await issuance.draft_diplomas(both, SCHOOL, data)).batch
        with pytest.raises(BatchStateRefused):
            await issuance.approve(world.approver, batch.id)
        with pytest.raises(NotAuthorised):
            await issuance.submit(elsewhere, batch.id)
        await issuance.submit(both, batch.id)
        with pytest.raises(TwoPersonRule):
            await issuance.approve(both, batch.id)
        for stranger in (world.registrar, world.auditor, elsewhere):
            with pytest.raises(NotAuthorised):
                await issuance.approve(stranger, batch.id)
        with pytest.raises(NotAuthorised):
            await issuance.preview(elsewhere, batch.id)
        assert (await issuance.preview(world.auditor, batch.id)).batch.state is BatchState.SUBMITTED
        assert [one.id for one in await issuance.batches(world.auditor, SCHOOL)] == [batch.id]
        approved = await issuance.approve(world.approver, batch.id)
        assert approved.approver == world.approver.person
        for again in (issuance.approve, issuance.reject):
            with pytest.raises(BatchStateRefused):
                await again(world.approver, batch.id)
        with pytest.raises(BatchStateRefused):
            await issuance.submit(both, batch.id)
        with pytest.raises(BatchUnknown):
            await issuance.preview(both, "nothing")

    play(database_url, tmp_path, clock, story)


def test_nothing_is_issued_before_approval(database_url: str, tmp_path: Path, clock: StillClock) -> None:
    async def story(world: World) -> None:
        batch = (await world.services.issuance.draft_diplomas(world.registrar, SCHOOL, csv_of([graduate(1)]))).batch
        for _ in range(2):
            with pytest.raises(BatchStateRefused):
                await world.services.issuance.advance(batch.id)
            await world.services.issuance.submit(world.registrar, batch.id) if batch.state is BatchState.DRAFT else None
            batch = await world.store.batch(batch.id)
        assert await world.services.work() == 0

    play(database_url, tmp_path, clock, story)


def test_the_approvers_signature_is_over_the_digest_of_every_record(
    database_url: str, tmp_path: Path, clock: StillClock
) -> None:
    async def story(world: World) -> None:
        issuance = world.services.issuance
        batch = (await issuance.draft_diplomas(world.registrar, SCHOOL, csv_of([graduate(1)]))).batch
        await issuance.submit(world.registrar, batch.id)
        approved = await issuance.approve(world.approver, batch.id)
        assert approved.approval is not None
        claims = json_object(b64u_decode(approved.approval.split(".")[1]))
        assert b64u_decode(str(claims["digest"])) == approved.digest
        assert claims["officer"] == world.approver.person.value

    play(database_url, tmp_path, clock, story)


@pytest.mark.parametrize("column", ["digest", "approval", "approver", "sealed"])
def test_what_was_changed_in_the_database_after_approval_is_not_issued(
    column: str, tmp_path: Path, clock: StillClock
) -> None:
    statement = {
        "digest": "UPDATE item SET digest = zeroblob(32) WHERE position = 0",
        "approval": "UPDATE batch SET approval = (SELECT approval FROM batch WHERE id <> (SELECT max(id) FROM batch))"
        " WHERE id = (SELECT max(id) FROM batch)",
        "approver": "UPDATE batch SET approver = '1000000000000000'",
        "sealed": "UPDATE item SET sealed = (SELECT sealed FROM item AS other WHERE other.batch <> item.batch)"
        " WHERE batch = (SELECT max(id) FROM batch)",
    }[column]

    async def story(world: World) -> None:
        issuance = world.services.issuance
        ids = []
        for sequence in (1, 2):
            batch = (await issuance.draft_diplomas(world.registrar, SCHOOL, csv_of([graduate(sequence)]))).batch
            await issuance.submit(world.registrar, batch.id)
            await issuance.approve(world.approver, batch.id)
            ids.append(batch.id)
        with sqlite3.connect(tmp_path / "credentials.sqlite3") as connection:
            connection.execute("PRAGMA foreign_keys=OFF")
            connection.execute(statement)
        connection.close()
        with pytest.raises(TrustError) as refused:
            await issuance.advance(max(ids))
        assert column == "sealed" or isinstance(refused.value, BatchAltered) or "crypto" in refused.value.code
        assert (await world.services.statuses.credentials_of(world.approver, SCHOOL, after=None)) == ()

    play(f"sqlite:///{tmp_path}", tmp_path, clock, story)


def test_the_same_id_number_is_the_same_person_and_no_record_carries_it(
    database_url: str, tmp_path: Path, clock: StillClock
) -> None:
    async def story(world: World) -> None:
        rows = [
            graduate(1),
            graduate(2, id_number=id_number(1), level="硕士", number="105321202602000009", enrolment="2023-09-01"),
        ]
        one, two = await world.diplomas(*rows)
        assert one.holder == two.holder
        wallet = world.services.wallet
        assert {c.id for c in await wallet.credentials(holder(one.holder))} == {one.id, two.id}
        data = await wallet.bundle(holder(one.holder), one.id)
        presentation = str(json_object(data)["presentation"])
        opened = [b64u_decode(part).decode() for part in presentation.split("~")[1:-1]]
        assert id_number(1) not in data.decode() + "".join(opened)
        with pytest.raises(CredentialUnknown):
            await wallet.bundle(holder(world.registrar.person), one.id)
        entry = json.loads(await world.ledger.entry(one.leaf_index))
        assert entry.keys() == {"v", "kind", "commitment", "issuer", "batch"}

    play(database_url, tmp_path, clock, story)


def test_credit_records_and_registrations_take_the_same_path(
    database_url: str, tmp_path: Path, clock: StillClock
) -> None:
    async def story(world: World) -> None:
        issuance, wallet = world.services.issuance, world.services.wallet
        person = await world.enrol("王芳", 1)
        form = CreditForm(person, "王芳", "数据结构", "CS-201", "3.5", "56", "优", date(2026, 6, 1))
        (record,) = await world.issue(await issuance.draft_credit_record(world.registrar, SCHOOL, form))
        assert (await wallet.account(holder(person))).total_hundredths == 350
        with pytest.raises(RecordRefused) as twice:
            await issuance.draft_credit_record(world.registrar, SCHOOL, form)
        assert twice.value.rule == "duplicate_in_store"
        work = WorkForm(person, "王芳", "离散数学讲义", "CC-BY-4.0")
        (registered,) = await world.issue(await issuance.draft_copyright(world.registrar, SCHOOL, work, b"slides"))
        other = WorkForm(world.approver.person, "别人", "我的讲义", "CC0-1.0")
        with pytest.raises(Exception, match="person"):
            await issuance.draft_copyright(world.registrar, SCHOOL, other, b"slides")
        with pytest.raises(AlreadyRegistered) as taken:
            await issuance.draft_copyright(world.registrar, SCHOOL, work, b"slides")
        assert taken.value.params["number"] == registered.number
        for one in (record, registered):
            data = await wallet.bundle(holder(person), one.id)
            verdict = verify_bundle(data, trust=world.services.trust, now=clock(), status=None)
            assert (verdict.outcome, verdict.type) == (Outcome.VALID, one.vct)
            receipt = await wallet.receipt(holder(person), one.id)
            assert (await world.services.desk.of_file(receipt)).outcome is Outcome.VALID

    play(database_url, tmp_path, clock, story)


def test_a_file_that_is_no_table_is_refused_as_a_whole(database_url: str, tmp_path: Path, clock: StillClock) -> None:
    async def story(world: World) -> None:
        for data in (b"", b"a,b\n1,2\n", COLUMNS.replace("证书编号,", "").encode(), b"\xff\xfe" + b"x" * 20):
            with pytest.raises(FileRefused):
                await world.services.issuance.draft_diplomas(world.registrar, SCHOOL, data)
        assert await world.services.issuance.batches(world.registrar, SCHOOL) == ()

    play(database_url, tmp_path, clock, story)


def test_a_batch_that_refuses_does_not_keep_the_others_waiting(tmp_path: Path, clock: StillClock) -> None:
    async def story(world: World) -> None:
        issuance = world.services.issuance
        ids = []
        for sequence in (1, 2):
            batch = (await issuance.draft_diplomas(world.registrar, SCHOOL, csv_of([graduate(sequence)]))).batch
            await issuance.submit(world.registrar, batch.id)
            await issuance.approve(world.approver, batch.id)
            ids.append(batch.id)
            clock.advance(1)
        await world.store._db.execute("UPDATE item SET digest = $2 WHERE batch = $1", ids[0], b"x" * 32)
        for _ in range(8):
            with pytest.raises(BatchAltered):
                await world.services.work()
            await world.ledger.anchor_now()
        assert (await world.store.batch(ids[0])).state is BatchState.APPROVED
        assert (await world.store.batch(ids[1])).state is BatchState.DONE

    play(f"sqlite:///{tmp_path}", tmp_path, clock, story)


def test_two_workers_at_once_make_no_record_twice(database_url: str, tmp_path: Path, clock: StillClock) -> None:
    """Security.md 41: double click, retry, two workers."""

    async def story(world: World) -> None:
        issuance = world.services.issuance
        rows = [graduate(n) for n in range(1, 13)]
        batch = (await issuance.draft_diplomas(world.registrar, SCHOOL, csv_of(rows))).batch
        await issuance.submit(world.registrar, batch.id)
        answers = await asyncio.gather(
            *(issuance.approve(world.approver, batch.id) for _ in range(4)), return_exceptions=True
        )
        assert sum(not isinstance(answer, Exception) for answer in answers) == 1
        while (await issuance.progress(world.approver, batch.id)).batch.state is not BatchState.DONE:
            await asyncio.gather(*(issuance.advance(batch.id) for _ in range(4)))
            await world.ledger.anchor_now()
        held = await world.services.statuses.credentials_of(world.approver, SCHOOL, after=None)
        assert len(held) == len({one.leaf_index for one in held}) == 12
        size = (await world.ledger.checkpoints(1))[0].size
        assert size == 12, "an entry of a signature that was not kept"

    play(database_url, tmp_path, clock, story)
