"""The national profile, verified by others: gmssl in Python and the openssl command, none of them code of ours."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from functools import cache
from typing import Any

import pytest
from gmssl.sm3 import sm3_hash

from tests.protocol.clients import guide
from tests.protocol.clients.conftest import CALLBACK, NATIONAL_KEY
from tests.protocol.clients.programs import came_back
from tests.protocol.clients.service import Service
from tests.protocol.conformance.person import Person

SAMPLES = guide.SAMPLES / "national"
PROFILE = (guide.DOCS / "profiles" / "oidc-national.md").read_text("utf-8")


def signed_in(service: Service, person: Person) -> dict[str, Any]:
    """Run the sample, and be its person at the browser."""
    settings = {"CLIENT_ID": "my-national-platform", "CLIENT_KEY": NATIONAL_KEY, "REDIRECT_URI": CALLBACK}
    process = subprocess.Popen(
        [sys.executable, str(SAMPLES / "sign_in.py")],
        env={**service.environment, **settings},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    said, complaints = process.communicate(came_back(person, address) + "\n", timeout=120)
    assert process.returncode == 0, complaints
    found: dict[str, Any] = json.loads(said)
    return found


def by_openssl(token: str, key: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(SAMPLES / "verify.sh"), token, key["x"], key["y"]]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_platform_signs_in_with_sm2_alone_and_gmssl_and_openssl_verify_its_id_token(
    service: Service, person: Person
) -> None:
    said = signed_in(service, person)
    assert said["header"]["alg"] == "SGD_SM3_SM2"
    assert said["claims"]["aud"] == "my-national-platform"
    assert said["userinfo"]["nickname"] == "Test lin"
    published = service.live.client().get(f"{service.issuer}/jwks/national").json()["keys"]
    [key] = [key for key in published if key["kid"] == said["header"]["kid"]]
    assert by_openssl(said["token"], key).stdout == "Verified OK\n"
    # One letter of the claims changed, and it is no signature any more.
    head, body, signature = said["token"].split(".")
    altered = f"{head}.{'f' if body[0] == 'e' else 'e'}{body[1:]}.{signature}"
    refused = by_openssl(altered, key)
    assert refused.returncode != 0
    assert "Verified OK" not in refused.stdout


def test_sm2_keys_stand_at_their_own_address_and_at_no_other(service: Service) -> None:
    http = service.live.client()
    metadata = http.get(f"{service.issuer}/.well-known/openid-configuration").json()
    curves = {
        name: {key.get("crv") for key in http.get(metadata[name]).json()["keys"]}
        for name in ("jwks_uri", "national_jwks_uri")
    }
    assert curves["national_jwks_uri"] == {"sm2p256v1"}
    assert "sm2p256v1" not in curves["jwks_uri"]
    for list_name in ("id_token_signing_alg_values_supported", "token_endpoint_auth_signing_alg_values_supported"):
        assert "SGD_SM3_SM2" in metadata[list_name]


@cache
def worked_example() -> dict[str, str]:
    found: dict[str, str] = json.loads(PROFILE.partition("<!-- vector: at_hash -->\n```json\n")[2].partition("```")[0])
    return found


def test_the_worked_example_of_at_hash_is_right() -> None:
    example = worked_example()
    digest = bytes.fromhex(sm3_hash(list(example["access_token"].encode())))
    assert (example["sm3"], example["left_half"]) == (digest.hex(), digest[:16].hex())
    assert example["at_hash"] == base64.urlsafe_b64encode(digest[:16]).rstrip(b"=").decode()


@pytest.mark.parametrize("member", re.findall(r'^  "(\w+)":', PROFILE, flags=re.MULTILINE))
def test_the_registration_of_the_profile_has_members_there_are(member: str) -> None:
    from idp.clients.registration import MEMBERS

    assert member in MEMBERS
