"""PKCE left out, emptied or weakened (authentik CVE-2023-48228; RFC 9700 §2.1.1, §4.8)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.protocol.world import CHALLENGE, SECRET, VERIFIER, OpenWorld, authorization, basic

ADVISORY_CLASSES: tuple[int, ...] = (3,)
SEEN_RED: dict[str, str] = {
    "test_a_weak_challenge_gets_no_code": "idp/authorize/checks.py: an omitted method taken for S256",
    "test_a_challenge_wants_its_verifier": "idp/token/core.py: the verifier not compared with the challenge",
}

Run = Callable[[Coroutine[Any, Any, None]], None]

# What is parsed is parsed before any database is asked: one of them is enough.
pytestmark = pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)

WEAK: dict[str, dict[str, Any]] = {
    "no challenge": {"code_challenge": None, "code_challenge_method": None},
    "an empty challenge": {"code_challenge": ""},
    "an empty challenge, no method": {"code_challenge": "", "code_challenge_method": None},
    "a method without a challenge": {"code_challenge": None},
    "the method omitted, which means plain": {"code_challenge_method": None},
    "an empty method": {"code_challenge_method": ""},
    "plain": {"code_challenge_method": "plain", "code_challenge": VERIFIER},
    "PLAIN": {"code_challenge_method": "PLAIN"},
    "s256": {"code_challenge_method": "s256"},
    "S512": {"code_challenge_method": "S512"},
    "two methods": {"code_challenge_method": "S256 plain"},
    "a short challenge": {"code_challenge": CHALLENGE[:-1]},
    "a long challenge": {"code_challenge": CHALLENGE + "A"},
    "a padded challenge": {"code_challenge": CHALLENGE + "="},
    "a challenge of other characters": {"code_challenge": "+" + CHALLENGE[1:]},
    "a challenge of full-width characters": {"code_challenge": "Ａ" + CHALLENGE[1:]},
}


@pytest.mark.parametrize("client_id", ["learning", "native"])
def test_a_weak_challenge_gets_no_code(opened: OpenWorld, run: Run, client_id: str) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            await world.sign_in(browser)
            for case, changes in WEAK.items():
                answer = await world.authorize(browser, client_id, **changes)
                assert answer.query["error"] == "invalid_request", case
                assert "code" not in answer.query, case
                headers = {} if client_id == "native" else {"authorization": basic(client_id, SECRET)}
                pushed = await browser.post("/par", authorization(client_id, **changes), **headers)
                assert pushed.status == 400, case

    run(story())


VERIFIERS: tuple[str | None, ...] = (
    *(
        None,
        "",
        "w" * 64,
        CHALLENGE,
        VERIFIER[:-1],
        VERIFIER + "v",
        VERIFIER.upper(),
        "v" * 42,
        "v" * 129,
        f"{VERIFIER} ",
    ),
)


@pytest.mark.parametrize("client_id", ["learning", "native", "exempt"])
def test_a_challenge_wants_its_verifier(opened: OpenWorld, run: Run, client_id: str) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            for verifier in VERIFIERS:
                code = await world.code(browser, client_id)
                answer = await world.redeem(code, client_id, code_verifier=verifier)
                assert answer.status == 400, verifier
                assert answer.json()["error"] in {"invalid_grant", "invalid_request"}

    run(story())


def test_a_verifier_wants_its_challenge(opened: OpenWorld, run: Run) -> None:
    """RFC 9700 §4.8.2: a code asked for without a challenge and redeemed with a verifier is an attack under way."""

    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            for verifier in (VERIFIER, "v" * 43, "x"):
                code = await world.code(browser, "exempt", code_challenge=None, code_challenge_method=None)
                assert (await world.redeem(code, "exempt", code_verifier=verifier)).status == 400

    run(story())


def test_two_requests_of_one_browser_keep_their_challenges_apart(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            browser = world.browser()
            mine = await world.code(browser)
            theirs = await world.code(browser, code_challenge="E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
            assert (await world.redeem(theirs)).status == 400
            assert (await world.redeem(mine)).status == 200

    run(story())
