"""Parameters that come twice, by two ways, or inside a request object (RFC 6749 §3.1, §3.2; RFC 9101 §6.3)."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlencode

import pytest

from crypto.encoding import b64u_encode
from tests.protocol.world import ISSUER, SECRET, VERIFIER, Browser, OpenWorld, World, authorization, basic, registration

ADVISORY_CLASSES: tuple[int, ...] = (5,)
SEEN_RED: dict[str, str] = {
    "test_an_authorization_request_says_everything_once": "idp/parameters.py: the first of two values wins in silence",
    "test_query_and_form_are_not_two_halves_of_a_request": "idp/authorize/endpoint.py: a form beside a query accepted",
    "test_a_request_object_is_refused_and_changes_nothing": "idp/authorize/checks.py: a request object ignored instead of refused",
}

Run = Callable[[Coroutine[Any, Any, None]], None]

# What is parsed is parsed before any database is asked: one of them is enough.
pytestmark = pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)

FORM = "application/x-www-form-urlencoded"
OTHER = {"redirect_uri": "https://library.example/callback", "client_id": "library", "scope": "openid edu"}


async def _raw(
    world: World, method: str, path: str, *, query: str = "", body: str | None = None, **headers: str
) -> Any:
    http = world.browser().http
    content = None if body is None else body.encode()
    more = {"content-type": FORM} if body is not None else {}
    return await http.request(
        method, f"{path}{'?' if query else ''}{query}", content=content, headers={**more, **headers}
    )


@pytest.mark.parametrize("same", [True, False], ids=["the same value", "another value"])
def test_an_authorization_request_says_everything_once(opened: OpenWorld, run: Run, same: bool) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.tokens(browser)
            for name in sorted(authorization()):
                await said_once(world, browser, name)

    async def said_once(world: World, browser: Browser, name: str) -> None:
        asked = authorization()
        twice = (name, asked[name] if same else OTHER.get(name, "other"))
        for pairs in ([*asked.items(), twice], [twice, *asked.items()]):
            answer = await browser.http.get(f"/authorize?{urlencode(pairs)}")
            assert "code=" not in answer.headers.get("location", "")
            if name in {"client_id", "redirect_uri"}:
                assert answer.status_code == 400
            answer = await browser.http.post("/authorize", content=urlencode(pairs), headers={"content-type": FORM})
            assert "code=" not in answer.headers.get("location", "")
            pushed = await _raw(world, "POST", "/par", body=urlencode(pairs), authorization=basic("learning", SECRET))
            assert pushed.status_code == 400

    run(story())


@pytest.mark.parametrize("name", ["grant_type", "code", "redirect_uri", "code_verifier", "client_id", "client_secret"])
def test_a_token_request_says_everything_once_and_uses_nothing_up(opened: OpenWorld, run: Run, name: str) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(registration("posting", token_endpoint_auth_method="client_secret_post"))
            code = await world.code(world.browser(), "posting")
            form = {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": "https://posting.example/callback",
                "code_verifier": VERIFIER,
                "client_id": "posting",
                "client_secret": SECRET,
            }
            for value in (form[name], "other"):
                answer = await _raw(world, "POST", "/token", body=urlencode([*form.items(), (name, value)]))
                assert answer.status_code in {400, 401}
                assert "access_token" not in answer.text
            good = await _raw(world, "POST", "/token", body=urlencode(form))
            assert good.status_code == 200

    run(story())


@pytest.mark.parametrize("path", ["/introspect", "/revoke"])
def test_a_token_is_named_once_and_in_the_form(opened: OpenWorld, run: Run, path: str) -> None:
    async def story() -> None:
        async with opened() as world:
            token = (await world.tokens(world.browser()))["access_token"]
            asking = {"authorization": basic("learning", SECRET)}
            twice = await _raw(world, "POST", path, body=urlencode([("token", token), ("token", "x")]), **asking)
            assert twice.status_code == 400
            by_query = await _raw(world, "POST", path, query=urlencode({"token": token}), body="", **asking)
            assert by_query.status_code == 400
            assert (await world.userinfo(token)).status == 200

    run(story())


def test_query_and_form_are_not_two_halves_of_a_request(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.tokens(browser)
            asked = authorization()
            for name in asked:
                query = urlencode({name: asked[name]})
                body = urlencode({key: value for key, value in asked.items() if key != name})
                answer = await browser.http.post(f"/authorize?{query}", content=body, headers={"content-type": FORM})
                assert answer.status_code == 400
            code = await world.code(browser)
            form = {"grant_type": "authorization_code", "redirect_uri": "https://learning.example/callback"}
            asking = {"authorization": basic("learning", SECRET)}
            body = urlencode({**form, "code_verifier": VERIFIER})
            answer = await _raw(world, "POST", "/token", query=urlencode({"code": code}), body=body, **asking)
            assert answer.status_code == 400
            assert (await world.redeem(code)).status == 200

    run(story())


@pytest.mark.parametrize("alg", ["none", "None", "HS256", "RS256"])
def test_a_request_object_is_refused_and_changes_nothing(opened: OpenWorld, run: Run, alg: str) -> None:
    """An unsigned object whose members conflict with the query, or name another client: refused, at its proven address."""

    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.tokens(browser)
            inside = {"iss": "learning", "aud": ISSUER, **authorization(), **OTHER, "state": "inside"}
            parts = [b64u_encode(json.dumps(part).encode()) for part in ({"alg": alg}, inside)]
            request = ".".join([*parts, "" if alg.lower() == "none" else "AAAA"])
            answer = await world.authorize(browser, request=request)
            assert answer.location.startswith("https://learning.example/callback?")
            assert answer.query["error"] == "request_not_supported"
            assert answer.query["state"] == "the-state"
            without = await world.authorize(browser, request=request, redirect_uri=None, state=None)
            assert without.status == 400, "an address inside the object proves nothing"
            pushed = {**authorization(), "request": request}
            refused = await browser.post("/par", pushed, authorization=basic("learning", SECRET))
            assert refused.status == 400

    run(story())


def test_a_request_uri_of_somebody_else_is_not_fetched(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            for uri in (
                "https://evil.example/r.jwt",
                "http://169.254.169.254/",
                "file:///etc/passwd",
                "urn:x",
                "data:,x",
            ):
                answer = await world.authorize(world.browser(), request_uri=uri)
                assert answer.query["error"] == "request_uri_not_supported"

    run(story())
