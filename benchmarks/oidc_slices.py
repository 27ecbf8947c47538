"""What each server is asked, and one measured slice of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from benchmarks.oidc_figures import Slice
from benchmarks.oidc_load import Plan, drive
from benchmarks.oidc_servers import CLIENT_SCOPE, Server
from benchmarks.oidc_walk import Requests, Walk
from benchmarks.processes import core_busy_s
from crypto.suites import Alg

CONNECTIONS: Final = 16
SCOPE: Final = "openid profile"
WARM_SHARE: Final = 0.25


def plans_of(server: Server, walk: Walk, wanted: Collection[str]) -> Mapping[str, Plan]:
    """Sign in at a server and return what to ask it. An endpoint it does not have is left out."""
    requests = Requests(walk, f"127.0.0.1:{server.port}")
    platform_ = server.opaque[Alg.ES256]
    first = walk.sign_in(platform_, f"{SCOPE} offline_access", ask=True)
    token = str(walk.sign_in(platform_, SCOPE, ask=False)["access_token"])
    plans = {
        "discovery": requests.get("discovery", "/.well-known/openid-configuration"),
        "jwks": requests.get("jwks", walk.path("jwks_uri")),
        "client_credentials": requests.client_credentials(server.machine, CLIENT_SCOPE),
        "introspection": requests.introspection(platform_, token),
        "userinfo": requests.userinfo(token),
    }
    if "refresh" in wanted:
        tokens = [str(first["refresh_token"])]
        while len(tokens) < CONNECTIONS:
            tokens.append(str(walk.sign_in(platform_, f"{SCOPE} offline_access", ask=True)["refresh_token"]))
        plans["refresh"] = requests.refresh(platform_, tokens)
    if Alg.SGD_SM3_SM2 in server.opaque:
        national = server.opaque[Alg.SGD_SM3_SM2]
        walk.sign_in(national, SCOPE, ask=True)
        plans["code_flow_sm2"] = requests.code_flow(national, SCOPE)
    # Last: a walk may have changed the browser's cookies.
    plans["code_flow"] = requests.code_flow(platform_, SCOPE)
    return plans


def slice_of(server: Server, plan: Plan, core: int, seconds: float) -> Slice:
    """Measure one slice."""
    seen: list[tuple[float, float]] = []

    def look() -> None:
        seen.append((server.process.cpu_s(), core_busy_s(core)))

    window = drive(
        ("127.0.0.1", server.port),
        plan,
        connections=CONNECTIONS,
        warm_s=seconds * WARM_SHARE,
        seconds=seconds,
        at_edges=look,
    )
    used, busy = seen[1][0] - seen[0][0], seen[1][1] - seen[0][1]
    return Slice(
        per_s=window.per_s,
        cpu_us=used / window.done * 1e6 if window.done else 0.0,
        p50_ms=window.quantile_ms(0.5),
        p99_ms=window.quantile_ms(0.99),
        foreign=max(0.0, busy - used) / window.seconds,
        errors=window.errors,
    )
