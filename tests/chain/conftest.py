from __future__ import annotations

import pytest

from tests.ledger.conftest import new_sequencer, open_ledger, store
from tests.ledger.parts import Keys, make_keys

__all__ = ["new_sequencer", "open_ledger", "store"]


@pytest.fixture(scope="session")
def keys() -> Keys:
    return make_keys()


@pytest.fixture
def dialect() -> str:
    """Anchoring asks nothing of a database that the ledger's own tests do not ask of both."""
    return "sqlite"
