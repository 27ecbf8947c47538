"""The OpenAPI document names every interface of our own, and the answers are what it says."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.app import PROGRAM_PATHS
from adapters.pages.log_files import LOG_FILE_PATHS
from adapters.pages.openapi import DOCUMENT, OPENAPI_PATH
from idp.clients.registration_tokens import InitialToken, initial_token_digest, new_initial_token
from tests.adapters.json_schema import check, resolved
from tests.protocol.full_service import Service, full_service

Run = Callable[[Coroutine[Any, Any, None]], None]
OPENAPI: dict[str, Any] = json.loads(DOCUMENT.read_text("utf-8"))
METHODS = frozenset({"get", "post", "put", "delete"})
# What the discovery document and the standards describe; the log's files, which C2SP tlog-tiles does.
PROTOCOL = (
    *(path for path in LOG_FILE_PATHS if path != "/log/checkpoint"),
    *("/token", "/revoke", "/introspect", "/par", "/device_authorization", "/userinfo", "/jwks", "/.well-known/"),
)
OPEN_PATHS = {"/log/checkpoint", "/log/{index}/receipt.json", "/healthz", "/readyz"}
ISSUER = "https://id.example.edu.cn"


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in OPENAPI["paths"].items():
        for method, operation in item.items():
            if method in METHODS:
                yield path, method, operation


def refers(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for member in node.values():
            yield from refers(member)
    elif isinstance(node, list):
        for member in node:
            yield from refers(member)


def told(answer: httpx.Response, path: str, method: str) -> Any:
    """Hold an answer to what the document says of its status; return its body."""
    described = OPENAPI["paths"][path][method]["responses"][str(answer.status_code)]
    if "content" not in described:
        assert answer.content == b""
        return None
    media_type = answer.headers["content-type"].partition(";")[0]
    schema = described["content"][media_type]["schema"]
    body = answer.json() if media_type == "application/json" else answer.text
    check(body, schema, OPENAPI)
    return body


def test_the_document_is_whole() -> None:
    assert OPENAPI["openapi"].startswith("3.1.")
    assert {"title", "version"} <= OPENAPI["info"].keys()
    assert all(resolved(reference, OPENAPI) for reference in refers(OPENAPI))
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names))
    tags = {tag["name"] for tag in OPENAPI["tags"]}
    schemes = OPENAPI["components"]["securitySchemes"]
    for path, _, operation in operations():
        assert set(operation["tags"]) <= tags
        assert operation["summary"]
        assert operation["responses"]
        assert all(name in schemes for need in operation.get("security", ()) for name in need)
        described = {
            entry["name"] for entry in operation.get("parameters", OPENAPI["paths"][path].get("parameters", ()))
        }
        assert described == {part[1:-1] for part in path.split("/") if part.startswith("{")} | {
            part.partition("}")[0][1:] for part in path.split("/") if part.startswith("{")
        }


def test_every_interface_of_our_own_is_in_it_and_nothing_else(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        async with full_service(tmp_path) as service:
            there = {
                (route.path, method.lower())
                for route in service.routes()
                for method in set(route.methods or ()) - {"HEAD", "OPTIONS"}
                if (route.path.startswith(PROGRAM_PATHS) and not route.path.startswith(PROTOCOL))
                or route.path in OPEN_PATHS
            }
            assert {(path, method) for path, method, _ in operations()} == there

    run(story())


def test_the_answers_are_what_the_document_says(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        async with full_service(tmp_path) as service, client_of(service) as http:
            assert told(await http.get(OPENAPI_PATH), OPENAPI_PATH, "get") == OPENAPI
            for path in ("/healthz", "/readyz", "/trust.json", "/log/checkpoint"):
                told(await http.get(path), path, "get")
            told(await http.get("/status/unknown"), "/status/{list_id}", "get")
            told(await http.get("/log/7/receipt.json"), "/log/{index}/receipt.json", "get")
            for body in (b"{}", b'{"code":"2222-3333-4444-5555"}', b"%PDF-1.7"):
                answer = await http.post("/api/verify", content=body)
                assert answer.status_code in {404, 422}
                told(answer, "/api/verify", "post")
            too_large = await http.post("/api/verify", content=b"x" * ((16 << 20) + 1))
            assert too_large.status_code == 413
            told(too_large, "/api/verify", "post")

    run(story())


def test_registration_answers_what_the_document_says(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        async with full_service(tmp_path) as service, client_of(service) as http:
            initial = new_initial_token(service.parts.random_bytes)
            token = InitialToken("t-1", "standard", 1, service.parts.clock() + 60, "")
            digest = initial_token_digest(initial)
            await service.parts.access.add_initial_token(token, digest, service.parts.clock())
            one, bearer = "/register/{client_id}", {"authorization": f"Bearer {initial}"}
            told(await http.post("/register", json={}), "/register", "post")
            told(await http.post("/register", json={"redirect_uris": ["x"]}, headers=bearer), "/register", "post")
            metadata = {"redirect_uris": ["https://platform.example/callback"], "client_name": "Platform"}
            check(metadata, resolved("#/components/schemas/ClientMetadata", OPENAPI), OPENAPI)
            made = await http.post("/register", json=metadata, headers=bearer)
            assert made.status_code == 201, made.text
            said = told(made, "/register", "post")
            path = said["registration_client_uri"].removeprefix(ISSUER)
            own = {"authorization": f"Bearer {said['registration_access_token']}"}
            told(await http.get(path), one, "get")
            told(await http.get(path, headers=own), one, "get")
            told(await http.put(path, json=metadata, headers=own), one, "put")
            changed = await http.put(path, json={**metadata, "client_id": said["client_id"]}, headers=own)
            own = {"authorization": f"Bearer {told(changed, one, 'put')['registration_access_token']}"}
            gone = await http.delete(path, headers=own)
            assert gone.status_code == 204
            told(gone, one, "delete")
            told(await http.delete(path, headers=own), one, "delete")

    run(story())


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        (True, {"type": "integer"}),
        ({"a": 1}, {"type": "object", "additionalProperties": False}),
        ({}, {"required": ["a"]}),
        (["x"], {"items": {"const": "y"}}),
        ("x", {"format": "uri"}),
    ],
)
def test_the_check_of_schemas_notices(value: Any, schema: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        check(value, schema, OPENAPI)


def client_of(service: Service) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=service.app), base_url=ISSUER)
