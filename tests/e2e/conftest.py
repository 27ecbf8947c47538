"""One running demo for the whole story, and what the story leaves behind for every test to look at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import demo
from tests.e2e.demo import Demo
from tests.e2e.people import People


@pytest.fixture(scope="session")
def running_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Start the real command with its platforms; stopping it at the end must be clean."""
    with demo.running(tmp_path_factory.mktemp("demo")) as started:
        yield started


@pytest.fixture(scope="session")
def people(running_demo: Demo) -> People:
    """Return the demo's people, each signed in at most once."""
    return People(running_demo)
