"""What every page of the account does alike: who asks, what the trail keeps, and how an answer leaves."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from idp.audit import Acts
from idp.model import Session


def to_sign_in(path: str, *, stronger: bool = False, fresh: bool = False) -> Response:
    """Send the browser to sign in and then to `path`, one of our own.

    With `stronger` that takes a second factor; with `fresh` it is asked for whatever session there is.
    """
    wish = {"return": path, **({"acr": "2"} if stronger else {}), **({"fresh": "yes"} if fresh else {})}
    return RedirectResponse(f"/signin?{urlencode(wish, safe='/')}", status_code=303)


def private(response: Response) -> Response:
    """Keep a page of one person out of every cache."""
    response.headers["Cache-Control"] = "no-store"
    return response


async def record_own_act(
    acts: Acts, request: Request, action: str, session: Session, subject: str, *, result: str = "ok", **details: str
) -> None:
    """Write what a signed-in person did to the trail."""
    await acts.record(
        action,
        actor=session.person,
        subject=subject,
        result=result,
        connection=request,
        session_reference=session.reference,
        **details,
    )
