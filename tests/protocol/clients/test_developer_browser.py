"""The developer pages in a real browser: both languages, a desk and a phone, and without scripts."""

from __future__ import annotations

import subprocess

import httpx
import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.look import inspect
from tests.protocol.clients.service import EDUTRUST, Service
from tests.protocol.conformance.live import ANSWER_S, PASSWORD

WIDTHS = (1280, 360)


def look(page: Page, language: str) -> None:
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        inspect(page, language, axe=width == WIDTHS[-1])


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_a_developer_makes_a_client_sees_what_went_wrong_and_tests_it(
    service: Service, chromium: Browser, language: str
) -> None:
    allowed = subprocess.run(
        [*EDUTRUST, "developers", "add", "zhao", "--data-dir", str(service.data_dir)], capture_output=True, check=False
    )
    assert allowed.returncode == 0, allowed.stderr
    context = chromium.new_context(ignore_https_errors=True, locale=language)
    page = context.new_page()
    try:
        page.goto(f"{service.issuer}/developer")
        page.fill("input[name=username]", "zhao")
        page.fill("input[name=password]", PASSWORD)
        page.click("button.primary")
        look(page, language)
        page.fill("#name", "我的学习平台")
        page.fill("#redirect_uris", "http://plain.example/callback")
        page.click("form[action='/developer/clients'] button.primary")
        look(page, language)
        assert page.locator("section.error-summary a").get_attribute("href") == "#redirect_uris"
        page.fill("#redirect_uris", "https://platform.example/callback\nhttp://127.0.0.1:8000/callback")
        page.click("form[action='/developer/clients'] button.primary")
        look(page, language)
        client_id = page.locator("dd code").first.inner_text()
        asked = f"client_id={client_id}&response_type=code&scope=openid&redirect_uri=https://platform.example"
        page.goto(f"{service.issuer}/authorize?{asked}/other")
        page.goto(f"{service.issuer}/authorize?{asked}/callback&code_challenge={'a' * 43}&code_challenge_method=S256")
        look(page, language)  # the consent page, which says that it is a trial
        refused = httpx.post(
            f"{service.issuer}/token",
            data={"grant_type": "refresh_token", "refresh_token": "x"},
            auth=(client_id, "x" * 43),
            verify=service.live.trust,
            trust_env=False,
            timeout=ANSWER_S,
        )
        assert refused.status_code == 401
        page.goto(f"{service.issuer}/developer/clients/{client_id}")
        look(page, language)
        assert page.locator("table tbody tr").count() == 3
        page.click("form[action$='/test'] button")
        page.click("form[action='/signin/consent'] button")
        look(page, language)
        assert page.locator("ol.cards > li").count() == 5
        page.goto(f"{service.issuer}/developer/clients/{client_id}")
        page.click("form[action$='/end'] button")
        assert page.locator(f"text={client_id}").count() == 0
    finally:
        context.close()


def test_the_pages_work_without_scripts(service: Service, chromium: Browser) -> None:
    subprocess.run(
        [*EDUTRUST, "developers", "add", "zhao", "--data-dir", str(service.data_dir)], capture_output=True, check=True
    )
    context = chromium.new_context(ignore_https_errors=True, locale="zh-CN", java_script_enabled=False)
    page = context.new_page()
    try:
        page.goto(f"{service.issuer}/developer")
        page.fill("input[name=username]", "zhao")
        page.fill("input[name=password]", PASSWORD)
        page.click("button.primary")
        page.fill("#name", "没有脚本")
        page.check("input[value=SGD_SM3_SM2]")
        page.click("form[action='/developer/clients'] button.primary")
        page.click("form[action$='/test'] button")
        page.click("form[action='/signin/consent'] button")
        assert '"alg": "SGD_SM3_SM2"' in page.locator("pre").first.inner_text()
        page.goto(f"{service.issuer}/developer")
        page.click("ul.cards a")
        page.click("form[action$='/end'] button")
    finally:
        context.close()
