"""A log, its worker and a real chain: what a process has that anchors, and what its operator sees."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from web3 import Web3

from adapters.chain.contract import CompiledContract, compile_contract
from adapters.chain.deploying import Owner, deploy
from adapters.chain.evm import EvmChain, EvmSettings
from adapters.chain.nodes import NodeClient
from adapters.sql.ledger_anchors import SqlAnchorTransactions
from adapters.sql.ledger_engine import LedgerDatabase
from adapters.sql.ledger_open import open_ledger_database
from adapters.sql.ledger_store import SqlLedgerStore
from ledger.anchor import AnchorEvidence
from ledger.anchoring import AnchorWorker
from ledger.anchoring_chain import Finality, TransactionAnchor, log_id
from ledger.anchoring_transactions import AnchorTransaction
from ledger.errors import AnchorPending
from ledger.reader import LedgerReader
from ledger.sequencer import Sequencer
from tests.adapters.anvil.node import Anvil
from tests.ledger.parts import ORIGIN, Keys, entries, make_keys
from tests.services.clock import StillClock
from tests.services.tables import make_tables

# anvil's own default.
CHAIN_ID: Final = 31_337
NEVER_S: Final = 10**9


@cache
def compiled() -> CompiledContract:
    return compile_contract()


@cache
def keys() -> Keys:
    return make_keys()


@dataclass
class World:
    node: Anvil
    clock: StillClock
    database: LedgerDatabase
    store: SqlLedgerStore
    sequencer: Sequencer
    contract: ChecksumAddress
    owner: LocalAccount
    submitter: LocalAccount
    clients: contextlib.ExitStack

    @property
    def transactions(self) -> SqlAnchorTransactions:
        return SqlAnchorTransactions(self.database)

    @property
    def reader(self) -> LedgerReader:
        return LedgerReader(self.store, keys().identity)

    def client(self, url: str | None = None) -> NodeClient:
        """Return a client of the node, or of another; it is closed at the world's end."""
        return self.clients.enter_context(contextlib.closing(NodeClient(url or self.node.url)))

    def port(
        self, *nodes: Web3, gas: int | None = None, legacy_fees: bool | None = None, milliseconds: bool = False
    ) -> EvmChain:
        settings = EvmSettings(CHAIN_ID, self.contract, gas, legacy_fees, milliseconds)
        return EvmChain(nodes or [self.client()], compiled().abi, settings, self.submitter)

    def driver(
        self, *nodes: Web3, confirmations: int = 0, stuck_after_s: int = NEVER_S, **chain: Any
    ) -> TransactionAnchor:
        finality = Finality(confirmations, stuck_after_s)
        return TransactionAnchor(
            self.port(*nodes, **chain), self.transactions, finality, witness=keys().witness, clock=self.clock
        )

    def append(self) -> int:
        """Add an entry; return the size of the checkpoint that holds it."""
        head = self.store.head()
        assert head is not None
        self.sequencer.append(entries(head.size, head.size + 1))
        return head.size + 1

    def step(self, driver: TransactionAnchor) -> AnchorEvidence | None:
        """Let the worker of a process that has just started take its turn."""
        self.clock.advance(3)
        return AnchorWorker(self.store, self.reader, keys().identity, self.clock).step(driver)

    def pending(self, driver: TransactionAnchor) -> str:
        """Take a turn that must not end in evidence; return what is waited for."""
        try:
            evidence = self.step(driver)
        except AnchorPending as pending:
            return str(pending.rule)
        raise AssertionError(evidence)

    def rows(self) -> Sequence[AnchorTransaction]:
        return self.transactions.latest(f"evm:{CHAIN_ID}", self.submitter.address, 1000)

    def anchored(self, size: int) -> int:
        """Count the events by which the contract took a checkpoint of this size."""
        contract = self.node.web3.eth.contract(address=self.contract, abi=compiled().abi)
        return len(
            contract.events.Anchored().get_logs(from_block=0, argument_filters={"log_id": log_id(ORIGIN), "size": size})
        )


@contextlib.contextmanager
def world(node: Anvil, folder: Path, clock: StillClock, url: str | None = None) -> Iterator[World]:
    """Deploy the contract on the node, and open a log whose checkpoints wait for it."""
    url = url or f"sqlite:///{folder}"
    make_tables(url, "ledger")
    database = open_ledger_database(url)
    owner, submitter = node.funded(), node.funded()
    node.automine(on=True)
    contract = deploy(node.web3, compiled(), account=owner, chain_id=CHAIN_ID)
    Owner(node.web3, compiled(), contract, account=owner, chain_id=CHAIN_ID).name_submitter(ORIGIN, submitter.address)
    node.automine(on=False)
    store = SqlLedgerStore(database, ORIGIN)
    sequencer = Sequencer(
        store,
        identity=keys().identity,
        sm2_key=keys().sm2,
        ed25519_key=keys().ed25519,
        clock=clock,
        anchor_chains=[f"evm:{CHAIN_ID}"],
    )
    sequencer.open()
    try:
        with contextlib.ExitStack() as clients:
            yield World(node, clock, database, store, sequencer, contract, owner, submitter, clients)
    finally:
        database.close()
