"""What anyone may fetch without asking: status lists, the trust file, and whether the service is well."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from adapters.sql.database import Database
from credentials.desk import VerificationDesk
from credentials.status_changes import STATUS_TTL_S, StatusChanges

TRUST_FILE_SECONDS: Final = 3600


def public_routes(desk: VerificationDesk, statuses: StatusChanges, database: Database) -> list[Route]:
    """Return the routes; `database` is the one whose loss makes the service not ready."""

    async def status_list(request: Request) -> Response:
        """Answer a status list token (Token Status List §8.1). An unknown list is 404."""
        token = await statuses.token(request.path_params["list_id"])
        headers = {"Cache-Control": f"public, max-age={STATUS_TTL_S}", "Access-Control-Allow-Origin": "*"}
        return Response(token, media_type="application/statuslist+jwt", headers=headers)

    async def trust_file(_request: Request) -> Response:
        """Answer the trust anchors an offline verifier starts from."""
        headers = {
            "Cache-Control": f"public, max-age={TRUST_FILE_SECONDS}",
            "Content-Disposition": 'attachment; filename="trust.json"',
        }
        return Response(desk.trust(), media_type="application/json", headers=headers)

    async def alive(_request: Request) -> Response:
        """Answer while the process serves at all."""
        return PlainTextResponse("ok")

    async def ready(_request: Request) -> Response:
        """Answer 200 while the database answers; else 503 by the error mapping."""
        await database.fetch_one("SELECT 1 AS one")
        return PlainTextResponse("ready")

    return [
        Route("/status/{list_id}", status_list),
        Route("/trust.json", trust_file),
        Route("/healthz", alive),
        Route("/readyz", ready),
    ]
