"""A worker that is killed at any moment of anchoring: the next one goes on from the database, and nothing happens twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from adapters.chain.nodes import NodeClient
from ledger.anchoring import LEASE_S, AnchorWorker
from ledger.anchoring_chain import KEY_LEASE_S, Finality, TransactionAnchor
from ledger.anchoring_transactions import AnchorChain, AnchorTransactions, TransactionState
from ledger.errors import AnchorPending
from tests.adapters.anvil.node import Anvil, anvil
from tests.adapters.anvil.world import World, keys, world
from tests.services.clock import StillClock

NEVER_S = 10**9


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Anvil]:
    with anvil(tmp_path_factory.mktemp("anvil"), "--no-mining") as started:
        yield started


@pytest.fixture
def here(node: Anvil, tmp_path: Path, clock: StillClock, database_url: str) -> Iterator[World]:
    with world(node, tmp_path, clock, database_url) as made:
        yield made


class Killed(BaseException):
    """What a process sees of kill -9: nothing it still wants to do is done."""


class Mortal:
    """Lets calls through to what it stands before, until the one it dies at, before or after that one's effect."""

    def __init__(self, calls: int, *, after: bool) -> None:
        self.left = calls
        self.after = after
        self.dead = False

    def before(self, target: Any) -> Any:
        mortal = self

        class Guard:
            def __getattr__(self, name: str) -> Any:
                value = getattr(target, name)
                return mortal.through(value) if callable(value) else value

        return Guard()

    def through(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **named: Any) -> Any:
            if self.dead:
                raise Killed
            self.left -= 1
            self.dead = self.left == 0
            if self.dead and not self.after:
                raise Killed
            answer = call(*args, **named)
            if self.dead:
                raise Killed
            return answer

        return guarded


def _step(here: World, mortal: Mortal) -> bool:
    """Take a worker's turn that may be killed; tell whether it came to its end with evidence."""
    with closing(NodeClient(here.node.url)) as client:  # a process that ends leaves no connection
        chain: AnchorChain = mortal.before(here.port(client))
        transactions: AnchorTransactions = mortal.before(here.transactions)
        finality = Finality(confirmations=0, stuck_after_s=NEVER_S)
        driver = TransactionAnchor(chain, transactions, finality, witness=keys().witness, clock=here.clock)
        worker = AnchorWorker(mortal.before(here.store), here.reader, keys().identity, here.clock)
        here.clock.advance(max(LEASE_S, KEY_LEASE_S) + 1)
        try:
            return worker.step(driver) is not None
        except (AnchorPending, Killed):
            return False


@pytest.mark.parametrize("after", [False, True], ids=["before it", "after it"])
@pytest.mark.parametrize("automine", [True, False])
def test_a_worker_killed_at_any_call_leaves_a_state_from_which_the_next_anchors_once(
    here: World, *, after: bool, automine: bool
) -> None:
    here.node.automine(on=automine)
    calls, killed = 0, True
    while killed:
        calls += 1
        size, nonce = here.append(), here.node.web3.eth.get_transaction_count(here.submitter.address)
        mortal = Mortal(calls, after=after)
        done = _step(here, mortal)
        killed = mortal.dead
        for _ in range(5):
            if done and not here.store.pending_anchors():
                break
            if not automine:
                here.node.mine()
            done = _step(here, Mortal(-1, after=False)) or done
        assert here.store.pending_anchors() == []
        assert here.anchored(size) == 1
        assert here.node.web3.eth.get_transaction_count(here.submitter.address) == nonce + 1
        assert [row.state for row in here.rows() if row.nonce >= nonce] == [TransactionState.FINAL]
    assert calls > 10, "each call of a turn was the last one once"


def test_the_bytes_are_in_the_database_before_a_node_sees_them(here: World) -> None:
    here.append()
    mortal = Mortal(-1, after=False)
    port = here.port()
    seen: list[int] = []

    class Watching:
        def __getattr__(self, name: str) -> Any:
            return getattr(port, name)

        def send(self, raw: bytes) -> Any:
            seen.append(sum(row.raw == raw and row.state is TransactionState.PREPARED for row in here.rows()))
            return port.send(raw)

    watching: Any = Watching()
    finality = Finality(confirmations=0, stuck_after_s=NEVER_S)
    driver = TransactionAnchor(
        watching, mortal.before(here.transactions), finality, witness=keys().witness, clock=here.clock
    )
    assert here.pending(driver) == "sent"
    assert seen == [1]


def test_two_workers_never_use_one_key_at_the_same_time(here: World) -> None:
    here.append()
    first = here.transactions.lease_key("evm:31337", here.submitter.address, here.clock(), KEY_LEASE_S)
    assert first is not None
    assert here.pending(here.driver()) == "leased"
    here.transactions.release_key(first)
    assert here.pending(here.driver()) == "sent"
