"""The end of a first-party sign-in: back to the page the person came for."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from idp.login.local_path import HOME, local_path
from idp.model import Session


class FirstParty:
    """Finisher of `/signin`."""

    async def __call__(
        self, _request: Request, continuation: str, _session: Session, _granted: tuple[str, ...]
    ) -> Response:
        """Return to the page."""
        return RedirectResponse(local_path(continuation), status_code=303)

    async def cancelled(self, _request: Request, _continuation: str) -> Response:
        """Return home."""
        return RedirectResponse(HOME, status_code=303)
