"""The composed service on either database: what it answers, and what it refuses to start without."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from adapters.app import Application
from adapters.demo.seed import DemoPorts, seed
from adapters.kek import KekRefused, create_kek
from adapters.parts import Parts
from adapters.server import service
from adapters.settings import Settings, check_settings
from adapters.sql.keyring import KeyringRefused
from crypto.sm3 import sm3
from idp.registry.school_code import parse_strict
from tests.services.tables import make_tables

ISSUER = "http://127.0.0.1:8080"
ROOT = Path(__file__).parents[2]
Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Return settings of a migrated, empty deployment with its key file."""
    made = check_settings({"issuer": ISSUER, "data_dir": str(tmp_path), "database_url": database_url})
    create_kek(made.kek_file, random_bytes=os.urandom)
    make_tables(made.database_url)
    return made


@asynccontextmanager
async def _visited(settings: Settings) -> AsyncIterator[tuple[Parts, Application, httpx.AsyncClient, list[str]]]:
    log: list[str] = []
    async with service(settings, write_log=log.append) as (parts, application):
        transport = httpx.ASGITransport(application.asgi)
        async with httpx.AsyncClient(transport=transport, base_url=ISSUER) as client:
            yield parts, application, client, log


def test_the_service_stands_on_either_database(settings: Settings, run: Run) -> None:
    async def story() -> None:
        async with _visited(settings) as (parts, _, client, _):
            assert (await client.get("/healthz")).text == "ok"
            assert (await client.get("/readyz")).status_code == 200
            discovery = (await client.get("/.well-known/openid-configuration")).json()
            assert discovery["issuer"] == ISSUER
            assert "RS256" in discovery["id_token_signing_alg_values_supported"]
            assert len((await client.get("/jwks")).json()["keys"]) == 2
            (national,) = (await client.get("/jwks/national")).json()["keys"]
            assert national["crv"] == "sm2p256v1"
            for path in ("/", "/verify", "/log", "/help", "/accessibility", "/privacy", "/trust.json"):
                assert (await client.get(path)).status_code == 200, path
            (index,) = await parts.ledger.append([(b'{"v":1}', sm3(b"one"))])
            assert index == 0
            assert (await parts.ledger.fsck(parts.log_trust)).clean

    run(story())


def test_the_demonstration_is_brought_in_once_and_whole(settings: Settings, run: Run) -> None:
    async def story() -> None:
        ports, today = DemoPorts(1, 2), date(2026, 11, 1)
        async with _visited(settings) as (parts, _, _, _):
            province, first = await seed(parts, ports, today=today)
            count = await parts.registry.count_schools()
            assert count >= 2_631 + len(province.schools)
            assert (await parts.registry.school(parse_strict("4111010001"))).name == "北京大学"
            _, second = await seed(parts, ports, today=today)
            assert second == first
            assert await parts.registry.count_schools() == count
            assert len(province.people) == 300

    run(story())


def test_a_second_start_finds_the_same_keys(settings: Settings, run: Run) -> None:
    async def story() -> None:
        seen = []
        for _ in range(2):
            async with _visited(settings) as (_, _, client, _):
                answers = [await client.get(path) for path in ("/jwks", "/jwks/national", "/trust.json")]
                seen.append([answer.content for answer in answers])
        assert seen[0] == seen[1]

    run(story())


def test_no_service_opens_without_its_key_or_with_another(settings: Settings, run: Run) -> None:
    async def opens() -> None:
        async with _visited(settings):
            pass

    run(opens())
    settings.kek_file.rename(settings.kek_file.with_name("elsewhere"))
    with pytest.raises(KekRefused):
        run(opens())
    create_kek(settings.kek_file, random_bytes=os.urandom)
    with pytest.raises(KeyringRefused):
        run(opens())


def test_the_log_holds_no_query_no_code_and_no_whole_address(settings: Settings, run: Run) -> None:
    async def story() -> None:
        async with _visited(settings) as (_, _, client, log):
            canary = "K7Q2-9F4M-CANA-RY77"
            await client.get(f"/verify/{canary}", params={"q": canary})
            await client.get(f"/authorize?client_id={canary}&redirect_uri=https://{canary}.example/")
            await client.post(
                "/token", data={"grant_type": "authorization_code", "code": canary}, auth=(canary, canary)
            )
            await client.get(f"/{canary}")
        assert len(log) >= 4
        assert not [line for line in log if canary in line or "127.0.0.1" in line]

    run(story())


def test_the_compose_file_starts_every_service_the_readme_names() -> None:
    composed = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    assert set(composed["services"]) == {"edutrust", "postgres", "redis", "chain"}
    given = set(composed["services"]["edutrust"]["environment"])
    known = {f"EDUTRUST_{name.upper()}" for name in Settings.__dataclass_fields__}
    assert given <= known, "a variable the service does not know would stop its start"
    for name, mounted in composed["volumes"].items():
        assert mounted is None, name
