"""`POST /api/verify`: the same verdict for programs.

Request: either the bytes of a PDF certificate, a bundle or a receipt (any content type), or the JSON object
`{"code": "ABCD-EFGH-JKLM-NPQR"}` and nothing else. No sign-in, no cookie, no form token.

Answer 200, `application/json`: `{"verdict": "valid" | "invalid" | "revoked" | "suspended" | "superseded" | "unknown",
"as_of": seconds or null, "checks": [{"name", "result": "pass" | "fail" | "unknown", "evidence": {…}} …], "facts": {…},
"issuer": {"id", "name": {language: name}}, "type": …}`; for a code also `"valid_until"`, the time it stops working.
`facts` is empty unless the issuer's signature held. Only `valid` is a yes.

Refusals carry `{"error": code, "field": … or null, "rule": … or null}`: 404 `credentials.share_unknown`, 410
`credentials.share_ended` (rule expired, revoked or view_limit), 413 `upload.too_large`, 422
`credentials.unreadable`.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from credentials.errors import ShareEnded, ShareUnknown, Unreadable
from credentials.pages.codes import code_typed
from credentials.pages.verify_pages import VerifyDeps, viewer_of
from credentials.verification import MAX_PDF_BYTES
from crypto.encoding import json_strict
from crypto.errors import TrustError

API_PATH = "/api/verify"
# `{"code": "…"}` with the longest code and all the blanks one could want; anything longer is a file.
_MAX_CODE_REQUEST = 256
_STATUS: tuple[tuple[type[TrustError], int], ...] = ((ShareUnknown, 404), (ShareEnded, 410), (Unreadable, 422))


async def _body(request: Request) -> bytes | None:
    """Read the body, or None as soon as it passes the bound."""
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > MAX_PDF_BYTES:
            return None
    return bytes(received)


def _code_in(data: bytes) -> str | None:
    """Return the code of a request by code; None where the bytes are something else, to be judged as a file."""
    if len(data) > _MAX_CODE_REQUEST:
        return None
    try:
        value = json_strict(data)
    except TrustError:
        return None
    if isinstance(value, dict) and value.keys() == {"code"} and isinstance(value["code"], str):
        return value["code"]
    return None


class _VerifyApi:
    def __init__(self, deps: VerifyDeps) -> None:
        self._desk = deps.desk

    async def verify(self, request: Request) -> Response:
        data = await _body(request)
        if data is None:
            return _json({"error": "upload.too_large", "field": None, "rule": "length"}, 413)
        try:
            typed = _code_in(data)
            if typed is None:
                return _json((await self._desk.of_file(data)).to_value(), 200)
            found = await self._desk.by_code(code_typed(typed), viewer=viewer_of(request, "api"))
            return _json({**found.verdict.to_value(), "valid_until": found.valid_until}, 200)
        except (ShareUnknown, ShareEnded, Unreadable) as error:
            status = next(status for kind, status in _STATUS if isinstance(error, kind))
            return _json({"error": error.code, "field": error.field, "rule": error.rule}, status)


def _json(value: dict[str, object], status: int) -> Response:
    return JSONResponse(value, status_code=status, headers={"Cache-Control": "no-store"})


def routes(deps: VerifyDeps) -> list[Route]:
    """Return the interface for programs."""
    return [Route(API_PATH, _VerifyApi(deps).verify, methods=["POST"])]
