"""The EVM driver from the values of the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from eth_account import Account
from web3 import Web3

from adapters.chain.contract import compile_contract
from adapters.chain.evm import EvmAnchor, EvmSettings, connect
from crypto.keys import SigningKey

# How long one round waits for a transaction's block and depth before it is looked up again in the next round.
WAIT_S: Final = 120


def driver(
    *, rpc_url: str, contract: str, chain_id: int, key_file: Path, confirmations: int, witness: SigningKey
) -> EvmAnchor:
    """Return the driver; `key_file` holds the sender's private key in hexadecimal."""
    chain = EvmSettings(
        chain_id=chain_id,
        contract=Web3.to_checksum_address(contract),
        first_block=0,
        confirmations=confirmations,
        wait_s=WAIT_S,
    )
    account = Account.from_key(key_file.read_text("ascii").strip())
    return EvmAnchor(connect(rpc_url), compile_contract().abi, chain, account=account, witness=witness)
