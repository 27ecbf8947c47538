"""The front page, a person's home, the audit trail, and the pages of prose."""

from __future__ import annotations

from collections.abc import Callable

from idp.authority.model import Duty, Level, NewOffice, OfficeKind, Unit
from ledger.audit import AuditEvent
from tests.adapters.pages.conftest import Story
from tests.credentials.pages.house import (
    APPROVER,
    AUDITOR,
    NOW,
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


def test_the_front_page_says_the_three_things_and_takes_a_code_at_once(play: Play) -> None:
    async def story(house: House) -> None:
        page = await house.get("/")
        assert page.status_code == 200
        for address in ("/credentials", "/batches", "/log", "/verify"):
            assert f'href="{address}"' in page.text
        sent = await house.post("/verify", {"code": "2222-3333-4444-5555"}, form="/")
        assert sent.headers["location"] == "/verify/2222-3333-4444-5555"

    play(story)


def test_home_shows_what_is_new_and_only_the_ways_that_are_ones_own(play: Play) -> None:
    async def story(house: House) -> None:
        held = await house.student_credential()
        page = await house.get("/home", as_who=STUDENT)
        assert f'href="/credentials/{held}"' in page.text
        assert 'href="/batches"' not in page.text
        assert 'href="/audit"' not in page.text
        assert 'href="/batches"' in (await house.get("/home", as_who=REGISTRAR)).text
        assert 'href="/audit"' in (await house.get("/home", as_who=AUDITOR)).text
        assert (await house.get("/home")).headers["location"] == "/signin?return=%2Fhome"

    play(story)


def test_home_tells_an_approver_what_waits_and_not_the_one_who_prepared_it(play: Play) -> None:
    async def story(house: House) -> None:
        files = {"file": ("名单.csv", graduates(graduate(1), graduate(2)), "text/csv")}
        made = await house.post("/batches/new/diploma", {"school": SCHOOL.value}, as_who=REGISTRAR, files=files)
        address = made.headers["location"]
        await house.post(f"{address}/submit", {}, as_who=REGISTRAR, form=address)
        assert f'href="{address}"' in (await house.get("/home", as_who=APPROVER)).text
        assert f'href="{address}"' not in (await house.get("/home", as_who=REGISTRAR)).text

    play(story)


def test_an_auditor_sees_who_did_what_and_nobody_else_does(play: Play) -> None:
    async def story(house: House) -> None:
        await house.student_credential()
        said = words(await house.get("/audit", as_who=AUDITOR))
        for act in ("新建一批", "提交审批", "审批通过", "签发完成"):
            assert act in said
        assert house.people[REGISTRAR].value in said
        assert (await house.get("/audit", as_who=REGISTRAR)).status_code == 403
        assert (await house.get("/audit", as_who=STUDENT)).status_code == 403
        assert (await house.get("/audit")).status_code == 303

    play(story)


def test_the_trail_is_filtered_by_act_and_by_person(play: Play) -> None:
    async def story(house: House) -> None:
        await house.student_credential()
        one = words(await house.get(f"/audit?actor={house.people[APPROVER].value}", as_who=AUDITOR))
        rows = one.partition("详情")[2]
        assert "审批通过" in rows
        assert "新建一批" not in rows
        none = words(await house.get("/audit?action=credentials.status.", as_who=AUDITOR))
        assert "没有符合条件的记录" in none

    play(story)


def _event(school: str, actor: str) -> AuditEvent:
    return AuditEvent(NOW, "credentials.batch.drafted", actor, f"batch-{school}", "ok", None, None, {"school": school})


def test_a_schools_auditor_reads_their_own_school_and_a_provinces_reads_all(play: Play) -> None:
    async def story(house: House) -> None:
        await house.parts.audit.record(_event(SCHOOL.value, "system"))
        await house.parts.audit.record(_event(OTHER_SCHOOL.value, "system"))
        own = words(await house.get("/audit", as_who=AUDITOR))
        assert f"batch-{SCHOOL.value}" in own
        assert f"batch-{OTHER_SCHOOL.value}" not in own
        unit = Unit(Level.PROVINCE, "500000", ("000000",))
        office = NewOffice(house.people[STUDENT], unit, OfficeKind.QUERY, frozenset({Duty.AUDITOR}))
        granted = await house.parts.authority.grant_office(office, by=None, now=NOW)
        actor = house.actors[AUDITOR]
        house.actors[STUDENT] = type(actor)(
            house.people[STUDENT], "x", (granted,), actor.acr, actor.auth_time, actor.session_ref
        )
        whole = words(await house.get("/audit", as_who=STUDENT))
        assert f"batch-{SCHOOL.value}" in whole
        assert f"batch-{OTHER_SCHOOL.value}" in whole

    play(story)


def test_a_long_trail_is_read_page_by_page_to_its_beginning(play: Play) -> None:
    async def story(house: House) -> None:
        for number in range(120):
            await house.parts.audit.record(_event(SCHOOL.value, f"n{number}"))
        seen: list[str] = []
        address: str | None = "/audit"
        while address is not None:
            page = await house.get(address, as_who=AUDITOR)
            seen += [cell.partition("<")[0] for cell in page.text.split("<code>n")[1:]]
            _, found, rest = page.text.partition('<a rel="next" href="')
            address = rest.partition('"')[0].replace("&amp;", "&") if found else None
        assert seen == [str(number) for number in range(119, -1, -1)]

    play(story)


def test_help_accessibility_and_privacy_speak_both_languages(play: Play) -> None:
    async def story(house: House) -> None:
        for path in ("/help", "/accessibility", "/privacy"):
            for language in ("zh-CN", "en"):
                page = await house.get(path, language=language)
                assert page.status_code == 200
                assert page.text.count("<h1") == 1
                assert f'lang="{language}"' in page.text
                assert "_text" not in words(page)  # every section has its words

    play(story)
