"""The anchor contract on an EVM of its own: who may do what, what it refuses, what it costs, that it is what it was."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import pytest
import vyper
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_tester import EthereumTester, PyEVMBackend
from vyper.compiler import compile_code
from web3 import EthereumTesterProvider, Web3

from adapters.chain.contract import SOURCE, CompiledContract, compile_contract
from adapters.chain.deploying import Owner, deploy, transact
from benchmarks.anchoring import GAS_TARGET, SIZES, Growth, growth
from ledger.anchoring_chain import log_id
from ledger.merkle import HashAlg, verify_consistency

NOBODY = "0x" + "0" * 40
ORIGIN = "ledger.example/2026"


@pytest.fixture(scope="module")
def compiled() -> CompiledContract:
    return compile_contract()


@dataclass
class Chain:
    tester: Any
    web3: Web3
    compiled: CompiledContract
    address: Any
    owner: LocalAccount
    submitter: LocalAccount

    @property
    def functions(self) -> Any:
        return self.web3.eth.contract(address=self.address, abi=self.compiled.abi).functions

    def funded(self) -> LocalAccount:
        account: LocalAccount = Account.create()
        rich = self.tester.get_accounts()[0]
        self.tester.send_transaction({"from": rich, "to": account.address, "value": 10**19, "gas": 21_000})
        return account

    def acting(self, account: LocalAccount) -> Owner:
        return Owner(self.web3, self.compiled, self.address, account=account, chain_id=self.web3.eth.chain_id)

    def anchor(self, account: LocalAccount, size: int, root: bytes, proof: list[bytes]) -> Any:
        call = self.functions.anchor(log_id(ORIGIN), size, root, bytes([7]) * 32, proof)
        return transact(self.web3, account, call, chain_id=self.web3.eth.chain_id)

    def head(self, origin: str = ORIGIN) -> list[Any]:
        return list(self.functions.head(log_id(origin)).call())


@pytest.fixture
def chain(compiled: CompiledContract) -> Chain:
    tester = EthereumTester(PyEVMBackend())
    made = Chain(tester, Web3(EthereumTesterProvider(tester)), compiled, None, Account.create(), Account.create())
    made.owner, made.submitter = made.funded(), made.funded()
    made.address = deploy(made.web3, compiled, account=made.owner, chain_id=made.web3.eth.chain_id)
    made.acting(made.owner).name_submitter(ORIGIN, made.submitter.address)
    return made


def test_the_source_gives_the_same_bytes_with_the_compiler_it_names(compiled: CompiledContract) -> None:
    assert SOURCE.read_text("utf-8").startswith("# pragma version 0.4.3\n")
    assert vyper.__version__ == "0.4.3"
    code = bytes.fromhex(compiled.bytecode.removeprefix("0x"))
    assert hashlib.sha256(code).hexdigest() == "a7cf2431c8d1b5bf1b6eda968797cfc6934692db0edab114f2d67ac4f778f28c"


def test_nothing_in_the_code_could_change_it_or_hand_it_over_to_other_code(compiled: CompiledContract) -> None:
    # As the compiler's assembly, in which jump tables are no code.
    assembly = set(compile_code(SOURCE.read_text("utf-8"), output_formats=["asm"])["asm"].split())
    assert {"SSTORE", "STATICCALL"} <= assembly
    assert not assembly & {"CALL", "CALLCODE", "DELEGATECALL", "SELFDESTRUCT", "CREATE", "CREATE2"}
    names = {one["name"] for one in compiled.abi if one["type"] == "function"}
    assert names == {
        "anchor", "head", "name_submitter", "offer_ownership", "offered_to", "owner", "take_ownership",
    }  # fmt: skip


def test_ownership_changes_hands_in_two_steps_and_not_in_one(chain: Chain) -> None:
    heir, stranger = chain.funded(), chain.funded()
    with pytest.raises(Exception, match="not offered"):
        chain.acting(heir).take_ownership()
    with pytest.raises(Exception, match="owner only"):
        chain.acting(stranger).offer_ownership(stranger.address)
    chain.acting(chain.owner).offer_ownership(heir.address)
    assert chain.functions.owner().call() == chain.owner.address
    with pytest.raises(Exception, match="not offered"):
        chain.acting(stranger).take_ownership()
    with pytest.raises(Exception, match="owner only"):
        chain.acting(heir).name_submitter(ORIGIN, heir.address)
    chain.acting(heir).take_ownership()
    assert (chain.functions.owner().call(), chain.functions.offered_to().call()) == (heir.address, NOBODY)
    with pytest.raises(Exception, match="owner only"):
        chain.acting(chain.owner).name_submitter(ORIGIN, stranger.address)
    with pytest.raises(Exception, match="not offered"):
        chain.acting(heir).take_ownership()
    chain.acting(heir).name_submitter(ORIGIN, stranger.address)


def test_a_second_offer_replaces_the_first(chain: Chain) -> None:
    first, second = chain.funded(), chain.funded()
    chain.acting(chain.owner).offer_ownership(first.address)
    chain.acting(chain.owner).offer_ownership(second.address)
    with pytest.raises(Exception, match="not offered"):
        chain.acting(first).take_ownership()
    chain.acting(second).take_ownership()


def test_a_lost_key_is_replaced_by_the_owner_and_the_head_stays_where_it_was(chain: Chain) -> None:
    taken = growth(2**10)
    chain.anchor(chain.submitter, taken.old, taken.old_root, [])
    before = chain.head()
    assert before == [taken.old_root, taken.old, chain.web3.eth.block_number, chain.submitter.address]
    successor = chain.funded()
    chain.acting(chain.owner).name_submitter(ORIGIN, successor.address)
    assert chain.head() == [*before[:3], successor.address]
    with pytest.raises(Exception, match="submitter only"):
        chain.anchor(chain.submitter, taken.new, taken.new_root, taken.proof)
    chain.anchor(successor, taken.new, taken.new_root, taken.proof)
    assert chain.head() == [taken.new_root, taken.new, chain.web3.eth.block_number, successor.address]


def test_each_log_has_its_own_submitter(chain: Chain) -> None:
    other = chain.funded()
    chain.acting(chain.owner).name_submitter("another log", other.address)
    with pytest.raises(Exception, match="submitter only"):
        chain.anchor(other, 1, bytes(32), [])
    assert chain.head("another log") == [bytes(32), 0, 0, other.address]
    assert chain.head("a log nobody named")[3] == NOBODY


def test_the_largest_size_is_kept_whole_beside_submitter_and_block(chain: Chain) -> None:
    size = 2**64 - 1
    chain.anchor(chain.submitter, size, bytes([1]) * 32, [])
    assert chain.head() == [bytes([1]) * 32, size, chain.web3.eth.block_number, chain.submitter.address]


@pytest.mark.parametrize("size", SIZES)
def test_an_anchor_is_below_the_target_for_the_longest_proofs_of_a_tree(chain: Chain, size: int) -> None:
    worst: Growth = growth(size)
    verify_consistency(
        HashAlg.SHA256,
        old_size=worst.old,
        new_size=worst.new,
        old_root=worst.old_root,
        new_root=worst.new_root,
        proof=worst.proof,
    )
    chain.anchor(chain.submitter, worst.old, worst.old_root, [])
    with pytest.raises(Exception, match="new root"):
        chain.anchor(chain.submitter, worst.new, bytes(32), worst.proof)
    assert chain.anchor(chain.submitter, worst.new, worst.new_root, worst.proof)["gasUsed"] <= GAS_TARGET
