"""One story a test: the house is opened in the test's own event loop and closed at its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.credentials.pages.house import House, open_house

Story = Callable[[House], Awaitable[None]]


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Story], None]:
    """Return `play(story)`: run `async def story(house)` with the pages open."""

    def played(story: Story) -> None:
        async def whole() -> None:
            async with open_house(tmp_path) as house:
                await story(house)

        asyncio.run(whole())

    return played
