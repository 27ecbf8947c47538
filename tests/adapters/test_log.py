"""The log of libraries and faults: where and what kind, never with which values."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from adapters.observe.log import TURNS_MAX, LibraryHandler, Log, TurnWriter, route_of, shortened_address
from tests.adapters.service import CANARY, Lines


def test_a_librarys_values_stay_out_of_the_log() -> None:
    lines = Lines()
    logger = logging.Logger("some.library")  # noqa: LOG001  # one that no other test sees
    logger.addHandler(LibraryHandler(Log(clock=lambda: 0, write=lines.write)))
    logger.warning("could not reach %s", CANARY)
    logger.error(f"put together by hand: {CANARY}")  # noqa: G004  # what a careless library does
    try:
        int(CANARY)
    except ValueError:
        logger.exception("failed for %s", CANARY)
    assert CANARY not in lines.text
    assert [event.get("template") for event in lines.events] == ["could not reach %s", "-", "failed for %s"]
    assert lines.events[2]["errors"] == ["builtins.ValueError"]


def test_an_event_is_one_line_of_ascii() -> None:
    lines = Lines()
    Log(clock=lambda: 1_782_864_000, write=lines.write).event("x", {"a": '林\n{"event": "forged"}\u2028'})
    assert lines.text.count("\n") == 1
    assert lines.text.isascii()
    assert json.loads(lines.text)["time"] == "2026-07-01T00:00:00Z"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("198.51.100.77", "198.51.100.0/24"),
        ("::ffff:198.51.100.77", "198.51.100.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        (None, None),
        ("x", None),
    ],
)
def test_an_address_is_shown_as_its_network(address: str | None, shown: str | None) -> None:
    assert shortened_address(address) == shown


@pytest.mark.parametrize(
    ("path", "parameters", "route"),
    [
        ("/shared/K7Q2", {"code": "K7Q2"}, "/shared/{code}"),
        ("/a/a", {"x": "a"}, "/a/{x}"),
        ("/log/7/receipt.json", {"index": 7}, "/log/{index}/receipt.json"),
        ("/x/%41", {"name": "rewritten"}, "-"),
        ("/plain", {}, "/plain"),
    ],
)
def test_a_route_is_its_pattern(path: str, parameters: dict[str, object], route: str) -> None:
    assert route_of({"path": path, "path_params": parameters, "endpoint": object()}) == route


def test_a_path_no_route_took_is_not_told() -> None:
    assert route_of({"path": f"/{CANARY}"}) == "-"


def test_the_lines_of_turns_that_follow_are_written_together_in_their_order_and_none_is_lost(
    run: Callable[[Coroutine[Any, Any, None]], None],
) -> None:
    written: list[str] = []
    writer = TurnWriter(written.append)
    writer("before the loop\n")
    assert written == ["before the loop\n"]

    async def story() -> None:
        writer("one\n")
        await asyncio.sleep(0)
        writer("two\n")
        await asyncio.sleep(0)
        assert written == ["before the loop\n"]
        await asyncio.sleep(0)
        assert written[1:] == ["one\ntwo\n"]
        writer("three\n")
        await asyncio.to_thread(writer, "of a thread\n")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert sorted(written[2:]) == ["of a thread\n", "three\n"]
        writer("as the loop ends\n")

    run(story())
    writer.flush()
    writer.flush()
    assert written[-1] == "as the loop ends\n"
    assert len("".join(written).splitlines()) == 6


def test_lines_that_never_stop_coming_are_written_all_the_same(
    run: Callable[[Coroutine[Any, Any, None]], None],
) -> None:
    written: list[str] = []
    writer = TurnWriter(written.append)

    async def story() -> None:
        for _ in range(2 * TURNS_MAX):
            writer("a line\n")
            await asyncio.sleep(0)
        assert written

    run(story())
