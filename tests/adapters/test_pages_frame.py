"""The frame and its parts in a real browser: the policy holds, nothing overflows, everything can be reached and read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import segno
from playwright.sync_api import expect

from adapters.web.assets import BUILD_FOLDER, Assets, AssetsMissingError
from tests.adapters.asgi import ask
from tests.adapters.service import Service

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

SOURCES = Path(__file__).parents[2] / "adapters" / "web"
TOKENS = (SOURCES / "src" / "css" / "tokens.css").read_text("utf-8")


def serve(page: Page, service: Service, problems: list[str]) -> None:
    """Answer the browser's requests from the application itself, and collect what the browser complains of."""

    def answer(route: Route) -> None:
        request = route.request
        parts = urlsplit(request.url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        headers = [(name, value) for name, value in request.headers.items() if name != "host"]
        got = ask(service.app, request.method, target, headers, request.post_data_buffer or b"")
        # One header of a name is all this interface takes; no page of the test needs two cookies.
        route.fulfill(status=got.status, headers=dict(got.headers), body=got.body)

    page.on("console", lambda message: problems.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.route("**/*", answer)


@pytest.fixture(params=[(1280, "light", "zh-CN"), (1280, "dark", "en"), (360, "light", "en"), (360, "dark", "zh-CN")])
def shown(request: pytest.FixtureRequest, chromium: Browser) -> Iterator[tuple[Page, list[str]]]:
    width, scheme, language = request.param
    context = chromium.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, locale=language, permissions=["clipboard-write"]
    )
    page = context.new_page()
    problems: list[str] = []
    serve(page, Service(), problems)
    page.goto("https://service.test/gallery")
    yield page, problems
    page.close()
    context.close()


def test_a_page_breaks_no_rule_of_its_own_policy_and_has_no_sideways_scroll(shown: tuple[Page, list[str]]) -> None:
    page, problems = shown
    expect(page.locator("[data-progress-text]")).to_contain_text("3")
    assert problems == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("document.querySelectorAll('[style], style, script:not([src])').length") == 0


def test_large_text_fits_the_narrowest_phone_too(shown: tuple[Page, list[str]]) -> None:
    page, _ = shown
    page.goto("https://service.test/gallery?text_size=large")
    assert page.evaluate("getComputedStyle(document.body).fontSize") == "20px"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_every_control_has_a_name_is_big_enough_and_shows_its_focus(shown: tuple[Page, list[str]]) -> None:
    page, _ = shown
    nameless = page.evaluate(
        """[...document.querySelectorAll('input:not([type=hidden]), textarea, select')]
           .filter(e => e.labels.length === 0).map(e => e.id)"""
    )
    assert nameless == []
    small = page.evaluate(
        """[...document.querySelectorAll('button, .button, input:not([type=hidden]):not([type=checkbox]), summary')]
           .filter(e => e.offsetParent && e.getBoundingClientRect().height < 44).map(e => e.outerHTML)"""
    )
    assert small == []
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(6):
        page.keyboard.press("Tab")
        assert page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)") >= 3


def test_long_work_moves_its_bar_and_tells_what_is_left(shown: tuple[Page, list[str]]) -> None:
    page, _ = shown
    expect(page.locator("[data-progress-text]")).to_contain_text("3")
    assert page.evaluate("document.querySelector('progress').value") == 120
    text = page.inner_text("[data-progress-text]")
    assert "120" in text
    assert "200" in text
    assert "3 min left" in text or "3 分钟" in text


def test_a_dropped_file_is_taken_and_named(shown: tuple[Page, list[str]]) -> None:
    page, _ = shown
    page.evaluate(
        """() => {
            const data = new DataTransfer();
            data.items.add(new File(['x'.repeat(2500)], '毕业生.csv'));
            document.querySelector('main').dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true}));
        }"""
    )
    assert page.inner_text("[data-drop-name]") == "毕业生.csv (2.5 KB)"
    assert page.evaluate("document.getElementById('file').files[0].size") == 2500


CAMERA = """navigator.mediaDevices.getUserMedia = async () => {
  const matrix = MATRIX, scale = 8, border = 4, side = (matrix.length + 2 * border) * scale;
  const canvas = Object.assign(document.createElement('canvas'), {width: side, height: side});
  const pen = canvas.getContext('2d');
  const draw = () => {
    pen.fillStyle = '#fff'; pen.fillRect(0, 0, side, side); pen.fillStyle = '#000';
    matrix.forEach((row, y) => row.forEach((dark, x) => {
      if (dark) pen.fillRect((x + border) * scale, (y + border) * scale, scale, scale);
    }));
  };
  draw(); setInterval(draw, 50);
  return canvas.captureStream(20);
};"""


def test_the_camera_reads_a_code_into_its_field_and_sends_the_form(chromium: Browser) -> None:
    """The browser's camera is a picture of a QR code drawn by an independent encoder."""
    matrix = [list(map(int, row)) for row in segno.make("K7Q2-9F4M-XH3P-T6WB", error="m").matrix]
    context = chromium.new_context()
    page = context.new_page()
    problems: list[str] = []
    serve(page, Service(), problems)
    page.add_init_script(CAMERA.replace("MATRIX", json.dumps(matrix)))
    page.goto("https://service.test/gallery")
    page.evaluate("HTMLFormElement.prototype.requestSubmit = function () { document.title = 'sent' }")
    page.click("[data-scan-start]")
    expect(page).to_have_title("sent")
    assert page.input_value("#name") == "K7Q2-9F4M-XH3P-T6WB"
    assert problems == []
    page.close()
    context.close()


# Colours, by their numbers


def luminance(colour: str) -> float:
    def part(text: str) -> float:
        value = int(text, 16) / 255
        return float(value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4)

    red, green, blue = (part(colour[start : start + 2]) for start in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, "contrast ratio"."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


PAIRS = [
    ("text", "ground", 7),
    ("text", "raised", 7),
    ("text", "accent-tint", 7),
    ("muted", "ground", 4.5),
    ("muted", "raised", 4.5),
    ("accent", "ground", 4.5),
    ("accent", "accent-tint", 4.5),
    ("accent", "raised", 4.5),
    ("accent-strong", "ground", 4.5),
    ("on-accent", "accent", 4.5),
    ("on-accent", "accent-strong", 4.5),
    ("danger", "ground", 4.5),
    ("on-danger", "danger", 4.5),
    ("on-danger", "danger-strong", 4.5),
    ("edge", "ground", 3),
    ("focus", "ground", 3),
    *[
        (verdict, f"{verdict}-tint", 7)
        for verdict in ("valid", "invalid", "revoked", "suspended", "superseded", "unknown")
    ],
    *[(verdict, "ground", 7) for verdict in ("valid", "invalid", "revoked", "suspended", "superseded", "unknown")],
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("front", "back", "least"), PAIRS)
def test_text_can_be_read_on_its_ground(scheme: str, front: str, back: str, least: float) -> None:
    light, dark = TOKENS.split("@media")
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", light if scheme == "light" else dark))
    assert contrast(colours[front], colours[back]) >= least


# What is built


def test_a_page_with_every_script_stays_under_forty_kilobytes() -> None:
    assets = Assets()
    names = ["progress.js", "drop.js", "copy.js", "scan.js"]
    assert sum((BUILD_FOLDER / assets.names[name]).stat().st_size for name in names) <= 40_000


def test_the_lock_file_names_no_host_and_every_package_has_its_hash() -> None:
    text = (SOURCES / "package-lock.json").read_text()
    assert "resolved" not in text
    assert "://" not in text
    packages = json.loads(text)["packages"]
    assert all("integrity" in package for name, package in packages.items() if name)


def test_files_that_were_not_built_are_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(AssetsMissingError, match="make setup"):
        Assets(tmp_path)
