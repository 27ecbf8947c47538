"""Malformed requests over every route and method: none breaks the server, and every answer wears the armour (G5)."""

from __future__ import annotations

import gc
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.protocol.full_service import OPERATOR, Held, Service, full_service, hold
from tests.protocol.malformed import Got, Sent, deliver, malformed
from tests.scale import SOAK
from tests.soak import Count

Run = Callable[[Coroutine[Any, Any, None]], None]

SEED = 20_261_122
RSS_GROWTH_MAX_KB = 50 * 1024
RENEWED_EVERY = 250
ONCE = (
    b"content-security-policy",
    b"x-content-type-options",
    b"x-frame-options",
    b"referrer-policy",
    b"cache-control",
    b"strict-transport-security",
)
STATUSES = {
    200,
    201,
    204,
    303,
    304,
    307,
    400,
    401,
    403,
    404,
    405,
    406,
    408,
    409,
    410,
    411,
    413,
    415,
    421,
    422,
    428,
    429,
}
OWN_PLACES = ("https://id.example.edu.cn/", "https://learning.example/", "https://library.example/")


def resident_kb() -> int:
    """Return this process's resident memory."""
    gc.collect()
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def judge(sent: Sent, got: Got) -> None:
    """Say what is wrong with an answer."""
    told = sent.described()
    assert got.escaped is None, (got.escaped, told)
    if got.status is None:
        assert sent.hangs_up, told
        return
    assert got.status in STATUSES, (got.status, got.body[:300], told)
    names = Counter(name.lower() for name, _ in got.headers)
    for name in ONCE:
        assert names[name] == 1, (name, got.headers, told)
    for name, value in got.headers:
        assert not set(name + value) & {0, 10, 13}, (got.headers, told)
        if name.lower() == b"location":
            place = value.decode("latin-1")
            inside = place.startswith("/") and not place.startswith(("//", "/\\"))
            assert inside or place.startswith(OWN_PLACES), (place, told)
    assert b"Traceback" not in got.body, told


async def _holders(service: Service, people: dict[str, Any]) -> list[Held]:
    held = [await hold(service, people[username], username) for username in people]
    return [*held, Held(b"", held[0].csrf, held[0].values), Held(b"__Host-edutrust-session=x", "", held[0].values)]


@pytest.mark.soak
def test_no_malformed_request_breaks_the_server(tmp_path: Path, run: Run) -> None:
    count = Count("G5", "malformed-requests", "0 x 5xx, RSS growth < 50 MB", SEED, sample=2_000, full=200_000)

    async def story() -> None:
        async with full_service(tmp_path) as service:
            people = {username: service.browser() for username in ("lin", OPERATOR)}
            routes = service.routes()
            warm = 0
            for done, trial in enumerate(count.trials()):
                if done % RENEWED_EVERY == 0:
                    holders = await _holders(service, people)
                    if warm:
                        count.figures["RSS growth kB"] = resident_kb() - warm
                if done == (10_000 if SOAK else 500):
                    warm = resident_kb()
                sent = malformed(random.Random(f"{SEED}:{trial}"), routes, holders)
                began = time.process_time()
                got = await deliver(service.app, sent)
                spent = time.process_time() - began
                judge(sent, got)
                assert not service.faults(), (service.faults(), sent.described())
                service.log.clear()
                name = f"answers {got.status}"
                count.figures[name] = count.figures.get(name, 0) + 1
                count.figures["longest CPU s"] = max(count.figures.get("longest CPU s", 0.0), round(spent, 3))
            grown = resident_kb() - warm
            if warm:
                assert grown < RSS_GROWTH_MAX_KB

    run(story())
