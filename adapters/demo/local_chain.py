"""An EVM chain inside this process, for the demonstration and for tests: real bytecode, gone when the process ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from eth_account import Account
from eth_tester import EthereumTester, PyEVMBackend
from web3 import EthereumTesterProvider, Web3

from adapters.chain.contract import compile_contract
from adapters.chain.deploying import Owner, deploy
from adapters.chain.evm import EvmChain, EvmSettings
from crypto.keys import SigningKey
from ledger.anchor import AnchorDriver
from ledger.anchoring_chain import Finality, TransactionAnchor
from ledger.anchoring_transactions import AnchorTransactions

PURSE_WEI: Final = 10**20
STUCK_AFTER_S: Final = 10


def local_chain(origin: str) -> Callable[[SigningKey, AnchorTransactions], Sequence[AnchorDriver]]:
    """Deploy the anchor contract on a fresh chain; return what makes its driver of a witness key and a record."""
    compiled = compile_contract()
    tester = EthereumTester(PyEVMBackend())
    web3 = Web3(EthereumTesterProvider(tester))
    owner, submitter = Account.create(), Account.create()
    rich = tester.get_accounts()[0]
    for account in (owner, submitter):
        tester.send_transaction({"from": rich, "to": account.address, "value": PURSE_WEI, "gas": 21_000})
    chain_id = web3.eth.chain_id
    contract = deploy(web3, compiled, account=owner, chain_id=chain_id)
    Owner(web3, compiled, contract, account=owner, chain_id=chain_id).name_submitter(origin, submitter.address)
    chain = EvmChain([web3], compiled.abi, EvmSettings(chain_id, contract), submitter)

    def drivers(witness: SigningKey, transactions: AnchorTransactions) -> Sequence[AnchorDriver]:
        finality = Finality(confirmations=0, stuck_after_s=STUCK_AFTER_S)
        return [TransactionAnchor(chain, transactions, finality, witness=witness, clock=lambda: int(time.time()))]

    return drivers
