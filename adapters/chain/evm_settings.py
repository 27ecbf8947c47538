"""The EVM drivers from the values of the settings."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import Web3

from adapters.anchor_chains import ConfiguredChain
from adapters.chain.contract import compile_contract
from adapters.chain.evm import EvmChain, EvmSettings
from adapters.chain.nodes import NodeClient
from crypto.keys import SigningKey
from ledger.anchoring_chain import Finality, TransactionAnchor
from ledger.anchoring_transactions import AnchorTransactions
from ledger.errors import AnchorRefused
from ledger.store import Clock

_KEY: Final = re.compile(r"(?:0x)?[0-9a-fA-F]{64}")
# The order of the curve of Ethereum's keys (SEC 2 version 2.0, section 2.4.1).
SECP256K1_N: Final = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141


def driver(
    chain: ConfiguredChain,
    transactions: AnchorTransactions,
    *,
    witness: SigningKey,
    clock: Clock,
    at_end: Callable[[Callable[[], None]], object],
) -> TransactionAnchor:
    """Return the driver of one chain; `at_end` is given what closes it. AnchorRefused where the key file holds no key."""
    evm = port(chain)
    at_end(evm.close)
    finality = Finality(chain.confirmations, chain.stuck_after_s)
    return TransactionAnchor(evm, transactions, finality, witness=witness, clock=clock)


def port(chain: ConfiguredChain) -> EvmChain:
    """Return the chain seen through its key, to be closed. Raises AnchorRefused where the key file holds no key."""
    settings = EvmSettings(
        chain_id=chain.chain_id,
        contract=Web3.to_checksum_address(chain.contract),
        gas=chain.gas or None,
        legacy_fees=chain.legacy_fees,
        milliseconds=chain.milliseconds,
    )
    account = account_of(chain.key_file)
    return EvmChain([NodeClient(url) for url in chain.rpc], compile_contract().abi, settings, account)


def account_of(key_file: Path) -> LocalAccount:
    """Return the account whose private key the file holds, in hexadecimal. Raises AnchorRefused."""
    try:
        text = key_file.read_text("ascii").strip()
    except (OSError, ValueError) as error:
        raise AnchorRefused(field="key_file", rule="readable") from error
    # What the library says of a key that is none may quote it; and it takes a shortened one for another key.
    if _KEY.fullmatch(text) is None or not 0 < int(text, 16) < SECP256K1_N:
        raise AnchorRefused(field="key_file", rule="key")
    account: LocalAccount = Account.from_key(text)
    return account
