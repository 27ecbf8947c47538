"""`edutrust ledger anchor …`: what the chains hold of the log, and what the contract's owner does by hand.

`status` opens neither the key-encryption key nor the log for writing: it works where the service refuses to start.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from web3 import Web3
from web3.exceptions import Web3Exception

from adapters.anchor_chains import CONFIRMATIONS, ConfiguredChain
from adapters.chain.configured import configured_chains
from adapters.chain.contract import compile_contract
from adapters.chain.deploying import Owner, deploy
from adapters.chain.evm import ContractHead, EvmChain
from adapters.chain.evm_settings import account_of, port
from adapters.chain.nodes import NodeClient
from adapters.commands.outcome import CommandFailed
from adapters.commands.settings_of import settings_of
from adapters.settings import Settings
from adapters.sql.engine import open_database
from adapters.sql.idp_keys import SqlKeyStore
from adapters.sql.ledger_anchors import SqlAnchorTransactions
from adapters.sql.ledger_open import open_ledger_database
from adapters.sql.ledger_store import SqlLedgerStore
from crypto.errors import TrustError
from crypto.keys import public_from_jwk
from crypto.suites import Alg, Purpose
from ledger.anchoring_binding import verify_binding
from ledger.anchoring_transactions import OPEN_STATES
from ledger.checkpoint import LogIdentity
from ledger.errors import AnchorForked, AnchorRefused
from ledger.merkle import HashAlg
from ledger.reader import LedgerReader

TRANSACTIONS_LOOKED_AT: Final = 20


def main(arguments: argparse.Namespace) -> int:
    """Run the action; `status` ends with 1 where a chain does not answer or something does not agree."""
    settings = settings_of(arguments)
    try:
        if arguments.anchor_action == "status":
            return asyncio.run(_status(settings, as_json=arguments.json))
        act = _deploy if arguments.anchor_action == "deploy" else _owner
        with closing(NodeClient(arguments.rpc)) as node:
            return act(node, settings, arguments)
    except TrustError as refused:
        raise CommandFailed(f"The anchors cannot be looked after: {refused}.") from refused
    except (Web3Exception, OSError, ValueError) as failed:
        raise CommandFailed(f"The chain did not do it: {failed}") from failed


@dataclass(frozen=True, slots=True)
class _Log:
    """The log as a chain is compared with it."""

    identity: LogIdentity
    store: SqlLedgerStore
    transactions: SqlAnchorTransactions
    size: int


async def _status(settings: Settings, *, as_json: bool) -> int:
    idp = await open_database(settings.database_url, "idp")
    try:
        owner = f"log:{settings.log_origin}"
        record = await SqlKeyStore(idp).active(owner, Purpose.CHECKPOINT, Alg.SGD_SM3_SM2)
    finally:
        await idp.close()
    identity = LogIdentity(settings.log_origin, public_from_jwk(record.public_jwk, alg=record.alg), None)
    database = open_ledger_database(settings.database_url)
    try:
        store = SqlLedgerStore(database, settings.log_origin)
        head = store.head()
        log = _Log(identity, store, SqlAnchorTransactions(database), 0 if head is None else head.size)
        chains = [_chain_status(log, chain) for chain in configured_chains(settings)]
    finally:
        database.close()
    if as_json:
        print(json.dumps({"log": settings.log_origin, "size": log.size, "chains": chains}, ensure_ascii=False))
    else:
        print(f"{settings.log_origin}: {log.size} entries, {len(chains)} chains beside the file.")
        for chain in chains:
            told = ", ".join(f"{name} {_shown(value)}" for name, value in chain.items() if name != "chain")
            print(f"{chain['chain']}: {told}")
    return 1 if any(chain["problem"] for chain in chains) else 0


def _chain_status(log: _Log, configured: ConfiguredChain) -> dict[str, Any]:
    with closing(port(configured)) as chain:
        return _status_of(log, chain)


def _status_of(log: _Log, chain: EvmChain) -> dict[str, Any]:
    sizes = [job.size for job in log.store.pending_anchors() if job.chain == chain.chain]
    final = [anchor.size for anchor in log.store.scan_anchors() if anchor.chain == chain.chain]
    latest = log.transactions.latest(chain.chain, chain.submitter, TRANSACTIONS_LOOKED_AT)
    status: dict[str, Any] = {
        "chain": chain.chain,
        "contract": chain.contract,
        "submitter": chain.submitter,
        "head": None,
        "lag": None,
        "pending": len(sizes),
        "last_final": max(final, default=None),
        "nonce": None,
        "open": [
            {"nonce": one.nonce, "size": one.size, "state": one.state.value, "transaction": one.hash}
            for one in latest
            if one.state in OPEN_STATES
        ],
        "problem": None,
    }
    try:
        _require_bound(log, chain)
        head = chain.contract_head(log.identity.origin)
        status |= {"head": head.size, "lag": log.size - head.size, "nonce": chain.used_nonces()}
        _require_agrees(log, chain, head)
    except TrustError as refused:
        status["problem"] = str(refused)
    return status


def _require_bound(log: _Log, chain: EvmChain) -> None:
    """Verify that the log has signed for this key."""
    statement = log.transactions.binding(log.identity.origin, chain.chain, chain.contract, chain.submitter)
    if statement is None:
        raise AnchorRefused(field="binding", rule="present")
    verify_binding(
        statement,
        log_key=log.identity.sm2,
        origin=log.identity.origin,
        chain=chain.chain,
        contract=chain.contract,
        submitter=chain.submitter,
    )


def _require_agrees(log: _Log, chain: EvmChain, head: ContractHead) -> None:
    """Hold the contract's head and submitter against the log's own."""
    if head.submitter != chain.submitter:
        raise AnchorRefused(field="submitter", rule="named")
    if head.size > log.size:
        raise AnchorForked(field="size", rule="not_ahead")
    if head.size and LedgerReader(log.store, log.identity).root(HashAlg.SHA256, head.size) != head.root:
        raise AnchorForked(field="root", rule="equal")


def _shown(value: Any) -> str:
    return "none" if value in (None, []) else json.dumps(value) if isinstance(value, list) else str(value)


def _deploy(web3: Web3, settings: Settings, arguments: argparse.Namespace) -> int:
    compiled, account = compile_contract(), account_of(arguments.owner_key_file)
    chain_id, submitter = web3.eth.chain_id, Web3.to_checksum_address(arguments.submitter)
    if submitter == account.address:
        raise CommandFailed("The submitter must be another key than the owner's: the owner's stays off line.")
    if arguments.contract is None:
        contract = deploy(web3, compiled, account=account, chain_id=chain_id)
    else:
        contract = Web3.to_checksum_address(arguments.contract)
    owner = Owner(web3, compiled, contract, account=account, chain_id=chain_id)
    owner.name_submitter(settings.log_origin, submitter)
    entry = {
        "chain_id": chain_id,
        "rpc": [arguments.rpc],
        "contract": contract,
        "key_file": "submitter.key",
        "confirmations": CONFIRMATIONS,
    }
    if arguments.json:
        print(json.dumps({"log": settings.log_origin, "submitter": submitter, "chains": [entry]}))
    else:
        print(f"{submitter} may anchor {settings.log_origin}. The file that the setting anchor_chains names:")
        print(json.dumps([entry], indent=2))
    return 0


def _owner(web3: Web3, _: Settings, arguments: argparse.Namespace) -> int:
    account = account_of(arguments.owner_key_file)
    contract = Web3.to_checksum_address(arguments.contract)
    owner = Owner(web3, compile_contract(), contract, account=account, chain_id=web3.eth.chain_id)
    if arguments.take:
        owner.take_ownership()
        told = {"contract": contract, "owner": account.address}
        sentence = f"{account.address} owns {contract}."
    else:
        offered_to = Web3.to_checksum_address(arguments.offer)
        owner.offer_ownership(offered_to)
        told = {"contract": contract, "offered_to": offered_to}
        sentence = f"{contract} is offered to {offered_to}, who has to take it."
    print(json.dumps(told) if arguments.json else sentence)
    return 0
