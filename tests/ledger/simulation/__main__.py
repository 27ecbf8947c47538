"""Run one seed again: `python -m tests.ledger.simulation SEED [STEPS]`."""

from __future__ import annotations

import sys

from tests.ledger.simulation.model import PromiseBroken
from tests.ledger.simulation.run import STEPS, keys_of_runs, simulate, template


def main(arguments: list[str]) -> int:
    """Print the outcome; 1 where a promise was broken."""
    if len(arguments) not in {1, 2} or not all(one.isdecimal() for one in arguments):
        sys.stderr.write("usage: python -m tests.ledger.simulation SEED [STEPS]\n")
        return 2
    seed, steps = int(arguments[0]), int(arguments[1]) if len(arguments) == 2 else STEPS
    with template() as tables:
        try:
            outcome = simulate(seed, steps, keys_of_runs(), tables)
        except PromiseBroken as broken:
            sys.stderr.write(f"{broken}\n")
            return 1
    counts = ", ".join(f"{name} {count}" for name, count in sorted(outcome.counts.items()))
    sys.stdout.write(f"held: seed {seed}, {steps} steps, {outcome.acknowledged} entries; {counts}\n")
    sys.stdout.write(f"trace {outcome.digest}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
