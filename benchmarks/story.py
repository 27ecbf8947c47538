"""`python -m benchmarks.story --json`: the figures of the whole story on this machine, in about a minute."""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.house import open_house
from benchmarks.measure import Figure
from benchmarks.records import issuance_figure, ledger_figure, verification_figure
from benchmarks.sign_in import sign_in_figure
from benchmarks.signatures import signature_figures

DIPLOMAS: Final = 2000
EACH_S: Final = 2.0


async def measure(folder: Path, *, diplomas: int, seconds: float) -> list[Figure]:
    """Return every figure; `seconds` for each that is measured by time."""
    async with open_house(folder) as house:
        return [
            *signature_figures(house.parts.backend, seconds=seconds),
            await sign_in_figure(house, seconds=seconds),
            await issuance_figure(house, count=diplomas),
            await verification_figure(house, seconds=seconds),
            await ledger_figure(house, seconds=seconds),
        ]


def cpu() -> str:
    """Return the processor's own name, or the architecture where it has none to tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.story", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    parser.add_argument("--diplomas", type=int, default=DIPLOMAS, help="how many are issued")
    parser.add_argument("--seconds", type=float, default=EACH_S, help="for each figure measured by time")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edutrust-benchmark-") as folder:
        figures = asyncio.run(measure(Path(folder), diplomas=arguments.diplomas, seconds=arguments.seconds))
    values = [figure.to_value() for figure in figures]
    if arguments.json:
        print(json.dumps({"cpu": cpu(), "python": platform.python_version(), "figures": values}, ensure_ascii=False))
        return
    print(f"{cpu()}, Python {platform.python_version()}")
    for value in values:
        peer = f"   {value['ratio']} of {value['reference']} ({value['reference_per_s']}/s)" if "ratio" in value else ""
        print(f"{value['per_s']:>12} /s  {value['name']}{peer}")


if __name__ == "__main__":
    main()
