"""The EVM chains an operator configured, as anchor drivers; none where none is configured.

The drivers are loaded only then: their libraries (web3, the Vyper compiler) take 36 MB in every process that has them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from adapters.anchor_chains import ConfiguredChain, read_chains
from adapters.settings import Settings
from crypto.keys import SigningKey
from ledger.anchoring_binding import SubmitterBinding, sign_binding, verify_binding
from ledger.anchoring_chain import TransactionAnchor
from ledger.anchoring_transactions import AnchorTransactions
from ledger.errors import AnchorRefused
from ledger.store import Clock


def configured_chains(settings: Settings) -> tuple[ConfiguredChain, ...]:
    """Return the chains of the settings, those of the file last. The settings have checked them."""
    chains: tuple[ConfiguredChain, ...] = ()
    if (
        settings.evm_rpc_url is not None
        and settings.evm_contract is not None
        and settings.evm_chain_id is not None
        and settings.evm_key_file is not None
    ):
        one = ConfiguredChain(
            chain_id=settings.evm_chain_id,
            rpc=(settings.evm_rpc_url,),
            contract=settings.evm_contract,
            key_file=settings.evm_key_file,
            confirmations=settings.evm_confirmations,
        )
        chains = (one,)
    return chains if settings.anchor_chains is None else (*chains, *read_chains(settings.anchor_chains))


def configured_evm(
    settings: Settings,
    transactions: AnchorTransactions,
    *,
    witness: SigningKey,
    clock: Clock,
    at_end: Callable[[Callable[[], None]], object],
) -> list[TransactionAnchor]:
    """Return the driver of each configured chain; `at_end` is given what closes their connections."""
    chains = configured_chains(settings)
    if not chains:
        return []
    make = importlib.import_module("adapters.chain.evm_settings").driver
    return [make(chain, transactions, witness=witness, clock=clock, at_end=at_end) for chain in chains]


def bind_submitter(
    driver: TransactionAnchor, transactions: AnchorTransactions, *, origin: str, log_key: SigningKey, now: int
) -> None:
    """See to it that the log's key has signed for the driver's transaction key; a statement that stands is kept."""
    where = (driver.chain, driver.port.contract, driver.port.submitter)
    kept = transactions.binding(origin, *where)
    if kept is not None:
        try:
            verify_binding(
                kept, log_key=log_key.public, origin=origin, chain=where[0], contract=where[1], submitter=where[2]
            )
        except AnchorRefused:
            kept = None  # made under an earlier key of the log, or damaged
    if kept is None:
        statement = sign_binding(SubmitterBinding(origin, *where, now), log_key=log_key)
        transactions.keep_binding(origin, *where, statement)
