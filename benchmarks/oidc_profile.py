"""Where the time of a request goes: samples of the serving thread under load, and the CPU time of every thread.

A sample counts for the section of the innermost frame that belongs to one: the time of a library counts for the library,
the time of its C code for whoever called it.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.oidc_load import drive
from benchmarks.oidc_servers import PERSON, ROOT, Stores, ours
from benchmarks.oidc_slices import CONNECTIONS, WARM_SHARE, plans_of
from benchmarks.oidc_walk import Walk
from benchmarks.processes import thread_cpu_s

FUNCTIONS_SHOWN: Final = 40
WRITE_S: Final = 10.0
SECTIONS: Final[Sequence[tuple[str, str]]] = (
    ("/crypto/", "signatures, hashes, sealing (crypto)"),
    ("/adapters/sql/", "database: statements (adapters/sql)"),
    ("/asyncpg/", "database: asyncpg"),
    ("/adapters/redis/", "Redis (adapters/redis)"),
    ("/redis/", "Redis: redis-py"),
    ("/adapters/ledger_service", "audit trail"),
    ("/ledger/", "audit trail"),
    ("/idp/audit", "audit trail"),
    ("/idp/authorize/", "authorization request (idp/authorize)"),
    ("/idp/token/", "token request (idp/token)"),
    ("/idp/clients/", "client authentication (idp/clients)"),
    ("/idp/session/", "session (idp/session)"),
    ("/idp/login/", "sign-in and consent (idp/login)"),
    ("/idp/", "provider, rest (idp)"),
    ("/adapters/http/", "HTTP rules: headers, limits, forms (adapters/http)"),
    ("/adapters/observe/", "log"),
    ("/adapters/", "adapters, rest"),
    ("/authlib/", "Authlib"),
    ("/joserfc/", "joserfc"),
    ("/starlette/", "Starlette"),
    ("/uvicorn/", "uvicorn"),
    ("/asyncio/", "event loop"),
    ("/uvloop/", "event loop"),
)


@dataclass(frozen=True, slots=True)
class Profile:
    """Where the CPU time of one endpoint went. Counts are of samples; `threads` holds CPU seconds."""

    endpoint: str
    done: int
    sections: Counter[str]
    alone: Counter[str]
    within: Counter[str]
    threads: Mapping[str, float]

    @property
    def cpu_us(self) -> float:
        """CPU time of one operation."""
        return sum(self.threads.values()) / max(self.done, 1) * 1e6

    def section_shares(self) -> list[tuple[str, float]]:
        """Return the sections with their shares, the largest first."""
        total = self.sections.total() or 1
        return [(name, count / total) for name, count in self.sections.most_common()]

    def to_text(self) -> str:
        """Return everything, for whoever tunes."""
        total = self.sections.total() or 1
        lines = [f"# {self.endpoint}: {self.done} operations, {self.cpu_us:.0f} µs of CPU each, {total} samples"]
        lines += ["", "## Sections", *(self._line(name, share) for name, share in self.section_shares())]
        whole = sum(self.threads.values()) or 1.0
        spent = sorted(self.threads.items(), key=lambda item: -item[1])
        lines += ["", "## Threads (CPU time)", *(self._line(name, used / whole) for name, used in spent if used > 0)]
        for title, counted in (
            ("Functions, themselves", self.alone),
            ("Functions of ours, with what they call", self.within),
        ):
            top = counted.most_common(FUNCTIONS_SHOWN)
            lines += ["", f"## {title}", *(self._line(name, count / total) for name, count in top)]
        return "\n".join(lines)

    def _line(self, name: str, share: float) -> str:
        return f"{share:>6.1%} {share * self.cpu_us:>8.1f} µs  {name}"


def profile_flow(kept: Stores, endpoint: str, *, folder: Path, core: int, seconds: float) -> Profile:
    """Profile our server under one kind of load."""
    out = folder / f"samples-{secrets.token_hex(4)}.json"
    launcher = (sys.executable, "-m", "benchmarks.sampler", str(out))
    with (
        ours(kept, folder=folder, cores=frozenset({core}), launcher=launcher) as server,
        Walk(server.issuer, PERSON) as walk,
    ):
        plan = plans_of(server, walk, [endpoint])[endpoint]
        edges = iter((signal.SIGUSR1, signal.SIGUSR2))
        threads: list[dict[str, float]] = []

        def at_edge() -> None:
            threads.append(thread_cpu_s(server.process.pid))
            os.kill(server.process.pid, next(edges))

        window = drive(
            ("127.0.0.1", server.port),
            plan,
            connections=CONNECTIONS,
            warm_s=seconds * WARM_SHARE,
            seconds=seconds,
            at_edges=at_edge,
        )
        deadline = time.monotonic() + WRITE_S
        while not out.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
    if window.errors:
        raise RuntimeError(window.errors[0])
    spent = {name: at - threads[0].get(name, 0.0) for name, at in threads[1].items()}
    return profile_of(endpoint, json.loads(out.read_text("utf-8")), window.done, spent)


def profile_of(
    endpoint: str, samples: Sequence[Sequence[str | int]], done: int, threads: Mapping[str, float]
) -> Profile:
    """Count some samples, each a number and a stack, innermost frame first."""
    sections: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    within: Counter[str] = Counter()
    for count, *frames in samples:
        stack = [str(frame) for frame in frames]
        sections[_section(stack)] += int(count)
        alone[_short(stack[0]) if stack else "?"] += int(count)
        for name in {_short(frame) for frame in stack if frame.startswith(str(ROOT)) and ".venv" not in frame}:
            within[name] += int(count)
    return Profile(endpoint, done, sections, alone, within, threads)


def _section(stack: Sequence[str]) -> str:
    for frame in stack:
        path = frame.removeprefix(str(ROOT))
        for part, name in SECTIONS:
            if part in path:
                return name
    return "other"


def _short(frame: str) -> str:
    path, _, function = frame.rpartition(":")
    path = path.removeprefix(f"{ROOT}/")
    return f"{path.rpartition('site-packages/')[2]}:{function}"
