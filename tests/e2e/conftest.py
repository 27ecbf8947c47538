"""One running demo for the whole story, and what the story leaves behind for every test to look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.e2e import demo, story
from tests.e2e.demo import Demo
from tests.e2e.people import People
from tests.e2e.story import Issued


@pytest.fixture(scope="session")
def running_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Start the real command with its platforms; stopping it at the end must be clean."""
    with demo.running(tmp_path_factory.mktemp("demo")) as started:
        yield started


@pytest.fixture(scope="session")
def people(running_demo: Demo) -> People:
    """Return the demo's people, each signed in at most once."""
    return People(running_demo)


@dataclass
class _Played:
    begun: bool = False
    issued: Issued | None = None


@pytest.fixture(scope="session")
def _played() -> _Played:
    return _Played()


@pytest.fixture
def issued(running_demo: Demo, people: People, chromium: Browser, _played: _Played) -> Issued:
    """Return what issuing left behind; the first test that asks plays it (the browser lives for one module only)."""
    if not _played.begun:
        _played.begun = True
        _played.issued = story.play(running_demo, people, chromium)
    assert _played.issued is not None, "issuing failed; the first test that asked for it says how"
    return _played.issued


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything a test of the records needs: the service, its people, a browser, and records that are there."""

    demo: Demo
    people: People
    chromium: Browser
    issued: Issued
    folder: Path


@pytest.fixture
def stage(running_demo: Demo, people: People, chromium: Browser, issued: Issued, tmp_path: Path) -> Stage:
    """Return the stage after the records are issued."""
    return Stage(running_demo, people, chromium, issued, tmp_path)
