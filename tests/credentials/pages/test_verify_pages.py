"""Verifying: anyone, without signing in, gets one verdict for a code, a file or pasted text."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
from hypothesis import given
from hypothesis import strategies as st

from credentials.errors import ShareUnknown
from credentials.model import Act, Reason
from credentials.pages.codes import code_typed, qr_svg
from credentials.sharing import CODE_ALPHABET, show_code
from tests.credentials.pages.conftest import Story
from tests.credentials.pages.house import APPROVER, STUDENT, House, words

Play = Callable[[Story], None]
CODES = st.text(CODE_ALPHABET, min_size=16, max_size=16)


@given(CODES, st.sampled_from(["", " ", "-", " - ", "—", "\u3000"]), st.booleans(), st.booleans())
def test_a_code_is_read_however_it_was_typed(code: str, between: str, lower: bool, wide: bool) -> None:
    typed = between.join(code[at : at + 4] for at in range(0, 16, 4))
    typed = typed.lower() if lower else typed
    if wide:
        typed = "".join(chr(ord(sign) + 0xFEE0) if "!" <= sign <= "~" else sign for sign in typed)
    assert code_typed(typed) == show_code(code)
    assert code_typed(f"https://id.example.edu.cn/verify/{show_code(code)}?from=wechat") == show_code(code)


@given(st.text(max_size=40))
def test_what_is_no_code_is_refused_and_never_raises_anything_else(text: str) -> None:
    try:
        assert len(code_typed(text)) == 19
    except ShareUnknown:
        return


def test_the_qr_code_carries_no_style_of_its_own() -> None:
    drawn = qr_svg("https://id.example.edu.cn/verify/ABCD-EFGH-JKLM-NPQR", title='a "<b>"')
    assert drawn.startswith('<svg role="img" aria-label="a &quot;&lt;b&gt;&quot;" viewBox=')
    assert "style=" not in drawn


async def _code(house: House, **typed: str | list[str]) -> str:
    made = await house.share(await house.student_credential(), **typed)
    assert made.status_code == 303, words(made)
    (share,) = await house.records.sharing.shares(house.actors[STUDENT])
    return share.code


def test_a_shared_code_shows_the_verdict_and_exactly_the_chosen_fields(play: Play) -> None:
    async def story(house: House) -> None:
        code = await _code(house, fields=["name", "major"])
        sent = await house.post("/verify", {"code": code.lower().replace("-", " ")})
        assert (sent.status_code, sent.headers["location"]) == (303, f"/verify/{code}")
        page = await house.get(f"/verify/{code}")
        said = words(page)
        assert page.status_code == 200
        assert "𠮷田禾" in said
        assert "计算机科学与技术" in said
        assert "20220001" not in said  # the student number was not shared
        assert "106112026000001" not in said
        assert page.text.count("<h1") == 1
        assert 'class="verdict valid"' in page.text
        assert "有效" in said
        assert "学信网" in said
        assert page.headers["cache-control"] == "no-store"
        english = words(await house.get(f"/verify/{code}", language="en"))
        assert "Valid" in english
        assert "CHSI" in english

    play(story)


def test_no_page_of_a_verdict_holds_a_script_or_a_style_inside_it(play: Play) -> None:
    async def story(house: House) -> None:
        page = await house.get(f"/verify/{await _code(house)}")
        assert "style=" not in page.text
        assert "<style" not in page.text
        assert "onclick" not in page.text
        assert page.text.count("<script") == page.text.count('<script type="module" src="/static/')

    play(story)


def test_a_wrong_code_is_said_calmly_on_the_same_page_with_404(play: Play) -> None:
    async def story(house: House) -> None:
        page = await house.get("/verify/2222-3333-4444-5555")
        assert page.status_code == 404
        assert "没有找到这个验证码" in words(page)
        assert 'value="2222-3333-4444-5555"' in page.text
        assert 'href="#code"' in page.text
        assert 'action="/verify"' in page.text

    play(story)


def test_what_was_typed_comes_back_with_the_error(play: Play) -> None:
    async def story(house: House) -> None:
        page = await house.post("/verify", {"code": 'K7 "><script>'})
        assert page.status_code == 422
        assert 'value="K7 &#34;&gt;&lt;script&gt;"' in page.text
        nothing = await house.post("/verify", {"code": ""})
        assert (nothing.status_code, "请输入验证码" in words(nothing)) == (422, True)
        pasted = await house.post("/verify", {"code": "", "text": "这不是凭证"})
        assert pasted.status_code == 422
        assert "这不是凭证</textarea>" in pasted.text

    play(story)


def test_looking_whether_a_link_lives_is_no_look_at_the_record(play: Play) -> None:
    async def story(house: House) -> None:
        code = await _code(house, views="1")
        assert (await house.client.head(f"/verify/{code}")).status_code == 200
        assert (await house.get(f"/verify/{code}")).status_code == 200
        used_up = await house.get(f"/verify/{code}")
        assert (used_up.status_code, "查看次数已经用完" in words(used_up)) == (404, True)

    play(story)


def test_an_ended_share_opens_nothing(play: Play) -> None:
    async def story(house: House) -> None:
        code = await _code(house)
        (share,) = await house.records.sharing.shares(house.actors[STUDENT])
        ended = await house.post(f"/shares/{share.id}/end", {}, as_who=STUDENT, form=f"/shares/{share.id}")
        assert ended.status_code == 303
        page = await house.get(f"/verify/{code}")
        assert page.status_code == 404
        assert "𠮷田禾" not in page.text
        assert "持有人已经结束" in words(page)

    play(story)


async def _file(house: House, data: bytes) -> httpx.Response:
    return await house.post("/verify", {"code": ""}, files={"file": ("any.json", data, "application/json")})


def test_a_bundle_a_receipt_and_a_pdf_are_judged_when_dropped(play: Play) -> None:
    async def story(house: House) -> None:
        held = await house.student_credential()
        for name in ("bundle.json", "receipt.json", "certificate.pdf"):
            data = (await house.get(f"/credentials/{held}/{name}", as_who=STUDENT)).content
            page = await _file(house, data)
            assert page.status_code == 200, name
            assert 'class="verdict valid"' in page.text, name
        pasted = (await house.get(f"/credentials/{held}/bundle.json", as_who=STUDENT)).text
        assert 'class="verdict valid"' in (await house.post("/verify", {"text": pasted})).text

    play(story)


def test_an_altered_pdf_is_never_green(play: Play) -> None:
    async def story(house: House) -> None:
        held = await house.student_credential()
        data = bytearray((await house.get(f"/credentials/{held}/certificate.pdf", as_who=STUDENT)).content)
        data[200] ^= 1
        page = await _file(house, bytes(data))
        assert 'class="verdict valid"' not in page.text
        assert page.status_code in {200, 422}
        if page.status_code == 200:
            assert "被改动过" in words(page)

    play(story)


def test_a_file_that_is_none_of_ours_is_refused_at_its_field(play: Play) -> None:
    async def story(house: House) -> None:
        page = await _file(house, b"\x89PNG...")
        assert page.status_code == 422
        assert 'id="file-error"' in page.text
        assert 'href="#file"' in page.text

    play(story)


def test_revoked_and_suspended_are_shown_as_such_and_their_facts_stay_readable(play: Play) -> None:
    async def story(house: House) -> None:
        code = await _code(house)
        (share,) = await house.records.sharing.shares(house.actors[STUDENT])
        change = house.records.statuses.change
        approver = house.actors[APPROVER]
        await change(approver, share.credential, Act.SUSPEND, Reason.UNDER_INVESTIGATION, None)
        suspended = await house.get(f"/verify/{code}")
        assert 'class="verdict suspended"' in suspended.text
        assert "已暂停" in words(suspended)
        assert "𠮷田禾" in words(suspended)
        await change(approver, share.credential, Act.REVOKE, Reason.FRAUD_FOUND, None)
        revoked = await house.get(f"/verify/{code}")
        assert 'class="verdict revoked"' in revoked.text
        assert "已撤销" in words(revoked)

    play(story)


def test_programs_get_the_same_verdict_as_json(play: Play) -> None:
    async def story(house: House) -> None:
        code = await _code(house)
        by_code = await house.client.post("/api/verify", json={"code": code})
        assert by_code.status_code == 200
        answer = by_code.json()
        assert answer["verdict"] == "valid"
        assert set(answer["facts"]) == {"level", "name", "major"}
        assert answer["valid_until"] == house.clock.now + 7 * 86400
        (share,) = await house.records.sharing.shares(house.actors[STUDENT])
        data = (await house.get(f"/credentials/{share.credential}/bundle.json", as_who=STUDENT)).content
        by_file = await house.client.post("/api/verify", content=data)
        assert by_file.json()["verdict"] == "valid"
        assert [check["result"] for check in by_file.json()["checks"]] == ["pass"] * 8

    play(story)


def test_programs_are_refused_with_a_code_a_field_and_a_rule(play: Play) -> None:
    async def story(house: House) -> None:
        unknown = await house.client.post("/api/verify", json={"code": "2222-3333-4444-5555"})
        assert (unknown.status_code, unknown.json()["error"]) == (404, "credentials.share_unknown")
        unreadable = await house.client.post("/api/verify", content=b"{}")
        assert (unreadable.status_code, unreadable.json()["error"]) == (422, "credentials.unreadable")
        twice = await house.client.post("/api/verify", content=b'{"code":"2222","code":"3333"}')
        assert twice.status_code == 422
        more = await house.client.post("/api/verify", content=json.dumps({"code": "x", "also": 1}).encode())
        assert more.status_code == 422

    play(story)
