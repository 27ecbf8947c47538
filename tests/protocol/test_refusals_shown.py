"""What may not be redirected is shown: to the person a page they understand, to the developer what to mend (RFC 6749 §4.1.2.1)."""

from __future__ import annotations

import html
import json
import os
import re
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.kek import create_kek
from adapters.server import service
from adapters.settings import Settings, check_settings
from adapters.web.catalogue import load
from idp.authorize.pushed import REQUEST_URI_PREFIX
from idp.clients.model import ClientState
from idp.clients.registration import parse_clients
from tests.protocol.world import registration
from tests.services.tables import make_tables

Run = Callable[[Coroutine[Any, Any, None]], None]

ISSUER = "http://127.0.0.1:8080"
CANARY = "<canary&'\">"
REGISTERED = "https://learning.example/callback"
NO_HANDLE = REQUEST_URI_PREFIX + "spa_" + "x" * 43

CASES: dict[str, tuple[dict[str, str], str]] = {
    "no client": ({"redirect_uri": REGISTERED}, "idp.oauth.request_shown · client_id: missing"),
    "an unknown client": (
        {"client_id": CANARY, "redirect_uri": REGISTERED},
        "idp.oauth.request_shown · client_id: unknown",
    ),
    "a suspended client": (
        {"client_id": "library", "redirect_uri": "https://library.example/callback"},
        "idp.oauth.request_shown · client_id: disabled",
    ),
    "no address": ({"client_id": "learning"}, "idp.oauth.request_shown · redirect_uri: missing"),
    "another address": (
        {"client_id": "learning", "redirect_uri": f"https://evil.example/{CANARY}"},
        "idp.oauth.request_shown · redirect_uri: not_registered",
    ),
    "a control character": (
        {"client_id": "learning", "redirect_uri": REGISTERED + "\r\nx"},
        "idp.oauth.request_shown · encoding",
    ),
    "too long a value": (
        {"client_id": "learning", "redirect_uri": REGISTERED, "state": "x" * 5000},
        "idp.oauth.request_shown · state: too_long",
    ),
    "a pushed request that is not in force": (
        {"client_id": "learning", "request_uri": NO_HANDLE},
        "idp.oauth.invalid_request_uri · request_uri: not_in_force",
    ),
}


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    made = check_settings({"issuer": ISSUER, "data_dir": str(tmp_path), "database_url": database_url})
    create_kek(made.kek_file, random_bytes=os.urandom)
    make_tables(made.database_url)
    return made


def test_every_refusal_before_the_redirect_uri_is_proven_is_a_page_for_people_and_developers(
    settings: Settings, run: Run
) -> None:
    translators = load()

    async def story() -> None:
        log: list[str] = []
        clients = [registration(), registration("library")]
        async with service(settings, write_log=log.append) as (parts, application):
            await parts.access.register_clients(parse_clients(json.dumps(clients).encode()), 0)
            await parts.access.set_client_state("library", ClientState.DISABLED, 0)
            transport = httpx.ASGITransport(application.asgi)
            async with httpx.AsyncClient(transport=transport, base_url=ISSUER) as http:
                for language, t in translators.items():
                    for name, (query, code) in CASES.items():
                        asked = {"state": CANARY, "scope": "openid", "response_type": "code", **query}
                        headers = {"accept": "text/html", "accept-language": language}
                        answer = await http.get("/authorize", params=asked, headers=headers)
                        page = html.unescape(re.sub(r"<[^>]+>", " ", answer.text))
                        reference = answer.headers["x-correlation-id"]
                        assert answer.status_code == 400, name
                        assert "location" not in answer.headers
                        assert f'lang="{language}"' in answer.text
                        assert t(code.partition(" ")[0]) in page, name  # what happened, in a sentence
                        assert code in page, (name, page)  # for the developer: our code, the parameter, the rule
                        assert reference in page
                        assert CANARY not in page, "nothing of the request is repeated"
                        assert "<canary" not in answer.text
                        assert "Traceback" not in page
                        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
                        (line,) = [line for line in map(json.loads, log) if line.get("reference") == reference]
                        assert line["status"] == 400
                        assert line["code"] == code.partition(" ")[0]
                        told = (await http.get("/authorize", params=asked)).json()
                        assert told["code"] == code.partition(" ")[0], "a program is told in its own way"
                        assert told["error"] in {"invalid_request", "invalid_request_uri"}

    run(story())
