"""Mix-up: every answer names its issuer (RFC 9207), and no request header chooses the name (Canaille `get_issuer`)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.idp.authorize.form_page import handed_over
from tests.protocol.full_service import ISSUER as SERVICE
from tests.protocol.full_service import authorization as service_authorization
from tests.protocol.full_service import full_service, hold
from tests.protocol.world import ISSUER, OpenWorld, claims_of

ADVISORY_CLASSES: tuple[int, ...] = (6,)
SEEN_RED: dict[str, str] = {
    "test_every_authorization_answer_names_its_issuer": "idp/authorize/response.py: `iss` left out of errors",
    "test_a_request_under_another_name_is_sent_home_or_refused": "adapters/http/edge.py: the host of a request not compared with the issuer's",
}

Run = Callable[[Coroutine[Any, Any, None]], None]

SPOOFS: tuple[dict[str, str], ...] = (
    {"x-forwarded-host": "evil.example"},
    {
        "x-forwarded-host": "evil.example",
        "x-forwarded-proto": "http",
        "x-forwarded-port": "81",
        "x-forwarded-prefix": "/x",
    },
    {"forwarded": "host=evil.example;proto=http"},
    {"x-original-url": "https://evil.example/", "x-rewrite-url": "https://evil.example/"},
    {"x-real-ip": "127.0.0.1", "x-forwarded-for": "127.0.0.1"},
)


@pytest.mark.parametrize("mode", ["query", "form_post"])
def test_every_authorization_answer_names_its_issuer(opened: OpenWorld, run: Run, mode: str) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.tokens(browser)
            asked: tuple[dict[str, Any], ...] = (
                {},
                {"prompt": "none", "scope": "openid profile edu", "max_age": "0"},
                {"response_type": "token"},
                {"scope": "profile"},
                {"code_challenge": None},
            )
            for changes in asked:
                answer = await world.authorize(browser, response_mode=mode, **changes)
                given = answer.query if answer.status == 303 else handed_over(answer)[1]
                if "/signin" in answer.headers.get("location", ""):
                    continue
                assert given["iss"] == ISSUER
            document = (await browser.get("/.well-known/openid-configuration")).json()
            assert document["authorization_response_iss_parameter_supported"] is True
            assert document["issuer"] == ISSUER

    run(story())


def test_no_header_changes_what_the_issuer_is_called(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        async with full_service(tmp_path) as service:
            browser = service.browser()
            held = await hold(service, browser, "lin")
            plain = await browser.http.get("/.well-known/openid-configuration")
            for spoof in SPOOFS:
                document = await browser.http.get("/.well-known/openid-configuration", headers=spoof)
                assert document.content == plain.content
                answer = await browser.http.get("/authorize", params=service_authorization(), headers=spoof)
                assert answer.headers["location"].startswith("https://learning.example/callback?")
                assert "iss=https%3A%2F%2Fid.example.edu.cn" in answer.headers["location"]
                page = await service.browser().http.get("/account/sessions", headers=spoof)
                assert "evil" not in page.headers["location"]
                shown = await browser.http.get("/account/sessions", headers=spoof)
                assert "evil.example" not in shown.text
            assert claims_of(held.values["id_token_hint"])["iss"] == SERVICE

    run(story())


def test_a_request_under_another_name_is_sent_home_or_refused(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        async with full_service(tmp_path) as service:
            http = service.browser().http
            for host in (
                "evil.example",
                "id.example.edu.cn.evil.example",
                "id.example.edu.cn:81",
                "127.0.0.1",
                "",
                "a b",
            ):
                for path in ("/.well-known/openid-configuration", "/jwks", "/signin"):
                    answer = await http.get(path, headers={"host": host})
                    assert answer.status_code == 307
                    assert answer.headers["location"] == f"{SERVICE}{path}"
                assert (await http.post("/token", data={"a": "b"}, headers={"host": host})).status_code in {400, 421}

    run(story())
