"""The anchor contract on an EVM chain, as `ledger.anchoring_transactions.AnchorChain`.

The contract itself checks that the log only grew. Blocking; the worker runs it on a thread of its own. The transaction's
key is separate from every other key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress, HexStr
from web3 import Web3
from web3.contract import Contract
from web3.exceptions import BlockNotFound, ContractLogicError, TransactionNotFound, Web3Exception
from web3.logs import DISCARD
from web3.types import Nonce, TxParams, TxReceipt

from adapters.chain.nodes import Nodes
from ledger.anchor import AnchoredHead, AnchorRequest
from ledger.anchoring_chain import log_id
from ledger.anchoring_transactions import Answer, Fees, Mined
from ledger.checkpoint import Checkpoint
from ledger.errors import AnchorRefused

# What the node estimates may change by the block that takes the transaction: a fifth more, and never beyond the block.
GAS_MARGIN_PERCENT: Final = 20
# The base fee may double before a transaction is stuck: six full blocks of an eighth more each (EIP-1559).
BASE_FEE_MULTIPLE: Final = 2
# A node two blocks past a transaction's without knowing its receipt does not lag, it contradicts.
RECEIPT_LAG_BLOCKS: Final = 2
# What the contract keeps of a block's number.
_BLOCK_MODULUS: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class EvmSettings:
    """One chain as the driver uses it.

    `gas` fixes the gas limit where the chain cannot estimate; `legacy_fees` sends a plain gas price on chains that have
    blocks with a base fee too (None: as the newest block says); `milliseconds`: the chain's block times are in them.
    """

    chain_id: int
    contract: ChecksumAddress
    gas: int | None = None
    legacy_fees: bool | None = None
    milliseconds: bool = False


@dataclass(frozen=True, slots=True)
class ContractHead:
    """What the contract holds of a log: root, size, the low 32 bits of the block's number, and who may anchor."""

    root: bytes
    size: int
    block: int
    submitter: str


class EvmChain:
    """See AnchorChain for every contract."""

    def __init__(
        self, nodes: Sequence[Web3], abi: list[dict[str, Any]], settings: EvmSettings, account: LocalAccount
    ) -> None:
        self._nodes = Nodes(nodes, settings.chain_id)
        self._settings = settings
        self._account = account
        self._abi = abi

    def close(self) -> None:
        """End the connections to the nodes."""
        self._nodes.close()

    @property
    def chain(self) -> str:
        """Return "evm:" and the chain's id."""
        return f"evm:{self._settings.chain_id}"

    @property
    def contract(self) -> str:
        """Return the contract's address."""
        return self._settings.contract

    @property
    def submitter(self) -> str:
        """Return the key's address."""
        return str(self._account.address)

    def head(self, origin: str) -> AnchoredHead | None:
        """Return the contract's head of the log."""
        head = self.contract_head(origin)
        return AnchoredHead(head.size, head.root) if head.size else None

    def contract_head(self, origin: str) -> ContractHead:
        """Return all the contract holds of the log."""
        at = self._nodes.at()

        def ask(node: Web3) -> ContractHead:
            return ContractHead(
                *self._contract(node)
                .functions.head(log_id(origin))
                .call(block_identifier="latest" if at is None else at)
            )

        return self._nodes.agreed(ask)

    def height(self) -> int:
        """Return the newest block that all have."""
        return self._nodes.height()

    def block_hash(self, block: int) -> str | None:
        """Return the hash of a block."""

        def ask(node: Web3) -> str | None:
            try:
                return Web3.to_hex(node.eth.get_block(block)["hash"])
            except BlockNotFound:
                return None

        return self._nodes.agreed(ask)

    def used_nonces(self) -> int:
        """Return the key's first unused nonce."""
        at = self._nodes.at()
        return self._nodes.agreed(
            lambda node: int(node.eth.get_transaction_count(self._account.address, "latest" if at is None else at))
        )

    def look_up(self, hash_: str) -> Mined | None:
        """Return where the transaction is."""

        def ask(node: Web3) -> Mined | None:
            try:
                return self._mined(node, node.eth.get_transaction_receipt(HexStr(hash_)))
            except (TransactionNotFound, BlockNotFound):
                return None

        answers = self._nodes.each(ask)
        seen = [answer for answer in answers if answer is not None]
        if not seen:
            return None
        late = len(seen) < len(answers)
        if any(one != seen[0] for one in seen) or (late and self._nodes.height() >= seen[0].block + RECEIPT_LAG_BLOCKS):
            raise AnchorRefused(field="node", rule="disagree")
        return None if late else seen[0]

    def knows(self, hash_: str) -> bool:
        """Tell whether any node has the transaction."""

        def ask(node: Web3) -> bool:
            try:
                node.eth.get_transaction(HexStr(hash_))
            except TransactionNotFound:
                return False
            return True

        return any(self._nodes.each(ask))

    def find(self, checkpoint: Checkpoint) -> Mined | None:
        """Return the transaction of the newest checkpoint: the contract tells the block, the block tells the event."""
        head = self.contract_head(checkpoint.origin)
        if head.size != checkpoint.size:
            return None
        height = self._nodes.height()
        block = height - (height - head.block) % _BLOCK_MODULUS

        def ask(node: Web3) -> list[str]:
            events = (
                self._contract(node)
                .events.Anchored()
                .get_logs(
                    from_block=block,
                    to_block=block,
                    argument_filters={"log_id": log_id(checkpoint.origin), "size": checkpoint.size},
                )
            )
            return [Web3.to_hex(event["transactionHash"]) for event in events]

        hashes = self._nodes.agreed(ask)
        return self.look_up(hashes[-1]) if hashes else None

    def fees(self) -> Fees:
        """Return the least of what the nodes ask: one that asks too much does not empty the purse."""
        asked = self._nodes.each(self._fees)
        return min(asked, key=lambda fees: (fees.cap, fees.tip))

    def sign(self, request: AnchorRequest, nonce: int, fees: Fees) -> tuple[str, bytes]:
        """Return a signed transaction; the contract has run on a node before, so that a refusal costs nothing."""
        checkpoint = request.checkpoint

        def build(node: Web3) -> TxParams:
            call = self._contract(node).functions.anchor(
                log_id(checkpoint.origin),
                checkpoint.size,
                checkpoint.root_sha256,
                checkpoint.root_sm3,
                list(request.proof_sha256),
            )
            return self._built(call, nonce, fees)

        try:
            transaction = self._nodes.first(build)
        except ContractLogicError as error:
            raise AnchorRefused(field="transaction", rule="reverted") from error
        except Web3Exception as error:
            raise AnchorRefused(field="chain", rule="answers") from error
        signed = self._account.sign_transaction(cast("dict[str, Any]", transaction))
        return Web3.to_hex(signed.hash), bytes(signed.raw_transaction)

    def send(self, raw: bytes) -> Answer:
        """Send it to every node, once."""
        return self._nodes.send(raw)

    def _built(self, call: Any, nonce: int, fees: Fees) -> TxParams:
        """`call` is a bound contract function; web3 gives those no common type."""
        who: TxParams = {"from": self._account.address}
        if self._settings.gas is None:
            gas = int(call.estimate_gas(who)) * (100 + GAS_MARGIN_PERCENT) // 100
        else:
            call.call(who)
            gas = self._settings.gas
        params: TxParams = {**who, "chainId": self._settings.chain_id, "nonce": Nonce(nonce), "gas": gas}
        if fees.tip == fees.cap:
            params["gasPrice"] = Web3.to_wei(fees.cap, "wei")
        else:
            params["maxFeePerGas"] = Web3.to_wei(fees.cap, "wei")
            params["maxPriorityFeePerGas"] = Web3.to_wei(fees.tip, "wei")
        built: TxParams = call.build_transaction(params)
        return built

    def _fees(self, node: Web3) -> Fees:
        base = None if self._settings.legacy_fees else node.eth.get_block("latest").get("baseFeePerGas")
        if base is None:
            price = int(node.eth.gas_price)
            return Fees(price, price)
        tip = int(node.eth.max_priority_fee)
        # Where the base fee is zero both are equal, and it is a plain gas price that is sent (see `_built`): the same.
        return Fees(int(base) * BASE_FEE_MULTIPLE + tip, tip)

    def _mined(self, node: Web3, receipt: TxReceipt) -> Mined:
        events = self._contract(node).events.Anchored().process_receipt(receipt, errors=DISCARD)
        took = tuple(
            (bytes(args["log_id"]), int(args["size"]), bytes(args["root_sha256"]), bytes(args["root_sm3"]))
            for args in (event["args"] for event in events if event["address"] == self._settings.contract)
        )
        time = int(node.eth.get_block(receipt["blockHash"])["timestamp"])
        return Mined(
            hash=Web3.to_hex(receipt["transactionHash"]),
            block=receipt["blockNumber"],
            block_hash=Web3.to_hex(receipt["blockHash"]),
            submitter=receipt["from"],
            succeeded=receipt["status"] == 1,
            checkpoints=took,
            time=time // 1000 if self._settings.milliseconds else time,
        )

    def _contract(self, node: Web3) -> Contract:
        contract: Contract = node.eth.contract(address=self._settings.contract, abi=self._abi)
        return contract
