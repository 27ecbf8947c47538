"""Anchoring on a real node: reorganisations, a chain that is away, transactions that are stuck, nodes that lie."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from ledger.anchoring_transactions import TransactionState
from ledger.errors import AnchorRefused
from tests.adapters.anvil.lying import LyingNode, lying
from tests.adapters.anvil.node import FOLDER, Anvil, anvil
from tests.adapters.anvil.world import World, world
from tests.scale import report, trials
from tests.services.clock import StillClock

DEPTH: Final = 12
# anvil 1.7.1 loses the state it goes back to once a chain is a thousand blocks long; these make some six hundred.
TRIALS_A_NODE: Final = 40
SEED: Final = 2026


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Anvil]:
    with anvil(tmp_path_factory.mktemp("anvil"), "--no-mining") as started:
        yield started


@pytest.fixture
def here(node: Anvil, tmp_path: Path, clock: StillClock) -> Iterator[World]:
    with world(node, tmp_path, clock) as made:
        made.node.mine(DEPTH + 1)  # so that every depth tried is above the contract's own block
        yield made


def _reorganised_once(here: World, random_: random.Random) -> bool:
    """Anchor one checkpoint through a reorganisation; tell whether its transaction was thrown out."""
    driver = here.driver(here.client(), confirmations=DEPTH)
    size, nonce = here.append(), here.node.web3.eth.get_transaction_count(here.submitter.address)
    assert here.pending(driver) == "sent"
    [sent, *_] = here.rows()
    assert (sent.nonce, sent.state) == (nonce, TransactionState.SENT)
    on_top, depth = random_.randrange(DEPTH), random_.randint(1, DEPTH)
    here.node.mine(1 + on_top)
    if random_.random() < 0.8:  # else the worker never looked while it was in a block
        assert here.pending(driver) == "depth"
        assert here.rows()[0].state is TransactionState.MINED
    here.node.reorganise(depth)
    thrown_out = depth > on_top
    if thrown_out:
        assert here.pending(driver) in {"reorganised", "sent"}
        assert here.rows()[0].state is TransactionState.SENT
        assert here.node.web3.eth.get_raw_transaction(sent.hash) == sent.raw  # type: ignore[arg-type]  # 0x text is a hash
        here.node.mine()
        on_top = 0
    left = DEPTH - on_top
    here.node.mine(left - 1)
    assert here.pending(driver) == "depth", "one block short"
    here.node.mine()
    evidence = here.step(driver)
    assert evidence is not None
    assert (evidence.size, evidence.reference["transaction"]) == (size, sent.hash)
    assert evidence.reference["block"] == here.node.web3.eth.block_number - DEPTH
    assert here.anchored(size) == 1
    assert [row.state for row in here.rows() if row.nonce == nonce] == [TransactionState.FINAL]
    assert here.node.web3.eth.get_transaction_count(here.submitter.address) == nonce + 1
    assert here.store.pending_anchors() == []
    return thrown_out


@pytest.mark.soak
def test_a_reorganised_anchor_is_sent_again_with_the_same_bytes_anchored_once_and_never_final_early(
    tmp_path: Path, clock: StillClock
) -> None:
    random_, count, thrown_out = random.Random(SEED), trials(200, full=2000), 0
    for chain in range(count // TRIALS_A_NODE):
        folder = tmp_path / str(chain)
        folder.mkdir()
        with anvil(folder, "--no-mining") as node, world(node, folder, clock) as here:
            node.mine(DEPTH + 1)
            thrown_out += sum(_reorganised_once(here, random_) for _ in range(TRIALS_A_NODE))
    assert count // 4 < thrown_out < count
    report("anchor_reorganisations", target=f"{count}/{count}", actual=f"{count}/{count}", seed=SEED)


def test_what_was_final_and_vanished_all_the_same_is_sent_again(here: World) -> None:
    driver = here.driver()
    size = here.append()
    assert here.pending(driver) == "sent"
    here.node.mine()
    first = here.step(driver)
    assert first is not None
    here.node.reorganise(3)
    here.append()
    assert here.pending(driver) == "reorganised"
    assert here.pending(driver) == "sent"
    here.node.mine()
    again = here.step(driver)
    assert again is not None
    assert (again.size, again.reference["transaction"]) == (size, first.reference["transaction"])
    assert here.pending(driver) == "sent"
    here.node.mine()
    assert here.step(driver) is not None
    assert here.store.pending_anchors() == []
    assert here.anchored(size) == 1


def test_a_chain_that_was_away_for_a_day_is_caught_up_with_one_anchor(here: World) -> None:
    driver = here.driver(here.client())
    here.append()
    assert here.pending(driver) == "sent"
    here.node.mine()
    assert here.step(driver) is not None
    used = here.node.web3.eth.get_transaction_count(here.submitter.address)
    here.node.stop()
    try:
        for _ in range(24):
            newest = here.append()
            here.clock.advance(3600)
            with pytest.raises(AnchorRefused) as refused:
                here.step(driver)
            assert refused.value.rule == "answers"
    finally:
        here.node.start()
        here.node.automine(on=False)
    assert len(here.store.pending_anchors()) == 24
    here.clock.advance(120)
    assert here.pending(driver) == "sent"
    here.node.mine()
    evidence = here.step(driver)
    assert evidence is not None
    assert evidence.size == newest
    assert here.store.pending_anchors() == []
    assert here.node.web3.eth.get_transaction_count(here.submitter.address) == used + 1


def test_a_stuck_transaction_is_replaced_by_one_that_pays_an_eighth_more_of_both_fees_and_one_of_them_counts(
    here: World,
) -> None:
    driver = here.driver(stuck_after_s=60)
    here.append()
    assert here.pending(driver) == "sent"
    assert here.pending(driver) == "sent"
    assert len(here.rows()) == 1
    newest = here.append()  # the replacement carries the newest checkpoint
    here.clock.advance(60)
    assert here.pending(driver) == "sent"
    first, second = sorted(here.rows(), key=lambda row: row.fees.cap)
    assert (first.nonce, second.size) == (second.nonce, newest)
    assert second.fees.cap * 8 >= first.fees.cap * 9
    assert second.fees.tip * 8 >= first.fees.tip * 9
    here.node.mine()
    evidence = here.step(driver)
    assert evidence is not None
    assert evidence.reference["transaction"] == second.hash
    assert {row.hash: row.state for row in here.rows()} == {
        first.hash: TransactionState.REPLACED,
        second.hash: TransactionState.FINAL,
    }
    assert here.store.pending_anchors() == []


def test_a_transaction_the_nodes_find_too_cheap_is_replaced_at_once(here: World) -> None:
    driver = here.driver()
    here.append()
    assert here.pending(driver) == "sent"
    [cheap] = here.rows()
    here.node.rpc("anvil_dropTransaction", cheap.hash)
    here.node.rpc("anvil_setNextBlockBaseFeePerGas", hex(cheap.fees.cap * 3))
    here.node.mine()
    assert here.pending(driver) == "sent"
    assert len(here.rows()) == 2
    here.node.mine()
    assert here.step(driver) is not None


def test_replacements_never_pay_more_than_a_few_times_what_the_chain_asks(here: World) -> None:
    driver = here.driver(stuck_after_s=60)
    here.append()
    said = {here.pending(driver)}
    for _ in range(40):
        here.clock.advance(60)
        said.add(here.pending(driver))
    assert said == {"sent", "fee_limit"}
    asked = here.port().fees()
    assert max(row.fees.cap for row in here.rows()) <= asked.cap * 8
    here.node.mine()
    assert here.step(driver) is not None


def test_on_a_chain_without_a_base_fee_the_gas_price_is_what_is_raised(here: World) -> None:
    driver = here.driver(stuck_after_s=60, legacy_fees=True)
    here.append()
    assert here.pending(driver) == "sent"
    here.clock.advance(60)
    assert here.pending(driver) == "sent"
    first, second = sorted(here.rows(), key=lambda row: row.fees.cap)
    assert first.raw[0] >= 0xC0, "a legacy transaction is a bare list (EIP-2718)"
    assert second.fees.cap * 8 >= first.fees.cap * 9
    here.node.mine()
    assert here.step(driver) is not None


def test_another_hand_on_the_key_costs_a_nonce_and_nothing_else(here: World) -> None:
    driver = here.driver()
    size = here.append()
    assert here.pending(driver) == "sent"
    [ours] = here.rows()
    theirs = here.submitter.sign_transaction(
        {
            "to": here.submitter.address,
            "value": 0,
            "gas": 21_000,
            "nonce": ours.nonce,
            "chainId": here.node.web3.eth.chain_id,
            "maxFeePerGas": ours.fees.cap * 2,
            "maxPriorityFeePerGas": ours.fees.tip * 2,
        }
    )
    here.node.web3.eth.send_raw_transaction(theirs.raw_transaction)
    here.node.mine()
    assert here.pending(driver) == "nonce_used"
    assert here.pending(driver) == "sent"
    here.node.mine()
    assert here.step(driver) is not None
    assert here.anchored(size) == 1


def test_the_lock_file_of_the_node_names_no_registry_and_pins_every_byte() -> None:
    lock = json.loads((FOLDER / "package-lock.json").read_text("utf-8"))
    listed = {name: entry for name, entry in lock["packages"].items() if name}
    assert list(listed) == ["node_modules/@foundry-rs/anvil-linux-amd64"]
    assert all(entry["integrity"].startswith("sha512-") and "resolved" not in entry for entry in listed.values())


@pytest.fixture
def liar(node: Anvil) -> Iterator[LyingNode]:
    with lying(node.url) as made:
        yield made


def test_a_transaction_is_sent_once_also_where_the_answer_never_comes(here: World, liar: LyingNode) -> None:
    driver = here.driver(here.client(liar.url))
    here.append()
    liar.cut_after = {"eth_sendRawTransaction"}
    with pytest.raises(AnchorRefused):
        here.step(driver)
    assert liar.calls.count("eth_sendRawTransaction") == 1
    [row] = here.rows()
    assert row.state is TransactionState.PREPARED
    liar.cut_after = set()
    here.node.mine()
    here.clock.advance(10)
    evidence = here.step(driver)  # found by its hash; nothing is sent again
    assert evidence is not None
    assert evidence.reference["transaction"] == row.hash
    assert liar.calls.count("eth_sendRawTransaction") == 1


def _bent_hash(value: str) -> str:
    return value[:-1] + ("0" if value[-1] != "0" else "1")


def _bent(*members: str) -> Any:
    def bend(result: Any) -> Any:
        return {**result, **{member: _bent_hash(result[member]) for member in members if result.get(member)}}

    return bend


def _more_logs(result: Any) -> Any:
    logs = [
        {**log, "topics": [log["topics"][0], log["topics"][1], _bent_hash(log["topics"][2])]} for log in result["logs"]
    ]
    return {**result, "logs": logs}


LIES: Final[dict[str, tuple[str, Any]]] = {
    "the head": ("eth_call", lambda result: result[:60] + _bent_hash(result[60:66]) + result[66:]),
    "a block's hash": ("eth_getBlockByNumber", _bent("hash")),
    "the block of a receipt": ("eth_getTransactionReceipt", _bent("blockHash")),
    "the height of a receipt": ("eth_getTransactionReceipt", _bent("blockNumber")),
    "the success of a receipt": ("eth_getTransactionReceipt", _bent("status")),
    "the event of a receipt": ("eth_getTransactionReceipt", _more_logs),
    "the time of a block": ("eth_getBlockByHash", _bent("timestamp")),
    "the nonce": ("eth_getTransactionCount", lambda result: hex(int(result, 16) + 1)),
    "a receipt that is not there": ("eth_getTransactionReceipt", lambda _: None),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_one_node_says_and_another_denies_is_an_alarm_and_never_final(
    here: World, liar: LyingNode, lie: str
) -> None:
    method, bend = LIES[lie]
    driver = here.driver(here.client(), here.client(liar.url), confirmations=2)
    size = here.append()
    assert here.pending(driver) == "sent"
    here.node.mine(4)
    liar.lies = {method: bend}
    for _ in range(5):
        here.clock.advance(120)
        with pytest.raises(AnchorRefused) as refused:
            here.step(driver)
        # What it takes for an answer cannot always be read at all; then the node does not count, and one is too few.
        assert refused.value.rule in {"disagree", "answers"}
    assert list(here.store.scan_anchors()) == []
    liar.lies = {}
    here.clock.advance(120)
    evidence = here.step(driver)
    assert evidence is not None
    assert here.anchored(size) == 1


def test_of_two_nodes_both_have_to_answer_and_of_three_any_two(here: World) -> None:
    up, away = here.client(), here.client("http://127.0.0.1:9")
    here.append()
    with pytest.raises(AnchorRefused) as refused:
        here.step(here.driver(up, away))
    assert refused.value.rule == "answers"
    here.clock.advance(120)
    three = here.driver(up, away, here.client())
    assert here.pending(three) == "sent"
    here.node.mine()
    assert here.step(three) is not None


def test_a_node_of_another_chain_is_shown_nothing(here: World, liar: LyingNode) -> None:
    liar.lies = {"eth_chainId": lambda _: "0x1"}
    here.append()
    with pytest.raises(AnchorRefused) as refused:
        here.step(here.driver(here.client(liar.url)))
    assert refused.value.rule == "chain_id"
    assert set(liar.calls) == {"eth_chainId"}


def test_a_block_with_validators_seals_in_its_extra_data_is_read(here: World, liar: LyingNode) -> None:
    liar.lies = dict.fromkeys(
        ("eth_getBlockByNumber", "eth_getBlockByHash"), lambda block: {**block, "extraData": "0x" + "ab" * 300}
    )
    driver = here.driver(here.client(liar.url))
    here.append()
    assert here.pending(driver) == "sent"
    here.node.mine()
    assert here.step(driver) is not None


def test_a_chain_that_neither_estimates_nor_knows_a_base_fee_and_counts_milliseconds_is_served_by_its_settings(
    here: World, liar: LyingNode
) -> None:
    liar.cut_before = {"eth_estimateGas", "eth_feeHistory", "eth_maxPriorityFeePerGas"}
    liar.lies = dict.fromkeys(
        ("eth_getBlockByNumber", "eth_getBlockByHash"),
        lambda block: {**block, "timestamp": hex(int(block["timestamp"], 16) * 1000 + 999)},
    )
    driver = here.driver(here.client(liar.url), legacy_fees=True, gas=500_000, milliseconds=True)
    here.append()
    assert here.pending(driver) == "sent"
    here.node.mine()
    evidence = here.step(driver)
    assert evidence is not None
    assert evidence.time == here.node.web3.eth.get_block("latest")["timestamp"]
    here.append()
    assert here.pending(driver) == "sent"
    assert here.node.web3.eth.get_transaction(here.rows()[0].hash)["gas"] == 500_000  # type: ignore[arg-type]  # 0x text is a hash


def test_on_a_chain_without_fees_an_empty_purse_anchors(tmp_path: Path, clock: StillClock) -> None:
    free = ("--no-mining", "--block-base-fee-per-gas", "0", "--gas-price", "0", "--disable-min-priority-fee")
    with anvil(tmp_path, *free) as node, world(node, tmp_path, clock) as here:
        here.node.rpc("anvil_setBalance", here.submitter.address, "0x0")
        driver = here.driver(stuck_after_s=60, legacy_fees=True)
        size = here.append()
        assert here.pending(driver) == "sent"
        here.clock.advance(60)
        assert here.pending(driver) == "free"
        assert len(here.rows()) == 1
        here.node.mine()
        assert here.step(driver) is not None
        assert here.anchored(size) == 1
