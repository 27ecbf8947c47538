"""Clients with keys: their keys, made once a run, their registrations, and the assertions they sign."""

from __future__ import annotations

import json
from functools import cache
from itertools import count
from typing import Any

from crypto.encoding import b64u_encode
from crypto.keys import SigningKey, generate_signing_key
from crypto.sm2 import select_backend
from crypto.suites import Alg
from tests.protocol.world import ISSUER, Answer, World, registration

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SERVICE_SCOPES = ["roster.read", "roster.write"]
_serial = count()


@cache
def key_of(owner: str, alg: Alg) -> SigningKey:
    """Return the key of a client, the same at every call."""
    assert owner
    return generate_signing_key(alg, backend=select_backend(("libcrypto",)))


def keyed(client_id: str, *algorithms: Alg, **changes: Any) -> dict[str, object]:
    """Return a client that authenticates by `private_key_jwt` and may act for itself."""
    keys = [dict(key_of(client_id, alg).public.jwk) for alg in algorithms]
    base: dict[str, Any] = {
        "client_secret": None,
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": keys},
        "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
        "scopes_client": SERVICE_SCOPES,
    }
    return registration(client_id, **{**base, **changes})


def claims_for(world: World, client_id: str, **changes: Any) -> dict[str, Any]:
    """Return the claims of a good assertion; `changes` replace claims, None removes one."""
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": ISSUER,
        "iat": world.clock(),
        "exp": world.clock() + 60,
        "jti": f"jti-{next(_serial)}",
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


def signed(key: SigningKey, claims: dict[str, Any], **header: Any) -> str:
    """Sign as a client's own library would, with any header at all; a header None is left out."""
    head = {"alg": key.alg.value, "kid": key.kid, "typ": "JWT", **header}
    head = {name: value for name, value in head.items() if value is not None}
    text = ".".join(b64u_encode(json.dumps(part).encode()) for part in (head, claims))
    return f"{text}.{b64u_encode(key.sign(text.encode()))}"


def assertion(world: World, client_id: str, alg: Alg = Alg.ES256, **changes: Any) -> str:
    """Return a good assertion of a client, its claims changed as told."""
    return signed(key_of(client_id, alg), claims_for(world, client_id, **changes))


def asserting(token: str, /, **form: Any) -> dict[str, Any]:
    """Return a form that authenticates with an assertion."""
    return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": token, **form}


async def ask(world: World, token: str, /, **form: Any) -> Answer:
    """Ask for a token of the client itself, authenticated by an assertion alone."""
    sent = asserting(token, **{"grant_type": "client_credentials", **form})
    return await world.browser().post("/token", {name: value for name, value in sent.items() if value is not None})
