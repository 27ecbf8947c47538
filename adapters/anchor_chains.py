"""The file that lists the chains to anchor on: a JSON array, one object a chain, checked whole.

Members: `chain_id`, `rpc` (one or more addresses of nodes; two or more have to agree), `contract`, `key_file`, and, where
the chain needs other than what most do, `confirmations`, `stuck_after_s`, `gas`, `legacy_fees`, `milliseconds`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from crypto.encoding import json_strict
from crypto.errors import TrustError

CONFIRMATIONS: Final = 12
"""Deep enough for chains whose blocks are only probably final; 0 fits QBFT and PBFT."""
STUCK_AFTER_S: Final = 120
MAX_CHAINS: Final = 16
MAX_NODES: Final = 8
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
# The bounds of the numbers, and what they are where the file leaves them out (None: they must be there).
_NUMBERS: Final[dict[str, tuple[int, int, int | None]]] = {
    "chain_id": (1, 2**63 - 1, None),
    "confirmations": (0, 1000, CONFIRMATIONS),
    "stuck_after_s": (5, 86_400, STUCK_AFTER_S),
    "gas": (0, 30_000_000, 0),
}


class ChainsRefused(ValueError):
    """The file cannot be used; the message is the end of a sentence that begins with its name."""


@dataclass(frozen=True, slots=True)
class ConfiguredChain:
    """One chain of the file. `gas` 0: as the node estimates; `legacy_fees` None: as the chain's blocks say."""

    chain_id: int
    rpc: tuple[str, ...]
    contract: str
    key_file: Path
    confirmations: int = CONFIRMATIONS
    stuck_after_s: int = STUCK_AFTER_S
    gas: int = 0
    legacy_fees: bool | None = None
    milliseconds: bool = False


def read_chains(file: Path) -> tuple[ConfiguredChain, ...]:
    """Return the chains of the file. Raises ChainsRefused."""
    try:
        listed = json_strict(file.read_bytes())
    except (OSError, TrustError) as error:
        raise ChainsRefused("is no file of strict JSON.") from error
    if not isinstance(listed, list) or not 0 < len(listed) <= MAX_CHAINS:
        raise ChainsRefused(f"must be an array of 1 to {MAX_CHAINS} chains.")
    chains = tuple(_chain(one, number) for number, one in enumerate(listed))
    if len({chain.chain_id for chain in chains}) != len(chains):
        raise ChainsRefused("names a chain_id twice.")
    return chains


def _chain(one: Any, number: int) -> ConfiguredChain:
    known = {field.name for field in fields(ConfiguredChain)}
    if not isinstance(one, dict) or not one.keys() <= known:
        raise ChainsRefused(f"entry {number} must be an object of {', '.join(sorted(known))}.")
    rpc, contract, key_file = one.get("rpc"), one.get("contract"), one.get("key_file")
    if not isinstance(rpc, list) or not 0 < len(rpc) <= MAX_NODES or len(set(map(str, rpc))) != len(rpc):
        raise ChainsRefused(f"entry {number}: rpc must be an array of 1 to {MAX_NODES} different addresses.")
    if not all(isinstance(url, str) and _is_web(url) for url in rpc):
        raise ChainsRefused(f"entry {number}: rpc must list http:// or https:// addresses.")
    if not isinstance(contract, str) or not _ADDRESS.fullmatch(contract):
        raise ChainsRefused(f"entry {number}: contract must be 0x and forty hexadecimal digits.")
    if not isinstance(key_file, str) or not Path(key_file).is_file():
        raise ChainsRefused(f"entry {number}: key_file names no file.")
    numbers = {name: _number(one, name, number) for name in _NUMBERS}
    legacy, milliseconds = one.get("legacy_fees"), one.get("milliseconds", False)
    if not isinstance(milliseconds, bool) or not (legacy is None or isinstance(legacy, bool)):
        raise ChainsRefused(f"entry {number}: legacy_fees and milliseconds must be true or false.")
    return ConfiguredChain(
        rpc=tuple(rpc),
        contract=contract,
        key_file=Path(key_file),
        legacy_fees=legacy,
        milliseconds=milliseconds,
        **numbers,
    )


def _number(one: dict[str, Any], name: str, number: int) -> int:
    least, most, default = _NUMBERS[name]
    value = one.get(name, default)
    if type(value) is not int or not least <= value <= most:
        raise ChainsRefused(f"entry {number}: {name} must be a whole number from {least} to {most}.")
    return value


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)
