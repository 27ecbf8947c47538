"""An EVM chain inside this process, for the demonstration and for tests: real bytecode, gone when the process ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from eth_account import Account
from eth_tester import EthereumTester, PyEVMBackend
from web3 import EthereumTesterProvider, Web3

from adapters.chain.contract import compile_contract
from adapters.chain.evm import EvmAnchor, deploy, name_submitter
from crypto.keys import SigningKey
from ledger.anchor import AnchorDriver

PURSE_WEI: Final = 10**20
WAIT_S: Final = 10


def local_chain(origin: str) -> Callable[[SigningKey], Sequence[AnchorDriver]]:
    """Deploy the anchor contract on a fresh chain; return what makes its driver, given the witness key."""
    compiled = compile_contract()
    tester = EthereumTester(PyEVMBackend())
    web3 = Web3(EthereumTesterProvider(tester))
    owner, submitter = Account.create(), Account.create()
    rich = tester.get_accounts()[0]
    for account in (owner, submitter):
        tester.send_transaction({"from": rich, "to": account.address, "value": PURSE_WEI, "gas": 21_000})
    settings = deploy(web3, compiled, account=owner, chain_id=web3.eth.chain_id, confirmations=0, wait_s=WAIT_S)
    name_submitter(web3, compiled, settings, account=owner, origin=origin, submitter=submitter.address)

    def drivers(witness: SigningKey) -> Sequence[AnchorDriver]:
        return [EvmAnchor(web3, compiled.abi, settings, account=submitter, witness=witness)]

    return drivers
