"""Who stands behind a request, and where someone who still has to sign in is sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from idp.authority.decide import signed_in
from idp.authority.errors import SecondFactorRequired, SignInRequired
from idp.authority.model import Actor, Duty
from idp.registry.school_code import SchoolCode

PageHandler = Callable[[Request, Actor], Awaitable[Response]]
Handler = Callable[[Request], Awaitable[Response]]

SIGN_IN_PATH = "/signin"
# The level asked for where one factor was not enough; the sign-in page knows it by this number.
TWO_FACTORS = "2"


def for_signed_in(handler: PageHandler, *, back: str | None = None, for_scripts: bool = False) -> Handler:
    """Call the handler with the signed-in actor; send anyone else, or anyone who needs a second factor, to sign in.

    They come back to the page itself, or, where it only takes forms, to `back`, a path filled with the path's parameters.
    What a page's script asks for (`for_scripts`) is answered 401 instead: the script then loads the page again.
    """

    async def handle(request: Request) -> Response:
        try:
            return await handler(request, signed_in(request.state.actor))
        except SignInRequired:
            if for_scripts:
                return Response(status_code=401)
            return _to_sign_in(request, back, {})
        except SecondFactorRequired:
            if for_scripts:
                return Response(status_code=401)
            return _to_sign_in(request, back, {"acr": TWO_FACTORS})

    return handle


def _to_sign_in(request: Request, back: str | None, more: dict[str, str]) -> Response:
    if back is not None:
        path = back.format(**request.path_params)
    else:
        path = request.url.path + (f"?{request.url.query}" if request.url.query and request.method == "GET" else "")
    return RedirectResponse(f"{SIGN_IN_PATH}?{urlencode({'return': path, **more})}", status_code=303)


def holds(actor: Actor, duty: Duty, school: SchoolCode) -> bool:
    """Whether a page may offer the act. The service decides again, second factor included, when it is done."""
    return any(o.is_active and duty in o.duties and o.unit.code == school.value for o in actor.offices)


def schools_of(actor: Actor, duties: frozenset[Duty]) -> tuple[SchoolCode, ...]:
    """Return the schools at which the actor holds one of the duties, in the order of the offices."""
    codes = dict.fromkeys(
        o.unit.code for o in actor.offices if o.is_active and o.duties & duties and len(o.unit.code) == SCHOOL_DIGITS
    )
    return tuple(SchoolCode(code) for code in codes)


SCHOOL_DIGITS = 10
