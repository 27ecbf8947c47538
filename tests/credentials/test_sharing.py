"""What a holder shares, for how long, and who looked; and what the status of a record does to it all."""

from __future__ import annotations

import asyncio
import json
import secrets
from datetime import date
from pathlib import Path

import pytest

from credentials.creditbank.record import CreditForm
from credentials.errors import (
    CredentialUnknown,
    ShareEnded,
    ShareRefused,
    ShareUnknown,
    StatusChangeRefused,
)
from credentials.model import Act, HeldCredential, Reason, Share, Viewer
from credentials.sharing import CODE_ALPHABET, new_code, parse_code, show_code
from credentials.status import Status
from credentials.verdict import CheckName, Outcome, Result
from credentials.verification import verify_bundle
from idp.authority.errors import NotAuthorised, SignInRequired
from tests.credentials.world import SCHOOL, World, graduate, holder, play
from tests.services.clock import StillClock

BROWSER = Viewer("browser", "203.0.113.0/24")


async def shared(
    world: World, *, fields: set[str], days: int = 30, views: int | None = None
) -> tuple[HeldCredential, Share]:
    (held,) = await world.diplomas(graduate(secrets.randbelow(900) + 1))
    made = await world.services.sharing.share(
        holder(held.holder), held.id, fields=frozenset(fields), days=days, view_limit=views
    )
    return held, made


def test_a_share_shows_exactly_the_chosen_fields(database_url: str, tmp_path: Path, clock: StillClock) -> None:
    async def story(world: World) -> None:
        held, made = await shared(world, fields={"name", "graduation_date"})
        opened = await world.services.desk.by_code(made.code.lower().replace("-", " "), viewer=BROWSER)
        assert opened.verdict.outcome is Outcome.VALID
        assert opened.verdict.facts == {n: held.claims[n] for n in ("level", "name", "graduation_date")}
        assert opened.verdict.checks[-1].name is CheckName.KEY_BINDING
        assert opened.verdict.checks[-1].result is Result.PASS
        for hidden in ("certificate_number", "major", "student_number"):
            assert str(held.claims[hidden]) not in opened.bundle.decode()
        offline = verify_bundle(opened.bundle, trust=world.services.trust, now=clock(), status=None)
        assert (offline.outcome, offline.facts) == (Outcome.VALID, opened.verdict.facts)

    play(database_url, tmp_path, clock, story)


def test_a_share_ends_by_time_by_its_holder_and_by_its_limit(
    database_url: str, tmp_path: Path, clock: StillClock
) -> None:
    async def story(world: World) -> None:
        desk, sharing = world.services.desk, world.services.sharing
        held, made = await shared(world, fields=set(), days=1, views=2)
        me = holder(held.holder)
        for _ in range(2):
            await desk.by_code(made.code, viewer=BROWSER)
        with pytest.raises(ShareEnded) as ended:
            await desk.by_code(made.code, viewer=BROWSER)
        assert ended.value.rule == "view_limit"
        second = await sharing.share(me, held.id, fields=frozenset(), days=180, view_limit=None)
        clock.advance(180 * 86400 - 1)
        assert (await desk.by_code(second.code, viewer=BROWSER)).verdict.outcome is Outcome.VALID
        clock.advance(1)
        with pytest.raises(ShareEnded) as ended:
            await desk.by_code(second.code, viewer=BROWSER)
        assert ended.value.rule == "expired"
        third = await sharing.share(me, held.id, fields=frozenset(), days=1, view_limit=None)
        revoked = await sharing.revoke(me, third.id)
        assert (revoked.revoked_at, revoked.open_at(clock())) == (clock(), False)
        clock.advance(5)
        assert (await sharing.revoke(me, third.id)).revoked_at == clock() - 5
        with pytest.raises(ShareEnded) as ended:
            await desk.by_code(third.code, viewer=BROWSER)
        assert ended.value.rule == "revoked"
        assert {one.id for one in await sharing.shares(me)} == {made.id, second.id, third.id}
        assert {one.code for one in await sharing.shares(me)} == {made.code, second.code, third.code}

    play(database_url, tmp_path, clock, story)


def test_the_holder_sees_who_looked_and_nobody_else_does(database_url: str, tmp_path: Path, clock: StillClock) -> None:
    async def story(world: World) -> None:
        held, made = await shared(world, fields=set())
        me, sharing = holder(held.holder), world.services.sharing
        await world.services.desk.by_code(made.code, viewer=BROWSER)
        clock.advance(60)
        await world.services.desk.by_code(made.code, viewer=Viewer("api", None))
        looks = await sharing.look_ups(me, made.id)
        assert [(one.at, one.viewer, one.network) for one in looks] == [
            (clock(), "api", None),
            (clock() - 60, "browser", "203.0.113.0/24"),
        ]
        assert (await sharing.shares(me))[0].views == 2
        stranger = world.approver
        for call in (sharing.look_ups(stranger, made.id), sharing.revoke(stranger, made.id), sharing.revoke(me, "x")):
            with pytest.raises(ShareUnknown):
                await call
        with pytest.raises(SignInRequired):
            await sharing.shares(None)
        with pytest.raises(CredentialUnknown):
            await sharing.share(stranger, held.id, fields=frozenset(), days=1, view_limit=None)

    play(database_url, tmp_path, clock, story)


@pytest.mark.parametrize(
    ("fields", "days", "views", "rule"),
    [(set(), 0, None, "days"), (set(), 181, None, "days"), (set(), 1, 0, "views"), (set(), 1, 1001, "views"),
     ({"level"}, 1, None, "fields"), ({"id_number"}, 1, None, "fields"), ({"cnf"}, 1, None, "fields")],
)  # fmt: skip
def test_a_share_outside_its_bounds_is_refused(
    fields: set[str], days: int, views: int | None, rule: str, tmp_path: Path, clock: StillClock
) -> None:
    async def story(world: World) -> None:
        with pytest.raises(ShareRefused) as refused:
            await shared(world, fields=fields, days=days, views=views)
        assert refused.value.rule == rule

    play(f"sqlite:///{tmp_path}", tmp_path, clock, story)


def test_sixteen_looks_at_once_never_pass_a_limit_of_three(
    database_url: str, tmp_path: Path, clock: StillClock
) -> None:
    async def story(world: World) -> None:
        held, made = await shared(world, fields=set(), views=3)
        answers = await asyncio.gather(
            *(world.store.open_share(made.code, now=clock(), viewer=BROWSER) for _ in range(16)), return_exceptions=True
        )
        assert sum(not isinstance(answer, BaseException) for answer in answers) == 3
        assert len(await world.services.sharing.look_ups(holder(held.holder), made.id)) == 3

    play(database_url, tmp_path, clock, story)


def test_a_verification_code_is_nowhere_in_the_clear(tmp_path: Path, clock: StillClock) -> None:
    async def story(world: World) -> None:
        held, made = await shared(world, fields={"name"})
        plain = [made.code.encode(), made.code.replace("-", "").encode(), str(held.claims["name"]).encode(),
                 str(held.claims["certificate_number"]).encode()]  # fmt: skip
        names = ("credentials.sqlite3", "credentials.sqlite3-wal")
        stored = b"".join((tmp_path / name).read_bytes() for name in names)
        assert [one for one in plain if one in stored] == []

    play(f"sqlite:///{tmp_path}", tmp_path, clock, story)


def test_codes_have_eighty_bits_and_are_read_as_typed() -> None:
    code = new_code(secrets.token_bytes)
    assert len(code) == 16
    assert set(code) <= set(CODE_ALPHABET)
    assert len(CODE_ALPHABET) == 32
    assert not set("01OI") & set(CODE_ALPHABET)
    for typed in (code, show_code(code), code.lower(), f" {show_code(code)} ", code.replace(code[3], code[3] + " ", 1)):
        assert parse_code(typed) == code
    for bad in ("", code[:-1], code + "2", "0" * 16, "é" * 16, code[:-1] + "１"):
        with pytest.raises(ShareUnknown):
            parse_code(bad)


# Status


def test_each_act_leads_where_it_may_and_nowhere_else(database_url: str, tmp_path: Path, clock: StillClock) -> None:
    async def story(world: World) -> None:
        statuses = world.services.statuses
        one, two = await world.diplomas(graduate(1), graduate(2, id_number=graduate(1).id_number))
        officer = world.approver

        async def outcome(held: HeldCredential) -> Outcome:
            data = await world.services.wallet.bundle(holder(held.holder), held.id)
            return (await world.services.desk.of_file(data)).outcome

        before = await world.services.wallet.bundle(holder(one.holder), one.id)
        clock.advance(60)
        await statuses.change(officer, one.id, Act.SUSPEND, Reason.UNDER_INVESTIGATION, None)
        assert await outcome(one) is Outcome.SUSPENDED
        clock.advance(60)
        await statuses.change(officer, one.id, Act.REINSTATE, Reason.INVESTIGATION_CLOSED, None)
        assert await outcome(one) is Outcome.VALID
        clock.advance(60)
        await statuses.change(officer, one.id, Act.SUPERSEDE, Reason.REISSUED, two.id)
        assert await outcome(one) is Outcome.SUPERSEDED
        # An old copy of the bundle says so too, online.
        assert (await world.services.desk.of_file(before)).outcome is Outcome.SUPERSEDED
        assert verify_bundle(before, trust=world.services.trust, now=clock(), status=None).outcome is Outcome.VALID
        clock.advance(60)
        changed = await statuses.change(officer, two.id, Act.REVOKE, Reason.FRAUD_FOUND, None)
        assert changed.status is Status.REVOKED
        for act, reason in (
            (Act.REVOKE, Reason.FRAUD_FOUND), (Act.SUSPEND, Reason.UNDER_INVESTIGATION),
            (Act.REINSTATE, Reason.INVESTIGATION_CLOSED), (Act.SUPERSEDE, Reason.REISSUED),
        ):  # fmt: skip
            with pytest.raises(StatusChangeRefused):
                await statuses.change(officer, two.id, act, reason, one.id if act is Act.SUPERSEDE else None)
        changes = await world.store.changes_of(one.id)
        assert [(c.act, c.before, c.after, c.successor) for c in changes] == [
            (Act.SUSPEND, Status.VALID, Status.SUSPENDED, None),
            (Act.REINSTATE, Status.SUSPENDED, Status.VALID, None),
            (Act.SUPERSEDE, Status.VALID, Status.SUPERSEDED, two.id),
        ]
        for change in changes:
            assert change.leaf_index is not None
            assert json.loads(await world.ledger.entry(change.leaf_index))["kind"] == "credential.status"

    play(database_url, tmp_path, clock, story)


def test_a_change_needs_an_approver_of_the_school_a_fitting_reason_and_successor(
    tmp_path: Path, clock: StillClock
) -> None:
    async def story(world: World) -> None:
        statuses = world.services.statuses
        one, two = await world.diplomas(graduate(1), graduate(2))
        for actor in (world.registrar, world.auditor, holder(one.holder)):
            with pytest.raises(NotAuthorised):
                await statuses.change(actor, one.id, Act.REVOKE, Reason.FRAUD_FOUND, None)
        for act, reason, successor in (
            (Act.REVOKE, Reason.INVESTIGATION_CLOSED, None),
            (Act.REVOKE, Reason.FRAUD_FOUND, two.id),
            (Act.SUPERSEDE, Reason.REISSUED, None),
            (Act.SUPERSEDE, Reason.REISSUED, one.id),
            (Act.SUPERSEDE, Reason.REISSUED, two.id),  # another person's
            (Act.SUPERSEDE, Reason.REISSUED, "nothing"),
        ):
            with pytest.raises(StatusChangeRefused):
                await statuses.change(world.approver, one.id, act, reason, successor)
        with pytest.raises(CredentialUnknown):
            await statuses.change(world.approver, "nothing", Act.REVOKE, Reason.FRAUD_FOUND, None)
        assert (await world.store.credential(one.id)).status is Status.VALID

    play(f"sqlite:///{tmp_path}", tmp_path, clock, story)


def test_two_officers_at_once_change_a_status_once(database_url: str, tmp_path: Path, clock: StillClock) -> None:
    async def story(world: World) -> None:
        (one,) = await world.diplomas(graduate(1))
        calls = [
            world.services.statuses.change(world.approver, one.id, Act.SUSPEND, Reason.UNDER_INVESTIGATION, None)
            for _ in range(6)
        ]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(not isinstance(answer, BaseException) for answer in answers) == 1
        assert len(await world.store.changes_of(one.id)) == 1

    play(database_url, tmp_path, clock, story)


def test_a_status_token_is_kept_while_fresh_and_signed_anew_when_old(tmp_path: Path, clock: StillClock) -> None:
    async def story(world: World) -> None:
        (one,) = await world.diplomas(graduate(1))
        list_id = (await world.store.credential(one.id)).status_list
        first = await world.services.statuses.token(list_id)
        clock.advance(899)
        assert await world.services.statuses.token(list_id) == first
        clock.advance(1)
        assert await world.services.statuses.token(list_id) != first
        with pytest.raises(CredentialUnknown):
            await world.services.statuses.token("nothing")

    play(f"sqlite:///{tmp_path}", tmp_path, clock, story)


def test_a_revoked_credit_record_leaves_the_account_and_a_shared_one_says_so(tmp_path: Path, clock: StillClock) -> None:
    async def story(world: World) -> None:
        person = await world.enrol("王芳", 1)
        form = CreditForm(person, "王芳", "数据结构", "CS-201", "3.5", "", "", date(2026, 6, 1))
        preview = await world.services.issuance.draft_credit_record(world.registrar, SCHOOL, form)
        (record,) = await world.issue(preview)
        made = await world.services.sharing.share(
            holder(person), record.id, fields=frozenset(), days=1, view_limit=None
        )
        await world.services.statuses.change(world.approver, record.id, Act.REVOKE, Reason.ISSUED_IN_ERROR, None)
        account = await world.services.wallet.account(holder(person))
        assert (account.total_hundredths, len(account.entries)) == (0, 1)
        opened = await world.services.desk.by_code(made.code, viewer=BROWSER)
        assert opened.verdict.outcome is Outcome.REVOKED

    play(f"sqlite:///{tmp_path}", tmp_path, clock, story)
