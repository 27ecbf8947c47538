from __future__ import annotations

import pytest

from tests.ledger.conftest import new_sequencer, open_ledger, store
from tests.ledger.parts import Keys, make_keys

__all__ = ["new_sequencer", "open_ledger", "store"]


@pytest.fixture(scope="session")
def keys() -> Keys:
    return make_keys()
