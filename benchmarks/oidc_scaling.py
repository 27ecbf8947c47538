"""One worker against two that share nothing but the stores.

The load runs on the workers' own cores, one driver a core: a machine with two cores has no others. The one worker shares
its core with one driver, each of the two with one driver of its own, so that both runs are alike for every core. Beside
PostgreSQL and Redis, which take their part of both cores, the rate says little on two cores; the CPU time does.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

from benchmarks.oidc_figures import Scaling
from benchmarks.oidc_load import Plan, drive_on
from benchmarks.oidc_servers import PERSON, Server, Stores, ours
from benchmarks.oidc_slices import CONNECTIONS, WARM_SHARE, plans_of
from benchmarks.oidc_walk import Walk

SCALED: Final = ("userinfo", "introspection", "client_credentials", "code_flow")
WORKERS: Final = 2

_Rates = dict[str, tuple[float, float, Sequence[str]]]


def measure_scaling(kept: Stores, *, folder: Path, seconds: float, rounds: int) -> list[Scaling]:
    """Measure one worker on one core, then two on two. Returns nothing on a machine with a single core."""
    cores = list(range(os.cpu_count() or 1))[-WORKERS:]
    if len(cores) < WORKERS:
        return []
    one = _rates(kept, cores[:1], folder, seconds, rounds)
    two = _rates(kept, cores, folder, seconds, rounds)
    return [
        Scaling(name, one[name][0], two[name][0], one[name][1], two[name][1], [*one[name][2], *two[name][2]])
        for name in SCALED
    ]


def _rates(kept: Stores, cores: Sequence[int], folder: Path, seconds: float, rounds: int) -> _Rates:
    """Return by endpoint the best rate, the least CPU time for one operation, and errors."""
    spawn = multiprocessing.get_context("spawn")
    with (
        ours(kept, folder=folder, cores=frozenset(cores), workers=len(cores)) as server,
        Walk(server.issuer, PERSON) as walk,
        ProcessPoolExecutor(len(cores), mp_context=spawn) as drivers,
    ):
        plans = plans_of(server, walk, SCALED)
        rates: _Rates = {}
        for name in SCALED:
            slices = [_slice(server, plans[name], cores, drivers, seconds) for _ in range(rounds)]
            rates[name] = (
                max(per_s for per_s, _, _ in slices),
                min(cpu_us for _, cpu_us, _ in slices),
                [error for _, _, errors in slices for error in errors],
            )
    return rates


def _slice(
    server: Server, plan: Plan, cores: Sequence[int], drivers: ProcessPoolExecutor, seconds: float
) -> tuple[float, float, Sequence[str]]:
    warm_s = seconds * WARM_SHARE
    before = server.process.cpu_s()
    address = ("127.0.0.1", server.port)
    under_way = [drivers.submit(drive_on, core, address, plan, CONNECTIONS, warm_s, seconds) for core in cores]
    loads = [one.result() for one in under_way]
    # CPU time is read around the whole slice here, so the operations of the whole slice are what it is divided by.
    used, everything = server.process.cpu_s() - before, sum(load.done + load.outside for load in loads)
    per_s = sum(load.per_s for load in loads)
    return per_s, used / everything * 1e6 if everything else 0.0, [error for load in loads for error in load.errors]
