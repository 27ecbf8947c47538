"""One live service for all modules."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.protocol.conformance.live import Live, living
from tests.protocol.conformance.party import Party
from tests.protocol.conformance.person import Person
from tests.protocol.conformance.plans import MODES


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Run the real service over TLS, once."""
    with living(tmp_path_factory.mktemp("conformance")) as started:
        yield started


@pytest.fixture
def live(running: Live) -> Iterator[Live]:
    """Return the running service; what the test opened to it is closed at its end."""
    yield running
    running.close_clients()


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Return the response mode: the Form Post plan is the Basic plan asked for in another one."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def party(live: Live, mode: str) -> Party:
    """Return the first client, for modules of the Basic and Form Post plans."""
    return Party(live, mode=mode)


@pytest.fixture
def platform(live: Live) -> Party:
    """Return the first client, for modules that know one response mode."""
    return Party(live)


@pytest.fixture
def person(live: Live) -> Person:
    """Return a person at a fresh browser."""
    return Person(live)
