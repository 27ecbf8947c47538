"""Token exchange (CVE-2026-9704: a subject token silently dropped). It is not offered: asked for, it is refused by name."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from crypto.suites import Alg
from tests.idp.clients.assertions import ask, assertion, keyed
from tests.protocol.world import SECRET, OpenWorld, basic

ADVISORY_CLASSES: tuple[int, ...] = (13,)
SEEN_RED: dict[str, str] = {
    "test_a_subject_token_buys_nothing_and_is_not_ignored": "idp/token/endpoint.py: token exchange answered as client credentials",
}

Run = Callable[[Coroutine[Any, Any, None]], None]

GRANTS = (
    "urn:ietf:params:oauth:grant-type:token-exchange",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
    "urn:ietf:params:oauth:grant-type:saml2-bearer",
    "urn:openid:params:grant-type:ciba",
    "urn:ietf:params:oauth:grant-type:pre-authorized_code",
)


def test_a_subject_token_buys_nothing_and_is_not_ignored(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            body = await world.tokens(world.browser())
            types = "urn:ietf:params:oauth:token-type:"
            for grant in GRANTS:
                form = {
                    "grant_type": grant,
                    "subject_token": body["access_token"],
                    "subject_token_type": f"{types}access_token",
                    "actor_token": body["id_token"],
                    "actor_token_type": f"{types}id_token",
                    "assertion": body["id_token"],
                    "audience": "library",
                    "scope": "openid profile edu",
                }
                answer = await world.browser().post("/token", form, authorization=basic("learning", SECRET))
                assert (answer.status, answer.json()["error"]) == (400, "unsupported_grant_type"), grant
            document = (await world.browser().get("/.well-known/openid-configuration")).json()
            assert not set(GRANTS) & set(document["grant_types_supported"])

    run(story())


def test_a_subject_token_beside_another_grant_lends_no_subject(opened: OpenWorld, run: Run) -> None:
    """The client asks for itself and adds a person's token: what it gets is its own, and knows no person."""

    async def story() -> None:
        async with opened() as world:
            await world.register(keyed("robot", Alg.ES256))
            body = await world.tokens(world.browser())
            exchange = {"subject_token": body["access_token"], "requested_subject": "lin", "act": "lin", "sub": "lin"}
            own = await ask(world, assertion(world, "robot"), **exchange)
            assert own.status == 200
            token = own.json()["access_token"]
            assert (await world.userinfo(token)).status == 401

    run(story())
