"""What is the same for everybody is answered the same whether it was kept or not, and anew when a key changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest

from crypto.suites import Alg
from idp.metadata import METADATA_PATHS
from tests.protocol.full_service import ISSUER, Service, full_service

Run = Callable[[Coroutine[Any, Any, None]], None]
CHANGING = {"x-correlation-id"}


def _http(service: Service) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(service.app), base_url=ISSUER, trust_env=False)


@pytest.mark.parametrize("path", METADATA_PATHS)
def test_a_kept_answer_is_the_first_one_with_a_reference_and_a_line_of_its_own(
    path: str, tmp_path: Path, run: Run
) -> None:
    async def story() -> None:
        async with full_service(tmp_path) as service, _http(service) as http:
            service.log.clear()
            answers = [await http.get(path) for _ in range(3)]
            first = answers[0]
            kept = {name: value for name, value in first.headers.items() if name not in CHANGING}
            for answer in answers:
                assert (answer.status_code, answer.content) == (200, first.content)
                assert {name: value for name, value in answer.headers.items() if name not in CHANGING} == kept
            lines = [json.loads(line) for line in service.log]
            assert [line["reference"] for line in lines] == [one.headers["x-correlation-id"] for one in answers]
            assert len({line["reference"] for line in lines}) == 3
            assert [{k: v for k, v in line.items() if k not in {"ms", "reference", "time"}} for line in lines] == [
                {"event": "request", "method": "GET", "route": path, "status": 200, "from": "127.0.0.0/24"}
            ] * 3

    run(story())


def test_what_is_unusual_about_a_request_is_answered_by_the_floors_that_decide(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        async with full_service(tmp_path) as service, _http(service) as http:
            usual = await http.get("/jwks")
            assert (await http.get("/jwks", headers={"host": "elsewhere.example"})).status_code == 307
            assert (await http.post("/jwks", headers={"host": "elsewhere.example"})).status_code == 400
            assert (await http.post("/jwks")).status_code == 403
            head = await http.head("/jwks")
            assert (head.status_code, head.content) == (200, b"")
            asked = await http.get("/jwks?ui_locales=en")
            assert asked.content == usual.content
            assert "set-cookie" in asked.headers
            assert "set-cookie" not in (await http.get("/jwks")).headers
            assert (await http.get("/jwks", headers={"x-forwarded-for": "203.0.113.9"})).status_code == 200

    run(story())


def test_a_key_set_shows_a_new_key_at_once(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        async with full_service(tmp_path) as service, _http(service) as http:
            before = (await http.get("/jwks")).json()["keys"]
            assert (await http.get("/jwks")).json()["keys"] == before
            successor = await service.parts.idp_keys.prepare_successor(Alg.ES256)
            after = (await http.get("/jwks")).json()["keys"]
            assert successor in {key["kid"] for key in after}
            assert len(after) == len(before) + 1

    run(story())
