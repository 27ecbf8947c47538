"""Holding and sharing: the holder's own records, what a share shows, and who looked."""

from __future__ import annotations

from collections.abc import Callable

from credentials.model import Act, Reason
from tests.credentials.pages.conftest import Story
from tests.credentials.pages.house import APPROVER, STRANGER, STUDENT, House, words

Play = Callable[[Story], None]


def test_someone_not_signed_in_is_sent_to_sign_in_and_back(play: Play) -> None:
    async def story(house: House) -> None:
        page = await house.get("/credentials?page=2")
        assert page.status_code == 303
        assert page.headers["location"] == "/signin?return=%2Fcredentials%3Fpage%3D2"

    play(story)


def test_an_empty_wallet_says_so_and_what_will_fill_it(play: Play) -> None:
    async def story(house: House) -> None:
        said = words(await house.get("/credentials", as_who=STRANGER))
        assert "还没有凭证" in said
        assert "自动出现在这里" in said

    play(story)


def test_the_wallet_shows_ones_own_records_and_nobody_elses(play: Play) -> None:
    async def story(house: House) -> None:
        held = await house.student_credential()
        mine = await house.get("/credentials", as_who=STUDENT)
        assert f"/credentials/{held}" in mine.text
        assert f"/credentials/{held}" not in (await house.get("/credentials", as_who=STRANGER)).text
        for path in ("", "/share", "/bundle.json", "/receipt.json", "/certificate.pdf"):
            theirs = await house.get(f"/credentials/{held}{path}", as_who=STRANGER)
            assert theirs.status_code == 404, path
            assert "𠮷田禾" not in theirs.text, path

    play(story)


def test_one_record_shows_its_fields_its_life_and_its_files(play: Play) -> None:
    async def story(house: House) -> None:
        held = await house.student_credential()
        pdf = await house.get(f"/credentials/{held}/certificate.pdf", as_who=STUDENT)
        assert pdf.content.startswith(b"%PDF-")
        assert pdf.headers["content-disposition"] == 'attachment; filename="106111202605000001.pdf"'
        house.clock.advance(86_400)
        await house.records.statuses.change(house.actors[APPROVER], held, Act.SUSPEND, Reason.UNDER_INVESTIGATION, None)
        page = await house.get(f"/credentials/{held}", as_who=STUDENT)
        said = words(page)
        assert "𠮷田禾" in said
        assert "2026年6月30日" in said
        assert "已暂停" in said
        assert page.text.count('class="life-suspended"') == 1
        assert page.text.count('class="life-valid"') == 1
        assert "正在核查" in said  # the reason of the change stands in the list under the picture
        assert "certificate.pdf" not in page.text  # what is not in force is not printed

    play(story)


def test_the_id_number_stands_on_no_page_and_in_no_file_of_the_holder(play: Play) -> None:
    async def story(house: House) -> None:
        held = await house.student_credential()
        number = await house.parts.registry.id_number(house.people[STUDENT])
        assert number is not None
        for path in ("", "/share", "/bundle.json", "/receipt.json"):
            page = await house.get(f"/credentials/{held}{path}", as_who=STUDENT)
            assert number.value not in page.text, path

    play(story)


def test_nothing_is_ticked_before_the_holder_ticks_it(play: Play) -> None:
    async def story(house: House) -> None:
        page = await house.get(f"/credentials/{await house.student_credential()}/share", as_who=STUDENT)
        boxes = [line for line in page.text.splitlines() if 'name="fields"' in line]
        assert len(boxes) == 11
        assert not any(" checked" in line for line in boxes)
        (always,) = [line for line in page.text.splitlines() if 'id="always-1"' in line]
        assert "disabled" in always

    play(story)


def test_a_share_is_checked_before_it_is_made(play: Play) -> None:
    async def story(house: House) -> None:
        held = await house.student_credential()
        page = await house.share(held, step="check", fields=["name", "major"], days_choice="other", days="４５")
        said = words(page)
        assert page.status_code == 200
        assert await house.records.sharing.shares(house.actors[STUDENT]) == ()
        shown, hidden = said.partition("对方看不到")[::2]
        assert "𠮷田禾" in shown
        assert "学号" not in shown
        assert "学号" in hidden
        assert "45 天" in said
        assert "2026年8月15日" in said
        for name, value in (("fields", "name"), ("days_choice", "other"), ("days", "４５")):
            assert f'<input type="hidden" name="{name}" value="{value}">' in page.text
        again = await house.share(held, step="change", fields=["name", "major"], days_choice="other", days="45")
        assert again.text.count('name="fields"') == 11
        assert sum('value="name"' in line and "checked" in line for line in again.text.splitlines()) == 1

    play(story)


def test_a_share_out_of_bounds_goes_back_to_its_field_with_everything_typed(play: Play) -> None:
    async def story(house: House) -> None:
        held = await house.student_credential()
        for days in ("0", "181", "-1", "seven", "", "9" * 30):
            page = await house.share(held, days_choice="other", days=days[:4], fields=["name"])
            assert page.status_code == 422, days
            assert 'id="days-error"' in page.text, days
            assert sum('value="name"' in line and "checked" in line for line in page.text.splitlines()) == 1
        views = await house.share(held, views="0")
        assert (views.status_code, 'id="views-error"' in views.text) == (422, True)
        field = await house.share(held, fields=["name", "id_number"])
        assert (field.status_code, 'id="fields-error"' in field.text) == (422, True)
        assert await house.records.sharing.shares(house.actors[STUDENT]) == ()

    play(story)


def test_a_share_ends_with_a_code_a_link_and_a_qr_code(play: Play) -> None:
    async def story(house: House) -> None:
        held = await house.student_credential()
        made = await house.share(held)
        page = await house.get(made.headers["location"], as_who=STUDENT)
        (share,) = await house.records.sharing.shares(house.actors[STUDENT])
        assert f"http://127.0.0.1:8080/verify/{share.code}" in page.text
        assert 'class="qrline"' in page.text
        assert "2026年7月8日" in words(page)
        stranger = await house.get(made.headers["location"], as_who=STRANGER)
        assert (stranger.status_code, share.code in stranger.text) == (404, False)
        stopped = await house.client.post(f"/shares/{share.id}/end", headers={"x-who": STRANGER})
        assert stopped.status_code in {400, 403}  # and without the form's token nothing is ended for anyone
        assert (await house.get(f"/verify/{share.code}")).status_code == 200

    play(story)


def test_the_holder_sees_who_looked_and_roughly_from_where(play: Play) -> None:
    async def story(house: House) -> None:
        held = await house.student_credential()
        await house.share(held)
        (share,) = await house.records.sharing.shares(house.actors[STUDENT])
        assert "还没有人查验过" in words(await house.get(f"/credentials/{held}", as_who=STUDENT))
        await house.get(f"/verify/{share.code}")
        await house.client.post("/api/verify", json={"code": share.code})
        said = words(await house.get(f"/credentials/{held}", as_who=STUDENT))
        assert "网页 127.0.0.0/24" in said
        assert "程序接口 127.0.0.0/24" in said
        assert "127.0.0.1" not in said.replace("127.0.0.0", "")

    play(story)
