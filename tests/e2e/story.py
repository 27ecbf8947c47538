"""The life of records, played once: a list of graduates, a credit record, a work; each prepared, approved, issued."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from pathlib import Path

from playwright.sync_api import Browser, FilePayload, Page, expect

from adapters.demo.graduates import BadRow, GraduatesFile, graduates_csv
from adapters.demo.population import DemoProvince, make_population
from adapters.demo.seed import SEED
from tests.e2e.demo import Demo
from tests.e2e.people import People

CHINA = timezone(timedelta(hours=8))
STUDENT, STUDENT_NAME = "a001", "𠮷田禾"
COURSE, MISTAKEN_COURSE = "数据结构（微专业）", "高等数学（登错的一门）"
COURSE_CODES = {COURSE: "CS-2026-001", MISTAKEN_COURSE: "MA-2026-002"}
DIPLOMA = "学历证书"
WORK = "《可信的教育》课程讲义.pdf"
# Two hundred records are signed, logged and anchored in seconds; a busy machine takes its time.
ISSUING_TIMEOUT_MS = 120_000


@cache
def province() -> DemoProvince:
    """Return the people the demo invents: the same ones at every start of one day."""
    return make_population(seed=SEED, today=datetime.now(UTC).astimezone(CHINA).date())


def graduates(place: int) -> GraduatesFile:
    """Return a registrar's list in GB 18030 with one row of every fault; `place` 0 or 1 names the demo's school."""
    invented = province()
    school = invented.schools[place].code
    people = invented.students(school)
    return graduates_csv(school, people, year=invented.graduation_year, encoding="GB18030", bad_rows=list(BadRow))


@dataclass(slots=True)
class Issued:
    """What the story left behind: addresses below the service's origin, and what people saw on the way."""

    diplomas: str = ""
    preview: tuple[int, int] = (0, 0)
    bad_rows: list[tuple[int, str, str]] = field(default_factory=list)
    waiting_for_another: bool = False
    bar: tuple[int, int] = (0, 0)
    reports: list[str] = field(default_factory=list)
    credential: str = ""
    shared: str = ""
    code: str = ""


def upload(page: Page, demo: Demo, file: GraduatesFile) -> str:
    """Send a list of graduates as a registrar; return the address of its preview."""
    page.goto(f"{demo.origin}/batches/new/diploma")
    payload: FilePayload = {"name": "毕业生.csv", "mimeType": "text/csv", "buffer": file.data}
    page.set_input_files("#file", files=payload)
    page.click("main form button[type=submit]")
    expect(page).to_have_url(re.compile(r"/batches/(?!new)[^/]+$"), timeout=ISSUING_TIMEOUT_MS)
    return page.url


def bad_rows(page: Page) -> list[tuple[int, str, str]]:
    """Read the preview's table of refused rows: line, field, rule in words."""
    found = []
    for row in page.locator("[aria-labelledby=bad_title] tbody tr").all():
        line, name, rule = row.locator("td").all_text_contents()
        found.append((int(line), name, rule))
    return found


def counts(page: Page) -> tuple[int, int]:
    """Read how many rows the preview calls good and bad."""
    good, bad = (int(text) for text in page.locator("ul.counts strong").all_text_contents())
    return good, bad


def submit(page: Page) -> None:
    """Send the batch on the page for approval."""
    page.click("form[action$='/submit'] button")
    expect(page.locator("form[action$='/submit']")).not_to_be_attached()


def approve(page: Page, address: str) -> tuple[int, int]:
    """Approve a batch and watch its bar to the end; return its last value and its maximum."""
    page.goto(address)
    page.check("#looked")
    page.click("form[action$='/approve'] button")
    expect(page.locator("progress")).to_be_visible()
    expect(page.locator("a[href$='/report.csv']")).to_be_visible(timeout=ISSUING_TIMEOUT_MS)
    bar = page.locator("progress")
    return int(bar.get_attribute("value") or -1), int(bar.get_attribute("max") or -1)


def play(demo: Demo, people: People, chromium: Browser) -> Issued:
    """Play it all and return what is left."""
    issued = Issued()
    with people.at(chromium, STUDENT) as page:
        page.goto(f"{demo.origin}/home")
        number = page.locator("main code").first.text_content() or ""
    with people.at(chromium, "a.registrar") as page:
        issued.diplomas = upload(page, demo, graduates(0))
        issued.preview, issued.bad_rows = counts(page), bad_rows(page)
        submit(page)
        issued.waiting_for_another = page.locator("form[action$='/approve']").count() == 0
        others = [_credit_record(page, demo, number, course) for course in (COURSE, MISTAKEN_COURSE)]
        others.append(_work(page, demo, number))
    with people.at(chromium, "a.approver") as page:
        issued.bar = approve(page, issued.diplomas)
        for address in others:
            approve(page, address)
        issued.reports = [issued.diplomas, *others]
    with people.at(chromium, STUDENT) as page:
        issued.credential = credential_address(page, demo, DIPLOMA)
        issued.code, issued.shared = share(page, issued.credential, fields=("name", "major"), days=7)
    return issued


def _credit_record(page: Page, demo: Demo, number: str, achievement: str) -> str:
    page.goto(f"{demo.origin}/batches/new/credit_record")
    page.fill("#person", number)
    page.fill("#name", STUDENT_NAME)
    page.fill("#achievement", achievement)
    page.fill("#achievement_code", COURSE_CODES[achievement])
    page.fill("#credits", "3.5")
    page.fill("#hours_learned", "56")
    page.fill("#grade", "优秀")
    page.fill("#recognised_on", f"{province().graduation_year}-06-30")
    return _send(page)


def _work(page: Page, demo: Demo, number: str) -> str:
    page.goto(f"{demo.origin}/batches/new/copyright_registration")
    page.fill("#title", WORK)
    page.fill("#person", number)
    page.fill("#name", STUDENT_NAME)
    page.check("input[name=licence][value='CC-BY-4.0']")
    payload: FilePayload = {
        "name": WORK,
        "mimeType": "application/pdf",
        "buffer": b"a work of its own: " + WORK.encode(),
    }
    page.set_input_files("#file", files=payload)
    return _send(page)


def _send(page: Page) -> str:
    page.click("main form button[type=submit]")
    expect(page).to_have_url(re.compile(r"/batches/(?!new)[^/]+$"))
    address = page.url
    submit(page)
    return address


def credential_address(page: Page, demo: Demo, words: str) -> str:
    """Return the address of the student's record whose card has these words."""
    page.goto(f"{demo.origin}/credentials")
    card = page.locator(".record-list > li", has_text=words)
    expect(card).to_have_count(1)
    return demo.origin + (card.locator("a").get_attribute("href") or "")


def share(page: Page, address: str, *, fields: tuple[str, ...], days: int) -> tuple[str, str]:
    """Share chosen fields of a record; return the code as shown in groups, and the address of the share's page."""
    page.goto(f"{address}/share")
    for name in fields:
        page.check(f"input[name=fields][value='{name}']")
    page.check(f"#days-{days}")
    page.click("main form button[type=submit]")
    page.click("button[name=step][value=create]")
    expect(page.locator("#code-value")).to_be_visible()
    return (page.locator("#code-value").text_content() or "").strip(), page.url


def download(page: Page, link: str, folder: Path) -> bytes:
    """Follow a download link and return what arrives."""
    with page.expect_download() as waiting:
        page.click(link)
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path.read_bytes()
