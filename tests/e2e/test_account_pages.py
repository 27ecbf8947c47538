"""A person's own pages, signing in and out of a platform, and what can go wrong, in a real browser: at the width of a desk
and of a cheap phone, twice enlarged, in both languages, with script and without.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.e2e.demo import ROOT
from tests.e2e.look import inspect
from tests.e2e.people import DESKTOP, PHONE, WAIT_MS, Complaints
from tests.protocol.conformance.live import PASSWORD, Deployed, Live, living

LANGUAGES = ("zh-CN", "en")
CLIENT = "conformance-front"
COMMAND = "import sys; from adapters.cli import main; sys.exit(main(sys.argv[1:]))"
# WCAG 2.2 §1.4.4 and §1.4.10: a window of 1280 pixels enlarged twice is one of 640.
ENLARGED: Final[ViewportSize] = {"width": 640, "height": 450}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """Run the service behind TLS, and the platform beside it."""
    with living(tmp_path_factory.mktemp("service")) as running:
        yield running


@contextmanager
def opened(live: Live, chromium: Browser, language: str = "zh-CN", **options: Any) -> Iterator[Page]:
    """Open a fresh browser; fail if anything there complained."""
    context = chromium.new_context(
        ignore_https_errors=True, locale=language, viewport=DESKTOP, reduced_motion="reduce", **options
    )
    complaints = Complaints()
    complaints.listen(context)
    context.set_default_timeout(WAIT_MS)
    try:
        yield context.new_page()
        assert complaints.heard == []
    finally:
        context.close()


def authorization(live: Live, **changes: str) -> str:
    """Return the address a platform sends the browser to."""
    asked = {
        "client_id": CLIENT,
        "redirect_uri": f"{live.party.origin}/callback",
        "scope": "openid profile edu offline_access",
        "response_type": "code",
        "state": "s",
        "nonce": "n",
        **changes,
    }
    return f"{live.issuer}/authorize?{urlencode(asked)}"


def look(page: Page, language: str) -> None:
    """Look at each width; axe takes its time, and looks on the phone in one language, enlarged in the other."""
    for size in (DESKTOP, ENLARGED, PHONE):
        page.set_viewport_size(size)
        inspect(page, language, axe=size is (PHONE if language == "zh-CN" else ENLARGED))
    page.set_viewport_size(DESKTOP)


def sign_in(page: Page, live: Live, username: str = "lin") -> None:
    """Sign in at the platform and allow everything that is asked for."""
    page.goto(authorization(live))
    page.fill("#username", username)
    page.fill("#password", PASSWORD)
    page.click("form[action='/signin/password'] button")
    page.wait_for_load_state()
    if page.locator("form[action='/signin/consent']").count():
        for box in page.locator("form[action='/signin/consent'] input[type=checkbox]").all():
            box.check()
        page.click("form[action='/signin/consent'] button")
    page.wait_for_url(f"{live.party.origin}/callback?**")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_pages_of_a_persons_account_fit(live: Live, chromium: Browser, language: str) -> None:
    with opened(live, chromium, language) as page:
        sign_in(page, live)
        for path in ("sessions", "platforms", "password", "profile"):
            answer = page.goto(f"{live.issuer}/account/{path}")
            assert answer is not None
            assert answer.status == 200
            expect(page.locator(".places a[aria-current=page]")).to_have_attribute("href", f"/account/{path}")
            look(page, language)
        page.goto(f"{live.issuer}/account/password")
        page.fill("#old_password", "wrong")
        page.fill("#new_password", "short")
        page.fill("#new_password_again", "short")
        page.click("main form button")
        expect(page.locator(".error-summary a[href='#old_password']")).to_be_visible()
        look(page, language)
        for path in ("/device", authorization(live, prompt="select_account").removeprefix(live.issuer)):
            page.goto(f"{live.issuer}{path}")
            look(page, language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_platforms_sign_in_says_who_asks(live: Live, chromium: Browser, language: str) -> None:
    with opened(live, chromium, language) as page:
        page.goto(authorization(live))
        name = "一致性测试" if language == "zh-CN" else "Conformance"
        expect(page.locator("main .lead")).to_contain_text(name)
        look(page, language)


REFUSED: dict[str, tuple[str, int]] = {
    "nothing there": ("/nothing", 404),
    "another method": ("/signout", 405),
    "a request that is not proven": ("/authorize?client_id=conformance&redirect_uri=https://evil.example", 400),
    "a sign-in that is over": ("/signin/step?t=x", 400),
    "a sign-out that is not in order": ("/end-session?post_logout_redirect_uri=https://evil.example", 400),
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_pages_of_errors_fit_and_give_a_reference(live: Live, chromium: Browser, language: str) -> None:
    with opened(live, chromium, language) as page:
        for path, status in REFUSED.values():
            answer = page.goto(live.issuer + path)
            assert answer is not None
            assert answer.status == status
            reference = answer.headers["x-correlation-id"]
            expect(page.locator("main dd code").first).to_have_text(reference)
            look(page, language)


@pytest.mark.parametrize(("language", "username"), [("zh-CN", "lin"), ("en", "two-factors-query")])
def test_the_pages_of_a_developer_fit(live: Deployed, chromium: Browser, language: str, username: str) -> None:
    with opened(live, chromium, language) as page:
        sign_in(page, live, username)
        page.goto(f"{live.issuer}/developer")
        look(page, language)
        arguments = ["developers", "add", username, "--data-dir", str(live.folder), "--json"]
        subprocess.run([sys.executable, "-W", "ignore", "-c", COMMAND, *arguments], cwd=ROOT, check=True)
        page.goto(f"{live.issuer}/developer")
        look(page, language)
        page.fill("#name", "Trial")
        page.fill("#redirect_uris", "https://a.example/*")
        page.click("form[action='/developer/clients'] button[type=submit]")
        expect(page.locator(".error-summary")).to_be_visible()
        look(page, language)
        page.fill("#redirect_uris", f"{live.party.origin}/callback")
        page.click("form[action='/developer/clients'] button[type=submit]")
        expect(page.locator("form[action$='/secret']")).to_be_visible()
        look(page, language)


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_platforms_are_told_in_frames_before_the_browser_moves_on(live: Live, chromium: Browser, script: bool) -> None:
    """Front-Channel Logout 1.0: the frame has loaded when the browser comes back to the platform."""
    with opened(live, chromium, java_script_enabled=script) as page:
        sign_in(page, live)
        live.party.drain()
        back = f"{live.party.origin}/signed-out"
        asked = {"client_id": CLIENT, "post_logout_redirect_uri": back, "state": "the state"}
        page.goto(f"{live.issuer}/end-session?{urlencode(asked)}")
        page.click("button[name=answer][value=yes]")
        page.wait_for_url(f"{back}?state=the+state")
        paths = [call.path for call in live.party.drain() if not call.path.startswith("/favicon")]
        assert len(paths) == 2
        assert paths[0].startswith("/frontchannel?of=the%20platform&iss=https%3A%2F%2Flocalhost")
        assert paths[1] == "/signed-out?state=the+state"
        page.goto(f"{live.issuer}/account/sessions")
        expect(page.locator("#username")).to_be_visible()


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_whoever_signs_out_by_hand_sees_that_it_is_done(
    live: Live, chromium: Browser, language: str, script: bool
) -> None:
    with opened(live, chromium, language, java_script_enabled=script) as page:
        sign_in(page, live)
        live.party.drain()
        page.goto(f"{live.issuer}/account/sessions")
        page.click("form[action='/account/sessions/end-all'] button")
        page.wait_for_load_state("load")
        expect(page.locator("main a[href='/signin']")).to_be_visible()
        expect(page.locator("form.person")).to_have_count(0)
        called = [call.path.partition("?")[0] for call in live.party.drain()]
        assert [path for path in called if path != "/favicon.ico"] == ["/frontchannel"]
        if script:  # looking needs one
            look(page, language)


def test_a_new_password_is_set_without_a_script(live: Live, chromium: Browser) -> None:
    new = "three old umbrellas"
    with opened(live, chromium, java_script_enabled=False) as page:
        sign_in(page, live)
        for old, chosen in ((PASSWORD, new), (new, PASSWORD)):
            page.goto(f"{live.issuer}/account/password")
            page.fill("#old_password", old)
            page.fill("#new_password", chosen)
            page.fill("#new_password_again", chosen)
            page.click("main form button")
            expect(page.locator("main [role=status]")).to_be_visible()
