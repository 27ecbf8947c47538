"""Anchoring on a real EVM (in process): the contract itself refuses a log that was rewritten."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_tester import EthereumTester, PyEVMBackend
from web3 import EthereumTesterProvider, Web3

from adapters.chain.contract import CompiledContract, compile_contract
from adapters.chain.deploying import Owner, deploy, transact
from adapters.chain.evm import EvmChain, EvmSettings
from adapters.chain.nodes import NodeClient
from adapters.sql.ledger_anchors import SqlAnchorTransactions
from adapters.sql.ledger_store import SqlLedgerStore
from ledger.anchor import AnchorEvidence, AnchorRequest, verify_evidence
from ledger.anchoring import AnchorWorker
from ledger.anchoring_chain import Finality, TransactionAnchor, log_id
from ledger.anchoring_transactions import TransactionState
from ledger.checkpoint import Checkpoint
from ledger.errors import AnchorForked, AnchorPending, AnchorRefused
from ledger.fsck import fsck
from ledger.layout import AnchorPath
from ledger.merkle import HashAlg, leaf_hash, node_hash, verify_consistency
from ledger.publication_fsck import fsck_files
from ledger.reader import LedgerReader
from ledger.receipt import Receipt, verify_receipt
from ledger.tiles import TileId, TileTree, extend
from tests.ledger.conftest import OpenLedger
from tests.ledger.parts import ORIGIN, Keys, entries
from tests.ledger.published import document_of, publisher_of
from tests.services.clock import StillClock


@dataclass
class Chain:
    tester: Any
    web3: Web3
    owner: LocalAccount
    submitter: LocalAccount
    compiled: CompiledContract
    settings: EvmSettings

    def port(self, *nodes: Web3) -> EvmChain:
        return EvmChain(nodes or [self.web3], self.compiled.abi, self.settings, self.submitter)

    def transact(self, account: LocalAccount, call: Any) -> Any:
        return transact(self.web3, account, call, chain_id=self.settings.chain_id)

    @property
    def contract(self) -> Any:
        return self.web3.eth.contract(address=self.settings.contract, abi=self.compiled.abi)


@pytest.fixture(scope="session")
def compiled() -> CompiledContract:
    return compile_contract()


@pytest.fixture
def chain(compiled: CompiledContract) -> Chain:
    # eth-tester counts gas as Ethereum does; the accounts it makes are funded.
    tester = EthereumTester(PyEVMBackend())
    web3 = Web3(EthereumTesterProvider(tester))
    owner, submitter = Account.create(), Account.create()
    for account in (owner, submitter):
        rich = tester.get_accounts()[0]
        tester.send_transaction({"from": rich, "to": account.address, "value": 10**20, "gas": 21_000})
    chain_id = web3.eth.chain_id
    contract = deploy(web3, compiled, account=owner, chain_id=chain_id)
    Owner(web3, compiled, contract, account=owner, chain_id=chain_id).name_submitter(ORIGIN, submitter.address)
    return Chain(tester, web3, owner, submitter, compiled, EvmSettings(chain_id, contract))


NewDriver = Callable[..., TransactionAnchor]


@pytest.fixture
def new_driver(chain: Chain, open_ledger: OpenLedger, keys: Keys, clock: StillClock) -> NewDriver:
    """Return what makes a driver, as a process that starts would."""

    def make(*nodes: Web3, confirmations: int = 0) -> TransactionAnchor:
        finality = Finality(confirmations, stuck_after_s=120)
        transactions = SqlAnchorTransactions(open_ledger())
        return TransactionAnchor(chain.port(*nodes), transactions, finality, witness=keys.witness, clock=clock)

    return make


@pytest.fixture
def reader(store: SqlLedgerStore, keys: Keys) -> LedgerReader:
    return LedgerReader(store, keys.identity)


@pytest.fixture
def worker(store: SqlLedgerStore, reader: LedgerReader, keys: Keys, clock: StillClock) -> AnchorWorker:
    return AnchorWorker(store, reader, keys.identity, clock)


@pytest.fixture
def append(store: SqlLedgerStore, keys: Keys, clock: StillClock, chain: Chain) -> Callable[[int, int], None]:
    from ledger.sequencer import Sequencer

    sequencer = Sequencer(
        store,
        identity=keys.identity,
        sm2_key=keys.sm2,
        ed25519_key=keys.ed25519,
        clock=clock,
        anchor_chains=[chain.port().chain],
    )
    sequencer.open()

    def more(start: int, stop: int) -> None:
        sequencer.append(entries(start, stop))

    return more


Append = Callable[[int, int], None]


def test_a_checkpoint_anchored_on_a_chain_gives_receipts_evidence_that_verifies_offline(
    chain: Chain,
    append: Append,
    worker: AnchorWorker,
    reader: LedgerReader,
    store: SqlLedgerStore,
    new_driver: NewDriver,
    keys: Keys,
) -> None:
    append(0, 5)
    evidence = worker.step(new_driver())
    assert evidence is not None
    assert evidence.chain == f"evm:{chain.web3.eth.chain_id}"
    assert evidence.reference["contract"] == chain.settings.contract
    verified = verify_receipt(Receipt.parse(reader.receipt(3).to_json()), trust=keys.trust)
    assert verified.anchored_at == chain.web3.eth.get_block("latest")["timestamp"]
    assert [one.statement for one in verified.anchors] == [evidence.statement]
    assert worker.step(new_driver()) is None
    assert fsck(store, keys.trust).clean


def test_each_next_checkpoint_is_taken_with_its_consistency_proof(
    chain: Chain, append: Append, worker: AnchorWorker, new_driver: NewDriver, capsys: pytest.CaptureFixture[str]
) -> None:
    driver, size = new_driver(), 0
    for new in (1, 2, 3, 6, 7, 8, 255, 256, 257, 300, 1024, 1500):
        append(size, new)
        size = new
        evidence = worker.step(driver)
        assert evidence is not None
        receipt = chain.web3.eth.get_transaction_receipt(str(evidence.reference["transaction"]))  # type: ignore[arg-type]  # a hex string
        with capsys.disabled():
            sys.stdout.write(f"\nanchor at {new}: {receipt['gasUsed']} gas ")
        head = driver.head(ORIGIN)
        assert head is not None
        assert (head.size, head.root_sha256) == (new, evidence.root_sha256)


def test_one_anchor_stands_for_all_the_checkpoints_before_it(
    chain: Chain, append: Append, worker: AnchorWorker, store: SqlLedgerStore, new_driver: NewDriver
) -> None:
    for number in range(4):
        append(number, number + 1)
    assert len(store.pending_anchors()) == 4
    evidence = worker.step(new_driver())
    assert evidence is not None
    assert evidence.size == 4
    assert store.pending_anchors() == []


def _call(chain: Chain, size: int, root: bytes, proof: list[bytes]) -> Any:
    return chain.contract.functions.anchor(log_id(ORIGIN), size, root, bytes(32), proof)


def test_the_contract_reverts_a_root_that_does_not_begin_with_the_anchored_one(
    chain: Chain, append: Append, worker: AnchorWorker, reader: LedgerReader, new_driver: NewDriver
) -> None:
    append(0, 6)
    assert worker.step(new_driver()) is not None
    append(6, 11)
    root = reader.root(HashAlg.SHA256, 11)
    proof = list(reader.consistency(HashAlg.SHA256, 6, 11))
    # A proof alone does not fix the new size where both sizes give it the same shape (11 and 12 here): the size is the
    # signed checkpoint's word, and the worker compares the contract's size and root with the log's own before it builds.
    bent: list[tuple[int, bytes, list[bytes]]] = [
        (11, bytes(32), proof),
        (17, root, proof),
        (8, root, proof),
        (6, root, proof),
        (5, root, proof),
        (11, root, []),
        (11, root, proof[:-1]),
        (11, root, [*proof, root]),
        (11, root, list(reversed(proof))),
        (11, root, [bytes(32), *proof[1:]]),
    ]
    for size, one_root, one_proof in bent:
        with pytest.raises(Exception, match=r"revert|old root|new root|proof|larger"):
            chain.transact(chain.submitter, _call(chain, size, one_root, one_proof))
    receipt = chain.transact(chain.submitter, _call(chain, 11, root, proof))
    assert receipt["status"] == 1


def test_a_forged_history_is_reverted_also_when_the_node_is_not_asked_first(
    chain: Chain, append: Append, worker: AnchorWorker, new_driver: NewDriver
) -> None:
    append(0, 6)
    assert worker.step(new_driver()) is not None
    forged = _Tree([f"forged {number}".encode() for number in range(9)])
    call = _call(chain, 9, forged.root(9), forged.consistency(6, 9))
    transaction = call.build_transaction(
        {
            "from": chain.submitter.address,
            "nonce": chain.web3.eth.get_transaction_count(chain.submitter.address),
            "gas": 300_000,
            "gasPrice": chain.web3.eth.gas_price,
            "chainId": chain.web3.eth.chain_id,
        }
    )
    sent = chain.web3.eth.send_raw_transaction(chain.submitter.sign_transaction(transaction).raw_transaction)
    assert chain.web3.eth.wait_for_transaction_receipt(sent)["status"] == 0
    head = new_driver().head(ORIGIN)
    assert head is not None
    assert head.size == 6


class _Tree:
    def __init__(self, bodies: list[bytes]) -> None:
        self.alg = HashAlg.SHA256
        leaves = [leaf_hash(self.alg, body) for body in bodies]
        tiles: dict[TileId, bytes] = {tile.id: tile.data for tile in extend(self.alg, 0, {}, leaves)}
        self.tree = TileTree(self.alg, lambda ids: {one: tiles[one] for one in ids})

    def root(self, size: int) -> bytes:
        return self.tree.root(size)

    def consistency(self, old: int, new: int) -> list[bytes]:
        return list(self.tree.consistency(old, new))


def test_every_growth_of_a_small_tree_is_taken_by_the_contract(chain: Chain) -> None:
    tree = _Tree([bytes([number]) for number in range(18)])
    for old in range(1, 17):
        for new in range(old + 1, 18, 4):
            name = hashlib.sha256(f"{old} {new}".encode()).hexdigest()
            call = chain.contract.functions.name_submitter(log_id(name), chain.submitter.address)
            chain.transact(chain.owner, call)
            for size, proof in ((old, []), (new, tree.consistency(old, new))):
                anchor = chain.contract.functions.anchor(log_id(name), size, tree.root(size), bytes(32), proof)
                chain.transact(chain.submitter, anchor)


def test_an_anchor_of_a_log_of_two_to_the_25_leaves_costs_at_most_80_000_gas(
    chain: Chain, capsys: pytest.CaptureFixture[str]
) -> None:
    old_size, new_size = 2**25 - 1, 2**25  # nearly every node of this proof is hashed into both roots
    proof = [hashlib.sha256(bytes([number])).digest() for number in range(26)]
    old_root, new_root = _roots_of(old_size, new_size, proof)
    verify_consistency(
        HashAlg.SHA256, old_size=old_size, new_size=new_size, old_root=old_root, new_root=new_root, proof=proof
    )
    chain.transact(chain.submitter, _call(chain, old_size, old_root, []))
    receipt = chain.transact(chain.submitter, _call(chain, new_size, new_root, proof))
    with capsys.disabled():
        sys.stdout.write(f"\nanchor with {len(proof)} proof nodes: {receipt['gasUsed']} gas ")
    assert receipt["gasUsed"] <= 80_000


def _roots_of(old_size: int, new_size: int, proof: list[bytes]) -> tuple[bytes, bytes]:
    """Return the roots for which any nodes at all are a proof: RFC 9162 section 2.1.4.2 read forwards."""
    position, last = old_size - 1, new_size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old = new = proof[0]
    for sibling in proof[1:]:
        if position & 1 or position == last:
            old = node_hash(HashAlg.SHA256, sibling, old)
            new = node_hash(HashAlg.SHA256, sibling, new)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            new = node_hash(HashAlg.SHA256, new, sibling)
        position, last = position >> 1, last >> 1
    return old, new


def test_only_the_submitter_anchors_and_only_the_owner_names_submitters(chain: Chain) -> None:
    stranger = Account.create()
    rich = chain.tester.get_accounts()[0]
    chain.tester.send_transaction({"from": rich, "to": stranger.address, "value": 10**19, "gas": 21_000})
    for account in (stranger, chain.owner):
        with pytest.raises(Exception, match="submitter only"):
            chain.transact(account, _call(chain, 1, bytes(32), []))
    for account in (stranger, chain.submitter):
        call = chain.contract.functions.name_submitter(log_id(ORIGIN), account.address)
        with pytest.raises(Exception, match="owner only"):
            chain.transact(account, call)


def test_a_chain_that_holds_another_history_raises_the_alarm_and_is_sent_nothing(
    chain: Chain, append: Append, worker: AnchorWorker, store: SqlLedgerStore, new_driver: NewDriver
) -> None:
    chain.transact(chain.submitter, _call(chain, 3, bytes(range(32)), []))
    append(0, 5)
    block = chain.web3.eth.block_number
    with pytest.raises(AnchorForked):
        worker.step(new_driver())
    assert chain.web3.eth.block_number == block
    assert [job.attempts for job in store.pending_anchors()] == [1]


def test_a_database_older_than_the_chain_raises_the_alarm(
    chain: Chain, append: Append, worker: AnchorWorker, new_driver: NewDriver
) -> None:
    chain.transact(chain.submitter, _call(chain, 9, bytes(range(32)), []))
    append(0, 5)
    with pytest.raises(AnchorForked):
        worker.step(new_driver())


def test_evidence_is_not_signed_before_the_depth_asked_for_and_nothing_is_sent_twice(
    chain: Chain, append: Append, worker: AnchorWorker, store: SqlLedgerStore, new_driver: NewDriver, clock: StillClock
) -> None:
    driver = new_driver(confirmations=3)
    append(0, 5)
    with pytest.raises(AnchorPending):
        worker.step(driver)
    block = chain.web3.eth.block_number
    assert list(store.scan_anchors()) == []
    clock.advance(600)
    with pytest.raises(AnchorPending):
        worker.step(driver)
    assert chain.web3.eth.block_number == block
    chain.tester.mine_blocks(3)
    clock.advance(600)
    evidence = worker.step(driver)
    assert evidence is not None
    assert evidence.reference["block"] == block
    assert chain.web3.eth.get_transaction_count(chain.submitter.address) == 1


def test_a_checkpoint_whose_evidence_was_lost_on_the_way_back_is_found_on_the_chain(
    chain: Chain, append: Append, worker: AnchorWorker, reader: LedgerReader, new_driver: NewDriver
) -> None:
    append(0, 5)
    driver = new_driver()
    stored = reader.checkpoint(5)
    checkpoint = Checkpoint(ORIGIN, 5, reader.root(HashAlg.SHA256, 5), reader.root(HashAlg.SM3, 5), 0)
    sent = driver.anchor(AnchorRequest(stored.note, checkpoint, None, (), ()))
    again = driver.anchor(AnchorRequest(stored.note, checkpoint, driver.head(ORIGIN), (), ()))
    assert again.reference == sent.reference
    append(5, 6)
    found = worker.step(driver)
    assert found is not None
    assert found.size == 6


@pytest.mark.parametrize("at", range(0, 600, 37))
def test_a_statement_with_one_character_changed_is_no_evidence(
    chain: Chain, append: Append, worker: AnchorWorker, new_driver: NewDriver, keys: Keys, at: int
) -> None:
    append(0, 2)
    evidence = worker.step(new_driver())
    assert evidence is not None
    text = evidence.statement
    at %= len(text)
    bent = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
    witnesses = keys.trust.anchor_witnesses
    assert verify_evidence(text, witnesses=witnesses) == evidence
    with pytest.raises(AnchorRefused):
        verify_evidence(bent, witnesses=witnesses)


def test_a_node_that_does_not_answer_leaves_the_job_in_the_outbox_for_later(
    chain: Chain,
    append: Append,
    worker: AnchorWorker,
    store: SqlLedgerStore,
    new_driver: NewDriver,
    keys: Keys,
    clock: StillClock,
) -> None:
    append(0, 2)
    away = new_driver(NodeClient("http://127.0.0.1:9"))
    with pytest.raises(AnchorRefused):
        worker.step(away)
    assert worker.step(new_driver()) is None  # not due yet
    clock.advance(10)
    assert worker.step(new_driver()) is not None
    assert store.pending_anchors() == []


def test_a_checkpoint_goes_from_the_outbox_over_its_transaction_to_the_published_statement(
    chain: Chain,
    append: Append,
    store: SqlLedgerStore,
    open_ledger: OpenLedger,
    new_driver: NewDriver,
    keys: Keys,
    clock: StillClock,
    tmp_path: Path,
) -> None:
    """The whole road on either database, and at every turn another process takes over where the last one was."""
    publisher = publisher_of(store, tmp_path / "log", keys)

    def turn() -> AnchorEvidence | None:
        """Let a process that has just started take its turn: everything it knows it has from the database."""
        clock.advance(10)
        mine = SqlLedgerStore(open_ledger(), ORIGIN)
        return AnchorWorker(mine, LedgerReader(mine, keys.identity), keys.identity, clock).step(
            new_driver(confirmations=2)
        )

    def states() -> list[TransactionState]:
        known = SqlAnchorTransactions(open_ledger()).latest(name, chain.submitter.address, 9)
        return [one.state for one in known]

    name = f"evm:{chain.web3.eth.chain_id}"
    append(0, 5)
    publisher.catch_up()
    assert [(job.chain, job.size) for job in store.pending_anchors()] == [(name, 5)]
    with pytest.raises(AnchorPending):
        turn()
    assert states() == [TransactionState.MINED], "this chain makes a block for each transaction"
    append(5, 8)  # what is appended meanwhile waits its turn
    chain.tester.mine_blocks(1)
    with pytest.raises(AnchorPending):
        turn()
    assert list(store.scan_anchors()) == []
    chain.tester.mine_blocks(1)
    evidence = turn()
    assert evidence is not None
    assert (evidence.size, states()) == (5, [TransactionState.FINAL])
    assert [(job.chain, job.size) for job in store.pending_anchors()] == [(name, 8)]
    assert dict(store.anchor_counts()) == {name: 1}
    with pytest.raises(AnchorPending):
        turn()
    chain.tester.mine_blocks(2)
    assert turn() is not None
    assert store.pending_anchors() == []
    assert turn() is None
    publisher.catch_up()
    for size in (5, 8):
        [kept] = store.anchors_at(size)
        assert publisher.folder.read(AnchorPath(name, size)) == kept.statement.encode()
    assert states() == [TransactionState.FINAL, TransactionState.FINAL]
    assert chain.web3.eth.get_transaction_count(chain.submitter.address) == 2
    assert fsck(store, keys.trust).clean
    assert fsck_files(publisher.folder, document_of(keys)).clean
