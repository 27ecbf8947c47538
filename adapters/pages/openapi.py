"""The OpenAPI 3.1 document of the service's own interfaces: one file beside this module, sent as it is.

The endpoints of OAuth and OpenID Connect are not in it: the discovery document describes those, and the standards.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

OPENAPI_PATH: Final = "/api/openapi.json"
DOCUMENT: Final = Path(__file__).with_name("openapi.json")
CACHE_SECONDS: Final = 3600


def routes() -> list[Route]:
    """Return the route; the file is read once, here."""
    document = DOCUMENT.read_bytes()
    # Documentation tools in a browser are pages of other origins.
    headers = {"Cache-Control": f"public, max-age={CACHE_SECONDS}", "Access-Control-Allow-Origin": "*"}

    async def openapi(_request: Request) -> Response:
        """Answer with the document."""
        return Response(document, media_type="application/json", headers=headers)

    return [Route(OPENAPI_PATH, openapi, methods=["GET"])]
