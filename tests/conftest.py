"""Fixtures of every test: real services, started only when a test asks for them, and a clock that does not move.

Tests are ordinary functions; one that needs an event loop calls `run(coroutine)`, so that no plugin decides when
loops begin and end.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import pytest

from adapters.sql.engine import Database, open_database
from adapters.sql.targets import SCHEMA_OF_ROOM
from tests.services import browser, databases, loops, postgres, redis, tables
from tests.services.clock import StillClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.sync_api import Browser

T = TypeVar("T")
Dialect = Literal["sqlite", "postgresql"]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of the maintenance database of a PostgreSQL server of this session."""
    with postgres.running() as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of a database of this test: with the tables where the test asks for `migrated`, else empty."""
    name = f"t_{secrets.token_hex(8)}"
    url = postgres_server.rpartition("/")[0] + f"/{name}"
    databases.create(url, migrated="migrated" in request.fixturenames)
    yield url
    databases.give_back(url)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """URL of a Redis server of this session."""
    with redis.running() as url:
        yield url


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Start a headless Chromium for this module; open a context a test: `chromium.new_context(...)`.

    Not for the session: while Playwright runs, this thread has a running event loop, and `asyncio.run` refuses to start.
    """
    with browser.running() as started:
        yield started


@pytest.fixture(params=["sqlite", "postgresql"])
def dialect(request: pytest.FixtureRequest) -> Dialect:
    """Run the test once on each database."""
    chosen: Dialect = request.param
    return chosen


@pytest.fixture
def database_url(dialect: Dialect, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """URL (as in `engine.open_database`) of an empty database, once on each dialect."""
    if dialect == "sqlite":
        return f"sqlite:///{tmp_path}"
    url: str = request.getfixturevalue("postgres_url")
    return url


OpenDatabase = Callable[..., AbstractAsyncContextManager[Database]]


@pytest.fixture
def migrated(database_url: str) -> OpenDatabase:
    """Return `migrated(*rooms)`: an async context manager giving the `Database` of these rooms, tables made.

        def test_x(migrated, run):
            async def story() -> None:
                async with migrated("registry", "access") as db: ...
            run(story())

    The rooms must share a schema. Called twice in one test, it opens the same database twice.
    """

    @asynccontextmanager
    async def opened(*rooms: str) -> AsyncIterator[Database]:
        (schema,) = {SCHEMA_OF_ROOM[room] for room in rooms}
        tables.make_tables(database_url, *rooms)
        database = await open_database(database_url, schema)
        try:
            yield database
        finally:
            await database.close()

    return opened


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, T]], T]:
    """Run one coroutine in a fresh event loop."""
    return loops.run


@pytest.fixture
def clock() -> StillClock:
    """Return a clock standing at 2026-07-01T00:00:00Z."""
    return StillClock(1_782_864_000)


# Files that take longest, by the second: begun first, so that no process works on one of them after all others are done.
LONGEST = (
    "tests/e2e/",
    "tests/protocol/test_single_use",
    "tests/protocol/test_degradation",
    "tests/crypto/test_kernel",
    "tests/adapters/test_workers",
    "tests/advisories/test_lockout",
    "tests/adapters/pages/",
    "tests/protocol/clients/",
    "tests/adapters/test_anchor",
    "tests/crypto/test_fuzz",
    "tests/idp/token/test_redemption",
    "tests/ledger/",
    "tests/chain/",
    "tests/protocol/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; within a file and among the others the order stays."""
    items.sort(key=lambda item: next((at for at, path in enumerate(LONGEST) if item.nodeid.startswith(path)), 99))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where skipping is forbidden (CI), a skipped test fails the run: nothing passes by not being run."""
    if os.environ.get("FORBID_SKIPPED_TESTS") != "1":
        return
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter is not None else []
    if skipped:
        reporter.write_line(f"{len(skipped)} skipped, and skipping is forbidden here", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
