"""`python -m benchmarks.oidc --json`: our OpenID provider beside node-oidc-provider, the same load in the same run.

Each server runs on one and the same core; the load, PostgreSQL and Redis run on the others. Ours and the peer are
measured in turns, `--seconds` each, `--rounds` times, and the best slice of each counts. `cpu_us` is the server's own CPU
time for one operation from /proc: it stays true on a busy machine, where rates and latencies do not. A code flow is the
authorization request of a person with a live session and remembered consent, the token request with PKCE and a signed
ID token, and userinfo. Everything the deployment does is on: sessions, consent, audit, form and header rules, limits.

Two pairings: `embedded` (SQLite) beside the peer's memory, `postgresql` (with Redis) beside the peer on that Redis.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.oidc_document import document
from benchmarks.oidc_figures import WORKER_MB_MAX, Cost, Figure, Scaling, Slice
from benchmarks.oidc_floor import measure_floor
from benchmarks.oidc_profile import profile_flow
from benchmarks.oidc_scaling import measure_scaling
from benchmarks.oidc_servers import PERSON, Server, Stores, both, install_peer, peer_versions, stores
from benchmarks.oidc_slices import CONNECTIONS, plans_of, slice_of
from benchmarks.oidc_walk import Walk
from benchmarks.processes import Cores, first_in_line
from benchmarks.story import cpu

SECONDS: Final = 3.0
ROUNDS: Final = 3
PROFILE_S: Final = 10.0
PAIRINGS: Final = ("embedded", "postgresql")
ENDPOINTS: Final = (
    "discovery", "jwks", "client_credentials", "introspection", "userinfo", "refresh", "code_flow", "code_flow_sm2",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class How:
    """How long and how often."""

    seconds: float
    rounds: int
    endpoints: Sequence[str]


def compare(our: Server, their: Server, core: int, how: How) -> list[Figure]:
    """Measure every endpoint of both in turns."""
    with Walk(our.issuer, PERSON) as our_walk, Walk(their.issuer, PERSON) as their_walk:
        our_plans = plans_of(our, our_walk, how.endpoints)
        their_plans = plans_of(their, their_walk, how.endpoints)
        taken: dict[tuple[str, str], list[Slice]] = {}
        for name in how.endpoints:
            for _ in range(how.rounds):
                taken.setdefault(("ours", name), []).append(slice_of(our, our_plans[name], core, how.seconds))
                # SM2 flows are compared with our own ES256 flows, in the same turns.
                server, plan = (our, our_plans["code_flow"]) if name == "code_flow_sm2" else (their, their_plans[name])
                taken.setdefault(("theirs", name), []).append(slice_of(server, plan, core, how.seconds))
    return [
        Figure(
            name,
            Cost.of(taken["ours", name]),
            "ours with ES256" if name == "code_flow_sm2" else their.name,
            Cost.of(taken["theirs", name]),
        )
        for name in how.endpoints
    ]


def measure(kept: Stores, *, folder: Path, cores: Cores, how: How) -> dict[str, Any]:
    """Measure one pairing: figures, memory."""
    with both(kept, folder=folder, cores=frozenset({cores.server})) as (our, their):
        figures = compare(our, their, cores.server, how)
        for figure in figures:
            print(figure.to_line(), file=sys.stderr, flush=True)
        memory = {server.name: round(server.process.memory_mb()[0], 1) for server in (our, their)}
    print(f"memory             {memory}", file=sys.stderr, flush=True)
    return {
        "figures": [figure.to_value() for figure in figures],
        "memory_mb": {**memory, "target": WORKER_MB_MAX, "met": memory["edutrust"] <= WORKER_MB_MAX},
    }


def main() -> None:
    """Measure and print."""
    arguments = _parser().parse_args()
    cores = Cores.here()
    os.sched_setaffinity(0, cores.load)  # and with this process the stores it starts
    how = How(arguments.seconds, arguments.rounds, arguments.only or ENDPOINTS)
    with first_in_line(), tempfile.TemporaryDirectory(prefix="edutrust-oidc-") as made:
        folder = Path(made)
        if arguments.profile:
            with stores(arguments.pairing[0]) as kept:
                profile = profile_flow(kept, arguments.profile, folder=folder, core=cores.server, seconds=how.seconds)
            print(profile.to_text())
            return
        install_peer()
        report: dict[str, Any] = {
            "cpu": {
                "name": cpu(),
                "cores": os.cpu_count(),
                "server_core": cores.server,
                "load_cores": sorted(cores.load),
            },
            "python": platform.python_version(),
            "peer": peer_versions(),
            "connections": CONNECTIONS,
            "pairings": {},
        }
        for name in arguments.pairing:
            print(f"{name}:", file=sys.stderr, flush=True)
            with stores(name) as kept:
                result = report["pairings"][name] = measure(kept, folder=folder, cores=cores, how=how)
            if name == "embedded" and "code_flow" in how.endpoints:
                result["floor"] = measure_floor(folder, cores.server, seconds=how.seconds, rounds=how.rounds)
                print(f"floor              {result['floor']}", file=sys.stderr, flush=True)
            if arguments.workers:
                with stores(name) as kept:
                    result["two_workers"] = _scaling(kept, folder, how)
            if arguments.document:
                with stores(name) as kept:
                    flow = profile_flow(kept, "code_flow", folder=folder, core=cores.server, seconds=PROFILE_S)
                result["profile"] = {"cpu_us": flow.cpu_us, "sections": flow.section_shares()}
    if arguments.document:
        arguments.document.write_text(document(report), "utf-8")
    if arguments.json:
        print(json.dumps(report, ensure_ascii=False))


def _scaling(kept: Stores, folder: Path, how: How) -> Any:
    measured: list[Scaling] = measure_scaling(kept, folder=folder, seconds=how.seconds, rounds=how.rounds)
    for one in measured:
        print(one.to_line(), file=sys.stderr, flush=True)
    return [one.to_value() for one in measured]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.oidc", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object; lines go to standard error always")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each slice; 1 is the quick look")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of which the best slice counts")
    parser.add_argument("--pairing", nargs="+", choices=PAIRINGS, default=list(PAIRINGS))
    parser.add_argument("--only", nargs="+", choices=ENDPOINTS, help="these endpoints only")
    parser.add_argument("--no-workers", dest="workers", action="store_false", help="leave out the two workers")
    parser.add_argument("--document", type=Path, help="write the figures and a profile of the flow there, in Markdown")
    parser.add_argument(
        "--profile", choices=ENDPOINTS, help="no comparison: where our server's time goes under this load"
    )
    return parser


if __name__ == "__main__":
    main()
