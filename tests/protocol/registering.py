"""A platform that registers itself: the operator's gift, and the four requests."""

from __future__ import annotations

import json
import secrets
from typing import Any

from idp.clients.registration_tokens import InitialToken, initial_token_digest, new_initial_token
from tests.protocol.world import Answer, World, _answer

METADATA: dict[str, Any] = {
    "redirect_uris": ["https://courses.example/callback"],
    "client_name": "Courses of Lin",
    "client_name#zh-CN": "林家课堂",
    "grant_types": ["authorization_code", "refresh_token"],
    "contacts": ["dev@courses.example"],
}


async def initial_token(world: World, *, policy: str = "standard", uses: int = 5, lifetime_s: int = 3600) -> str:
    """Give an initial access token away."""
    token = new_initial_token(secrets.token_bytes)
    given = InitialToken(secrets.token_hex(4), policy, uses, world.clock() + lifetime_s, "a test")
    await world.store.add_initial_token(given, initial_token_digest(token), world.clock())
    return token


async def post(world: World, token: str | None, document: object, **headers: str) -> Answer:
    """POST a document to `/register`."""
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    return await send(world, "POST", "/register", token, content, **headers)


async def send(
    world: World, method: str, path: str, token: str | None, content: bytes | None = None, **headers: str
) -> Answer:
    """Send one request of a program."""
    bearer = {} if token is None else {"authorization": f"Bearer {token}"}
    typed = {} if content is None else {"content-type": "application/json"}
    return _answer(
        await world.browser().http.request(method, path, content=content, headers={**typed, **bearer, **headers})
    )


async def registered(world: World, token: str | None = None, **changes: Any) -> dict[str, Any]:
    """Register an ordinary platform; `changes` replace members, None removes one."""
    document = {name: value for name, value in {**METADATA, **changes}.items() if value is not None}
    answer = await post(world, token or await initial_token(world), document)
    assert answer.status == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def refused(world: World, /, **changes: Any) -> tuple[str, str]:
    """Register what is refused; return the error and its description."""
    document = {name: value for name, value in {**METADATA, **changes}.items() if value is not None}
    answer = await post(world, await initial_token(world), document)
    assert answer.status == 400, answer.text
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    return body["error"], body.get("error_description", "")


async def manage(
    world: World, method: str, body: dict[str, Any], *, token: str | None = None, document: object = None
) -> Answer:
    """Call the client configuration endpoint the server named, with the token it gave or another one."""
    path = f"/register/{body['client_id']}"
    assert body["registration_client_uri"].endswith(path)
    content = None if document is None else json.dumps(document).encode()
    return await send(world, method, path, token or body["registration_access_token"], content)


def told(body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return what a client sends back to change its registration (RFC 7592 §2.2)."""
    ours = {
        "registration_access_token",
        "registration_client_uri",
        "client_secret_expires_at",
        "client_id_issued_at",
    }
    kept = {name: value for name, value in body.items() if name not in ours}
    return {name: value for name, value in {**kept, **changes}.items() if value is not None}
