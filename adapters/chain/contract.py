"""The anchor contract, compiled from its source beside this module, without a network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vyper.compiler import compile_code

SOURCE: Final = Path(__file__).parent / "contracts" / "checkpoint_anchor.vy"


@dataclass(frozen=True, slots=True)
class CompiledContract:
    """What a deployment needs: the interface and the 0x-prefixed creation code."""

    abi: list[dict[str, Any]]
    bytecode: str


def compile_contract() -> CompiledContract:
    """Compile the contract with the Vyper version its source names (about a second)."""
    compiled = compile_code(SOURCE.read_text(encoding="utf-8"), output_formats=["abi", "bytecode"])
    return CompiledContract(compiled["abi"], compiled["bytecode"])
