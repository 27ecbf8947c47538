"""The EVM chain an operator configured, as an anchor driver; None where none is configured."""

from __future__ import annotations

from typing import Final

from eth_account import Account
from web3 import Web3

from adapters.chain.contract import compile_contract
from adapters.chain.evm import EvmAnchor, EvmSettings, connect
from adapters.settings import Settings
from crypto.keys import SigningKey

# How long one round waits for a transaction's block and depth before it is looked up again in the next round.
WAIT_S: Final = 120


def configured_evm(settings: Settings, witness: SigningKey) -> EvmAnchor | None:
    """Return the driver of the configured chain. Settings have checked that the four values come together."""
    if (
        settings.evm_rpc_url is None
        or settings.evm_contract is None
        or settings.evm_chain_id is None
        or settings.evm_key_file is None
    ):
        return None
    chain = EvmSettings(
        chain_id=settings.evm_chain_id,
        contract=Web3.to_checksum_address(settings.evm_contract),
        first_block=0,
        confirmations=settings.evm_confirmations,
        wait_s=WAIT_S,
    )
    account = Account.from_key(settings.evm_key_file.read_text("ascii").strip())
    return EvmAnchor(connect(settings.evm_rpc_url), compile_contract().abi, chain, account=account, witness=witness)
