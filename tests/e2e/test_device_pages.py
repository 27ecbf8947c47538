"""Letting a device sign in, in a real browser: at the width of a desk and of a cheap phone, twice enlarged, in both languages,
without script.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.test_account_pages import LANGUAGES, look, opened
from tests.protocol.conformance.live import PASSWORD, SECRET, Live, living

CLIENT = ("conformance-device", SECRET)
TELEVISION = {"user-agent": "Mozilla/5.0 (Linux; Android 14; SchoolTV) Chrome/120"}
GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Run the service behind TLS."""
    with living(tmp_path_factory.mktemp("service")) as started:
        yield started


@pytest.fixture
def live(running: Live) -> Iterator[Live]:
    """Return the running service; what the test opened to it is closed at its end."""
    yield running
    running.close_clients()


def _begun(live: Live) -> tuple[httpx.Client, dict[str, Any]]:
    device = live.client(**TELEVISION)
    answer = device.post(f"{live.issuer}/device_authorization", data={"scope": "openid profile edu"}, auth=CLIENT)
    begun: dict[str, Any] = answer.json()
    return device, begun


def _told(live: Live, device: httpx.Client, begun: dict[str, Any]) -> str:
    form = {"grant_type": GRANT, "device_code": begun["device_code"]}
    answer: dict[str, Any] = device.post(f"{live.issuer}/token", data=form, auth=CLIENT).json()
    return str(answer.get("error", "tokens"))


def _sign_in(page: Page, address: str) -> None:
    page.goto(address)
    page.fill("#username", "lin")
    page.fill("#password", PASSWORD)
    page.click("form[action='/signin/password'] button")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_person_lets_a_device_sign_in_and_every_page_on_the_way_is_in_order(
    live: Live, chromium: Browser, language: str
) -> None:
    device, begun = _begun(live)
    with opened(live, chromium, language) as page:
        _sign_in(page, begun["verification_uri_complete"])
        expect(page.locator("#user_code")).to_have_value(begun["user_code"])
        look(page, language)
        page.click("main form[action='/device'] button")
        expect(page.locator("main")).to_contain_text(begun["user_code"])
        expect(page.locator("main")).to_contain_text({"zh-CN": "教室大屏", "en": "Classroom screen"}[language])
        look(page, language)
        page.click("form[action='/device/answer'] button[value=yes]")
        look(page, language)
        page.click("form[action='/signin/consent'] button")
        page.wait_for_url("**/device/done?answer=yes")
        look(page, language)
    assert _told(live, device, begun) == "tokens"


def test_a_wrong_code_is_said_at_its_field_and_a_no_is_kept_without_script(live: Live, chromium: Browser) -> None:
    device, begun = _begun(live)
    with opened(live, chromium, java_script_enabled=False) as page:
        _sign_in(page, begun["verification_uri"])
        page.fill("#user_code", "BBBB-BBBB")
        page.click("main form[action='/device'] button")
        expect(page.locator("#user_code-error")).to_be_visible()
        page.fill("#user_code", begun["user_code"].lower())
        page.click("main form[action='/device'] button")
        page.click("form[action='/device/answer'] button[value=no]")
        page.wait_for_url("**/device/done?answer=no")
    assert _told(live, device, begun) == "access_denied"
