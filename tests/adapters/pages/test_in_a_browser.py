"""The pages in a real browser: no sideways scroll on a phone, no complaint in its console, useful without scripts."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect
from pypdf import PdfReader

from tests.credentials.pages.house import (
    APPROVER,
    AUDITOR,
    HEADER,
    NAMES,
    REGISTRAR,
    SCHOOL,
    STRANGER,
    STUDENT,
    STUDENT_ID_SEQUENCE,
    House,
    graduate,
    graduates,
    open_house,
)
from tests.services.ports import free_port

T = TypeVar("T")
PHONE: ViewportSize = {"width": 360, "height": 740}
DESKTOP: ViewportSize = {"width": 1280, "height": 800}
UNLABELLED = """[...document.querySelectorAll("main input:not([type=hidden]), main select, main textarea")]
    .filter((box) => box.labels.length === 0).length"""
LONG_NAME = "克里斯蒂娜·亚历山德罗夫娜·伊万诺娃"


@dataclass
class Served:
    """The house behind a real port, with what the pages under test are about."""

    origin: str
    house: House
    loop: asyncio.AbstractEventLoop
    places: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    code: str = ""

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(120)


async def _fill(house: House, served: Served) -> None:
    """Issue, share and submit, so that every page has something to show, long and rare names too."""
    named = [graduate(1, name=NAMES[STUDENT], id_sequence=STUDENT_ID_SEQUENCE), graduate(2, name=LONG_NAME)]
    done = await house.issue(graduates(*named, graduate(3)))
    (held,) = await house.records.wallet.credentials(house.actors[STUDENT])
    made = await house.share(held.id, fields=["name", "school_name", "major", "certificate_number"])
    (share,) = await house.records.sharing.shares(house.actors[STUDENT])
    served.code = share.code
    await house.get(f"/verify/{share.code}")
    rows = [graduate(n) if n % 7 else graduate(n, 毕业日期="2026-02-30") for n in range(100, 1100)]
    files = {"file": ("名单.csv", graduates(*rows), "text/csv")}
    draft = await house.post("/batches/new/diploma", {"school": SCHOOL.value}, as_who=REGISTRAR, files=files)
    files = {"file": ("名单.csv", graduates(*(graduate(n) for n in range(2000, 2060))), "text/csv")}
    waiting = await house.post("/batches/new/diploma", {"school": SCHOOL.value}, as_who=REGISTRAR, files=files)
    address = waiting.headers["location"]
    await house.post(f"{address}/submit", {}, as_who=REGISTRAR, form=address)
    served.places = {
        "front": ("/", None),
        "home": ("/home", APPROVER),
        "verify": ("/verify", None),
        "verdict": (f"/verify/{share.code}", None),
        "wallet": ("/credentials", STUDENT),
        "empty wallet": ("/credentials", STRANGER),
        "credential": (f"/credentials/{held.id}", STUDENT),
        "share": (f"/credentials/{held.id}/share", STUDENT),
        "shared": (made.headers["location"], STUDENT),
        "work list": ("/batches", REGISTRAR),
        "new batch": ("/batches/new", REGISTRAR),
        "upload": ("/batches/new/diploma", REGISTRAR),
        "credit record": ("/batches/new/credit_record", REGISTRAR),
        "work": ("/batches/new/copyright_registration", REGISTRAR),
        "draft": (draft.headers["location"], REGISTRAR),
        "decision": (address, APPROVER),
        "issued batch": (f"/batches/{done}", APPROVER),
        "records": ("/records", APPROVER),
        "record": (f"/records/{held.id}", APPROVER),
        "log": ("/log", None),
        "entry": ("/log/1", None),
        "audit": ("/audit", AUDITOR),
        "help": ("/help", None),
    }


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve the pages on a free port, from a thread of their own."""
    folder, port = Path(tmp_path_factory.mktemp("house")), free_port()
    ready: list[Served] = []
    started, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        origin = f"http://127.0.0.1:{port}"
        async with open_house(folder, origin=origin) as house:
            made = Served(origin, house, asyncio.get_running_loop())
            await _fill(house, made)
            server = uvicorn.Server(
                uvicorn.Config(house.app, host="127.0.0.1", port=port, log_level="error", lifespan="off")
            )
            serving = asyncio.create_task(server.serve())
            while not server.started:  # noqa: ASYNC110 - uvicorn offers no event to wait for
                await asyncio.sleep(0.01)
            ready.append(made)
            started.set()
            await asyncio.to_thread(stop.wait)
            server.should_exit = True
            await serving

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        while not started.wait(0.05):
            assert thread.is_alive(), "the pages were not served; the thread's own words say why"
        yield ready[0]
    finally:
        stop.set()
        thread.join(60)


Open = Callable[..., Page]


@pytest.fixture
def opened(chromium: Browser, served: Served) -> Iterator[Open]:
    """Return `opened(place, …)`: the page of a place in a fresh browser context."""
    contexts: list[BrowserContext] = []

    def go(place: str, *, complaints: list[str] | None = None, **options: Any) -> Page:
        path, who = served.places[place]
        headers = {} if who is None else {HEADER: who}
        context = chromium.new_context(**{"locale": "zh-CN", "extra_http_headers": headers, **options})
        contexts.append(context)
        page = context.new_page()
        if complaints is not None:
            page.on("console", lambda said: complaints.append(said.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
        answer = page.goto(served.origin + path)
        assert answer is not None
        assert answer.status == 200, place
        return page

    yield go
    for context in contexts:
        context.close()


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_no_page_scrolls_sideways_or_complains(served: Served, opened: Open, language: str) -> None:
    complaints: list[str] = []
    page = opened("front", complaints=complaints, viewport=PHONE, locale=language)
    for place, (path, who) in served.places.items():
        # One browser looks at them all, as whoever the page is for: a new one takes longer than the page.
        page.set_viewport_size(PHONE)
        page.set_extra_http_headers({} if who is None else {HEADER: who})
        answer = page.goto(served.origin + path)
        assert answer is not None
        assert answer.status == 200, place
        for viewport in (PHONE, DESKTOP):
            page.set_viewport_size(viewport)
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= viewport["width"], f"{place} is {width} wide"
        assert not complaints, f"{place}: {complaints}"
        assert page.evaluate("document.querySelectorAll('h1').length") == 1, place
        # Every box has its label, and every id stands once.
        assert page.evaluate(UNLABELLED) == 0, place
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map((node) => node.id)")
        assert len(ids) == len(set(ids)), place


def test_at_twice_the_letters_nothing_is_cut_off(served: Served, opened: Open) -> None:
    for place in ("front", "verify", "verdict", "share", "decision", "record"):
        page = opened(place, viewport={"width": 640, "height": 800}, device_scale_factor=2)
        page.evaluate("document.documentElement.style.fontSize = '200%'")
        assert page.evaluate("document.documentElement.scrollWidth") <= 640, place


def test_the_proof_is_computed_again_in_the_browser(opened: Open) -> None:
    page = opened("entry")
    page.get_by_role("button", name="在我的浏览器里再算一遍").click()
    expect(page.get_by_text("您的浏览器在 SM3 与 SHA-256 两棵树里算出的根都与检查点一致。")).to_be_visible()


@pytest.mark.parametrize("root", ["rootSm3", "rootSha256"])
def test_a_root_that_is_another_is_noticed_in_the_browser(opened: Open, root: str) -> None:
    page = opened("entry")
    page.evaluate("(name) => { document.querySelector('[data-proof]').dataset[name] = '00'.repeat(32) }", root)
    page.get_by_role("button", name="在我的浏览器里再算一遍").click()
    expect(page.get_by_text("您的浏览器算出的根与检查点不一致。")).to_be_visible()


def test_a_code_is_checked_without_scripts(served: Served, opened: Open) -> None:
    page = opened("verify", java_script_enabled=False, viewport=PHONE)
    page.get_by_label("验证码").fill(served.code.lower().replace("-", " "))
    page.get_by_role("button", name="查验").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("有效")
    expect(page.get_by_text(NAMES[STUDENT])).to_be_visible()


def test_a_dropped_file_is_judged(served: Served, opened: Open) -> None:
    held = served.places["credential"][0]
    data = served.run(served.house.get(f"{held}/bundle.json", as_who=STUDENT)).content
    page = opened("verify")
    page.get_by_label("证书文件").set_input_files(
        {"name": "bundle.json", "mimeType": "application/json", "buffer": data}
    )
    expect(page.get_by_text("bundle.json")).to_be_visible()
    page.get_by_role("button", name="查验", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("有效")


def test_a_verdict_prints_on_one_clean_a4_page(opened: Open) -> None:
    printed = opened("verdict").pdf(prefer_css_page_size=True)
    (page,) = PdfReader(io.BytesIO(printed)).pages
    assert (round(page.mediabox.width), round(page.mediabox.height)) == (595, 842)
    said = page.extract_text()
    assert "有效" in said
    assert "打印这一页" not in said


def test_two_people_issue_a_batch_without_scripts(served: Served, opened: Open) -> None:
    """The registrar drops a list and sends it; the approver looks and approves; the bar reaches its end."""
    page = opened("upload", java_script_enabled=False, viewport=PHONE)
    rows = graduates(graduate(3001, name="𠮷"), graduate(3002))
    page.get_by_label("毕业生名单").set_input_files({"name": "名单.csv", "mimeType": "text/csv", "buffer": rows})
    page.get_by_role("button", name="检查").click()
    page.get_by_role("button", name="提交审批（2 行）").click()
    address = page.url.removeprefix(served.origin)
    served.places["just sent"] = (address, APPROVER)
    other = opened("just sent", java_script_enabled=False, viewport=PHONE)
    other.get_by_label("我已核对将要签发的内容").check()
    other.get_by_role("button", name="通过并签发 2 份").click()
    expect(other.get_by_role("progressbar")).to_be_visible()
    served.run(served.house.finish())
    other.reload()
    expect(other.get_by_role("link", name="下载签发报告")).to_be_visible()


def test_the_bar_moves_to_the_report_by_itself(served: Served, opened: Open) -> None:
    async def approved() -> str:
        house = served.house
        files = {"file": ("名单.csv", graduates(graduate(4001), graduate(4002)), "text/csv")}
        made = await house.post("/batches/new/diploma", {"school": SCHOOL.value}, as_who=REGISTRAR, files=files)
        address = str(made.headers["location"])
        await house.post(f"{address}/submit", {}, as_who=REGISTRAR, form=address)
        await house.post(f"{address}/approve", {"looked": "yes"}, as_who=APPROVER, form=address)
        return address

    served.places["running"] = (served.run(approved()), REGISTRAR)
    page = opened("running")
    served.run(served.house.finish())
    expect(page.get_by_role("link", name="下载签发报告")).to_be_visible(timeout=15_000)
