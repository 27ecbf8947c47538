"""The EVM chain an operator configured, as an anchor driver; None where none is configured.

The driver is loaded only then: its libraries (web3, the Vyper compiler) take 36 MB in every process that has them.
"""

from __future__ import annotations

import importlib

from adapters.settings import Settings
from crypto.keys import SigningKey
from ledger.anchor import AnchorDriver


def configured_evm(settings: Settings, witness: SigningKey) -> AnchorDriver | None:
    """Return the driver of the configured chain. Settings have checked that the four values come together."""
    if (
        settings.evm_rpc_url is None
        or settings.evm_contract is None
        or settings.evm_chain_id is None
        or settings.evm_key_file is None
    ):
        return None
    driver: AnchorDriver = importlib.import_module("adapters.chain.evm_settings").driver(
        rpc_url=settings.evm_rpc_url,
        contract=settings.evm_contract,
        chain_id=settings.evm_chain_id,
        key_file=settings.evm_key_file,
        confirmations=settings.evm_confirmations,
        witness=witness,
    )
    return driver
