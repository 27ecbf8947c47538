"""The members of RFC 7591 and the OpenID Connect registrations: kept as given, refused by field and rule."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from adapters.sql.idp_access import SqlAccessStore
from crypto.errors import TrustError
from crypto.suites import Alg
from idp.clients.model import ClientOrigin, GrantType
from idp.clients.registration import parse_client
from idp.model import Acr
from tests.idp.clients.assertions import keyed
from tests.idp.registry.people import REGION
from tests.protocol.world import OpenWorld, registration

Run = Callable[[Coroutine[Any, Any, None]], None]
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
FULL: dict[str, Any] = {
    "backchannel_logout_session_required": True,
    "frontchannel_logout_uri": "https://full.example/front?x=1",
    "frontchannel_logout_session_required": True,
    "sector_identifier_uri": "https://sector.example/uris.json",
    "userinfo_signed_response_alg": "SGD_SM3_SM2",
    "require_nonce": True,
    "resources": ["https://api.example/v1", "urn:example:courses"],
    "default_max_age": 0,
    "default_acr_values": ["urn:edutrust:acr:2", "urn:edutrust:acr:1"],
    "require_auth_time": False,
    "logo_uri": "https://full.example/logo.png",
    "policy_uri": "https://full.example/policy",
    "tos_uri": "https://full.example/terms",
    "contacts": ["dev@full.example"],
}
LATER = {*FULL, "jwks_uri", "origin", "owner"} - {"require_auth_time"}


def test_every_member_is_kept_and_comes_back_from_the_store(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            document = registration("full", **FULL)
            await world.register(document)
            client = await world.client("full")
            assert client == parse_client(document)
            assert client.default_acr_values == (Acr.TWO, Acr.ONE)
            assert client.default_max_age == 0
            assert client.userinfo_signed_response_alg is Alg.SGD_SM3_SM2
            assert client.sector_identifier == "sector.example"
            assert client.resources == ("https://api.example/v1", "urn:example:courses")
            assert client.require_auth_time
            assert (client.origin, client.owner) == (ClientOrigin.STATIC, None)

    run(story())


def test_a_registration_written_before_these_members_is_still_read(opened: OpenWorld, run: Run) -> None:
    async def story() -> None:
        async with opened() as world:
            for client_id, nonce in (("learning", False), ("exempt", True)):
                before = await world.client(client_id)
                assert before.require_nonce is nonce
                row = await world.db.fetch_one("SELECT registration FROM client WHERE client_id = $1", client_id)
                assert row is not None
                stored = {name: value for name, value in json.loads(row["registration"]).items() if name not in LATER}
                await world.db.execute(
                    "UPDATE client SET registration = $2 WHERE client_id = $1", client_id, json.dumps(stored)
                )
                # a store of its own: this one remembers what it read a moment ago
                assert await SqlAccessStore(world.db, region=REGION).client(client_id) == before

    run(story())


def test_a_nonce_is_required_where_pkce_is_not_unless_both_are_given_up() -> None:
    assert not parse_client(registration()).require_nonce
    assert parse_client(registration(require_pkce=False)).require_nonce
    assert not parse_client(registration(require_pkce=False, require_nonce=False)).require_nonce


def test_a_device_needs_no_redirect_uri_and_asks_for_scopes_of_people() -> None:
    bare = {"redirect_uris": None, "grant_types": [DEVICE, "refresh_token"], "post_logout_redirect_uris": None}
    client = parse_client(registration("device", **bare))
    assert client.grant_types == {GrantType.DEVICE_CODE, GrantType.REFRESH_TOKEN}
    assert "edu" in client.scopes
    assert client.sector_identifier == "device.invalid"
    with pytest.raises(TrustError):
        parse_client(registration(grant_types=[DEVICE]))  # redirect URIs that no grant uses


def test_keys_by_address_take_the_place_of_keys_in_the_document() -> None:
    uri = "https://robot.example/keys"
    client = parse_client(keyed("robot", jwks=None, jwks_uri=uri, token_endpoint_auth_signing_alg="ES256"))
    assert (client.jwks_uri, client.jwks) == (uri, ())
    with pytest.raises(TrustError) as refused:
        parse_client(keyed("robot", Alg.ES256, jwks_uri=uri))
    assert (refused.value.field, refused.value.rule) == ("jwks_uri", "two_ways")


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"backchannel_logout_session_required": "true"}, "backchannel_logout_session_required", "boolean"),
        ({"frontchannel_logout_session_required": 1}, "frontchannel_logout_session_required", "boolean"),
        ({"frontchannel_logout_uri": "https://other.example/front"}, "frontchannel_logout_uri", "origin"),
        ({"frontchannel_logout_uri": "https://learning.example:8443/x"}, "frontchannel_logout_uri", "origin"),
        ({"sector_identifier_uri": "http://127.0.0.1/x"}, "sector_identifier_uri", "https"),
        (
            {"sector_identifier": "a.example", "sector_identifier_uri": "https://a.example/x"},
            "sector_identifier",
            "two_ways",
        ),
        ({"sector_identifier_uri": "https://[::1/"}, "sector_identifier_uri", "malformed"),
        ({"jwks_uri": "http://127.0.0.1/x"}, "jwks_uri", "https"),
        ({"userinfo_signed_response_alg": "none"}, "userinfo_signed_response_alg", "unknown_value"),
        ({"userinfo_signed_response_alg": "PS256"}, "userinfo_signed_response_alg", "not_offered"),
        ({"id_token_signed_response_alg": "EdDSA"}, "id_token_signed_response_alg", "not_offered"),
        ({"resources": ["https://api.example/#x"]}, "resources", "fragment"),
        ({"resources": ["/courses"]}, "resources", "scheme"),
        ({"resources": ["urn:Example:courses"]}, "resources", "malformed"),
        ({"resources": ["javascript:x"]}, "resources", "scheme"),
        ({"resources": "https://api.example/"}, "resources", "array"),
        ({"require_nonce": "no"}, "require_nonce", "boolean"),
        ({"require_auth_time": 0}, "require_auth_time", "boolean"),
        ({"default_max_age": -1}, "default_max_age", "number"),
        ({"default_max_age": True}, "default_max_age", "number"),
        ({"default_max_age": "60"}, "default_max_age", "number"),
        ({"default_max_age": 10**12}, "default_max_age", "number"),
        ({"default_acr_values": ["urn:x"]}, "default_acr_values", "unknown_value"),
        ({"default_acr_values": ["urn:edutrust:acr:1"] * 2}, "default_acr_values", "array"),
        ({"logo_uri": "data:image/png;base64,AA"}, "logo_uri", "scheme"),
        ({"policy_uri": "javascript:alert(1)"}, "policy_uri", "scheme"),
        ({"tos_uri": "http://tos.example/"}, "tos_uri", "plain_http"),
        ({"contacts": ["nobody"]}, "contacts", "form"),
        ({"contacts": ["a@b\u202e.example"]}, "contacts", "form"),
        ({"contacts": ["x" * 250 + "@a.example"]}, "contacts", "form"),
        ({"owner": "1999999999999999"}, "owner", "unknown_member"),
        ({"origin": "static"}, "origin", "unknown_member"),
        ({"state": "active"}, "state", "unknown_member"),
    ],
)
def test_a_member_is_refused_by_field_and_rule(changes: dict[str, Any], field: str, rule: str) -> None:
    with pytest.raises(TrustError) as refused:
        parse_client(registration(**changes))
    assert (refused.value.field, refused.value.rule) == (field, rule)
