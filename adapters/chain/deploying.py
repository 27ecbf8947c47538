"""What the contract's owner does, by hand and rarely: deploy it, name submitters, hand the ownership over."""

from __future__ import annotations

from typing import Any, Final

from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress, HexStr
from web3 import Web3
from web3.contract import Contract
from web3.types import TxParams, TxReceipt

from adapters.chain.contract import CompiledContract
from adapters.chain.evm import GAS_MARGIN_PERCENT
from ledger.anchoring_chain import log_id
from ledger.errors import AnchorRefused

# An operator at the shell waits for a block; the longest block time among the chains named in the manual is 15 s.
WAIT_S: Final = 120


def deploy(web3: Web3, compiled: CompiledContract, *, account: LocalAccount, chain_id: int) -> ChecksumAddress:
    """Deploy the contract owned by `account`; return its address. Raises AnchorRefused."""
    call = web3.eth.contract(abi=compiled.abi, bytecode=HexStr(compiled.bytecode)).constructor()
    address = transact(web3, account, call, chain_id=chain_id)["contractAddress"]
    if address is None:
        raise AnchorRefused(field="contract", rule="deployed")
    return Web3.to_checksum_address(address)


class Owner:
    """The contract's owner, or who is about to become it."""

    def __init__(
        self,
        web3: Web3,
        compiled: CompiledContract,
        contract: ChecksumAddress,
        *,
        account: LocalAccount,
        chain_id: int,
    ) -> None:
        self._web3 = web3
        self._account = account
        self._chain_id = chain_id
        self._contract: Contract = web3.eth.contract(address=contract, abi=compiled.abi)

    def name_submitter(self, origin: str, submitter: ChecksumAddress) -> TxReceipt:
        """Let `submitter`, and nobody else, anchor the log. Raises AnchorRefused."""
        return self._do(self._contract.functions.name_submitter(log_id(origin), submitter))

    def offer_ownership(self, to: ChecksumAddress) -> TxReceipt:
        """Offer the ownership; nothing changes until it is taken. Raises AnchorRefused."""
        return self._do(self._contract.functions.offer_ownership(to))

    def take_ownership(self) -> TxReceipt:
        """Take the ownership that was offered to this account. Raises AnchorRefused."""
        return self._do(self._contract.functions.take_ownership())

    def _do(self, call: Any) -> TxReceipt:
        return transact(self._web3, self._account, call, chain_id=self._chain_id)


def transact(web3: Web3, account: LocalAccount, call: Any, *, chain_id: int) -> TxReceipt:
    """Sign and send one transaction, and wait until a block has it. Raises AnchorRefused where it reverted.

    `call` is a bound contract function or constructor (web3 gives them no common type). Estimating first makes the node
    run it, so a call the contract refuses costs nothing.
    """
    params: TxParams = {
        "from": account.address,
        "chainId": chain_id,
        "nonce": web3.eth.get_transaction_count(account.address),
        "gasPrice": web3.eth.gas_price,
    }
    estimate: int = call.estimate_gas(params)
    transaction = call.build_transaction({**params, "gas": estimate * (100 + GAS_MARGIN_PERCENT) // 100})
    signed = account.sign_transaction(transaction)
    sent = web3.eth.send_raw_transaction(signed.raw_transaction)
    receipt = web3.eth.wait_for_transaction_receipt(sent, timeout=WAIT_S)
    if receipt["status"] != 1:
        raise AnchorRefused(field="transaction", rule="reverted")
    return receipt
