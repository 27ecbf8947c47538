"""`/register` through the whole stack: no cookie, no form token, errors as JSON, and a limit on attempts."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.kek import create_kek
from adapters.server import service
from adapters.settings import Settings, check_settings
from idp.clients.registration_tokens import InitialToken, initial_token_digest, new_initial_token
from tests.services.tables import make_tables

ISSUER = "http://127.0.0.1:8080"
Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = check_settings({"issuer": ISSUER, "data_dir": str(tmp_path)})
    create_kek(made.kek_file, random_bytes=os.urandom)
    make_tables(made.database_url)
    return made


def test_a_program_registers_changes_and_removes_without_cookies(settings: Settings, run: Run) -> None:
    async def story() -> None:
        async with service(settings, write_log=lambda _line: None) as (parts, application):
            token, now = new_initial_token(secrets.token_bytes), parts.clock()
            given = InitialToken("t-1", "standard", 3, now + 60, "")
            await parts.access.add_initial_token(given, initial_token_digest(token), now)
            transport = httpx.ASGITransport(application.asgi)
            async with httpx.AsyncClient(transport=transport, base_url=ISSUER) as client:
                document = {"redirect_uris": ["https://courses.example/cb"], "client_name": "Courses"}
                bearer = {"authorization": f"Bearer {token}"}
                made = await client.post("/register", json=document, headers=bearer)
                assert made.status_code == 201, made.text
                assert "set-cookie" not in made.headers
                body = made.json()
                path = body["registration_client_uri"].removeprefix(ISSUER)
                mine = {"authorization": f"Bearer {body['registration_access_token']}"}
                assert (await client.get(path, headers=mine)).status_code == 200
                changed = await client.put(path, json={**document, "client_id": body["client_id"]}, headers=mine)
                assert changed.status_code == 200, changed.text
                mine = {"authorization": f"Bearer {changed.json()['registration_access_token']}"}
                assert (await client.delete(path, headers=mine)).status_code == 204
                wrong = await client.patch(path, headers={"accept": "text/html", **mine})
                assert (wrong.status_code, wrong.headers["content-type"]) == (405, "application/json")

    run(story())


def test_guessing_and_flooding_are_slowed(settings: Settings, run: Run) -> None:
    async def story() -> None:
        async with service(settings, write_log=lambda _line: None) as (_, application):
            transport = httpx.ASGITransport(application.asgi)
            async with httpx.AsyncClient(transport=transport, base_url=ISSUER) as client:
                statuses = [
                    (await client.request(method, path, headers={"authorization": "Bearer ra_x"})).status_code
                    for _ in range(25)
                    for method, path in (("POST", "/register"), ("GET", "/register/d-x"), ("DELETE", "/register/d-x"))
                ]
                assert statuses[:60] == [401] * 60
                assert 429 in statuses[60:]

    run(story())
