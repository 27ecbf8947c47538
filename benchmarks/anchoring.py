"""What an anchor costs on a chain, and how long it takes: `python -m benchmarks.anchoring --json`.

A real node (anvil from npm) runs the contract; the driver and its record of transactions are the product's own. Trees of
2^25 leaves are not built leaf by leaf: where all leaves are alike, a perfect subtree is known by its height alone, and
the proofs are real ones, verified here before the contract sees them. Each anchor is the one of its size that costs most,
and beside it those of other batches.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from vyper.compiler import compile_code
from web3 import Web3
from web3.exceptions import ContractLogicError, Web3Exception

from adapters.chain.contract import CompiledContract, compile_contract
from adapters.chain.deploying import Owner, deploy, transact
from adapters.chain.evm import EvmChain, EvmSettings
from adapters.chain.nodes import NodeClient
from adapters.sql.ledger_anchors import SqlAnchorTransactions
from adapters.sql.ledger_open import open_ledger_database
from adapters.sql.migrate import upgrade
from adapters.sql.targets import target_of
from benchmarks.story import cpu
from crypto.keys import generate_signing_key
from crypto.sm2 import BACKENDS, select_backend
from crypto.suites import Alg
from ledger.anchor import AnchoredHead, AnchorRequest
from ledger.anchoring_chain import Finality, TransactionAnchor, log_id
from ledger.checkpoint import Checkpoint
from ledger.merkle import (
    HashAlg,
    consistency_ranges,
    fold_right,
    leaf_hash,
    node_hash,
    perfect_subtrees,
    verify_consistency,
)
from tests.adapters.anvil.node import Anvil, anvil

GAS_TARGET: Final = 80_000
SIZES: Final = (2**10, 2**20, 2**25)
BATCHES: Final = (1, 500, 4096, 2**19)
# What the two peers publish: Blockcerts' cert-issuer puts 32 bytes of root into a transaction's data, whatever the batch;
# OpenAttestation's document store keeps a root in a storage slot.
BLOCKCERTS_GAS: Final = 22_280
OPENATTESTATION_GAS: Final = 47_400
SLOT_SOURCE: Final = """# pragma version 0.4.3
issued: public(HashMap[bytes32, uint256])
owner: address
@deploy
def __init__():
    self.owner = msg.sender
@external
def issue(root: bytes32):
    assert msg.sender == self.owner and self.issued[root] == 0
    self.issued[root] = block.number
"""


@dataclass(frozen=True, slots=True)
class Growth:
    """A tree that grew: sizes, SHA-256 roots and the consistency proof between them."""

    old: int
    new: int
    old_root: bytes
    new_root: bytes
    proof: list[bytes]


def growth(new: int, batch: int = 1) -> Growth:
    """Return the growth by `batch` of a tree of like leaves to `new`. A batch of 1 to a power of two costs most."""
    old = new - batch
    proof = [_range(stop - start) for start, stop in consistency_ranges(old, new)]
    # As on the wire (RFC 9162): the root of a whole old tree is not sent.
    made = Growth(old, new, _range(old), _range(new), proof)
    verify_consistency(
        HashAlg.SHA256, old_size=old, new_size=new, old_root=made.old_root, new_root=made.new_root, proof=proof
    )
    return made


@cache
def _perfect(height: int) -> bytes:
    if height == 0:
        return leaf_hash(HashAlg.SHA256, b"a leaf like every other")
    below = _perfect(height - 1)
    return node_hash(HashAlg.SHA256, below, below)


@cache
def _range(leaves: int) -> bytes:
    return fold_right(HashAlg.SHA256, [_perfect(level) for level, _ in perfect_subtrees(0, leaves)])


@dataclass(frozen=True, slots=True)
class Bench:
    """A node with the contract, and the product's driver on it."""

    node: Anvil
    compiled: CompiledContract
    contract: ChecksumAddress
    owner: Owner
    submitter: LocalAccount
    driver: TransactionAnchor

    def call(self, name: str, size: int, root: bytes, proof: list[bytes]) -> Any:
        """Return the bound contract function."""
        contract = self.node.web3.eth.contract(address=self.contract, abi=self.compiled.abi)
        return contract.functions.anchor(log_id(name), size, root, bytes([7]) * 32, proof)

    def transact(self, call: Any) -> int:
        """Return the gas a call took."""
        gas: int = transact(self.node.web3, self.submitter, call, chain_id=self.node.web3.eth.chain_id)["gasUsed"]
        return gas


@contextmanager
def bench() -> Iterator[Bench]:
    """Start the node, deploy the contract, open the record."""
    with tempfile.TemporaryDirectory(prefix="edutrust-benchmark-") as name, anvil(Path(name)) as node:
        url = f"sqlite:///{name}"
        upgrade("ledger", target_of("ledger", url))
        compiled, owner, submitter = compile_contract(), node.funded(), node.funded()
        chain_id = node.web3.eth.chain_id
        contract = deploy(node.web3, compiled, account=owner, chain_id=chain_id)
        port = EvmChain([NodeClient(node.url)], compiled.abi, EvmSettings(chain_id, contract), submitter)
        witness = generate_signing_key(Alg.SGD_SM3_SM2, backend=select_backend(BACKENDS))
        database = open_ledger_database(url)
        finality = Finality(confirmations=0, stuck_after_s=3600)
        driver = TransactionAnchor(
            port, SqlAnchorTransactions(database), finality, witness=witness, clock=lambda: int(time.time())
        )
        acting = Owner(node.web3, compiled, contract, account=owner, chain_id=chain_id)
        try:
            yield Bench(node, compiled, contract, acting, submitter, driver)
        finally:
            database.close()
            port.close()


def gas_of(made: Bench, grown: Growth, name: str) -> int:
    """Return the gas of anchoring the growth in a log of its own, whose first anchor is the old tree."""
    made.owner.name_submitter(name, made.submitter.address)
    made.transact(made.call(name, grown.old, grown.old_root, []))
    return made.transact(made.call(name, grown.new, grown.new_root, grown.proof))


def forged_is_refused(made: Bench, grown: Growth, name: str) -> bool:
    """Tell whether the contract reverts a root that does not begin with the anchored one, sent past the estimate."""
    made.owner.name_submitter(name, made.submitter.address)
    made.transact(made.call(name, grown.old, grown.old_root, []))
    web3 = made.node.web3
    call = made.call(name, grown.new, bytes([1]) * 32, grown.proof)
    transaction = call.build_transaction(
        {
            "from": made.submitter.address,
            "nonce": web3.eth.get_transaction_count(made.submitter.address),
            "gas": 300_000,
            "gasPrice": web3.eth.gas_price,
            "chainId": web3.eth.chain_id,
        }
    )
    try:
        sent = web3.eth.send_raw_transaction(made.submitter.sign_transaction(transaction).raw_transaction)
    except (ContractLogicError, Web3Exception):
        return True  # a node that makes a block at once says so in its answer
    return web3.eth.wait_for_transaction_receipt(sent)["status"] == 0


def latencies(made: Bench, size: int, count: int) -> list[float]:
    """Return the seconds of each anchor: prepared, kept, sent, found in its block, its evidence signed."""
    name = f"latency/{size}"
    made.owner.name_submitter(name, made.submitter.address)
    head: AnchoredHead | None = None
    seconds = []
    for number in range(count + 1):
        new = size - count + number
        proof = growth(new).proof if head is not None else []
        checkpoint = Checkpoint(name, new, _range(new), bytes(32), 0)
        begun = time.perf_counter()
        made.driver.anchor(AnchorRequest(b"", checkpoint, head, tuple(proof), ()))
        seconds.append(time.perf_counter() - begun)
        head = AnchoredHead(new, checkpoint.root_sha256)
    return seconds[1:]


def peers_gas(made: Bench) -> dict[str, int]:
    """Return the gas of what the peers do, on the same node: 32 bytes of data, and a root in a storage slot."""
    web3, account = made.node.web3, made.submitter
    root = growth(2**10).new_root
    plain = account.sign_transaction(
        {
            "to": account.address,
            "data": root,
            "value": 0,
            "gas": 100_000,
            "nonce": web3.eth.get_transaction_count(account.address),
            "gasPrice": web3.eth.gas_price,
            "chainId": web3.eth.chain_id,
        }
    )
    sent = web3.eth.send_raw_transaction(plain.raw_transaction)
    compiled = compile_code(SLOT_SOURCE, output_formats=["abi", "bytecode"])
    slot = CompiledContract(compiled["abi"], compiled["bytecode"])
    address = deploy(web3, slot, account=account, chain_id=web3.eth.chain_id)
    issue = web3.eth.contract(address=Web3.to_checksum_address(address), abi=slot.abi).functions.issue(root)
    return {
        "data_transaction": int(web3.eth.wait_for_transaction_receipt(sent)["gasUsed"]),
        "storage_slot": made.transact(issue),
    }


def measure(anchors: int) -> dict[str, Any]:
    """Return the whole report."""
    sizes: list[dict[str, Any]] = []
    with bench() as made:
        for size in SIZES:
            grown = {batch: growth(size, batch) for batch in BATCHES if batch < size}
            gas = {batch: gas_of(made, one, f"{size}/{batch}") for batch, one in grown.items()}
            spent = latencies(made, size, anchors)
            sizes.append(
                {
                    "size": size,
                    "proof_nodes": len(grown[1].proof),
                    "gas": max(gas.values()),
                    "gas_by_batch": {str(batch): used for batch, used in gas.items()},
                    "forged_root_refused": forged_is_refused(made, grown[1], f"{size}/forged"),
                    "latency_ms_median": round(statistics.median(spent) * 1000, 1),
                    "latency_ms_max": round(max(spent) * 1000, 1),
                }
            )
        peers = peers_gas(made)
    met = all(one["gas"] <= GAS_TARGET and one["forged_root_refused"] for one in sizes)
    return {
        "cpu": cpu(),
        "python": platform.python_version(),
        "target": {"gas": GAS_TARGET, "met": met},
        "sizes": sizes,
        "references": [
            {"name": "Blockcerts, a batch", "published_gas": BLOCKCERTS_GAS, "measured_gas": peers["data_transaction"]},
            {
                "name": "OpenAttestation, issue",
                "published_gas": OPENATTESTATION_GAS,
                "measured_gas": peers["storage_slot"],
            },
        ],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.anchoring", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    parser.add_argument("--anchors", type=int, default=20, help="how many are timed at each size")
    arguments = parser.parse_args()
    report = measure(arguments.anchors)
    if arguments.json:
        print(json.dumps(report, ensure_ascii=False))
        return
    print(f"{report['cpu']}, Python {report['python']}")
    for one in report["sizes"]:
        refused = "refused" if one["forged_root_refused"] else "TAKEN"
        print(
            f"{one['size']:>9} leaves: {one['gas']:>6} gas, {one['proof_nodes']} proof nodes,"
            f" {one['latency_ms_median']} ms, a forged root is {refused}"
        )
    for peer in report["references"]:
        print(f"{peer['measured_gas']:>26} gas  {peer['name']} (published: {peer['published_gas']})")
    print(f"target {report['target']['gas']} gas: {'met' if report['target']['met'] else 'missed'}")


if __name__ == "__main__":
    main()
