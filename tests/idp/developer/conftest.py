"""The provider, opened once on each database."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import pytest

from tests.conftest import OpenDatabase
from tests.protocol.world import OpenWorld, World, open_world


@pytest.fixture
def opened(migrated: OpenDatabase) -> OpenWorld:
    """Return `opened(**settings)`: an async context manager giving the `World`."""

    def world(*, second_factor_for_all: bool = False) -> AbstractAsyncContextManager[World]:
        return open_world(migrated, second_factor_for_all=second_factor_for_all)

    return world
