"""`docs/performance.md` from the report of one run: every figure with its target, and where a flow's time goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

TITLES: Final[Mapping[str, str]] = {
    "embedded": "Embedded: SQLite, beside the peer in memory",
    "postgresql": "PostgreSQL and Redis, beside the peer on the same Redis",
}
NAMES: Final[Mapping[str, str]] = {
    "discovery": "discovery",
    "jwks": "key set",
    "client_credentials": "client credentials, JWT",
    "introspection": "introspection",
    "userinfo": "userinfo",
    "refresh": "refresh, rotated, reuse detected",
    "code_flow": "code flow, ES256",
    "code_flow_sm2": "code flow, SM2 (beside ours with ES256)",
}
SECTION_SHARE_MIN: Final = 0.005
# What the same peer, in memory, made where the rates a second were set as targets: operations a second.
PEER_WHERE_SET: Final[Mapping[str, int]] = {"client_credentials": 10_107, "introspection": 9_450, "userinfo": 9_203}

HEAD: Final = """# Performance of the OpenID provider

Written by `python -m benchmarks.oidc --document docs/performance.md` from one run on the machine named below; run it on
yours. The peer is node-oidc-provider from npm under the same load in the same run: same driver, same core, in turns.

* **A code flow** is three requests: authorization by a person with a live session and remembered consent, the token request
  with PKCE and a signed ID token, userinfo. Everything is on: sessions, consent, the chained audit trail, limits, header and
  form rules, one log line a request. The peer keeps no audit trail and writes no log.
* **Rates** are those of one server process on a core of its own with {connections} connections, each with one request under way; the
  load runs on another core. **p99** is of single requests. **µs CPU** is the server's own CPU time for one operation,
  read from `/proc`; where others use the machine it says more than the rate.
* **met** by rate, ratio and p99; **by CPU**: only if the rate is taken from the CPU time.
* The databases, the load and the peer's Redis run on the other cores. PostgreSQL runs without `fsync`, as in the tests, and
  Redis without persistence, for both sides.
* With two workers the load runs on the workers' own cores, one driver each, and the one worker it is compared with shares
  its core in the same way. On two cores the databases have no core left, and the ratio of rates says little; the ratio by
  CPU time says what more cores would give.
"""


def document(report: Mapping[str, Any]) -> str:
    """Return the text. `report` is the JSON report of a run with profiles."""
    machine = report["cpu"]
    peer = ", ".join(f"{name} {version}" for name, version in report["peer"].items())
    lines = [
        HEAD.format(connections=report["connections"]),
        f"Measured on {machine['name']}, {machine['cores']} cores, Python {report['python']}; {peer}.",
    ]
    for name, pairing in report["pairings"].items():
        lines += ["", f"## {TITLES[name]}", "", *_figures(pairing["figures"])]
        lines += [
            *(_by_the_peer(pairing["figures"]) if name == "embedded" else ()),
            "",
            _memory(pairing["memory_mb"]),
            *_floor(pairing.get("floor")),
            *_above(pairing.get("floor"), pairing["figures"]),
            *_workers(pairing.get("two_workers", ())),
            *_profile(pairing.get("profile")),
        ]
    return "\n".join(lines) + "\n"


def _by_the_peer(figures: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Say what the rates set elsewhere come to on this machine, the peer being the measure; no verdict hangs on it."""
    listed = [figure for figure in figures if figure["name"] in PEER_WHERE_SET]
    if not listed:
        return
    yield ""
    yield "The rates a second were set on another machine. **In step** is the target times what the peer makes here over what it made"
    yield "there: what the same target comes to on this machine. It is no verdict; **met** above holds to the rate as it was set."
    yield ""
    yield "| | target /s | peer there /s | peer here /s | in step /s | ours /s |"
    yield "|---|---|---|---|---|---|"
    for figure in listed:
        there, here = PEER_WHERE_SET[figure["name"]], figure["theirs"]["per_s"]
        rates = (figure["target_per_s"], there, here, figure["target_per_s"] * here / there, figure["ours"]["per_s"])
        yield f"| {' | '.join([NAMES[figure['name']], *(f'{rate:,.0f}' for rate in rates)])} |"


def _memory(memory: Mapping[str, Any]) -> str:
    ours, target, verdict = memory["edutrust"], memory["target"], _verdict(memory["met"])
    return f"Memory after it all: {ours} MB (target {target:.0f}, {verdict}), the peer {memory['oidc-provider']} MB."


def _floor(floor: Mapping[str, Any] | None) -> Iterator[str]:
    if floor is None:
        return
    yield ""
    yield "What no work on the product can remove (`python -m benchmarks.oidc_floor --json`, in the same run): the same requests over the"
    yield "same uvicorn and the same SQLite, durable, signed and recorded, but with nothing parsed, checked, limited or logged. An empty"
    yield f"answer costs {floor['plain']['cpu_us']:,.0f} µs. **Left** is what a target leaves above the floor for everything that makes a provider;"
    yield "**taken** is what the product takes above it."
    yield ""
    yield "| µs CPU | target | floor | left | taken | floor's p99 ms |"
    yield "|---|---|---|---|---|---|"


def _above(floor: Mapping[str, Any] | None, figures: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for figure in figures:
        name = figure["name"]
        if floor is None or name not in floor:
            continue
        least, rate, ratio = floor[name]["cpu_us"], figure["target_per_s"], figure["target_ratio"]
        target = 1e6 / rate if rate else figure["theirs"]["cpu_us"] / ratio
        cells = [NAMES[name], f"{target:,.0f}", f"{least:,.0f}", f"{target - least:,.0f}"]
        cells += [f"{figure['ours']['cpu_us'] - least:,.0f}", f"{floor[name]['p99_ms']:.2f}"]
        yield f"| {' | '.join(cells)} |"


def _figures(figures: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "| | ours /s | peer /s | ratio | ours µs CPU | peer µs CPU | p50 ms | p99 ms | target | met |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for figure in figures:
        ours, theirs = figure["ours"], figure["theirs"]
        target = [f"{figure['target_per_s']:,.0f}/s"] if figure["target_per_s"] else []
        target += [f"× {figure['target_ratio']}"] if figure["target_ratio"] else []
        cells = [
            NAMES[figure["name"]],
            f"{ours['per_s']:,.0f}",
            f"{theirs['per_s']:,.0f}",
            f"{figure['ratio']:.2f}",
            f"{ours['cpu_us']:,.0f}",
            f"{theirs['cpu_us']:,.0f}",
            f"{ours['p50_ms']:.2f}",
            f"{ours['p99_ms']:.2f}",
            ", ".join(target),
            _verdict(figure["met"], figure["met_by_cpu"]),
        ]
        yield f"| {' | '.join(cells)} |"


def _workers(scaled: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not scaled:
        return
    yield ""
    yield "| two workers | one /s | two /s | ratio | ratio by CPU | target | met |"
    yield "|---|---|---|---|---|---|---|"
    for one in scaled:
        cells = [
            NAMES[one["name"]],
            f"{one['one_worker_per_s']:,.0f}",
            f"{one['two_workers_per_s']:,.0f}",
            f"{one['ratio']:.2f}",
            f"{one['cpu_ratio']:.2f}",
            f"× {one['target_ratio']}",
            _verdict(one["met"], one["met_by_cpu"]),
        ]
        yield f"| {' | '.join(cells)} |"


def _profile(profile: Mapping[str, Any] | None) -> Iterator[str]:
    if profile is None:
        return
    yield ""
    yield f"Where the {profile['cpu_us']:,.0f} µs of a code flow go (samples of the process; a library's time counts for the library,"
    yield "system calls for whoever made them):"
    yield ""
    yield "| part | share | µs |"
    yield "|---|---|---|"
    for name, share in profile["sections"]:
        if share >= SECTION_SHARE_MIN:
            yield f"| {name} | {share:.1%} | {share * profile['cpu_us']:,.0f} |"


def _verdict(met: bool, by_cpu: bool = False) -> str:
    return "met" if met else "by CPU" if by_cpu else "**no**"
