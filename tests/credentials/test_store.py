"""The contract of `credentials/store.py`, sentence by sentence, on both databases."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

import pytest

from credentials.drafting import conflict_note, item_digest, new_item
from credentials.errors import (
    BatchAltered,
    BatchStateRefused,
    BatchUnknown,
    CredentialUnknown,
    ShareUnknown,
)
from credentials.model import Batch, BatchState, Draft, HolderFacts, ItemState, RowNote, UniqueKey
from credentials.store import DraftedItem, Logged, Plan, Signed
from crypto.encoding import b64u_encode
from idp.registry.id_number import parse_id_number
from idp.registry.person_number import PersonNumber
from tests.credentials.world import SCHOOL, World, csv_of, graduate, id_number, play
from tests.services.clock import StillClock

DRAFTER, APPROVER, PERSON = (PersonNumber(str(digit) * 16) for digit in (1, 2, 3))


def draft(number: str, *more: str, line: int = 2) -> Draft:
    facts = HolderFacts(parse_id_number(id_number(1)), "李明", "s1", "2022-09-01", None)
    unique = tuple(UniqueKey("number", value) for value in (number, *more))
    return Draft(line, number, facts, {"name": "李明", "credits_hundredths": 250}, unique, ("编号",) * len(unique))


async def stored(world: World, *drafts: Draft) -> Batch:
    batch = Batch(
        b64u_encode(secrets.token_bytes(8)), SCHOOL, "credit_record", BatchState.DRAFT, DRAFTER, None, None, b"", 0, 0,
        world.clock(), None, None, None, None,
    )  # fmt: skip
    items = [new_item(b64u_encode(secrets.token_bytes(8)), one, secrets.token_bytes(16)) for one in drafts]
    return await world.store.create_batch(batch, items, refusals=[], warnings=[], conflict_note=conflict_note)


async def approved(world: World, *drafts: Draft) -> Batch:
    batch = await stored(world, *drafts)
    await world.store.submit_batch(batch.id, digest=b"d" * 32, now=1)
    return await world.store.approve_batch(batch.id, approver=APPROVER, approval="a", now=2)


async def items(world: World, batch: Batch, state: ItemState | None = None) -> tuple[DraftedItem, ...]:
    return await world.store.items(batch.id, after=-1, limit=100, state=state)


async def plan(world: World, batch: Batch, *, size: int = 64, draw: list[int] | None = None) -> int:
    places = iter(draw or [])
    plans = [Plan(one.item.id, PERSON, b"o" * 16) for one in await items(world, batch)]
    return await world.store.plan_items(
        batch.id, plans, list_size=size, new_list_id=lambda: b64u_encode(secrets.token_bytes(4)),
        draw=lambda below: next(places, secrets.randbelow(below)),
    )  # fmt: skip


async def issued(world: World, *drafts: Draft) -> Batch:
    batch = await approved(world, *drafts)
    await plan(world, batch)
    found = await items(world, batch)
    await world.store.sign_items(batch.id, [Signed(one.item.id, "p", 10) for one in found])
    return await world.store.log_items(batch.id, [Logged(one.item.id, n, 250) for n, one in enumerate(found)])


def test_a_draft_reads_back_and_claims_its_keys(database_url: str, tmp_path: Path, clock: StillClock) -> None:
    async def story(world: World) -> None:
        one = draft("n1", "k1")
        batch = await stored(world, one, draft("n2"))
        first, second = await items(world, batch)
        assert (batch.total, batch.refused, batch.state) == (2, 0, BatchState.DRAFT)
        assert (first.item.position, second.item.position) == (0, 1)
        assert first.item.draft.claims == one.claims
        assert first.item.draft.holder == one.holder
        assert first.salt is not None
        assert first.digest == item_digest(first.item.id, first.item.draft, first.salt)
        assert await world.store.item_digests(batch.id) == (first.digest, second.digest)
        assert await world.store.number_of_key(UniqueKey("number", "k1")) == "n1"
        assert await world.store.number_of_key(UniqueKey("other", "k1")) is None
        assert [one.item.id for one in await world.store.items(batch.id, after=0, limit=9, state=None)] == [
            second.item.id
        ]

    play(database_url, tmp_path, clock, story)


def test_a_claimed_key_leaves_its_item_out_and_the_others_in(
    database_url: str, tmp_path: Path, clock: StillClock
) -> None:
    async def story(world: World) -> None:
        await stored(world, draft("n1"))
        batch = await stored(world, draft("n1", line=5), draft("n2", "n1", line=3), draft("n3"), draft("n3", line=9))
        assert (batch.total, batch.refused) == (1, 3)
        refusals, warnings = await world.store.notes(batch.id)
        assert [(note.line, note.rule) for note in refusals] == [(n, "duplicate_in_store") for n in (3, 5, 9)]
        assert warnings == ()

    play(database_url, tmp_path, clock, story)


def test_two_batches_at_once_share_no_key(database_url: str, tmp_path: Path, clock: StillClock) -> None:
    async def story(world: World) -> None:
        forwards = [draft(f"n{n}") for n in range(8)]
        batches = await asyncio.gather(*(stored(world, *order) for order in (forwards, forwards[::-1]) * 3))
        assert sum(batch.total for batch in batches) == 8

    play(database_url, tmp_path, clock, story)


def test_a_batch_moves_only_from_the_state_a_step_starts_from(
    database_url: str, tmp_path: Path, clock: StillClock
) -> None:
    async def story(world: World) -> None:
        store = world.store
        batch = await stored(world, draft("n1"))
        with pytest.raises(BatchStateRefused) as refused:
            await store.approve_batch(batch.id, approver=APPROVER, approval="a", now=1)
        assert refused.value.rule == "draft"
        assert (await store.submit_batch(batch.id, digest=b"d", now=5)).submitted_at == 5
        with pytest.raises(BatchStateRefused):
            await store.submit_batch(batch.id, digest=b"e", now=6)
        with pytest.raises(BatchStateRefused):
            await store.finish_batch(batch.id, now=6)
        done = await store.approve_batch(batch.id, approver=APPROVER, approval="a", now=7)
        assert (done.digest, done.approver, done.approval, done.approved_at) == (b"d", APPROVER, "a", 7)
        assert await store.unfinished_batches() == (batch.id,)
        with pytest.raises(BatchStateRefused):
            await store.reject_batch(batch.id, approver=APPROVER, now=8)
        for call in (
            store.batch("x"), store.submit_batch("x", digest=b"", now=1), store.finish_batch("x", now=1),
            store.approve_batch("x", approver=APPROVER, approval="", now=1), store.reject_batch("x", approver=APPROVER, now=1),
        ):  # fmt: skip
            with pytest.raises(BatchUnknown):
                await call

    play(database_url, tmp_path, clock, story)


def test_the_database_itself_refuses_an_approver_who_drafted(
    database_url: str, tmp_path: Path, clock: StillClock
) -> None:
    async def story(world: World) -> None:
        batch = await stored(world, draft("n1"))
        await world.store.submit_batch(batch.id, digest=b"d", now=1)
        with pytest.raises(Exception, match="constraint"):
            await world.store.approve_batch(batch.id, approver=DRAFTER, approval="a", now=2)
        assert (await world.store.batch(batch.id)).state is BatchState.SUBMITTED

    play(database_url, tmp_path, clock, story)


def test_a_rejected_batch_frees_its_keys_and_keeps_no_draft(
    database_url: str, tmp_path: Path, clock: StillClock
) -> None:
    async def story(world: World) -> None:
        batch = await stored(world, draft("n1"))
        await world.store.reject_batch(batch.id, approver=APPROVER, now=3)
        assert await items(world, batch) == ()
        assert await world.store.number_of_key(UniqueKey("number", "n1")) is None
        assert (await stored(world, draft("n1"))).total == 1

    play(database_url, tmp_path, clock, story)


def test_each_step_of_a_record_is_taken_once(database_url: str, tmp_path: Path, clock: StillClock) -> None:
    async def story(world: World) -> None:
        store = world.store
        batch = await approved(world, draft("n1"), draft("n2"))
        before = await items(world, batch)
        assert await plan(world, batch) == 2
        planned = await items(world, batch, ItemState.PLANNED)
        again = [Plan(one.item.id, APPROVER, b"x" * 16) for one in before]
        assert await store.plan_items(batch.id, again, list_size=64, new_list_id=str, draw=lambda _n: 0) == 0
        assert await items(world, batch, ItemState.PLANNED) == planned
        assert {one.item.person for one in planned} == {PERSON}
        ids = [one.item.id for one in planned]
        assert await store.sign_items(batch.id, [Signed(ids[0], "first", 10)]) == 1
        assert await store.sign_items(batch.id, [Signed(one, "second", 11) for one in ids]) == 1
        assert await store.counts(batch.id) == (2, 2, 0)
        signed = {one.item.id: one.item.presentation for one in await items(world, batch, ItemState.SIGNED)}
        assert signed == {ids[0]: "first", ids[1]: "second"}
        half = await store.log_items(batch.id, [Logged(ids[0], 5, 250)])
        assert half.state is BatchState.APPROVED
        whole = await store.log_items(batch.id, [Logged(ids[0], 6, 250), Logged(ids[1], 7, None)])
        assert whole.state is BatchState.LOGGED
        assert [(await store.credential(one)).leaf_index for one in ids] == [5, 7]
        assert [entry.hundredths for entry in await store.credit_entries(PERSON)] == [250]
        await store.note_anchor_requested(batch.id, now=20)
        await store.note_anchor_requested(batch.id, now=21)
        assert (await store.finish_batch(batch.id, now=30)).anchor_requested_at == 20
        assert (await store.finish_batch(batch.id, now=31)).done_at == 30
        assert await store.unfinished_batches() == ()

    play(database_url, tmp_path, clock, story)


def test_a_planned_record_keeps_neither_id_number_nor_salt(
    database_url: str, tmp_path: Path, clock: StillClock
) -> None:
    async def story(world: World) -> None:
        batch = await approved(world, draft("n1"))
        await plan(world, batch)
        (one,) = await items(world, batch)
        assert one.salt is None
        assert one.item.draft.holder.id_number is None
        assert one.item.draft.claims["name"] == "李明"

    play(database_url, tmp_path, clock, story)


def test_places_in_status_lists_are_drawn_unused_and_a_half_full_list_is_left(
    database_url: str, tmp_path: Path, clock: StillClock
) -> None:
    async def story(world: World) -> None:
        batch = await approved(world, *(draft(f"n{n}") for n in range(10)))
        assert await plan(world, batch, size=16, draw=[3, 3, 3, 5, 5, 3, 9]) == 10
        places = [(one.item.status_list, one.item.status_index) for one in await items(world, batch)]
        assert len(set(places)) == 10
        assert [place for _, place in places[:3]] == [3, 5, 9]
        lists = [name for name, _ in places]
        assert [lists.count(name) for name in dict.fromkeys(lists)] == [8, 2]

    play(database_url, tmp_path, clock, story)


def test_credentials_are_found_by_id_person_and_school_once_logged(
    database_url: str, tmp_path: Path, clock: StillClock
) -> None:
    async def story(world: World) -> None:
        store = world.store
        pending = await approved(world, draft("n0"))
        await plan(world, pending)
        (unlogged,) = await items(world, pending)
        with pytest.raises(CredentialUnknown):
            await store.credential(unlogged.item.id)
        await issued(world, draft("n1"), draft("n2"))
        found = await store.credentials_of_person(PERSON)
        assert {one.number for one in found} == {"n1", "n2"}
        first, second = sorted(one.id for one in found)
        assert [one.id for one in await store.credentials_of_school(SCHOOL, after=None, limit=1)] == [first]
        assert [one.id for one in await store.credentials_of_school(SCHOOL, after=first, limit=9)] == [second]
        assert (await store.credential(first)).presentation == "p"
        assert (await store.credential(first)).opening == b"o" * 16

    play(database_url, tmp_path, clock, story)


def test_an_older_token_or_statement_never_takes_the_place_of_a_newer_one(
    database_url: str, tmp_path: Path, clock: StillClock
) -> None:
    """Security.md 39: no rollback, also not by a slow writer."""

    async def story(world: World) -> None:
        store = world.store
        await issued(world, draft("n1"))
        (one,) = await store.credentials_of_person(PERSON)
        keep = store.keep_status_token
        assert await keep(one.status_list, token="r1", revision=1, issued_at=100)
        assert not await keep(one.status_list, token="r0", revision=0, issued_at=200)
        assert not await keep(one.status_list, token="same", revision=1, issued_at=100)
        assert await keep(one.status_list, token="later", revision=1, issued_at=101)
        assert (await store.status_list(one.status_list)).token == "later"
        assert not await keep("x", token="t", revision=9, issued_at=1)
        await store.keep_statement("a", "s", "new", issued_at=5)
        await store.keep_statement("a", "s", "old", issued_at=4)
        assert await store.statement("a", "s") == "new"
        assert await store.statement("a", "other") is None

    play(database_url, tmp_path, clock, story)


def test_what_is_not_there_is_refused_by_its_own_name(database_url: str, tmp_path: Path, clock: StillClock) -> None:
    async def story(world: World) -> None:
        for call in (world.store.share("x"), world.store.revoke_share("x", now=1)):
            with pytest.raises(ShareUnknown):
                await call
        for other in (world.store.credential("x"), world.store.status_list("x")):
            with pytest.raises(CredentialUnknown):
                await other
        assert await world.store.notes("x") == ((), ())

    play(database_url, tmp_path, clock, story)


def test_notes_keep_their_parameters(database_url: str, tmp_path: Path, clock: StillClock) -> None:
    async def story(world: World) -> None:
        batch = Batch(
            "b", SCHOOL, "diploma", BatchState.DRAFT, DRAFTER, None, None, b"", 0, 0, 1, None, None, None, None
        )
        refusal = RowNote(3, "证书编号", "credentials.record_refused", "duplicate_in_file", {"line": 2})
        warning = RowNote(4, "学位证书编号", "credentials.record_refused", "degree_number_unusual", {})
        made = await world.store.create_batch(
            batch, [], refusals=[refusal], warnings=[warning], conflict_note=conflict_note
        )
        assert made.refused == 1
        assert await world.store.notes("b") == ((refusal,), (warning,))

    play(database_url, tmp_path, clock, story)


def test_whoever_holds_database_and_column_key_still_cannot_alter_an_approved_record(
    tmp_path: Path, clock: StillClock
) -> None:
    """The approver's signature is over the digests; a consistent forgery of draft and digest does not match it."""

    async def story(world: World) -> None:
        issuance = world.services.issuance
        batch = (await issuance.draft_diplomas(world.registrar, SCHOOL, csv_of([graduate(1)]))).batch
        await issuance.submit(world.registrar, batch.id)
        await issuance.approve(world.approver, batch.id)
        (one,) = await items(world, batch)
        assert one.salt is not None
        claims = {**one.item.draft.claims, "name": "别人"}
        forged = Draft(one.item.draft.line, one.item.draft.number, one.item.draft.holder, claims, (), ())
        sealed = world.store._sealer.seal_draft(one.item.id, forged, one.salt)
        await world.store._db.execute(
            "UPDATE item SET sealed = $2, digest = $3 WHERE id = $1",
            one.item.id, sealed, item_digest(one.item.id, forged, one.salt),
        )  # fmt: skip
        with pytest.raises(BatchAltered):
            await issuance.advance(batch.id)

    play(f"sqlite:///{tmp_path}", tmp_path, clock, story)
