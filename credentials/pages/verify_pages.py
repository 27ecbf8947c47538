"""Verifying, open to anyone: a code, a file or pasted text in; one verdict out. No sign-in, nothing kept of a file."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from credentials.desk import VerificationDesk
from credentials.errors import ShareEnded, ShareUnknown, Unreadable
from credentials.model import Viewer
from credentials.pages.codes import code_typed
from credentials.pages.forms import Typed, read_form
from credentials.pages.render import Render
from credentials.pages.verdict_view import verdict_view
from credentials.ports import Clock
from credentials.verdict import Verdict
from credentials.verification import MAX_PDF_BYTES

VERIFY_PATH = "/verify"
# A holder sees roughly from where a look came, never whose address it was.
_NETWORK_BITS = {4: 24, 6: 48}
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class VerifyDeps:
    """What the verification pages and their interface for programs need."""

    render: Render
    desk: VerificationDesk
    clock: Clock


def viewer_of(request: Request, kind: str) -> Viewer:
    """Return who looks, as far as the holder may know: the kind of program and the truncated network."""
    try:
        address = ipaddress.ip_address(request.client.host if request.client is not None else "")
    except ValueError:
        return Viewer(kind, None)
    network = ipaddress.ip_network((address, _NETWORK_BITS[address.version]), strict=False)
    return Viewer(kind, str(network))


class _VerifyPages:
    def __init__(self, deps: VerifyDeps) -> None:
        self._deps = deps

    async def form(self, request: Request) -> Response:
        return self._form(request, {}, {})

    async def submitted(self, request: Request) -> Response:
        """Judge what was given: a file before pasted text before a code; a code gets an address that can be kept."""
        typed = await read_form(request, max_file_bytes=MAX_PDF_BYTES)
        if typed.file_too_large:
            return self._refused(request, typed, "file", "verify.file_too_large", 413)
        if typed.file is not None:
            return await self._judged(request, typed, "file", typed.file)
        if typed.text("text"):
            return await self._judged(request, typed, "text", typed.text("text").encode())
        if not typed.text("code"):
            return self._refused(request, typed, "code", "verify.nothing_given", 422)
        try:
            code = code_typed(typed.text("code"))
        except ShareUnknown:
            return self._refused(request, typed, "code", "verify.code_form", 422)
        return RedirectResponse(f"{VERIFY_PATH}/{code}", status_code=303)

    async def by_code(self, request: Request) -> Response:
        """Open a share. HEAD opens nothing: a messenger that looks whether a link lives is no look at the record."""
        if request.method == "HEAD":
            return Response()
        typed = Typed({"code": (request.path_params["code"],)}, None, file_too_large=False)
        try:
            code = code_typed(typed.text("code"))
            found = await self._deps.desk.by_code(code, viewer=viewer_of(request, "browser"))
        except ShareUnknown:
            return self._refused(request, typed, "code", "verify.code_unknown", 404)
        except ShareEnded as ended:
            return self._refused(request, typed, "code", f"verify.ended_{ended.rule}", 404)
        return self._shown(request, found.verdict, code)

    async def _judged(self, request: Request, typed: Typed, field: str, data: bytes) -> Response:
        try:
            verdict = await self._deps.desk.of_file(data)
        except Unreadable:
            return self._refused(request, typed, field, "verify.file_unreadable", 422)
        return self._shown(request, verdict, None)

    def _shown(self, request: Request, verdict: Verdict, code: str | None) -> Response:
        deps = self._deps
        view = verdict_view(verdict, deps.render.translator(request), checked_at=deps.clock(), code=code)
        response = deps.render(request, "credentials/verdict.html", {"view": view})
        # What someone saw of another person's record stays neither in a cache nor in a search engine.
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Robots-Tag"] = "noindex"
        return response

    def _refused(self, request: Request, typed: Typed, field: str, code: str, status: int) -> Response:
        message = self._deps.render.translator(request)(code, most=MAX_PDF_BYTES // _MIB)
        kept = {"code": typed.text("code"), "text": typed.text("text")}
        return self._form(request, {field: message}, kept, status)

    def _form(
        self, request: Request, errors: Mapping[str, str], typed: Mapping[str, str], status_code: int = 200
    ) -> Response:
        context = {
            "errors": errors,
            "typed": {"code": "", "text": "", **typed},
            "most_mib": MAX_PDF_BYTES // _MIB,
        }
        return self._deps.render(request, "credentials/verify.html", context, status_code)


def routes(deps: VerifyDeps) -> list[Route]:
    """Return the verification pages."""
    pages = _VerifyPages(deps)
    return [
        Route(VERIFY_PATH, pages.form, methods=["GET"]),
        Route(VERIFY_PATH, pages.submitted, methods=["POST"]),
        Route(VERIFY_PATH + "/{code}", pages.by_code, methods=["GET"]),
    ]
