"""The log's page in a real browser: the newest checkpoint comes by itself, quietly, and a log that lies is noticed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, Route, ViewportSize, expect
from starlette.types import Message, Receive, Scope, Send

from ledger.checkpoint import Checkpoint, verify_checkpoint
from tests.credentials.pages.house import House, graduate, graduates, open_house
from tests.services.ports import free_port

T = TypeVar("T")
PHONE: ViewportSize = {"width": 360, "height": 740}
DESKTOP: ViewportSize = {"width": 1280, "height": 800}
CHECKPOINT = "/log/checkpoint"
POLL_MS = 5_000  # live.js
CALM_MS = 30_000
MINUTE_MS = 60_000
PARTS = ("size", "time", "short-sm3", "root-sm3", "short-sha256", "root-sha256", "note")


class ServedLog:
    """The pages behind a real port; `asked` are the statuses with which the checkpoint's file was answered."""

    def __init__(self, origin: str, house: House, loop: asyncio.AbstractEventLoop) -> None:
        self.origin = origin
        self.house = house
        self.asked: list[int] = []
        self._loop = loop
        self._issued = 0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(120)

    def grow(self) -> Checkpoint:
        """Issue something, publish, and return the checkpoint that is published then."""
        self._issued += 1

        async def grown() -> bytes:
            await self.house.issue(graduates(graduate(self._issued)))
            await self.house.parts.ledger.publish_now()
            return await self.house.parts.ledger.checkpoint()

        return verify_checkpoint(self.run(grown()), log=self.house.parts.ledger.identity)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def heard(message: Message) -> None:
            if scope["type"] == "http" and scope["path"] == CHECKPOINT and "status" in message:
                self.asked.append(message["status"])
            await send(message)

        await self.house.app(scope, receive, heard)


@contextmanager
def serving(folder: Path) -> Iterator[ServedLog]:
    """Serve the house from a thread of its own."""
    port = free_port()
    ready: list[ServedLog] = []
    started, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        origin = f"http://127.0.0.1:{port}"
        async with open_house(folder, origin=origin) as house:
            served = ServedLog(origin, house, asyncio.get_running_loop())
            server = uvicorn.Server(
                uvicorn.Config(
                    served.app, interface="asgi3", host="127.0.0.1", port=port, log_level="error", lifespan="off"
                )
            )
            task = asyncio.create_task(server.serve())
            while not server.started:  # noqa: ASYNC110 - uvicorn offers no event to wait for
                await asyncio.sleep(0.01)
            ready.append(served)
            started.set()
            await asyncio.to_thread(stop.wait)
            server.should_exit = True
            await task

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert started.wait(120), "the pages were not served"
        yield ready[0]
    finally:
        stop.set()
        thread.join(60)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedLog]:
    with serving(Path(tmp_path_factory.mktemp("log"))) as served:
        served.grow()
        yield served


Open = Callable[..., Page]


@pytest.fixture
def opened(chromium: Browser, log: ServedLog) -> Iterator[Open]:
    """Return `opened(…)`: the log's page, in a browser whose clock the test moves, after its first look at the file."""
    contexts = []

    def go(*, looks: bool = True, at: str | None = None, **options: Any) -> Page:
        context = chromium.new_context(**{"locale": "zh-CN", "viewport": DESKTOP, **options})
        contexts.append(context)
        page = context.new_page()
        page.clock.install(time=at)
        log.asked.clear()
        if not looks:
            page.goto(log.origin + "/log")
            return page
        with page.expect_response("**" + CHECKPOINT):
            page.goto(log.origin + "/log")
        page.clock.pause_at(page.evaluate("Date.now() / 1000") + 1)  # from now on it moves when it is told to
        return page

    yield go
    for context in contexts:
        context.close()


def passes(page: Page, log: ServedLog, *, ms: int = CALM_MS) -> None:
    """Let so much of the browser's time pass, and the looks due in it be answered."""
    before = len(log.asked)
    moves_on(page, lambda: len(log.asked) > before, ms=ms)


def moves_on(page: Page, looked: Callable[[], bool], *, ms: int = CALM_MS) -> None:
    for _ in range(100):
        page.clock.run_for(ms)  # in vain while the answer to an earlier look is still on its way
        page.wait_for_timeout(100)
        if looked():
            return
    raise AssertionError("the page did not look at the log")


def hide(page: Page, *, hidden: bool) -> None:
    page.evaluate(
        """(hidden) => {
          Object.defineProperty(document, "visibilityState", { value: hidden ? "hidden" : "visible", configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_a_new_checkpoint_comes_without_a_reload(log: ServedLog, opened: Open, language: str) -> None:
    page = opened(locale=language)
    page.evaluate("window.mine = true")
    signed = log.grow()
    passes(page, log)
    expect(page.locator("[data-live-size]")).to_have_text(str(signed.size))
    root = signed.root_sm3.hex()
    expect(page.locator("[data-live-short-sm3]")).to_have_text(f"{root[:8]}…{root[-8:]}")
    for tree, full in (("sm3", root), ("sha256", signed.root_sha256.hex())):
        page.locator(f"[data-live-short-{tree}]").click()
        expect(page.locator(f"[data-live-root-{tree}]")).to_be_visible()
        expect(page.locator(f"[data-live-root-{tree}]")).to_have_text(full)
    said = {"zh-CN": "刷新本页", "en": "Reload this page"}[language]
    expect(page.get_by_role("link", name=said)).to_be_visible()
    assert page.evaluate("window.mine"), "the page was loaded anew"
    # What the script writes is what the server would have written.
    shown = [page.locator(f"[data-live-{part}]").text_content() for part in PARTS]
    again = opened(locale=language, java_script_enabled=False, looks=False)
    assert shown == [again.locator(f"[data-live-{part}]").text_content() for part in PARTS]


def test_while_nothing_changes_the_file_is_not_sent_again(log: ServedLog, opened: Open) -> None:
    page = opened()
    passes(page, log)  # what an earlier test published may still have been on its way to the file
    log.asked.clear()
    for _ in range(3):
        passes(page, log)
    assert log.asked == [304] * len(log.asked)


def test_the_less_happens_the_less_it_asks(log: ServedLog, opened: Open) -> None:
    page = opened()
    for _ in range(6):
        passes(page, log, ms=CALM_MS)
    before = len(log.asked)
    page.clock.run_for(CALM_MS - POLL_MS)
    page.wait_for_timeout(200)
    assert len(log.asked) == before


def test_nobody_looks_and_nothing_is_asked(log: ServedLog, opened: Open) -> None:
    page = opened()
    hide(page, hidden=True)
    before = len(log.asked)
    page.clock.run_for(60 * MINUTE_MS)
    page.wait_for_timeout(200)
    assert len(log.asked) == before
    with page.expect_response("**" + CHECKPOINT):
        hide(page, hidden=False)


def test_updates_can_be_paused_and_go_on(log: ServedLog, opened: Open) -> None:
    page = opened()
    page.get_by_role("button", name="暂停更新").click()
    expect(page.get_by_text("已暂停自动更新。")).to_be_visible()
    before, size = len(log.asked), page.locator("[data-live-size]").text_content()
    signed = log.grow()
    page.clock.run_for(10 * MINUTE_MS)
    page.wait_for_timeout(200)
    assert (len(log.asked), page.locator("[data-live-size]").text_content()) == (before, size)
    page.get_by_role("button", name="继续更新").click()
    expect(page.locator("[data-live-size]")).to_have_text(str(signed.size))


def test_a_log_that_signs_again_without_growing_is_younger_and_nothing_else(log: ServedLog, opened: Open) -> None:
    page = opened()
    before = page.locator("[data-live-time]").get_attribute("datetime")
    size = page.locator("[data-live-size]").text_content()

    async def again() -> bool:
        log.house.clock.advance(3600)
        signed = await log.house.parts.ledger.refresh(3600)
        await log.house.parts.ledger.publish_now()
        return signed

    assert log.run(again())
    passes(page, log)
    expect(page.locator("[data-live-time]")).not_to_have_attribute("datetime", before or "")
    assert page.locator("[data-live-size]").text_content() == size
    for part in ("newer", "alarm"):
        expect(page.locator(f"[data-live-{part}]")).to_be_hidden()
    expect(page.locator("main [role=status]")).to_be_empty()


def test_a_screen_reader_hears_of_it_once_a_minute_at_most(log: ServedLog, opened: Open) -> None:
    page = opened()
    status = page.locator("main [role=status]")
    assert status.get_attribute("aria-live") == "polite"
    first = log.grow()
    passes(page, log)
    expect(status).to_have_text(f"检查点已更新，现有 {first.size} 条记录。")
    second = log.grow()
    passes(page, log, ms=POLL_MS)
    expect(page.locator("[data-live-size]")).to_have_text(str(second.size))
    expect(status).to_have_text(f"检查点已更新，现有 {first.size} 条记录。")
    page.clock.run_for(MINUTE_MS)
    third = log.grow()
    passes(page, log)
    expect(status).to_have_text(f"检查点已更新，现有 {third.size} 条记录。")


def test_the_age_grows_with_the_server_s_clock(log: ServedLog, opened: Open) -> None:
    # The house signed at a fixed moment months ago; the reader's own clock is years behind.
    page = opened(at="2020-01-01T00:00:00Z")
    age = page.locator("[data-live-age]")
    expect(age).to_contain_text("天")
    before = int((age.text_content() or "").split()[0])
    hide(page, hidden=True)  # no further look, which would set the clock right again
    page.clock.fast_forward(3 * 24 * 60 * MINUTE_MS)
    page.clock.run_for(MINUTE_MS)
    expect(age).to_have_text(f"{before + 3} 天")


def _older(log: ServedLog) -> bytes:
    return log.run(log.house.parts.ledger.checkpoint_at(0))


def _other_root(log: ServedLog) -> bytes:
    note = log.run(log.house.parts.ledger.checkpoint()).split(b"\n")
    return b"\n".join([*note[:2], b"A" * 43 + b"=", *note[3:]])


def _other_log(log: ServedLog) -> bytes:
    note = log.run(log.house.parts.ledger.checkpoint())
    return b"another.example/log" + note[note.index(b"\n") :]


@pytest.mark.parametrize("lie", [_older, _other_root, _other_log])
def test_a_log_that_goes_back_or_contradicts_itself_is_shown_up(
    log: ServedLog, opened: Open, lie: Callable[[ServedLog], bytes]
) -> None:
    page = opened()
    size, told = page.locator("[data-live-size]").text_content(), lie(log)
    lies: list[str] = []

    def answer(route: Route) -> None:
        lies.append(route.request.url)
        route.fulfill(status=200, content_type="text/plain", body=told)

    page.route("**" + CHECKPOINT, answer)
    moves_on(page, lambda: bool(lies))
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("互相矛盾")
    assert page.locator("[data-live-size]").text_content() == size


def test_a_log_that_does_not_answer_is_asked_less_and_less_and_found_again(log: ServedLog, opened: Open) -> None:
    page = opened()
    tries: list[str] = []

    def away(route: Route) -> None:
        tries.append(route.request.url)
        route.abort()

    page.route("**" + CHECKPOINT, away)
    for _ in range(5 * MINUTE_MS // POLL_MS):
        page.clock.run_for(POLL_MS)
        page.wait_for_timeout(30)
    expect(page.get_by_text("暂时连不上日志，稍后会再试。")).to_be_visible()
    assert len(tries) <= 12
    page.unroute("**" + CHECKPOINT)
    signed = log.grow()
    passes(page, log, ms=MINUTE_MS)
    expect(page.locator("[data-live-size]")).to_have_text(str(signed.size))
    expect(page.get_by_text("本页会自动更新检查点。")).to_be_visible()


def test_without_scripts_everything_is_there_and_nothing_promises_more(log: ServedLog, opened: Open) -> None:
    page = opened(java_script_enabled=False, looks=False)
    signed = verify_checkpoint(log.run(log.house.parts.ledger.checkpoint()), log=log.house.parts.ledger.identity)
    expect(page.locator("[data-live-size]")).to_have_text(str(signed.size))
    page.locator("[data-live-short-sm3]").click()
    expect(page.locator("[data-live-root-sm3]")).to_have_text(signed.root_sm3.hex())
    for part in ("controls", "age-row", "newer", "alarm"):
        expect(page.locator(f"[data-live-{part}]")).to_be_hidden()


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP])
def test_nothing_is_cut_off_or_shifts_when_a_checkpoint_comes(
    log: ServedLog, opened: Open, viewport: ViewportSize
) -> None:
    page = opened(viewport=viewport)
    page.locator("[data-live-short-sm3]").click()
    controls = page.locator("[data-live-controls]")
    before = controls.bounding_box()
    signed = log.grow()
    passes(page, log)
    expect(page.locator("[data-live-size]")).to_have_text(str(signed.size))
    assert controls.bounding_box() == before
    for letters in ("100%", "200%"):
        page.evaluate("(size) => { document.documentElement.style.fontSize = size }", letters)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= viewport["width"], f"{width} at {letters}"
