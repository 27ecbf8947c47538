"""Signing in to two platforms and out of both, in a real browser."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from playwright.sync_api import Browser, Page, expect

from crypto.otp import totp
from tests.e2e.demo import Demo
from tests.e2e.people import DIGITS, STEP_S, People

# The platform is told within a second or two; its own page says when.
_UNTIL_SIGNED_OUT = """async () => {
  for (const start = performance.now(); performance.now() - start < 20000;) {
    if ((await (await fetch("/")).text()).includes('href="/login"')) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("still signed in");
}"""


def _received(page: Page, name: str) -> str:
    """Return what the platform says it received."""
    return page.locator(f"#{name}").text_content() or ""


def _form_action(policy: str) -> set[str]:
    directives = (part.split() for part in policy.split(";"))
    return next(set(words[1:]) for words in directives if words[0] == "form-action")


def test_a_student_signs_in_to_two_platforms_and_out_of_both(
    running_demo: Demo, people: People, chromium: Browser
) -> None:
    demo = running_demo
    with people.at(chromium, None) as page:
        page.goto(demo.learning)
        page.click("a.button")
        expect(page).to_have_url(re.compile(rf"^{demo.origin}/signin/step"))
        people.pass_password(page, "a010")
        people.enrol_phone(page, "a010")

        # Consent names the platform, what it gets and why; nothing optional is ticked beforehand.
        expect(page.locator("h1")).to_contain_text("青禾学习平台")
        expect(page.locator("#required-scopes + ul li")).to_have_count(2)
        expect(page.locator("#scope_edu")).not_to_be_checked()
        expect(page.locator("input[type=checkbox]:checked")).to_have_count(0)
        page.check("#scope_edu")
        page.click("form[action='/signin/consent'] button")

        expect(page).to_have_url(f"{demo.learning}/")
        page.click("summary")
        assert _received(page, "alg") == "ES256"
        assert _received(page, "acr") == "urn:edutrust:acr:2"
        learning_sub = _received(page, "sub")

        # The library wants nothing but a pseudonym, so nobody is asked anything: no page of ours is shown.
        shown: list[str] = []
        page.on("framenavigated", lambda frame: shown.append(frame.url))
        page.goto(demo.library)
        page.click("a.button")
        expect(page.locator("#sub")).to_be_attached()
        assert {f"{urlsplit(url).scheme}://{urlsplit(url).netloc}" for url in shown} == {demo.library}
        assert _received(page, "alg") == "RS256"
        assert _received(page, "sub") != learning_sub
        assert "a010" not in page.content()

        # Signing out here ends the other one too: the service tells it behind the browser's back.
        page.click("form[action='/logout'] button")
        expect(page).to_have_url(re.compile(rf"^{demo.library}/signed-out"))
        expect(page.locator("a[href='/login']")).to_be_visible()
        page.goto(demo.learning)
        page.evaluate(_UNTIL_SIGNED_OUT)
        page.reload()
        expect(page.locator("a[href='/login']")).to_be_visible()
        page.goto(f"{demo.origin}/home")
        expect(page.locator("#password")).to_be_visible()


def test_a_wrong_password_is_refused_calmly_and_the_typed_name_stays(
    running_demo: Demo, people: People, chromium: Browser
) -> None:
    with people.at(chromium, None) as page:
        page.goto(f"{running_demo.origin}/signin")
        page.fill("#username", " Nobody·甲 ")
        page.fill("#password", "not the password")
        page.press("#password", "Enter")
        expect(page.locator(".error-summary")).to_be_visible()
        expect(page.locator("#username")).to_have_value(" Nobody·甲 ")
        expect(page.locator("#password")).to_have_value("")
        expect(page.locator("#password")).to_be_focused()
        page.click(".error-summary a")
        expect(page.locator("#username")).to_be_focused()


def test_a_second_sign_in_asks_for_a_code_of_the_phone_and_a_used_one_is_refused(
    running_demo: Demo, people: People, chromium: Browser
) -> None:
    with people.at(chromium, "a011"):
        pass  # enrolled now
    with people.at(chromium, None) as page:
        page.goto(f"{running_demo.origin}/signin?return=/home")
        people.pass_password(page, "a011")
        used = totp(people.phones["a011"].seed, people.phones["a011"].last_step * STEP_S, step_s=STEP_S, digits=DIGITS)
        page.fill("#code", used)
        page.click("form[action='/signin/totp'] button")
        expect(page.locator(".error-summary")).to_be_visible()
        page.fill("#code", people.phones["a011"].code())
        page.click("form[action='/signin/totp'] button")
        expect(page).to_have_url(f"{running_demo.origin}/home")


def test_saying_no_at_consent_leads_back_to_the_platform_with_nothing(
    running_demo: Demo, people: People, chromium: Browser
) -> None:
    demo = running_demo
    with people.at(chromium, "a011") as page:
        page.goto(demo.learning)
        page.click("a.button")
        expect(page.locator("#required-scopes")).to_be_visible()
        page.click("form[action='/signin/cancel'] button")
        expect(page).to_have_url(re.compile(rf"^{demo.learning}/"))
        expect(page.locator("[role=alert]")).to_be_visible()
        expect(page.locator("#sub")).not_to_be_attached()


def test_a_page_whose_form_ends_at_a_platform_names_that_platform_and_no_other_page_does(
    running_demo: Demo, people: People, chromium: Browser
) -> None:
    demo = running_demo
    with people.at(chromium, None) as page:
        page.goto(demo.learning)
        with page.expect_response(re.compile("/signin/step")) as answered:
            page.click("a.button")
        assert _form_action(answered.value.headers["content-security-policy"]) == {"'self'", demo.learning}
        own = page.goto(f"{demo.origin}/signin?return=/home")
        assert own is not None
        assert _form_action(own.headers["content-security-policy"]) == {"'self'"}


def test_a_platform_that_shows_no_token_has_the_person_asked_before_everything_ends(
    running_demo: Demo, people: People, chromium: Browser
) -> None:
    demo = running_demo
    back = f"{demo.learning}/signed-out"
    with people.at(chromium, "a012") as page:
        page.goto(f"{demo.origin}/end-session?client_id=demo-learning&post_logout_redirect_uri={quote(back)}")
        expect(page.locator("form[action='/end-session/confirm']")).to_be_visible()
        page.click("form[action='/end-session/confirm'] button[value=no]")
        expect(page).to_have_url(f"{demo.origin}/")
        page.goto(f"{demo.origin}/end-session?client_id=demo-learning&post_logout_redirect_uri={quote(back)}")
        page.click("form[action='/end-session/confirm'] button[value=yes]")
        expect(page).to_have_url(back)
        page.goto(f"{demo.origin}/home")
        expect(page.locator("#password")).to_be_visible()
