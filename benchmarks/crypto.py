"""`python -m benchmarks.crypto --json`: national cryptography on one core of this machine, beside its peers, in two minutes.

Each figure is measured in turns with its reference, in short rounds, and the best round of each counts: what else runs on
the machine slows single rounds, never speeds one up. A target is met when both its rate and its ratio are reached.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from typing import Final

from benchmarks.crypto_figures import Measured, Part
from benchmarks.crypto_jwt import jwt_parts
from benchmarks.crypto_peers import OpensslSpeed, backends_here
from benchmarks.crypto_sm2 import sm2_parts, thread_parts
from benchmarks.crypto_sm3 import sm3_parts
from benchmarks.story import cpu
from crypto.native import load_kernel

ROUNDS: Final = 7
ROUND_S: Final = 0.25


def parts() -> list[Part]:
    """Return everything that is measured, in the order it is printed."""
    kernel, libcrypto, gmssl = backends_here()
    speed = OpensslSpeed()
    return [
        *sm2_parts(kernel, libcrypto, gmssl, speed),
        *sm3_parts(),
        *jwt_parts(kernel),
        *thread_parts(kernel),
    ]


def measure(*, rounds: int, round_s: float) -> list[Measured]:
    """Measure every part on one core; the part with two threads takes what it needs by itself."""
    if not hasattr(os, "sched_setaffinity"):
        return [part.measure(rounds=rounds, round_s=round_s) for part in parts()]
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        return [part.measure(rounds=rounds, round_s=round_s) for part in parts()]
    finally:
        os.sched_setaffinity(0, before)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crypto", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of which the best counts")
    parser.add_argument("--seconds", type=float, default=ROUND_S, help="of each round")
    arguments = parser.parse_args()
    figures = measure(rounds=arguments.rounds, round_s=arguments.seconds)
    report = {
        "cpu": {
            "name": cpu(),
            "features": load_kernel().cpu(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        },
        "backends": [{"name": backend.name, "version": backend.version} for backend in backends_here()],
        "figures": [figure.to_value() for figure in figures],
    }
    if arguments.json:
        print(json.dumps(report, ensure_ascii=False))
        return
    print(f"{cpu()}: {load_kernel().cpu()}")
    for figure in figures:
        print(figure.to_line())


if __name__ == "__main__":
    main()
