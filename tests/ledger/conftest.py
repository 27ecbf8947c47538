from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from adapters.sql.ledger_engine import LedgerDatabase
from adapters.sql.ledger_open import open_ledger_database
from adapters.sql.ledger_store import SqlLedgerStore
from ledger.sequencer import Sequencer
from ledger.store import LedgerStore
from tests.ledger.parts import ORIGIN, Keys, make_keys
from tests.services.clock import StillClock
from tests.services.tables import make_tables

OpenLedger = Callable[[], LedgerDatabase]
NewSequencer = Callable[[LedgerStore], Sequencer]


@pytest.fixture(scope="session")
def keys() -> Keys:
    return make_keys()


@pytest.fixture
def open_ledger(database_url: str) -> Iterator[OpenLedger]:
    """Return a function that opens the same migrated database again and again, on each dialect."""
    make_tables(database_url, "ledger")
    opened: list[LedgerDatabase] = []

    def open_it() -> LedgerDatabase:
        opened.append(open_ledger_database(database_url))
        return opened[-1]

    yield open_it
    for database in opened:
        database.close()


@pytest.fixture
def store(open_ledger: OpenLedger) -> SqlLedgerStore:
    return SqlLedgerStore(open_ledger(), ORIGIN)


@pytest.fixture
def new_sequencer(keys: Keys, clock: StillClock) -> NewSequencer:
    """Return a function that makes a sequencer over a store, as a process that starts would."""

    def make(store: LedgerStore) -> Sequencer:
        return Sequencer(
            store,
            identity=keys.identity,
            sm2_key=keys.sm2,
            ed25519_key=keys.ed25519,
            clock=clock,
            anchor_chains=["file"],
        )

    return make
