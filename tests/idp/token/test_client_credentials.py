"""RFC 6749 §4.4: what a client gets for itself, and that no person is ever behind it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from crypto.errors import TrustError
from crypto.jws import verify_jwt
from crypto.suites import Purpose, policy
from idp.clients.members import RegistrationRefused
from idp.clients.model import ClientState
from idp.clients.registration import parse_client
from tests.protocol.world import ISSUER, Answer, OpenWorld, World, registration

Run = Callable[[Coroutine[Any, Any, None]], None]

ROBOT = registration(
    "robot",
    redirect_uris=None,
    post_logout_redirect_uris=None,
    backchannel_logout_uri=None,
    scopes_required=None,
    scopes_optional=None,
    grant_types=["client_credentials"],
    scopes_client=["roster.read", "roster.write"],
)
SIGNER = {**ROBOT, "client_id": "signer", "access_token_format": "jwt"}
NATIONAL = {**SIGNER, "client_id": "robot-gm", "id_token_signed_response_alg": "SGD_SM3_SM2"}


async def ask(world: World, client_id: str = "robot", **form: str) -> Answer:
    return await world.token({"grant_type": "client_credentials", **form}, client_id)


def test_a_client_gets_an_access_token_and_nothing_of_a_person(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(ROBOT)
            answer = await ask(world)
            assert answer.status == 200
            assert answer.headers["cache-control"] == "no-store"
            body = answer.json()
            assert body.keys() == {"access_token", "token_type", "expires_in", "scope"}  # §4.4.3: no refresh token
            assert body["token_type"] == "Bearer"
            assert body["scope"] == "roster.read roster.write"
            assert "idp.token.issued_to_client" in world.trail.actions()
            refused = await world.userinfo(body["access_token"])
            assert refused.status == 401
            assert refused.json()["error"] == "invalid_token"

    run(story())


def test_it_gets_the_scopes_it_asks_for_and_is_registered_for(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(ROBOT, {**ROBOT, "client_id": "bare", "scopes_client": []})
            assert (await ask(world, scope="roster.read")).json()["scope"] == "roster.read"
            for scope in ("admin", "roster.read admin", "openid", "profile", "offline_access", "ROSTER.READ"):
                refused = await ask(world, scope=scope)
                assert refused.status == 400
                assert refused.json()["error"] == "invalid_scope"
            assert "scope" not in (await ask(world, "bare")).json()

    run(story())


@pytest.mark.parametrize("document", [SIGNER, NATIONAL], ids=["ES256", "SM2"])
def test_its_jwt_says_the_client_is_the_subject(opened: OpenWorld, run: Run, document: dict[str, object]) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(document)
            client_id = str(document["client_id"])
            token = (await ask(world, client_id)).json()["access_token"]
            verified = verify_jwt(token, keys=world.keys.verifiers(), policy=policy(Purpose.ACCESS_TOKEN))
            claims = verified.claims
            assert verified.header["typ"] == "at+jwt"
            assert verified.header["alg"] == document["id_token_signed_response_alg"]
            assert claims["sub"] == claims["client_id"] == client_id  # RFC 9068 §2.2
            assert claims["iss"] == claims["aud"] == ISSUER
            assert claims["scope"] == "roster.read roster.write"
            assert claims.keys().isdisjoint({"auth_time", "acr", "amr", "sid"})
            assert (await world.userinfo(token)).status == 401

    run(story())


def test_the_grant_is_for_those_registered_for_it(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(ROBOT)
            for client_id in ("learning", "native"):
                refused = await ask(world, client_id)
                assert refused.status == 400
                assert refused.json()["error"] == "unauthorized_client"
            other = await world.token({"grant_type": "authorization_code", "code": "sac_" + "x" * 43}, "robot")
            assert other.json()["error"] in {"invalid_grant", "unauthorized_client"}
            shown = await world.authorize(world.browser(), "robot")
            assert shown.status == 400, "nobody signs in at a client without a redirect URI"

    run(story())


def test_a_disabled_client_has_no_tokens_and_finds_none_when_it_comes_back(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            await world.register(ROBOT)
            token = (await ask(world)).json()["access_token"]
            await world.store.set_client_state("robot", ClientState.DISABLED, world.clock())
            assert (await ask(world)).json()["error"] == "invalid_client"
            await world.store.set_client_state("robot", ClientState.ACTIVE, world.clock())
            asked = await world.browser().post(
                "/introspect", {"token": token, "client_id": "robot", "client_secret": "s" * 43}
            )
            assert asked.status == 401, "basic is the registered method"
            row = await world.db.fetch_one("SELECT count(*) AS kept FROM client_access_token")
            assert row is not None
            assert row["kept"] == 0

    run(story())


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"redirect_uris": ["https://robot.example/cb"]}, "redirect_uris", "not_for_grant"),
        ({"scope": "openid"}, "scope", "not_for_grant"),
        ({"scopes_required": ["openid"]}, "scope", "not_for_grant"),
        ({"scopes_client": ["openid"]}, "scopes_client", "form"),
        ({"scopes_client": ["two words"]}, "scopes_client", "form"),
        ({"grant_types": ["client_credentials", "refresh_token"]}, "grant_types", "authorization_code"),
        ({"token_endpoint_auth_method": "none", "client_secret": None}, "grant_types", "not_for_public"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "client_secret", "not_for_method"),
        ({"token_endpoint_auth_method": "private_key_jwt", "client_secret": None}, "jwks", "missing"),
        ({"token_endpoint_auth_signing_alg": "ES256"}, "token_endpoint_auth_signing_alg", "not_for_method"),
    ],
)
def test_a_registration_that_mixes_people_and_programs_is_refused(
    changes: dict[str, Any], field: str, rule: str
) -> None:
    document = {name: value for name, value in {**ROBOT, **changes}.items() if value is not None}
    with pytest.raises(RegistrationRefused) as refused:
        parse_client(document)
    assert (refused.value.field, refused.value.rule) == (field, rule)


def test_scopes_of_a_client_need_the_grant() -> None:
    with pytest.raises(TrustError):
        parse_client(registration(scopes_client=["roster.read"]))
