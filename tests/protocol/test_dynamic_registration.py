"""Dynamic registration, sentence by sentence: RFC 7591, RFC 7592, OpenID Connect Dynamic Client Registration 1.0."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from crypto.suites import Alg
from idp.clients.model import ClientOrigin, ClientState
from idp.model import Acr
from tests.idp.clients.assertions import key_of
from tests.protocol.registering import METADATA, initial_token, manage, post, refused, registered, send, told
from tests.protocol.world import ISSUER, OpenWorld, authorization, basic

Run = Callable[[Coroutine[Any, Any, None]], None]


def test_rfc7591_3_2_1_the_answer_is_201_with_everything_registered(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            answer = await post(world, await initial_token(world), METADATA)
            assert answer.status == 201
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["pragma"] == "no-cache"
            body = answer.json()
            assert METADATA.items() <= body.items()
            assert body["response_types"] == ["code"]
            assert body["application_type"] == "web"
            assert body["token_endpoint_auth_method"] == "client_secret_basic"
            assert body["id_token_signed_response_alg"] == "RS256"
            assert body["subject_type"] == "pairwise"
            assert body["scope"] == "openid profile offline_access"
            assert body["client_id_issued_at"] == world.clock()
            assert len(body["client_secret"]) == 43
            assert body["client_secret_expires_at"] == 0
            assert body["registration_client_uri"] == f"{ISSUER}/register/{body['client_id']}"
            client = await world.client(body["client_id"])
            assert client.origin is ClientOrigin.DYNAMIC
            assert client.require_pkce
            assert client.acr_minimum is Acr.ONE
            assert (client.name_zh, client.name_en) == ("林家课堂", "Courses of Lin")
            assert client.scopes_required == ("openid",)  # the person decides about all others
            assert "idp.client.registered" in world.trail.actions()

    run(story())


def test_a_registered_platform_signs_people_in_and_its_secret_is_stored_nowhere(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            body = await registered(world)
            callback, client_id = METADATA["redirect_uris"][0], body["client_id"]
            code = await world.code(world.browser(), client_id, redirect_uri=callback, scope="openid profile")
            form = {"grant_type": "authorization_code", "code": code, "redirect_uri": callback}
            credentials = basic(client_id, body["client_secret"])
            answer = await world.token({**form, "code_verifier": "v" * 64}, client_id, authorization=credentials)
            assert answer.status == 200, answer.text
            for secret in (body["client_secret"], body["registration_access_token"]):
                for table in ("client", "client_registration", "initial_access_token"):
                    for row in await world.db.fetch(f"SELECT * FROM {table}"):  # noqa: S608  # names of this test
                        assert not any(secret in str(row[name]) for name in row.keys())  # noqa: SIM118  # a Row

    run(story())


def test_rfc7591_3_an_initial_access_token_is_needed_and_counts_its_uses(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            token = await initial_token(world, uses=2, lifetime_s=60)
            for wrong in (None, "ia_" + "x" * 43, token + "x", "ra_" + token[3:], "at_" + "x" * 43, "ia_" + "x" * 9999):
                answer = await post(world, wrong, METADATA)
                assert answer.status == 401
                assert answer.json()["error"] == "invalid_token"
                assert answer.headers["www-authenticate"].startswith("Bearer")
            assert (await post(world, None, METADATA, authorization=f"Basic {token}")).status == 401
            assert (await send(world, "POST", f"/register?access_token={token}", None, b"{}")).status == 401
            refusal = await post(world, token, {**METADATA, "redirect_uris": []})
            assert refusal.status == 400  # and costs no use
            statuses = await asyncio.gather(*(post(world, token, METADATA) for _ in range(8)))
            assert sorted(answer.status for answer in statuses) == [201] * 2 + [401] * 6
            late = await initial_token(world, lifetime_s=60)
            world.clock.advance(60)
            assert (await post(world, late, METADATA)).status == 401

    run(story())


def test_an_operator_ends_an_initial_access_token(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            token = await initial_token(world)
            [listed] = await world.store.initial_tokens()
            assert await world.store.end_initial_token(listed.token_id)
            assert (await post(world, token, METADATA)).status == 401
            assert not await world.store.end_initial_token("nobody")

    run(story())


@pytest.mark.parametrize(
    ("changes", "error", "description"),
    [
        ({"redirect_uris": ["https://courses.example/cb#x"]}, "invalid_redirect_uri", "redirect_uris: fragment"),
        ({"redirect_uris": []}, "invalid_redirect_uri", "redirect_uris: missing"),
        ({"redirect_uris": None}, "invalid_redirect_uri", "redirect_uris: missing"),
        ({"redirect_uris": "https://a.example/"}, "invalid_redirect_uri", "redirect_uris: array"),
        ({"redirect_uris": ["http://127.0.0.1:8000/cb"]}, "invalid_redirect_uri", "redirect_uris: web_https"),
        ({"redirect_uris": ["cn.edu.app:/cb"], "token_endpoint_auth_method": "none"}, "invalid_redirect_uri", ""),
        ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri", ""),
        ({"redirect_uris": ["https://[::1/cb"]}, "invalid_redirect_uri", ""),
        ({"redirect_uris": ["https://[::1/cb"], "client_name": None}, "invalid_redirect_uri", ""),
        (
            {"post_logout_redirect_uris": ["http://127.0.0.1/x"]},
            "invalid_client_metadata",
            "post_logout_redirect_uris:",
        ),
        ({"backchannel_logout_uri": "http://127.0.0.1/x"}, "invalid_client_metadata", "backchannel_logout_uri:"),
        ({"response_types": ["code", "id_token"]}, "invalid_client_metadata", "response_types: unknown_value"),
        ({"response_types": ["token"]}, "invalid_client_metadata", "response_types: unknown_value"),
        ({"grant_types": ["implicit"]}, "invalid_client_metadata", "grant_types: unknown_value"),
        ({"grant_types": ["client_credentials"]}, "invalid_client_metadata", "grant_types: policy"),
        ({"grant_types": ["refresh_token"]}, "invalid_client_metadata", ""),
        ({"application_type": "desktop"}, "invalid_client_metadata", "application_type: unknown_value"),
        ({"token_endpoint_auth_method": "client_secret_jwt"}, "invalid_client_metadata", "token_endpoint_auth_method"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata", "jwks: missing"),
        ({"id_token_signed_response_alg": "none"}, "invalid_client_metadata", "id_token_signed_response_alg"),
        ({"id_token_encrypted_response_alg": "RSA-OAEP-256"}, "invalid_client_metadata", "not_offered"),
        ({"dpop_bound_access_tokens": True}, "invalid_client_metadata", "not_offered"),
        ({"subject_type": "public"}, "invalid_client_metadata", "subject_type: policy"),
        ({"scope": "openid edu"}, "invalid_client_metadata", "scope: policy"),
        ({"client_uri": "https://elsewhere.example/"}, "invalid_client_metadata", "client_uri: other_host"),
        ({"logo_uri": "https://elsewhere.example/logo.png"}, "invalid_client_metadata", "logo_uri: other_host"),
        ({"policy_uri": "javascript:alert(1)"}, "invalid_client_metadata", "policy_uri: "),
        ({"client_name": "x" * 61}, "invalid_client_metadata", "name"),
        ({"client_name": 5}, "invalid_client_metadata", "client_name: text"),
        ({"jwks": {"keys": [{"kty": "oct", "k": "AAAA"}]}}, "invalid_client_metadata", "secret_in_public_set"),
        ({"jwks": 5}, "invalid_client_metadata", "jwks: object"),
        ({"software_statement": "a.b.c"}, "invalid_software_statement", "software_statement: not_trusted"),
        ({"client_id": "learning"}, "invalid_client_metadata", "client_id: not_chosen"),
        ({"client_secret": "s" * 43}, "invalid_client_metadata", "client_id: not_chosen"),
        (
            {"redirect_uris": ["https://a.example/cb", "https://b.example/cb"]},
            "invalid_client_metadata",
            "sector_identifier: several_hosts",
        ),
    ],
)
def test_rfc7591_3_2_2_a_registration_is_refused_by_error_and_reason(
    opened: OpenWorld, run: Run, changes: dict[str, Any], error: str, description: str
) -> None:
    async def story() -> None:
        async with opened() as world:
            found = await refused(world, **changes)
            assert found[0] == error
            assert description in found[1], found

    run(story())


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a":1,"a":2}', b"\xff", b"5", b'{"x":' + b"[" * 200 + b"}"])
def test_a_body_that_is_no_json_object_is_refused(opened: OpenWorld, run: Run, body: bytes) -> None:
    async def story() -> None:
        async with opened() as world:
            answer = await post(world, await initial_token(world), body)
            assert (answer.status, answer.json()["error"]) == (400, "invalid_client_metadata")

    run(story())


def test_other_media_types_and_long_bodies_are_refused(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            token = await initial_token(world)
            typed = await post(world, token, METADATA, **{"content-type": "application/x-www-form-urlencoded"})
            assert typed.json()["error_description"] == "media_type"
            long = await post(world, token, {**METADATA, "note": "x" * 70_000})
            assert long.json()["error_description"] == "too_long"

    run(story())


def test_rfc7591_2_metadata_that_are_not_understood_are_ignored(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            body = await registered(
                world, scope="openid mail.read", software_id="x", request_uris=["https://a.example/"]
            )
            assert body["scope"] == "openid"
            assert not {"software_id", "request_uris"} & body.keys()

    run(story())


def test_oidc_registration_2_require_auth_time_and_defaults_are_kept(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            body = await registered(
                world, default_max_age=3600, default_acr_values=["urn:edutrust:acr:2"], require_auth_time=False
            )
            assert (body["default_max_age"], body["require_auth_time"]) == (3600, True)
            client = await world.client(body["client_id"])
            assert (client.default_max_age, client.default_acr_values) == (3600, (Acr.TWO,))

    run(story())


def test_a_native_application_is_public_and_may_have_a_loopback_or_private_scheme(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            body = await registered(
                world,
                application_type="native",
                token_endpoint_auth_method="none",
                redirect_uris=["cn.edu.courses:/callback"],
            )
            assert "client_secret" not in body
            assert "client_secret_expires_at" not in body
            assert (await world.client(body["client_id"])).public
            loopback = ["http://127.0.0.1:7000/cb"]
            unnamed: dict[str, Any] = {"client_name": None, "client_name#zh-CN": None}
            nameless = await registered(world, application_type="native", redirect_uris=loopback, **unnamed)
            assert nameless["client_name"] == "127.0.0.1"

    run(story())


def test_keys_of_other_uses_are_left_out_and_rsa_keys_need_no_alg(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            from_rsa = {
                name: value for name, value in key_of("r", Alg.RS256).public.jwk.items() if name in {"kty", "n", "e"}
            }
            keys = [
                {**from_rsa, "kid": "one", "x5t": "AAAA", "x5c": ["AAAA"]},
                {**from_rsa, "kid": "two", "use": "enc"},
                {"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA", "kid": "three"},
            ]
            body = await registered(world, token_endpoint_auth_method="private_key_jwt", jwks={"keys": keys})
            [key] = body["jwks"]["keys"]
            assert (key["kid"], key["alg"]) == ("one", "RS256")
            assert "client_secret" not in body

    run(story())


def test_oidc_core_8_1_the_sector_document_lists_every_redirect_uri(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            uris = ["https://a.example/cb", "https://b.example/cb"]
            address = "https://sector.example/uris.json"
            changes: dict[str, Any] = {"redirect_uris": uris, "sector_identifier_uri": address}
            absent = ("invalid_client_metadata", "sector_identifier_uri: not_fetched")
            assert await refused(world, **changes) == absent
            for document in (uris[:1], {"uris": uris}, b"[", [*uris[:1], "https://b.example/CB"]):
                world.web.publish(address, document)
                assert "sector_identifier_uri" in (await refused(world, **changes))[1]
            world.web.publish(address, [*uris, "https://c.example/"])
            body = await registered(world, **changes)
            assert (await world.client(body["client_id"])).sector_identifier == "sector.example"
            assert body["sector_identifier_uri"] == address

    run(story())


def test_rfc7592_2_1_a_client_reads_its_registration_with_its_own_token(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            body = await registered(world)
            answer = await manage(world, "GET", body)
            assert answer.status == 200
            assert answer.headers["cache-control"] == "no-store"
            shown = answer.json()
            assert shown == {
                name: value for name, value in body.items() if name not in {"client_secret", "client_secret_expires_at"}
            }
            for wrong in ("ra_" + "x" * 43, await initial_token(world), "x"):
                answer = await manage(world, "GET", body, token=wrong)
                assert (answer.status, answer.json()["error"]) == (401, "invalid_token")
            for nobody in ("nobody", "%00", "%ff", "%E5%AD%A6", "a" * 2000, "d-%22%27--", ".."):
                answer = await send(world, "GET", f"/register/{nobody}", body["registration_access_token"])
                assert answer.status in {401, 404}, nobody
            assert (await send(world, "GET", "/register/learning", body["registration_access_token"])).status == 401

    run(story())


def test_rfc7592_2_2_an_update_replaces_everything_and_the_token_is_new(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            body = await registered(world, default_max_age=60)
            new = ["https://courses.example/other"]
            answer = await manage(
                world, "PUT", body, document=told(body, redirect_uris=new, default_max_age=None, contacts=None)
            )
            assert answer.status == 200, answer.text
            changed = answer.json()
            assert changed["redirect_uris"] == new
            assert not {"default_max_age", "contacts", "client_secret"} & changed.keys()
            assert changed["client_id_issued_at"] == body["client_id_issued_at"]
            assert changed["registration_access_token"] != body["registration_access_token"]
            assert (await manage(world, "GET", body)).status == 401  # the token from before
            assert (await manage(world, "GET", changed)).status == 200
            client = await world.client(body["client_id"])
            assert (client.redirect_uris, client.default_max_age) == (tuple(new), None)
            asked = authorization(body["client_id"], redirect_uri=METADATA["redirect_uris"][0])
            assert (await world.browser().get("/authorize", **asked)).status == 400  # the URI from before
            # the secret is the one it had
            token = await world.token(
                {"grant_type": "refresh_token", "refresh_token": "rt_" + "x" * 43},
                authorization=basic(body["client_id"], body["client_secret"]),
            )
            assert token.json()["error"] == "invalid_grant"

    run(story())


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "learning"},
        {"client_id": None},
        {"client_secret": "s" * 43},
        {"client_secret": 5},
        {"registration_access_token": "x"},
        {"registration_client_uri": "x"},
        {"client_secret_expires_at": 0},
        {"client_id_issued_at": 0},
        {"redirect_uris": ["https://courses.example/cb#x"]},
    ],
)
def test_rfc7592_2_2_an_update_is_refused_whole(opened: OpenWorld, run: Run, changes: dict[str, Any]) -> None:
    async def story() -> None:
        async with opened() as world:
            body = await registered(world)
            before = await world.client(body["client_id"])
            answer = await manage(world, "PUT", body, document=told(body, **changes))
            assert answer.status == 400, answer.text
            assert await world.client(body["client_id"]) == before
            assert (await manage(world, "GET", body)).status == 200  # and the token is still the one it was

    run(story())


def test_of_two_updates_at_once_one_succeeds(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            body = await registered(world)
            documents = [told(body, redirect_uris=[f"https://courses.example/{n}"]) for n in range(8)]
            answers = await asyncio.gather(*(manage(world, "PUT", body, document=one) for one in documents))
            assert sorted(answer.status for answer in answers) == [200] + [401] * 7

    run(story())


def test_a_client_that_changes_to_a_secret_gets_one_and_one_that_leaves_it_loses_it(
    opened: OpenWorld, run: Run
) -> None:
    async def story() -> None:
        async with opened() as world:
            body = await registered(world)
            keys = {"keys": [dict(key_of("courses", Alg.ES256).public.jwk)]}
            keyed = told(body, token_endpoint_auth_method="private_key_jwt", jwks=keys, client_secret=None)
            answer = (await manage(world, "PUT", body, document=keyed)).json()
            assert "client_secret" not in answer
            assert (await world.client(body["client_id"])).secret_hash is None
            back = told(answer, token_endpoint_auth_method="client_secret_post", jwks=None)
            again = (await manage(world, "PUT", answer, document=back)).json()
            assert again["client_secret"] != body["client_secret"]

    run(story())


def test_rfc7592_2_3_a_deleted_client_is_gone_with_its_tokens_and_consents(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            body = await registered(world)
            client_id, callback = body["client_id"], METADATA["redirect_uris"][0]
            browser = world.browser()
            code = await world.code(browser, client_id, redirect_uri=callback, scope="openid profile offline_access")
            form = {"grant_type": "authorization_code", "code": code, "redirect_uri": callback}
            credentials = basic(client_id, body["client_secret"])
            tokens = await world.token({**form, "code_verifier": "v" * 64}, client_id, authorization=credentials)
            access = tokens.json()["access_token"]
            assert (await world.userinfo(access)).status == 200
            answer = await manage(world, "DELETE", body)
            assert (answer.status, answer.content) == (204, b"")
            assert (await world.userinfo(access)).status == 401
            assert await world.store.client(client_id) is None
            assert await world.store.consents_of(world.people["lin"]) == ()
            assert (await manage(world, "GET", body)).status == 401
            assert (await manage(world, "DELETE", body)).status == 401
            assert (await world.token(form, client_id, authorization=credentials)).json()["error"] == "invalid_client"
            assert "idp.client.deleted" in world.trail.actions()

    run(story())


def test_what_the_operator_registers_over_it_can_no_longer_be_changed_by_it(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            body = await registered(world)
            await world.register(
                {
                    "client_id": body["client_id"],
                    "client_name": "Taken over",
                    "redirect_uris": ["https://over.example/"],
                    "client_secret": "s" * 43,
                }
            )
            assert (await manage(world, "GET", body)).status == 401
            assert (await world.client(body["client_id"])).origin is ClientOrigin.STATIC

    run(story())


def test_a_change_of_a_client_is_seen_at_once_by_the_process_that_made_it(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            body = await registered(world)
            assert (await world.client(body["client_id"])).state is ClientState.ACTIVE
            await world.store.set_client_state(body["client_id"], ClientState.DISABLED, world.clock())
            assert (await world.client(body["client_id"])).state is ClientState.DISABLED

    run(story())


def test_discovery_names_the_registration_endpoint(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            document = (await world.browser().get("/.well-known/openid-configuration")).json()
            assert document["registration_endpoint"] == f"{ISSUER}/register"
            assert json.dumps(document)

    run(story())
