"""Sign-out forged or altered, and logout tokens (keycloak#37839, keycloak#11735; GHSA-64w3-5q9m-68xf: remember-me).

A link ends nothing: only a hint of exactly this session does, or the person's own yes on a page of ours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from http.cookies import SimpleCookie
from typing import Any

import pytest

from crypto.encoding import b64u_decode, b64u_encode
from crypto.jws import sign_jwt, verify_jwt
from crypto.keys import generate_signing_key
from crypto.sm2 import select_backend
from crypto.suites import Alg, Purpose, policy
from idp.clients.model import ClientState
from idp.logout.token import EVENT
from tests.protocol.world import (
    ISSUER,
    SESSION_COOKIE,
    Answer,
    Browser,
    OpenWorld,
    World,
    claims_of,
    header_of,
    registration,
)

ADVISORY_CLASSES: tuple[int, ...] = (21,)

SEEN_RED: dict[str, str] = {
    "test_without_a_hint_nothing_ends_before_the_persons_yes": (
        "idp/logout/endpoint.py: the session was ended where the person should have been asked"
    ),
    "test_a_hint_of_another_session_or_person_ends_nothing_before_the_persons_yes": (
        "idp/logout/endpoint.py: a hint with the right subject was enough without the right session"
    ),
    "test_an_altered_hint_is_refused_and_ends_nothing": "idp/id_token.py: the signature of a hint was not verified",
    "test_a_hint_signed_by_a_stranger_is_refused": "idp/id_token.py: the signature of a hint was not verified",
    "test_a_question_is_answered_once_in_its_own_session_and_by_its_own_handle": (
        "idp/logout/endpoint.py: the answer was taken from another session"
    ),
    "test_a_disabled_platform_signs_nobody_out_and_is_not_returned_to": (
        "idp/logout/endpoint.py: the state of the client was not looked at"
    ),
    "test_a_logout_token_is_typed_says_its_event_and_has_no_nonce": "idp/logout/token.py: a nonce was put in",
    "test_the_logout_token_of_each_platform_has_its_own_sub_and_sid_keycloak_11735": (
        "idp/logout/token.py: `sub` was the person number for every platform"
    ),
    "test_no_sign_in_outlives_the_browser": "idp/session/cookies.py: the cookie was given a lifetime",
}

Run = Callable[[Coroutine[Any, Any, None]], None]
BYE = "https://learning.example/bye"


async def is_signed_in(browser: Browser) -> bool:
    return (await browser.get("/account/sessions")).status == 200


async def logout_tokens(world: World) -> dict[str, str]:
    """Drain the outbox; return each platform's logout token by its address."""
    told: dict[str, str] = {}

    async def deliver(url: str, token: str) -> None:
        told[url] = token

    await world.provider.logout.drain(deliver)
    return told


def confirmation(answer: Answer) -> bool:
    return answer.status == 200 and "/end-session/confirm" in answer.text


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"client_id": "learning"},
        {"client_id": "learning", "post_logout_redirect_uri": BYE},
        {"state": "x"},
        {"logout_hint": "lin"},
        {"sid": "x", "iss": ISSUER},
    ],
    ids=lambda parameters: "+".join(parameters) or "nothing",
)
def test_without_a_hint_nothing_ends_before_the_persons_yes(
    opened: OpenWorld, run: Run, method: str, parameters: dict[str, str]
) -> None:
    """RP-Initiated Logout §2: without a hint the server asks; a picture on another site sends GETs, a form POSTs."""

    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.tokens(browser)
            answer = await (
                browser.get("/end-session", **parameters)
                if method == "GET"
                else browser.post("/end-session", parameters or {"of": "no meaning"})
            )
            assert confirmation(answer)
            assert await is_signed_in(browser)
            assert await logout_tokens(world) == {}

    run(story())


def test_a_hint_of_another_session_or_person_ends_nothing_before_the_persons_yes(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.add_person("wang", 2)
            mine, earlier, others = world.browser(), world.browser(), world.browser()
            of_earlier = (await world.tokens(earlier))["id_token"]
            page = await others.password(await others.follow(await world.authorize(others)), "wang")
            code = (await others.allow(page)).query["code"]
            of_other = (await world.redeem(code)).json()["id_token"]
            await world.tokens(mine)
            for hint in (of_earlier, of_other):
                assert confirmation(await mine.get("/end-session", id_token_hint=hint))
                assert await is_signed_in(mine)
            assert await is_signed_in(earlier)
            assert await is_signed_in(others)

    run(story())


def _altered(token: str) -> dict[str, str]:
    head, body, signature = token.split(".")
    header, claims = json.loads(b64u_decode(head)), json.loads(b64u_decode(body))

    def made(header: dict[str, Any], claims: dict[str, Any], signature: str) -> str:
        return ".".join((b64u_encode(json.dumps(header).encode()), b64u_encode(json.dumps(claims).encode()), signature))

    flipped = ("B" if signature[0] == "A" else "A") + signature[1:]
    return {
        "another signature": f"{head}.{body}.{flipped}",
        "no signature": f"{head}.{body}.",
        "alg none": made({**header, "alg": "none"}, claims, ""),
        "alg None": made({**header, "alg": "None"}, claims, signature),
        "alg HS256": made({**header, "alg": "HS256"}, claims, signature),
        "another audience": made(header, {**claims, "aud": "library"}, signature),
        "another sid": made(header, {**claims, "sid": "x"}, signature),
        "a key brought along": made({**header, "jwk": {"kty": "oct", "k": "AAAA"}}, claims, signature),
        "two tokens": f"{token}.{token}",
        "not a token": "x",
    }


@pytest.mark.parametrize("how", list(_altered("e30.e30.AA")))
def test_an_altered_hint_is_refused_and_ends_nothing(opened: OpenWorld, run: Run, how: str) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            hint = _altered((await world.tokens(browser))["id_token"])[how]
            answer = await browser.get("/end-session", id_token_hint=hint, post_logout_redirect_uri=BYE)
            assert answer.status == 400
            assert answer.json()["shown"] == "idp.logout.refused"
            assert await is_signed_in(browser)

    run(story())


def test_a_hint_signed_by_a_stranger_is_refused(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            token = (await world.tokens(browser))["id_token"]
            stranger = generate_signing_key(Alg.ES256, backend=select_backend(("libcrypto",)))
            forged = sign_jwt(claims_of(token), key=stranger, policy=policy(Purpose.ID_TOKEN))
            answer = await browser.get("/end-session", id_token_hint=forged)
            assert answer.json()["shown"] == "idp.logout.refused"
            assert await is_signed_in(browser)

    run(story())


def test_a_question_is_answered_once_in_its_own_session_and_by_its_own_handle(opened: OpenWorld, run: Run) -> None:
    """CVE-2026-4325: single-use values of one kind used as another."""

    async def story() -> None:
        async with opened() as world:
            browser, other = world.browser(), world.browser()
            code = await world.code(browser)
            await world.tokens(other)
            page = await browser.get("/end-session", client_id="learning")
            for handle in (code, "", "x", page.hidden("t")[:-1]):
                answer = await browser.post("/end-session/confirm", {"t": handle, "csrf": "f", "answer": "yes"})
                assert answer.status == 400
            taken = await other.post("/end-session/confirm", {"t": page.hidden("t"), "csrf": "f", "answer": "yes"})
            assert taken.status == 400, "the question of another session"
            assert await is_signed_in(browser)
            assert await is_signed_in(other)
            assert (await world.redeem(code)).status == 200, "the code was not touched"

    run(story())


def test_a_disabled_platform_signs_nobody_out_and_is_not_returned_to(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            token = (await world.tokens(browser))["id_token"]
            await world.store.set_client_state("learning", ClientState.DISABLED, world.clock())
            for parameters in ({"id_token_hint": token}, {"client_id": "learning", "post_logout_redirect_uri": BYE}):
                answer = await browser.get("/end-session", **parameters)
                assert answer.json()["shown"] == "idp.logout.refused"
            assert await is_signed_in(browser)

    run(story())


def test_a_logout_token_is_typed_says_its_event_and_has_no_nonce(opened: OpenWorld, run: Run) -> None:
    """Back-Channel Logout §2.4; with `typ` it is no other kind of token (RFC 8725 §3.11)."""

    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            known = claims_of((await world.tokens(browser))["id_token"])
            await browser.post("/signout", {"csrf": "f"})
            [token] = (await logout_tokens(world)).values()
            verify_jwt(token, keys=world.keys.verifiers(), policy=policy(Purpose.LOGOUT_TOKEN))
            claims = claims_of(token)
            assert header_of(token)["typ"] == "logout+jwt"
            assert claims["events"] == {EVENT: {}}
            assert set(claims) == {"iss", "aud", "sub", "sid", "iat", "exp", "jti", "events"}
            assert (claims["sub"], claims["sid"], claims["aud"]) == (known["sub"], known["sid"], "learning")
            assert (await browser.get("/end-session", id_token_hint=token)).status == 400
            assert (await world.userinfo(token)).status == 401

    run(story())


def test_the_logout_token_of_each_platform_has_its_own_sub_and_sid_keycloak_11735(opened: OpenWorld, run: Run) -> None:
    """keycloak#11735, again #37839: the platform must find the `sub` and `sid` it was given, not another platform's."""

    async def story() -> None:
        async with opened() as world:
            await world.register(
                registration("open", subject_type="public"),
                registration("one", sector_identifier="shared.example"),
                registration("two", sector_identifier="shared.example", backchannel_logout_session_required=True),
            )
            browser = world.browser()
            names = ("learning", "library", "national", "open", "one", "two")
            known = {name: claims_of((await world.tokens(browser, name))["id_token"]) for name in names}
            await browser.post("/signout", {"csrf": "f"})
            told = {
                url.split("/")[2].split(".")[0]: claims_of(token) for url, token in (await logout_tokens(world)).items()
            }
            assert set(told) == set(names)
            for name in names:
                assert (told[name]["sub"], told[name]["sid"]) == (known[name]["sub"], known[name]["sid"]), name
                assert told[name]["aud"] == name
            assert told["one"]["sub"] == told["two"]["sub"], "one sector, one subject"
            assert len({claims["sub"] for claims in told.values()}) == 5
            assert len({claims["sid"] for claims in told.values()}) == 6, "a session is never joined across platforms"

    run(story())


def test_no_sign_in_outlives_the_browser(opened: OpenWorld, run: Run) -> None:
    """There is no remember-me to forget: the session cookie has no lifetime of its own (GHSA-64w3-5q9m-68xf)."""

    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            page = await browser.follow(await browser.get("/signin"))
            form = {"t": page.hidden("t"), "csrf": "f", "username": "lin", "password": "correct horse battery"}
            answer = await browser.post("/signin/password", {**form, "remember": "on", "remember_me": "true"})
            for header in answer.headers.get_list("set-cookie"):
                for name, morsel in SimpleCookie(header).items():
                    assert not morsel["max-age"], name
                    assert not morsel["expires"], name
            assert browser.session_cookie is not None
            assert SESSION_COOKIE.startswith("__Host-")

    run(story())
