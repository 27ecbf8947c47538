"""The composed service with a Redis: which store it takes, what it says of it, and what it keeps to itself."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx

from adapters.kek import create_kek
from adapters.server import service
from adapters.settings import Settings, check_settings
from idp.transient import TransientKind
from tests.services.tables import make_tables

ISSUER = "http://127.0.0.1:8080"
PASSWORD = "canary-hunter2"
Run = Callable[[Coroutine[Any, Any, None]], None]


def _settings(folder: Path, redis_url: str) -> Settings:
    made = check_settings({"issuer": ISSUER, "data_dir": str(folder), "redis_url": redis_url})
    create_kek(made.kek_file, random_bytes=os.urandom)
    make_tables(made.database_url)
    return made


def test_the_service_keeps_short_lived_state_in_the_redis_it_is_given(redis_url: str, tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        log: list[str] = []
        async with service(_settings(tmp_path, redis_url), write_log=log.append) as (parts, _):
            handle = await parts.transient.put(TransientKind.LOGIN, b"x", lifetime_s=60)
            assert handle.startswith("rlt_")
            assert await parts.transient.take(TransientKind.LOGIN, handle) == b"x"
        [event] = [line for line in map(json.loads, log) if line["event"] == "redis"]
        assert event["answers"]

    run(story())


def test_the_service_starts_and_is_ready_while_its_redis_is_away(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        log: list[str] = []
        settings = _settings(tmp_path, f"redis://u:{PASSWORD}@127.0.0.1:1/0")
        async with service(settings, write_log=log.append) as (parts, application):
            handle = await parts.transient.put(TransientKind.LOGIN, b"x", lifetime_s=60)
            assert handle.startswith("slt_")
            async with httpx.AsyncClient(transport=httpx.ASGITransport(application.asgi), base_url=ISSUER) as client:
                assert (await client.get("/readyz")).status_code == 200
        [event] = [line for line in map(json.loads, log) if line["event"] == "redis"]
        assert not event["answers"]
        assert PASSWORD not in "".join(log)

    run(story())
