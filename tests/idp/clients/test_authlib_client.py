"""An unmodified client library authenticates with its key (RFC 7523): Authlib, told the issuer as audience."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc.jwk import ECKey, RSAKey

from tests.idp.clients.assertions import SERVICE_SCOPES, keyed
from tests.protocol.world import ISSUER, OpenWorld

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.mark.parametrize("alg", ["ES256", "RS256", "PS256"])
def test_authlib_gets_asks_about_and_gives_back_a_token(opened: OpenWorld, run: Run, alg: str) -> None:
    async def story() -> None:
        async with opened() as world:
            key = ECKey.generate_key("P-256") if alg == "ES256" else RSAKey.generate_key(2048)
            jwks = {"keys": [{**key.as_dict(private=False), "alg": alg}]}
            await world.register(keyed("robot", jwks=jwks, token_endpoint_auth_signing_alg=alg))

            async def post(path: str, body: str) -> Any:
                # As the guide says: an hour is Authlib's default life, and with claims given it keeps the `jti` it made.
                claims = {"iat": world.clock(), "exp": world.clock() + 60}
                method = PrivateKeyJWT(ISSUER, claims=claims, alg=alg)
                uri, headers, signed = ClientAuth("robot", key, auth_method=method).prepare(
                    "POST", f"{ISSUER}{path}", {"Content-Type": "application/x-www-form-urlencoded"}, body
                )
                answer = await world.browser().http.post(uri, content=signed, headers=headers)
                assert answer.status_code == 200, answer.text
                return answer.json() if answer.content else None

            token = await post("/token", "grant_type=client_credentials")
            assert token["scope"] == " ".join(SERVICE_SCOPES)
            asked = await post("/introspect", f"token={token['access_token']}")
            assert asked["sub"] == "robot"
            await post("/revoke", f"token={token['access_token']}")
            assert await post("/introspect", f"token={token['access_token']}") == {"active": False}

    run(story())
