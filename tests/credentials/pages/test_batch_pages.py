"""Preparing and approving: a preview that names every problem, two people, progress, a report."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from credentials.pages.batch_files import cell
from tests.credentials.pages.conftest import Story
from tests.credentials.pages.house import (
    APPROVER,
    AUDITOR,
    NAMES,
    ONE_FACTOR_REGISTRAR,
    OTHER_SCHOOL,
    REGISTRAR,
    SCHOOL,
    STUDENT,
    House,
    graduate,
    graduates,
    words,
)

Play = Callable[[Story], None]
FILE = {"school": SCHOOL.value}


@given(st.text(max_size=20))
def test_no_cell_of_a_download_is_computed_by_a_spreadsheet(text: str) -> None:
    shown = cell(text)
    assert not shown.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert shown in {text, f"'{text}"}


async def _upload(house: House, rows: bytes) -> str:
    made = await house.post(
        "/batches/new/diploma", FILE, as_who=REGISTRAR, files={"file": ("名单.csv", rows, "text/csv")}
    )
    assert made.status_code == 303, words(made)
    return str(made.headers["location"])


def _table(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))


def test_the_preview_names_line_field_and_rule_of_every_bad_row_and_keeps_the_good_ones(play: Play) -> None:
    async def story(house: House) -> None:
        rows = graduates(
            graduate(1, name="𠮷田禾"),
            graduate(2, 证件号码="500106200401020019"),
            graduate(3, 毕业日期="2026-02-30"),
            graduate(4, 培养层次="大本"),
            graduate(5, 学校标识码=OTHER_SCHOOL.value),
            graduate(6, 证书编号=f"106111202605{1:06}"),
            graduate(7, name="买买提·吐尔逊"),
        )
        address = await _upload(house, rows)
        page = await house.get(address, as_who=REGISTRAR)
        said = words(page)
        for line, column in ((3, "证件号码"), (4, "毕业日期"), (5, "培养层次"), (6, "学校标识码"), (7, "证书编号")):
            assert f"{line} {column}" in said, (line, column)
        assert "日历上没有这一天" in said
        assert "𠮷田禾" in said
        assert "买买提·吐尔逊" in said
        assert "提交审批（2 行）" in said
        report = _table((await house.get(f"{address}/errors.csv", as_who=REGISTRAR)).content)
        assert [row[:2] for row in report[1:]] == [
            ["3", "证件号码"], ["4", "毕业日期"], ["5", "培养层次"], ["6", "学校标识码"], ["7", "证书编号"],
        ]  # fmt: skip
        assert all(len(row[2]) > 5 for row in report[1:])

    play(story)


def test_gb18030_is_recognised_and_four_byte_names_survive_to_the_preview(play: Play) -> None:
    async def story(house: House) -> None:
        text = graduates(graduate(1, name="𠮷田㐂"), graduate(2)).decode()
        address = await _upload(house, text.encode("gb18030"))
        assert "𠮷田㐂" in words(await house.get(address, as_who=REGISTRAR))

    play(story)


def test_a_file_that_is_no_list_is_refused_at_its_field(play: Play) -> None:
    async def story(house: House) -> None:
        for data in (b"", b"a,b\n1,2\n", b"\x00\x01\x02", "姓名".encode("utf-16")):
            files = {"file": ("名单.csv", data, "text/csv")}
            page = await house.post("/batches/new/diploma", FILE, as_who=REGISTRAR, files=files)
            assert page.status_code == 422, data
            assert 'id="file-error"' in page.text, data
            assert 'href="#file"' in page.text, data

    play(story)


def test_no_file_at_all_is_said_before_anything_is_read(play: Play) -> None:
    async def story(house: House) -> None:
        page = await house.post(
            "/batches/new/diploma", FILE, as_who=REGISTRAR, files={"file": ("", b"", "application/octet-stream")}
        )
        assert (page.status_code, "请选择一个文件" in words(page)) == (422, True)

    play(story)


def test_the_one_who_prepared_it_cannot_approve_it(play: Play) -> None:
    async def story(house: House) -> None:
        address = await _upload(house, graduates(graduate(1), graduate(2)))
        await house.post(f"{address}/submit", {}, as_who=REGISTRAR, form=address)
        own = await house.get(address, as_who=REGISTRAR)
        assert "/approve" not in own.text
        assert "需要由另一位同事审批" in words(own)
        forced = await house.post(f"{address}/approve", {"looked": "yes"}, as_who=REGISTRAR, form=address)
        assert forced.status_code in {403, 409}
        assert (await house.records.issuance.preview(house.actors[REGISTRAR], address[9:])).batch.approver is None

    play(story)


def test_the_approver_sees_every_field_of_what_will_be_signed(play: Play) -> None:
    async def story(house: House) -> None:
        address = await _upload(house, graduates(*(graduate(n, name=f"学生{'甲乙丙'[n % 3]}") for n in range(1, 61))))
        await house.post(f"{address}/submit", {}, as_who=REGISTRAR, form=address)
        seen = ""
        for page in (1, 2):
            seen += words(await house.get(f"{address}?page={page}", as_who=APPROVER))
        preview = await house.records.issuance.preview(house.actors[APPROVER], address[9:])
        for item in preview.items:
            assert item.number in seen
            assert str(item.claims["student_number"]) in seen
        # What every row says alike is told once, above the rows.
        assert seen.count("计算机科学与技术") == 2
        assert preview.batch.digest.hex() in seen

    play(story)


def test_a_sample_is_the_same_for_everyone_who_opens_it_and_another_number_gives_others(play: Play) -> None:
    async def story(house: House) -> None:
        address = await _upload(house, graduates(*(graduate(n) for n in range(1, 101))))
        await house.post(f"{address}/submit", {}, as_who=REGISTRAR, form=address)
        first = await house.get(f"{address}?sample=1", as_who=APPROVER)
        again = await house.get(f"{address}?sample=1", as_who=APPROVER)
        other = await house.get(f"{address}?sample=2", as_who=APPROVER)
        rows = [page.text.partition("<tbody>")[2].partition("</tbody>")[0] for page in (first, again, other)]
        assert rows[0].count("<tr>") == 10
        assert rows[0] == rows[1]
        assert rows[0] != rows[2]

    play(story)


def test_nothing_is_approved_without_the_word_that_it_was_looked_at(play: Play) -> None:
    async def story(house: House) -> None:
        address = await _upload(house, graduates(graduate(1), graduate(2)))
        await house.post(f"{address}/submit", {}, as_who=REGISTRAR, form=address)
        page = await house.post(f"{address}/approve", {}, as_who=APPROVER, form=address)
        assert (page.status_code, 'id="looked-error"' in page.text) == (422, True)
        assert (await house.records.issuance.preview(house.actors[APPROVER], address[9:])).batch.state == "submitted"

    play(story)


def test_an_approved_batch_shows_its_progress_and_ends_with_a_report(play: Play) -> None:
    async def story(house: House) -> None:
        address = await _upload(house, graduates(*(graduate(n) for n in range(2, 6))))
        await house.post(f"{address}/submit", {}, as_who=REGISTRAR, form=address)
        await house.post(f"{address}/approve", {"looked": "yes"}, as_who=APPROVER, form=address)
        running = await house.get(address, as_who=REGISTRAR)
        assert f'data-progress-url="{address}/progress"' in running.text
        assert '<noscript><meta http-equiv="refresh"' in running.text
        progress = (await house.get(f"{address}/progress", as_who=REGISTRAR)).json()
        assert (progress["state"], progress["done"], progress["total"]) == ("running", 0, 4)
        await house.finish()
        progress = (await house.get(f"{address}/progress", as_who=REGISTRAR)).json()
        assert (progress["state"], progress["done"], progress["total"]) == ("done", 4, 4)
        done = await house.get(address, as_who=REGISTRAR)
        assert "data-progress-url" not in done.text
        report = _table((await house.get(f"{address}/report.csv", as_who=REGISTRAR)).content)
        assert len(report) == 5
        assert report[1][-1].startswith("http://127.0.0.1:8080/records/")
        assert (await house.get(f"{address}/progress")).status_code == 401

    play(story)


def test_a_returned_batch_frees_its_numbers(play: Play) -> None:
    async def story(house: House) -> None:
        rows = graduates(graduate(1), graduate(2))
        address = await _upload(house, rows)
        await house.post(f"{address}/submit", {}, as_who=REGISTRAR, form=address)
        back = await house.post(f"{address}/reject", {}, as_who=APPROVER, form=address)
        assert back.status_code == 303
        assert "已退回" in words(await house.get(address, as_who=REGISTRAR))
        assert "提交审批（2 行）" in words(await house.get(await _upload(house, rows), as_who=REGISTRAR))

    play(story)


def test_people_without_the_office_see_no_batch(play: Play) -> None:
    async def story(house: House) -> None:
        address = await _upload(house, graduates(graduate(1), graduate(2)))
        for path in ("/batches", "/batches/new", address, f"{address}/errors.csv", f"{address}/progress", "/records"):
            assert (await house.get(path, as_who=STUDENT)).status_code == 403, path
        assert (await house.get(address, as_who=AUDITOR)).status_code == 200
        unknown = await house.get("/batches/nothing-of-ours", as_who=REGISTRAR)
        assert unknown.status_code == 404
        assert (await house.get("/batches/new/passport", as_who=REGISTRAR)).status_code == 404

    play(story)


def test_one_factor_is_sent_for_the_second_and_back(play: Play) -> None:
    async def story(house: House) -> None:
        page = await house.get("/batches", as_who=ONE_FACTOR_REGISTRAR)
        assert (page.status_code, page.headers["location"]) == (303, "/signin?return=%2Fbatches&acr=2")

    play(story)


def test_an_empty_work_list_says_how_to_begin(play: Play) -> None:
    async def story(house: House) -> None:
        said = words(await house.get("/batches", as_who=REGISTRAR))
        assert "还没有批次" in said
        template = (await house.get("/batches/new/diploma/template.csv", as_who=REGISTRAR)).content
        assert _table(template)[0][0] == "姓名"

    play(story)


async def _credit(house: House, **typed: str) -> tuple[int, str, str]:
    form = {
        "school": SCHOOL.value,
        "person": house.people[STUDENT].value,
        "name": NAMES[STUDENT],
        "achievement": "数据结构",
        "achievement_code": "CS-102",
        "credits": "3.5",
        "hours_learned": "56",
        "grade": "优",
        "recognised_on": date(2026, 6, 30).isoformat(),
    }
    page = await house.post("/batches/new/credit_record", form | typed, as_who=REGISTRAR)
    return page.status_code, page.headers.get("location", ""), page.text


def test_a_credit_record_is_prepared_from_a_form(play: Play) -> None:
    async def story(house: House) -> None:
        status, address, _ = await _credit(house)
        assert status == 303
        said = words(await house.get(address, as_who=REGISTRAR))
        assert "数据结构" in said
        assert "3.5" in said
        assert "提交审批（1 行）" in said

    play(story)


REFUSED = (
    ("person", "1234"),
    ("name", "别的名字"),
    ("achievement", ""),
    ("achievement_code", "数据结构"),
    ("credits", "3,5"),
    ("credits", "1000"),
    ("hours_learned", "-1"),
    ("recognised_on", "2026-02-30"),
    ("recognised_on", "2027-01-01"),
)


def test_each_field_of_the_form_is_refused_at_itself_and_nothing_typed_is_lost(play: Play) -> None:
    async def story(house: House) -> None:
        for field, value in REFUSED:
            status, _, text = await _credit(house, **{field: value})
            wanted = "person" if field == "name" else field  # number and name are refused together: neither is told
            assert status == 422, field
            assert f'id="{wanted}-error"' in text, field
            assert 'value="数据结构"' in text or field == "achievement"
            assert NAMES[STUDENT] in text or field == "name"

    play(story)


def test_a_work_is_registered_once(play: Play) -> None:
    async def story(house: House) -> None:
        form = {
            "school": SCHOOL.value,
            "title": "微课：二叉树",
            "person": house.people[STUDENT].value,
            "name": NAMES[STUDENT],
            "licence": "CC-BY-4.0",
        }
        files = {"file": ("课件.pptx", b"slides", "application/octet-stream")}
        path = "/batches/new/copyright_registration"
        made = await house.post(path, form, as_who=REGISTRAR, files=files)
        assert made.status_code == 303, words(made)
        said = words(await house.get(made.headers["location"], as_who=REGISTRAR))
        assert "微课：二叉树" in said
        assert "署名（CC BY 4.0）" in said
        again = await house.post(path, form, as_who=REGISTRAR, files=files)
        assert (again.status_code, 'id="file-error"' in again.text) == (422, True)
        assert 'value="微课：二叉树"' in again.text
        unlicensed = await house.post(path, form | {"licence": "MIT"}, as_who=REGISTRAR, files=files)
        assert (unlicensed.status_code, 'id="licence-error"' in unlicensed.text) == (422, True)

    play(story)
