"""One running command for all client libraries, and the registrations they use."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from joserfc.jwk import ECKey

from tests.protocol.clients import guide, programs
from tests.protocol.clients.service import Service, serving
from tests.protocol.conformance.person import Person

SECRET = "Zq3vXo9cT1mK7bWd5RyLh2PsNf8UaGj4EiVxB6tQ0wM"
CALLBACK = "http://127.0.0.1:19090/callback"
SIGNED_OUT = "http://127.0.0.1:19090/signed-out"
KEY = ECKey.generate_key("P-256")


def registration(client_id: str, **changes: object) -> dict[str, object]:
    """Return an ordinary platform as a static file names it."""
    client: dict[str, object] = {
        "client_id": client_id,
        "name_zh": "客户端库",
        "name_en": "A client library",
        "redirect_uris": [CALLBACK],
        "post_logout_redirect_uris": [SIGNED_OUT],
        "client_secret": SECRET,
        "grant_types": ["authorization_code", "refresh_token"],
        "id_token_signed_response_alg": "ES256",
        "scopes_required": ["openid", "profile"],
        "scopes_optional": ["edu", "offline_access"],
        **changes,
    }
    return {name: value for name, value in client.items() if value is not None}


def keyed(client_id: str, **changes: object) -> dict[str, object]:
    """Return a platform that authenticates with its key."""
    jwks = {"keys": [{**KEY.as_dict(private=False), "alg": "ES256"}]}
    method: dict[str, Any] = {"client_secret": None, "token_endpoint_auth_method": "private_key_jwt", "jwks": jwks}
    return registration(client_id, **{**method, **changes})


def private_key() -> str:
    """Return the key of the keyed clients as PKCS#8 in base64, as WebCrypto imports it."""
    return base64.b64encode(KEY.as_der(private=True)).decode()


NATIONAL_KEY = "da5decce1984b20490dc12e7aa970d8b3ab12810df5bfbc3b8d78a3ad06d5bf5"
"""SM3 of `edutrust profile vector: jose`, as in docs/profiles/jose-sm2.md: anybody can make it."""


def national() -> dict[str, object]:
    """Return the platform of the national profile; its public key is the vector's."""
    document = (guide.DOCS / "profiles" / "jose-sm2.md").read_text("utf-8")
    vector = json.loads(document.partition("<!-- vector: signature -->\n```json\n")[2].partition("```")[0])
    assert vector["private_key"] == NATIONAL_KEY
    return keyed(
        "my-national-platform",
        jwks={"keys": [vector["public_jwk"]]},
        token_endpoint_auth_signing_alg="SGD_SM3_SM2",
        id_token_signed_response_alg="SGD_SM3_SM2",
        access_token_format="jwt",
    )


CLIENTS = [
    *json.loads(guide.registration().replace("http://127.0.0.1:19090", guide.PLATFORM)),
    registration("lib-authlib"),
    registration("lib-post", token_endpoint_auth_method="client_secret_post", id_token_signed_response_alg="RS256"),
    registration("lib-openid-client"),
    keyed("lib-openid-client-key"),
    keyed("lib-authlib-key"),
    registration("lib-oauth4webapi", require_pushed_authorization_requests=True),
    national(),
    registration(
        "lib-device",
        redirect_uris=None,
        post_logout_redirect_uris=None,
        grant_types=["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"],
    ),
    registration("lib-public", client_secret=None, token_endpoint_auth_method="none"),
]


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run the command, once."""
    with serving(tmp_path_factory.mktemp("clients"), CLIENTS) as started:
        yield started


@pytest.fixture
def service(served: Service) -> Iterator[Service]:
    """Return the running service; what the test opened to it is closed at its end."""
    yield served
    served.live.close_clients()


@pytest.fixture
def person(service: Service) -> Person:
    """Return a person at a fresh browser."""
    return Person(service.live)


@pytest.fixture(scope="session")
def node_program() -> str:
    """Return the Node.js to run, the libraries installed."""
    programs.install()
    return programs.node().node
