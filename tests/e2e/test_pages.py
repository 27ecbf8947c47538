"""Every page at the width of a cheap phone and of a desk, in both languages, light and dark, with script and without."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e import story
from tests.e2e.conftest import Stage
from tests.e2e.demo import Demo
from tests.e2e.look import inspect
from tests.e2e.people import DESKTOP, PHONE, People
from tests.e2e.story import STUDENT, Issued

Address = Callable[[Issued], str]
LANGUAGES = ("zh-CN", "en")
STRANGER, REGISTRAR, APPROVER, AUDITOR, NEWCOMER = None, "a.registrar", "a.approver", "a.auditor", "b002"


def _at(path: str) -> Address:
    return lambda _issued: path


PAGES: dict[str, tuple[str | None, Address, int]] = {
    "front": (STRANGER, _at("/"), 200),
    "verify": (STRANGER, _at("/verify"), 200),
    "verdict": (STRANGER, lambda issued: f"/verify/{issued.code}", 200),
    "unknown code": (STRANGER, _at("/verify/2222-2222-2222-2222"), 404),
    "log": (STRANGER, _at("/log"), 200),
    "entry of the log": (STRANGER, _at("/log/7"), 200),
    "help": (STRANGER, _at("/help"), 200),
    "accessibility": (STRANGER, _at("/accessibility"), 200),
    "privacy": (STRANGER, _at("/privacy"), 200),
    "no such page": (STRANGER, _at("/nothing"), 404),
    "sign in": (STRANGER, _at("/signin"), 200),
    "signed out": (STRANGER, _at("/signed-out"), 200),
    "home": (STUDENT, _at("/home"), 200),
    "wallet": (STUDENT, _at("/credentials"), 200),
    "empty wallet": (NEWCOMER, _at("/credentials"), 200),
    "record held": (STUDENT, lambda issued: issued.credential, 200),
    "share": (STUDENT, lambda issued: f"{issued.credential}/share", 200),
    "shared": (STUDENT, lambda issued: issued.shared, 200),
    "sessions": (STUDENT, _at("/account/sessions"), 200),
    "platforms": (STUDENT, _at("/account/platforms"), 200),
    "how to reach me": (STUDENT, _at("/account/profile"), 200),
    "not allowed": (STUDENT, _at("/batches"), 403),
    "work list": (REGISTRAR, _at("/batches"), 200),
    "new batch": (REGISTRAR, _at("/batches/new"), 200),
    "list of graduates": (REGISTRAR, _at("/batches/new/diploma"), 200),
    "credit record": (REGISTRAR, _at("/batches/new/credit_record"), 200),
    "registration of a work": (REGISTRAR, _at("/batches/new/copyright_registration"), 200),
    "home of an officer": (APPROVER, _at("/home"), 200),
    "batch issued": (APPROVER, lambda issued: issued.diplomas, 200),
    "records": (APPROVER, _at("/records"), 200),
    "record": (APPROVER, lambda issued: issued.credential.replace("/credentials/", "/records/"), 200),
    "audit trail": (AUDITOR, _at("/audit"), 200),
}


def _look(page: Page, language: str) -> None:
    """Look at both widths; axe at the one this language is asked at."""
    for size in (PHONE, DESKTOP):
        page.set_viewport_size(size)
        inspect(page, language, axe=(size is PHONE) == (language == "zh-CN"))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_both_widths_and_both_languages_and_axe_finds_nothing(stage: Stage, name: str) -> None:
    login, address, status = PAGES[name]
    path = address(stage.issued).removeprefix(stage.demo.origin)
    # axe sees each page on a phone in the dark and at a desk in the light: the colours differ, and what is stacked.
    for language, scheme in (("zh-CN", "dark"), ("en", "light")):
        with stage.people.looking(
            stage.chromium, login, viewport=PHONE, locale=language, color_scheme=scheme, reduced_motion="reduce"
        ) as page:
            answer = page.goto(stage.demo.origin + path)
            assert answer is not None
            assert answer.status == status
            inspect(page, language, axe=scheme == "dark")
            page.set_viewport_size(DESKTOP)
            inspect(page, language, axe=scheme == "light")
            if language == "en":  # the longer words
                page.set_viewport_size(PHONE)
                page.goto(f"{stage.demo.origin}{path}?text_size=large")
                inspect(page, language, axe=False)


@pytest.mark.parametrize(("language", "login"), [("zh-CN", "a013"), ("en", "a014")])
def test_the_pages_of_a_sign_in_fit_too(
    running_demo: Demo, people: People, chromium: Browser, language: str, login: str
) -> None:
    with people.at(chromium, STRANGER, locale=language) as page:
        page.goto(running_demo.learning)
        page.click("a.button")
        page.fill("#password", "wrong")
        page.fill("#username", "王" * 60)
        page.click("form[action='/signin/password'] button")
        expect(page.locator(".error-summary")).to_be_visible()
        _look(page, language)
        people.pass_password(page, login)
        page.click("details summary")
        _look(page, language)
        page.fill("#code", "000000")
        page.click("form[action='/signin/enrol'] button")
        _look(page, language)
        people.enrol_phone(page, login)
        expect(page.locator("#scope_edu")).to_be_visible()
        page.click("details summary")
        _look(page, language)
        page.click("form[action='/signin/consent'] button")
        expect(page).to_have_url(f"{running_demo.learning}/")
        page.goto(f"{running_demo.origin}/account/platforms")
        _look(page, language)
        page.goto(f"{running_demo.origin}/end-session?client_id=demo-learning")
        _look(page, language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_steps_between_pages_and_the_errors_of_forms_fit_too(stage: Stage, language: str) -> None:
    demo, people, chromium = stage.demo, stage.people, stage.chromium
    with people.at(chromium, STRANGER, locale=language) as page:
        page.goto(f"{demo.origin}/verify")
        page.click("main form button[type=submit]")
        expect(page.locator("#code-error")).to_be_visible()
        _look(page, language)
        page.goto(f"{demo.origin}/verify/{stage.issued.code}")
        page.click("details summary")
        _look(page, language)
    with people.at(chromium, STUDENT, locale=language) as page:
        page.goto(f"{stage.issued.credential}/share")
        page.check("#days-other")
        page.fill("#days", "181")
        page.click("main form button[type=submit]")
        expect(page.locator("#days-error")).to_be_visible()
        _look(page, language)
        page.fill("#days", "180")
        page.click("main form button[type=submit]")
        expect(page.locator("button[name=step][value=create]")).to_be_visible()
        _look(page, language)
    with people.at(chromium, REGISTRAR, locale=language) as page:
        for kind in ("diploma", "credit_record", "copyright_registration"):
            page.goto(f"{demo.origin}/batches/new/{kind}")
            page.click("main form button[type=submit]")
            expect(page.locator(".error-summary")).to_be_visible()
            _look(page, language)
    with people.at(chromium, APPROVER, locale=language) as page:
        page.goto(stage.issued.credential.replace("/credentials/", "/records/"))
        page.check("input[name=act][value=suspend]")
        page.click("main form button[type=submit]")
        expect(page.locator("#reason")).to_be_visible()
        _look(page, language)
    with people.at(chromium, "b.registrar", locale=language) as page:
        story.upload(page, demo, story.graduates(1))
        _look(page, language)


def test_verifying_and_sharing_need_no_script(stage: Stage) -> None:
    with stage.people.at(stage.chromium, STUDENT, java_script_enabled=False) as holder:
        code, _ = story.share(holder, stage.issued.credential, fields=("name",), days=1)
    with stage.people.at(stage.chromium, STRANGER, java_script_enabled=False) as page:
        page.goto(f"{stage.demo.origin}/verify")
        page.fill("#code", code)
        page.click("main form button[type=submit]")
        expect(page.locator("section.verdict.valid")).to_be_visible()
        page.click("details.all-checks summary")
        expect(page.locator("ol.checks > li.pass").first).to_be_visible()
        page.goto(f"{stage.demo.origin}/")
        page.fill("#code", code)
        page.click("main form button[type=submit]")
        expect(page.locator("section.verdict.valid")).to_be_visible()


def test_a_keyboard_reaches_the_text_first_and_sees_where_it_is(
    running_demo: Demo, people: People, chromium: Browser
) -> None:
    with people.at(chromium, STRANGER) as page:
        page.goto(f"{running_demo.origin}/verify")
        page.keyboard.press("Tab")
        skip = page.locator("a.skip")
        expect(skip).to_be_focused()
        expect(skip).to_be_in_viewport()
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.locator("#code")).to_be_focused()
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_a_language_once_chosen_stays(running_demo: Demo, people: People, chromium: Browser) -> None:
    with people.at(chromium, STRANGER) as page:
        page.goto(f"{running_demo.origin}/")
        page.click(".languages a[lang=en]")
        page.goto(f"{running_demo.origin}/verify")
        expect(page.locator("html")).to_have_attribute("lang", "en")


def test_a_person_s_page_carries_little_script_and_nothing_moves_while_it_loads(stage: Stage) -> None:
    with stage.people.at(stage.chromium, STUDENT, viewport=PHONE) as page:
        page.add_init_script(
            "window.moved = 0; new PerformanceObserver((list) => { for (const one of list.getEntries()) "
            "window.moved += one.value; }).observe({ type: 'layout-shift', buffered: true });"
        )
        for address in (f"{stage.demo.origin}/home", stage.issued.credential, stage.issued.shared):
            page.goto(address, wait_until="networkidle")
            assert page.evaluate("window.moved") < 0.1
            scripts: int = page.evaluate(
                "performance.getEntriesByType('resource').filter((one) => one.initiatorType === 'script')"
                ".reduce((sum, one) => sum + one.decodedBodySize, 0)"
            )
            assert scripts <= 40_000
            assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son[a-z]+=", page.content())
