"""Anchoring on an EVM chain through the anchor contract: the contract itself checks that the log only grew.

Blocking; the worker runs it on a thread of its own. The transaction's key is separate from every other key.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress, HexStr
from web3 import HTTPProvider, Web3
from web3.contract import Contract
from web3.exceptions import ContractLogicError, TimeExhausted, Web3Exception
from web3.types import TxParams, TxReceipt

from adapters.chain.contract import CompiledContract
from crypto.keys import SigningKey
from ledger.anchor import AnchoredHead, AnchorEvidence, AnchorRequest, sign_evidence
from ledger.checkpoint import Checkpoint
from ledger.errors import AnchorForked, AnchorPending, AnchorRefused

# Between two looks at the chain while waiting for depth.
POLL_S: Final = 0.5
# What the node estimates may change by the block that takes the transaction: a fifth more, and never beyond the block.
GAS_MARGIN_PERCENT: Final = 20
RPC_TIMEOUT_S: Final = 10


@dataclass(frozen=True, slots=True)
class EvmSettings:
    """One chain as the driver uses it.

    `confirmations` blocks on top of the transaction's make it final (0 where blocks are final at once, as on QBFT);
    `wait_s` is how long one try waits for that; `first_block` is where the contract's events begin.
    """

    chain_id: int
    contract: ChecksumAddress
    first_block: int
    confirmations: int
    wait_s: int


class EvmAnchor:
    """Anchors checkpoints of logs whose submitter is `account`."""

    def __init__(
        self,
        web3: Web3,
        abi: list[dict[str, Any]],
        settings: EvmSettings,
        *,
        account: LocalAccount,
        witness: SigningKey,
    ) -> None:
        self._web3 = web3
        self._settings = settings
        self._account = account
        self._witness = witness
        self._contract: Contract = web3.eth.contract(address=settings.contract, abi=abi)

    @property
    def chain(self) -> str:
        """Return "evm:" and the chain's id."""
        return f"evm:{self._settings.chain_id}"

    def head(self, origin: str) -> AnchoredHead | None:
        """Return the contract's head of the log, as of the newest block."""
        try:
            root, size, _ = self._contract.functions.heads(log_id(origin)).call()
        except (Web3Exception, OSError) as error:
            raise AnchorRefused(field="chain", rule="answers") from error
        return AnchoredHead(size, root) if size else None

    def anchor(self, request: AnchorRequest) -> AnchorEvidence:
        """Send the checkpoint, or find it where it already is, and wait for its depth (see AnchorDriver)."""
        try:
            if request.previous is None or request.previous.size < request.checkpoint.size:
                receipt = self._submit(request)
            else:
                receipt = self._find(request.checkpoint)
            return self._evidence(request.checkpoint, receipt)
        except TimeExhausted as error:
            raise AnchorPending(field="transaction", rule="mined") from error
        except ContractLogicError as error:
            raise AnchorRefused(field="transaction", rule="reverted") from error
        except (Web3Exception, OSError) as error:
            raise AnchorRefused(field="chain", rule="answers") from error

    def _submit(self, request: AnchorRequest) -> TxReceipt:
        checkpoint = request.checkpoint
        call = self._contract.functions.anchor(
            log_id(checkpoint.origin),
            checkpoint.size,
            checkpoint.root_sha256,
            checkpoint.root_sm3,
            list(request.proof_sha256),
        )
        return transact(self._web3, self._account, call, self._settings)

    def _find(self, checkpoint: Checkpoint) -> TxReceipt:
        """Return the receipt of the transaction by which the contract took this checkpoint."""
        events = self._contract.events.Anchored().get_logs(
            from_block=self._settings.first_block,
            argument_filters={"log_id": log_id(checkpoint.origin), "size": checkpoint.size},
        )
        if not events:
            raise AnchorRefused(field="event", rule="found")
        return self._web3.eth.get_transaction_receipt(events[-1]["transactionHash"])

    def _evidence(self, checkpoint: Checkpoint, receipt: TxReceipt) -> AnchorEvidence:
        events = [
            event["args"]
            for event in self._contract.events.Anchored().process_receipt(receipt)
            if event["address"] == self._settings.contract and event["args"]["log_id"] == log_id(checkpoint.origin)
        ]
        took = [(args["size"], args["root_sha256"], args["root_sm3"]) for args in events]
        if took != [(checkpoint.size, checkpoint.root_sha256, checkpoint.root_sm3)]:
            raise AnchorForked(field="event", rule="equal")
        self._wait_for_depth(receipt)
        block = self._web3.eth.get_block(receipt["blockHash"])
        reference: Mapping[str, str | int] = {
            "block": receipt["blockNumber"],
            "block_hash": Web3.to_hex(receipt["blockHash"]),
            "confirmations": self._settings.confirmations,
            "contract": self._settings.contract,
            "submitter": receipt["from"],
            "transaction": Web3.to_hex(receipt["transactionHash"]),
        }
        return sign_evidence(
            checkpoint, chain=self.chain, time=block["timestamp"], reference=reference, witness=self._witness
        )

    def _wait_for_depth(self, receipt: TxReceipt) -> None:
        """Wait until enough blocks stand on the transaction's, and it still is where the receipt said."""
        deadline = time.monotonic() + self._settings.wait_s
        wanted = receipt["blockNumber"] + self._settings.confirmations
        while self._web3.eth.block_number < wanted:
            if time.monotonic() >= deadline:
                raise AnchorPending(field="transaction", rule="depth", most=self._settings.confirmations)
            time.sleep(POLL_S)
        if self._web3.eth.get_transaction_receipt(receipt["transactionHash"])["blockHash"] != receipt["blockHash"]:
            raise AnchorPending(field="transaction", rule="reorganised")


def log_id(origin: str) -> bytes:
    """Return the 32 bytes by which the contract knows a log."""
    return hashlib.sha256(origin.encode()).digest()


def connect(rpc_url: str) -> Web3:
    """Return a client of a node. Nothing is retried behind our back: a transaction is sent once, then looked up."""
    provider = HTTPProvider(rpc_url, request_kwargs={"timeout": RPC_TIMEOUT_S}, exception_retry_configuration=None)
    return Web3(provider)


def deploy(
    web3: Web3, compiled: CompiledContract, *, account: LocalAccount, chain_id: int, confirmations: int, wait_s: int
) -> EvmSettings:
    """Deploy the contract owned by `account`; return the settings of the driver for it. Raises AnchorRefused."""
    call = web3.eth.contract(abi=compiled.abi, bytecode=HexStr(compiled.bytecode)).constructor()
    unset = EvmSettings(chain_id, Web3.to_checksum_address(bytes(20)), 0, confirmations, wait_s)
    receipt = transact(web3, account, call, unset)
    address = receipt["contractAddress"]
    if address is None:
        raise AnchorRefused(field="contract", rule="deployed")
    return EvmSettings(chain_id, Web3.to_checksum_address(address), receipt["blockNumber"], confirmations, wait_s)


def name_submitter(
    web3: Web3,
    compiled: CompiledContract,
    settings: EvmSettings,
    *,
    account: LocalAccount,
    origin: str,
    submitter: ChecksumAddress,
) -> TxReceipt:
    """Let `submitter` anchor the log; `account` is the contract's owner. Raises AnchorRefused."""
    contract: Contract = web3.eth.contract(address=settings.contract, abi=compiled.abi)
    return transact(web3, account, contract.functions.name_submitter(log_id(origin), submitter), settings)


def transact(web3: Web3, account: LocalAccount, call: Any, settings: EvmSettings) -> TxReceipt:
    """Sign and send one transaction, and wait until a block has it. Raises AnchorRefused where it reverted.

    `call` is a bound contract function or constructor (web3 gives them no common type). Estimating first makes the node
    run it, so a call the contract refuses costs nothing.
    """
    params: TxParams = {
        "from": account.address,
        "chainId": settings.chain_id,
        "nonce": web3.eth.get_transaction_count(account.address),
        "gasPrice": web3.eth.gas_price,
    }
    estimate: int = call.estimate_gas(params)
    transaction = call.build_transaction({**params, "gas": estimate * (100 + GAS_MARGIN_PERCENT) // 100})
    signed = account.sign_transaction(transaction)
    sent = web3.eth.send_raw_transaction(signed.raw_transaction)
    receipt = web3.eth.wait_for_transaction_receipt(sent, timeout=settings.wait_s)
    if receipt["status"] != 1:
        raise AnchorRefused(field="transaction", rule="reverted")
    return receipt
