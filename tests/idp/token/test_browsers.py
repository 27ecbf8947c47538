"""Answers a page in a browser may read: to public clients, at their own origins, without credentials."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.protocol.world import VERIFIER, OpenWorld, registration

Run = Callable[[Coroutine[Any, Any, None]], None]

ALLOWED = "access-control-allow-origin"
OWN = "https://native.example"


def test_a_public_client_redeems_and_revokes_from_a_page_of_its_own(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            code = await world.code(world.browser(), "native")
            form = {
                "grant_type": "authorization_code",
                "client_id": "native",
                "code": code,
                "code_verifier": VERIFIER,
                "redirect_uri": f"{OWN}/callback",
            }
            redeemed = await world.browser().post("/token", form, origin=OWN)
            again = await world.browser().post("/token", form, origin=OWN)
            token = redeemed.json()["access_token"]
            revoked = await world.browser().post("/revoke", {"client_id": "native", "token": token}, origin=OWN)
            for answer, status in ((redeemed, 200), (again, 400), (revoked, 200)):
                assert answer.status == status
                assert answer.headers[ALLOWED] == OWN
                assert "Origin" in answer.headers["vary"]
                assert "access-control-allow-credentials" not in answer.headers

    run(story())


@pytest.mark.parametrize(
    "origin",
    [
        "https://native.example.evil.example",
        "https://evil.example",
        "http://native.example",
        "https://native.example:8443",
        "null",
        "",
        "https://native.example, https://evil.example",
    ],
)
def test_a_page_of_another_origin_may_not_read_the_answer(opened: OpenWorld, run: Run, origin: str) -> None:
    async def story() -> None:
        async with opened() as world:
            answer = await world.browser().post("/token", {"client_id": "native", "grant_type": "x"}, origin=origin)
            assert answer.status == 400
            assert ALLOWED not in answer.headers
            assert "Origin" in answer.headers["vary"], "a cache must not hand one origin's answer to another"

    run(story())


def test_no_page_reads_an_answer_to_a_confidential_client_or_to_nobody(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            own = await world.token({"grant_type": "x"}, origin="https://learning.example")
            assert ALLOWED not in own.headers
            named = await world.browser().post("/token", {"client_id": "learning"}, origin="https://learning.example")
            nobody = await world.browser().post("/token", {"client_id": "nobody"}, origin=OWN)
            for answer in (named, nobody):
                assert answer.status == 401
                assert ALLOWED not in answer.headers

    run(story())


def test_a_private_use_scheme_is_no_origin(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            app = registration(
                "app",
                token_endpoint_auth_method="none",
                client_secret=None,
                redirect_uris=["com.example.app:/callback"],
            )
            await world.register(app)
            for origin in ("", "null", "com.example.app:", "com.example.app://"):
                answer = await world.browser().post("/token", {"client_id": "app", "grant_type": "x"}, origin=origin)
                assert ALLOWED not in answer.headers

    run(story())


def test_what_no_page_asked_for_has_no_such_header(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            answer = await world.browser().post("/token", {"client_id": "native", "grant_type": "x"})
            assert ALLOWED not in answer.headers
            for path in ("/introspect", "/par", "/device_authorization"):
                answer = await world.browser().post(path, {"client_id": "native"}, origin=OWN)
                assert ALLOWED not in answer.headers

    run(story())
