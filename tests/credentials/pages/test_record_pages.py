"""One record in the hands of its school: each change is named, explained, confirmed, and only then binds."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from credentials.pages.record_pages import ACTS, REASONS
from credentials.status import Status
from tests.credentials.pages.conftest import Story
from tests.credentials.pages.house import APPROVER, REGISTRAR, STUDENT, House, words

Play = Callable[[Story], None]


async def _act(house: House, record: str, as_who: str = APPROVER, **typed: str) -> httpx.Response:
    return await house.post(f"/records/{record}", typed, as_who=as_who)


def test_a_change_binds_only_after_the_page_that_says_what_it_does(play: Play) -> None:
    async def story(house: House) -> None:
        record = await house.student_credential()
        check = await _act(house, record, step="check", act="revoke")
        assert check.status_code == 200
        assert "撤销以后不能恢复" in words(check)
        assert (await house.store.credential(record)).status is Status.VALID
        unreasoned = await _act(house, record, step="do", act="revoke", reason="")
        assert (unreasoned.status_code, 'id="reason-error"' in unreasoned.text) == (422, True)
        assert (await house.store.credential(record)).status is Status.VALID
        back = await _act(house, record, step="change", act="revoke")
        assert 'value="revoke" checked' in back.text
        done = await _act(house, record, step="do", act="revoke", reason="fraud_found")
        assert done.status_code == 303
        assert (await house.store.credential(record)).status is Status.REVOKED
        said = words(await house.get(f"/records/{record}", as_who=APPROVER))
        assert "已撤销" in said
        assert "查实弄虚作假" in said
        assert "您现在不能更改它的状态" in said

    play(story)


def test_every_reason_the_page_offers_is_one_the_service_takes(play: Play) -> None:
    async def story(house: House) -> None:
        record = await house.student_credential()
        change, approver = house.records.statuses.change, house.actors[APPROVER]
        for suspend, reinstate in zip(REASONS[ACTS[Status.VALID][0]], REASONS[ACTS[Status.SUSPENDED][0]], strict=True):
            await change(approver, record, ACTS[Status.VALID][0], suspend, None)
            await change(approver, record, ACTS[Status.SUSPENDED][0], reinstate, None)
        page = await _act(house, record, step="check", act="revoke")
        assert page.text.count("<option value=") == len(REASONS[ACTS[Status.VALID][1]]) + 1

    play(story)


def test_an_act_the_status_does_not_allow_is_not_offered_and_not_taken(play: Play) -> None:
    async def story(house: House) -> None:
        record = await house.student_credential()
        for act in ("reinstate", "supersede", "delete", ""):
            page = await _act(house, record, step="do", act=act, reason="investigation_closed")
            assert (page.status_code, 'id="act-error"' in page.text) == (422, True), act
            assert (await house.store.credential(record)).status is Status.VALID

    play(story)


def test_a_registrar_reads_and_only_an_approver_changes(play: Play) -> None:
    async def story(house: House) -> None:
        record = await house.student_credential()
        page = await house.get(f"/records/{record}", as_who=REGISTRAR)
        assert page.status_code == 200
        assert 'name="act"' not in page.text
        forced = await _act(house, record, REGISTRAR, step="do", act="revoke", reason="fraud_found")
        assert forced.status_code == 403
        assert (await house.store.credential(record)).status is Status.VALID
        assert (await house.get(f"/records/{record}", as_who=STUDENT)).status_code == 403

    play(story)


def test_the_list_leads_to_every_record_of_the_school(play: Play) -> None:
    async def story(house: House) -> None:
        record = await house.student_credential()
        page = await house.get("/records", as_who=APPROVER)
        assert f'href="/records/{record}"' in page.text
        assert "𠮷田禾" in words(page)
        assert (await house.get("/records/unknown", as_who=APPROVER)).status_code == 404

    play(story)
