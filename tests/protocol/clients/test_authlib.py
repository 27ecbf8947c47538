"""An unmodified Authlib client over requests: everything an ordinary platform does, by the discovery document alone."""

from __future__ import annotations

import secrets
import time
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.protocol.clients.conftest import CALLBACK, KEY, SECRET, SIGNED_OUT
from tests.protocol.clients.programs import came_back
from tests.protocol.clients.service import Service
from tests.protocol.conformance.person import Person

SCOPE = "openid profile edu offline_access"
METHODS = {"lib-authlib": "client_secret_basic", "lib-post": "client_secret_post", "lib-authlib-key": "private_key_jwt"}
ALGORITHMS = {"lib-authlib": "ES256", "lib-post": "RS256", "lib-authlib-key": "ES256"}


def client_of(service: Service, client_id: str) -> Any:
    method = METHODS[client_id]
    client = OAuth2Session(
        client_id,
        KEY if method == "private_key_jwt" else SECRET,
        token_endpoint_auth_method=method,
        revocation_endpoint_auth_method=method,  # the library does not take the one for tokens
        scope=SCOPE,
        redirect_uri=CALLBACK,
        code_challenge_method="S256",
    )
    client.trust_env, client.verify = False, str(service.authority_file)  # the environment may name another bundle
    return client


@pytest.mark.parametrize("client_id", list(METHODS))
def test_authlib_signs_in_refreshes_revokes_and_signs_out(service: Service, person: Person, client_id: str) -> None:
    def signed_anew() -> None:
        # As the guide says: the issuer as audience, five minutes at most, a `jti` for each request.
        if METHODS[client_id] == "private_key_jwt":
            claims = {"exp": int(time.time()) + 60}
            client.register_client_auth_method(PrivateKeyJWT(service.issuer, claims=claims, alg="ES256"))

    with client_of(service, client_id) as client:
        server = client.get(f"{service.issuer}/.well-known/openid-configuration", withhold_token=True).json()
        verifier, nonce = secrets.token_urlsafe(32), secrets.token_urlsafe(16)
        address, state = client.create_authorization_url(
            server["authorization_endpoint"], code_verifier=verifier, nonce=nonce
        )
        back = came_back(person, address)
        assert dict(parse_qsl(urlsplit(back).query))["iss"] == service.issuer
        signed_anew()
        token = client.fetch_token(
            server["token_endpoint"], authorization_response=back, state=state, code_verifier=verifier
        )
        keys = KeySet.import_key_set(client.get(server["jwks_uri"], withhold_token=True).json())
        identity = jwt.decode(token["id_token"], keys, algorithms=[ALGORITHMS[client_id]])
        jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": service.issuer},
            aud={"essential": True, "value": client_id},
            exp={"essential": True},
            nonce={"essential": True, "value": nonce},
        ).validate(identity.claims)
        userinfo = client.get(server["userinfo_endpoint"]).json()
        assert userinfo["sub"] == identity.claims["sub"]
        assert userinfo["nickname"] == "Test lin"

        signed_anew()
        renewed = client.refresh_token(server["token_endpoint"], refresh_token=token["refresh_token"])
        assert renewed["refresh_token"] != token["refresh_token"]
        signed_anew()
        asked = client.introspect_token(server["introspection_endpoint"], token=renewed["access_token"])
        assert asked.json()["active"] is True
        signed_anew()
        assert client.revoke_token(server["revocation_endpoint"], token=renewed["refresh_token"]).status_code == 200
        assert client.get(server["userinfo_endpoint"]).status_code == 401
        signed_anew()
        with pytest.raises(OAuthError, match="invalid_grant"):
            client.refresh_token(server["token_endpoint"], refresh_token=renewed["refresh_token"])

        hint = {"id_token_hint": token["id_token"], "post_logout_redirect_uri": SIGNED_OUT, "state": "bye"}
        out = came_back(person, f"{server['end_session_endpoint']}?{urlencode(hint)}")
        assert out == f"{SIGNED_OUT}?state=bye"
