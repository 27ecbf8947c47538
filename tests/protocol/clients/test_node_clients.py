"""`openid-client` and `oauth4webapi` from npm sign in, refresh, revoke and sign out, as their authors publish them."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.protocol.clients import programs
from tests.protocol.clients.conftest import CALLBACK, CLIENTS, SECRET, SIGNED_OUT, private_key
from tests.protocol.clients.service import EDUTRUST, Service, serving
from tests.protocol.conformance.person import Person

ADDRESSES = {"REDIRECT_URI": CALLBACK, "SIGNED_OUT": SIGNED_OUT}


def check_person(said: dict[str, Any], issuer: str, client_id: str) -> None:
    claims = said["claims"]
    assert (claims["iss"], claims["aud"]) == (issuer, client_id)
    assert said["userinfo"]["sub"] == claims["sub"] == said["renewed"]
    assert said["userinfo"]["nickname"] == "Test lin"
    assert said["out"] == f"{SIGNED_OUT}?state=bye"


@pytest.mark.parametrize(
    ("client_id", "credential"),
    [
        ("lib-openid-client", {"CLIENT_SECRET": SECRET}),
        ("lib-openid-client-key", {"CLIENT_KEY": private_key()}),
        ("lib-public", {}),
    ],
    ids=["client_secret_basic", "private_key_jwt", "none"],
)
def test_openid_client_signs_in_refreshes_revokes_and_signs_out(
    service: Service, person: Person, node_program: str, client_id: str, credential: dict[str, str]
) -> None:
    settings = {**ADDRESSES, "CLIENT_ID": client_id, "ID_TOKEN_ALG": "ES256", **credential}
    said = programs.talk(service, [node_program, "openid-client.mjs"], settings, person)
    check_person(said, service.issuer, client_id)
    assert said["iss"] == service.issuer  # RFC 9207: the library has compared it
    assert "offline_access" in said["scope"]  # the test's person ticks every box
    assert said["refused"] == "invalid_grant"
    if credential:
        assert said["before"]["active"] is True
        assert said["after"] == {"active": False}


def test_oauth4webapi_signs_in_with_a_pushed_request(service: Service, person: Person, node_program: str) -> None:
    settings = {**ADDRESSES, "CLIENT_ID": "lib-oauth4webapi", "CLIENT_SECRET": SECRET, "ID_TOKEN_ALG": "ES256"}
    said = programs.talk(service, [node_program, "oauth4webapi-par.mjs"], settings, person)
    check_person(said, service.issuer, "lib-oauth4webapi")
    assert said["same"] is True
    assert said["expires_in"] == 60
    assert said["after"] == {"active": False}


def test_openid_client_signs_a_device_in(service: Service, person: Person, node_program: str) -> None:
    settings = {"CLIENT_ID": "lib-device", "CLIENT_SECRET": SECRET, "ID_TOKEN_ALG": "ES256"}
    said = programs.talk(service, [node_program, "openid-client-device.mjs"], settings, person)
    assert said["claims"]["aud"] == "lib-device"
    assert said["userinfo"]["nickname"] == "Test lin"
    assert said["verification_uri"] == f"{service.issuer}/device"
    assert re.fullmatch(r"[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", said["user_code"])


def test_openid_client_registers_itself_signs_in_and_deregisters(
    service: Service, person: Person, node_program: str
) -> None:
    made = subprocess.run(
        [*EDUTRUST, "clients", "initial-token", "--policy", "trial", "--json", "--data-dir", str(service.data_dir)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    settings = {"INITIAL_TOKEN": json.loads(made.stdout)["token"], "REDIRECT_URI": CALLBACK}
    said = programs.talk(service, [node_program, "openid-client-register.mjs"], settings, person)
    assert said["claims"]["aud"] == said["client_id"]
    assert said["userinfo"]["nickname"] == "Test lin"
    assert said["read"] == [CALLBACK]
    assert said["removed"] == 204


def test_both_libraries_sign_in_on_postgresql_and_redis(
    tmp_path: Path, postgres_url: str, redis_url: str, node_program: str
) -> None:
    settings = {"EDUTRUST_DATABASE_URL": postgres_url, "EDUTRUST_REDIS_URL": redis_url}
    with serving(tmp_path, CLIENTS, settings=settings) as service:
        for client_id, program in (
            ("lib-openid-client", "openid-client.mjs"),
            ("lib-oauth4webapi", "oauth4webapi-par.mjs"),
        ):
            told = {**ADDRESSES, "CLIENT_ID": client_id, "CLIENT_SECRET": SECRET, "ID_TOKEN_ALG": "ES256"}
            said = programs.talk(service, [node_program, program], told, Person(service.live))
            check_person(said, service.issuer, client_id)
            assert said["after"] == {"active": False}
