"""Dynamic registration abused: privileged metadata in the request (keycloak 53079), the policy asked about what a client was
and not about what it becomes (CVE-2026-18573), mass registration, deceptive names; and registration access tokens that
outlive their client or open another's (CVE-2026-9705).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from crypto.suites import Alg
from idp.clients.dynamic import PRIVILEGED
from idp.clients.model import ClientOrigin, ClientState
from idp.clients.names import skeleton
from idp.model import Acr
from tests.idp.clients.assertions import key_of
from tests.protocol.registering import METADATA, initial_token, manage, post, refused, registered, send, told
from tests.protocol.world import OpenWorld

ADVISORY_CLASSES: tuple[int, ...] = (34, 17)

SEEN_RED: dict[str, str] = {
    "test_a_platform_cannot_give_itself_what_only_the_operator_gives": (
        "idp/clients/dynamic.py: privileged members were ignored and not refused"
    ),
    "test_a_change_is_judged_in_full_by_what_the_client_becomes": (
        "idp/clients/registration_endpoint.py: a change was judged by another policy than the client's"
    ),
    "test_a_native_application_does_not_turn_into_a_web_site_with_its_addresses": (
        "idp/clients/registration_endpoint.py: a change was judged by another policy than the client's"
    ),
    "test_one_gift_registers_so_many_platforms_and_no_more": (
        "adapters/sql/idp_registrations.py: a registration cost no use of the initial access token"
    ),
    "test_a_name_that_claims_to_be_somebody_is_refused": "idp/clients/names.py: only letter case was folded",
    "test_a_name_that_looks_like_another_platforms_is_refused": (
        "adapters/sql/idp_registrations.py: no name was ever found to be taken"
    ),
    "test_a_registration_token_opens_one_client_and_nothing_else": (
        "idp/clients/registration_endpoint.py: the token was not compared with the client's"
    ),
    "test_a_disabled_client_has_lost_its_registration_token_for_good": (
        "adapters/sql/idp_clients.py: disabling a client left its registration token in the database"
    ),
}

Run = Callable[[Coroutine[Any, Any, None]], None]
PRIVILEGES: dict[str, Any] = {
    "acr_minimum": "urn:edutrust:acr:1",
    "access_token_format": "jwt",
    "filing": {"operator": "教育部"},
    "first_party": True,
    "name_en": "EduTrust",
    "name_zh": "教育部",
    "origin": "static",
    "owner": "1999999999999999",
    "policy": "trial",
    "require_nonce": False,
    "require_pkce": False,
    "resources": ["https://registry.example/"],
    "scopes_client": ["roster.read"],
    "scopes_optional": ["edu"],
    "scopes_required": ["openid", "edu"],
    "sector_identifier": "learning.example",
    "state": "active",
}


@pytest.mark.parametrize("member", sorted(PRIVILEGES))
def test_a_platform_cannot_give_itself_what_only_the_operator_gives(opened: OpenWorld, run: Run, member: str) -> None:
    async def story() -> None:
        async with opened() as world:
            found = await refused(world, **{member: PRIVILEGES[member]})
            assert found == ("invalid_client_metadata", f"{member}: privileged")
            body = await registered(world)
            answer = await manage(world, "PUT", body, document=told(body, **{member: PRIVILEGES[member]}))
            assert answer.json()["error_description"] == f"{member}: privileged"
            client = await world.client(body["client_id"])
            assert client.origin is ClientOrigin.DYNAMIC
            assert (client.owner, client.acr_minimum, client.scopes_client) == (None, Acr.ONE, ())
            assert (client.require_pkce, client.resources, client.filing.operator) == (True, (), "")

    run(story())


def test_every_privilege_there_is_is_tried() -> None:
    assert set(PRIVILEGES) == PRIVILEGED - {"client_id", "client_secret"}


BEYOND_THE_POLICY: tuple[dict[str, Any], ...] = (
    {"grant_types": ["authorization_code", "client_credentials"]},
    {"subject_type": "public"},
    {"scope": "openid edu"},
    {"redirect_uris": ["http://127.0.0.1:8000/cb"]},
    {"redirect_uris": ["https://courses.example/cb", "https://evil.example/cb"]},
    {"redirect_uris": ["cn.evil.app:/cb"], "token_endpoint_auth_method": "none", "client_secret": None},
    {"post_logout_redirect_uris": ["http://localhost/bye"]},
    {"client_uri": "https://bank.example/"},
    {"policy_uri": "https://bank.example/"},
    {"client_name": "EduTrust"},
    {"client_name": "Learning"},
    {"id_token_signed_response_alg": "none"},
    {"response_types": ["code id_token"]},
    {"sector_identifier_uri": "https://nowhere.example/uris"},
)


@pytest.mark.parametrize("changes", BEYOND_THE_POLICY, ids="-".join)
def test_a_change_is_judged_in_full_by_what_the_client_becomes(
    opened: OpenWorld, run: Run, changes: dict[str, Any]
) -> None:
    async def story() -> None:
        async with opened() as world:
            body = await registered(world)
            before = await world.client(body["client_id"])
            answer = await manage(world, "PUT", body, document=told(body, **changes))
            assert answer.status == 400, answer.text
            assert await world.client(body["client_id"]) == before

    run(story())


def test_a_change_of_method_is_judged_by_the_new_method(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            keys = {"keys": [dict(key_of("courses", Alg.ES256).public.jwk)]}
            body = await registered(world, token_endpoint_auth_method="private_key_jwt", jwks=keys)
            without = told(body, jwks=None)
            answer = await manage(world, "PUT", body, document=without)
            assert answer.json()["error_description"] == "jwks: missing"
            public = told(body, token_endpoint_auth_method="none", jwks=None)
            changed = (await manage(world, "PUT", body, document=public)).json()
            client = await world.client(changed["client_id"])
            assert client.public
            assert client.require_pkce  # as every public client, whatever it was before

    run(story())


def test_a_native_application_does_not_turn_into_a_web_site_with_its_addresses(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            body = await registered(world, application_type="native", redirect_uris=["http://127.0.0.1:7000/cb"])
            answer = await manage(world, "PUT", body, document=told(body, application_type="web"))
            assert answer.json() == {
                "error": "invalid_redirect_uri",
                "error_description": "redirect_uris: web_https",
            }

    run(story())


def test_one_gift_registers_so_many_platforms_and_no_more(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            token = await initial_token(world, uses=3)
            before = len(await world.store.clients())
            answers = await asyncio.gather(*(post(world, token, METADATA) for _ in range(40)))
            assert sorted(answer.status for answer in answers) == [201] * 3 + [401] * 37
            assert len(await world.store.clients()) == before + 3
            for answer in answers:
                if answer.status == 201:  # giving one back does not give the use back
                    assert (await manage(world, "DELETE", answer.json())).status == 204
            assert (await post(world, token, METADATA)).status == 401

    run(story())


@pytest.mark.parametrize(
    "name",
    [
        "EduTrust",
        "edutrust",
        "Edu Trust",
        "EDU-TRUST",
        "\u0415dutrust",  # Cyrillic Ie
        "Ed\u03c5trust",  # Greek upsilon
        "\uff25\uff44\uff55\uff34\uff52\uff55\uff53\uff54",  # full width
        "EduTrust 平台",
        "My EduTrust Login",
        "E\u0301duTrust",
        "教育部",
        "中国教育部认证",
        "教 育 部",
        "教·育·部",
        "教育数字认证",  # the operator's own
        "学信网",
        "Official Login",
        "0fficial",
        "Officia1",
        "\u202eEduTrust",
        "Edu\u200bTrust",
        "\u2066Courses\u2069",
        "Courses\u0000",
        "Courses\n",
        "Courses\ufeff",
        " Courses",
        "\u3164",
        "Edu\u3164Trust",
        "\u2800",
        "···",
        "",
    ],
)
def test_a_name_that_claims_to_be_somebody_is_refused(opened: OpenWorld, run: Run, name: str) -> None:
    async def story() -> None:
        async with opened() as world:
            for member in ("client_name", "client_name#zh-CN", "client_name#en"):
                error, description = await refused(world, **{member: name})
                assert error == "invalid_client_metadata"
                assert "name" in description

    run(story())


@pytest.mark.parametrize(
    "name",
    [
        "Learning",
        "LEARNING",
        "Learn ing",
        "learn1ng",
        "\u13deearning".replace("\u13de", "L"),
        "Le\u0430rning",  # Cyrillic a
        "L\u0435arning",  # Cyrillic ie
        "Learn\u0456ng",  # Cyrillic i
        "\uff2cearning",
        "Léarning",
        "学习平台",
        "学习 平台",
    ],
)
def test_a_name_that_looks_like_another_platforms_is_refused(opened: OpenWorld, run: Run, name: str) -> None:
    async def story() -> None:
        async with opened() as world:  # `learning` is called 学习平台 and Learning
            assert await refused(world, client_name=name) == ("invalid_client_metadata", "client_name: taken")
            body = await registered(world)
            answer = await manage(world, "PUT", body, document=told(body, client_name=name))
            assert answer.json()["error_description"] == "client_name: taken"

    run(story())


def test_a_name_is_free_again_when_its_platform_is_gone_and_shared_by_those_of_one_gift(
    opened: OpenWorld, run: Run
) -> None:
    async def story() -> None:
        async with opened() as world:
            token = await initial_token(world)
            one, two = await registered(world, token), await registered(world, token)
            assert (await refused(world))[1] == "client_name: taken"
            for body in (one, two):
                assert (await manage(world, "DELETE", body)).status == 204
            assert await registered(world)

    run(story())


def test_a_skeleton_is_what_a_reader_sees() -> None:
    assert skeleton("Ⅸ") == skeleton("IX")
    assert skeleton("rnodern") == skeleton("modern")
    assert skeleton("课堂") != skeleton("讲堂")


def test_a_registration_token_opens_one_client_and_nothing_else(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            token = await initial_token(world)
            one, two = await registered(world, token), await registered(world, token)
            mine = one["registration_access_token"]
            for method in ("GET", "PUT", "DELETE"):
                document = told(two) if method == "PUT" else None
                answer = await manage(world, method, two, token=mine, document=document)
                assert (answer.status, answer.json()["error"]) == (401, "invalid_token")
                assert (await send(world, method, "/register/learning", mine, b"{}")).status == 401
            assert (await world.userinfo(mine)).status == 401
            assert (await post(world, mine, METADATA)).status == 401  # registers nobody else
            assert (await manage(world, "GET", two)).status == 200
            # and without one, or as a client of the method `none`, nothing is opened
            public = await registered(
                world, token, token_endpoint_auth_method="none", grant_types=["authorization_code"]
            )
            for wrong in ("", "x", public["client_id"]):
                path = f"/register/{public['client_id']}"
                assert (await send(world, "GET", path, wrong)).status == 401
            assert (await send(world, "GET", f"/register/{public['client_id']}", None)).status == 401

    run(story())


def test_a_disabled_client_has_lost_its_registration_token_for_good(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            body = await registered(world)
            await world.store.set_client_state(body["client_id"], ClientState.DISABLED, world.clock())
            for enabled in (False, True):
                if enabled:
                    await world.store.set_client_state(body["client_id"], ClientState.ACTIVE, world.clock())
                for method in ("GET", "PUT", "DELETE"):
                    document = told(body) if method == "PUT" else None
                    assert (await manage(world, method, body, document=document)).status == 401
            assert (await world.client(body["client_id"])).state is ClientState.ACTIVE

    run(story())


def test_refusals_tell_nothing_of_other_clients_and_are_recorded(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            body = await registered(world)
            wrong = "ra_" + "x" * 43
            there = await send(world, "GET", f"/register/{body['client_id']}", wrong)
            absent = await send(world, "GET", "/register/d-nobody", wrong)
            assert (there.status, there.content) == (absent.status, absent.content)
            assert world.trail.actions().count("idp.client.registration_refused") == 2
            recorded = json.dumps([dict(event.details) for event in world.trail.events])
            assert body["registration_access_token"] not in recorded

    run(story())
