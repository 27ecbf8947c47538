"""Security headers on every answer, whoever wrote it.

A page that contains a form whose answer redirects to another site (the sign-in of a platform) sets
`request.state.form_action = ("https://platform.example",)`: Chromium applies `form-action` to the whole chain of
redirects after a form, so the platform's origin must be named on the page with the form. A page whose one form goes to
the platform itself also sets `request.state.own_forms = False`. The page that tells platforms of a sign-out in frames
sets `request.state.frame_src` likewise; no other page has frames.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.http.scopes import HeaderList, set_default, shape, shaping, state

# Exactly an origin, as a policy's source: anything else in the list would change the policy's meaning.
_ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_HSTS = b"max-age=63072000; includeSubDomains"  # two years, what browsers' preload lists ask for


def content_security_policy(
    form_action: Sequence[str] = (), *, own_forms: bool = True, frame_src: Sequence[str] = ()
) -> str:
    """Return the policy of a page; `form_action` lists further origins its forms may lead to, `frame_src` its frames'.

    Without `own_forms` they lead there only, as on the page that hands an answer over to a platform.
    """
    for origin in (*form_action, *frame_src):
        if not _ORIGIN.fullmatch(origin):
            raise ValueError("form_action and frame_src take origins only")
    forms = (*(("'self'",) if own_forms else ()), *form_action)
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            "font-src 'self'",
            "connect-src 'self'",
            "manifest-src 'self'",
            " ".join(("form-action", *(forms or ("'none'",)))),
            *((" ".join(("frame-src", *frame_src)),) if frame_src else ()),
            "frame-ancestors 'none'",
            "base-uri 'none'",
        )
    )


_USUAL_POLICY = content_security_policy().encode()
_POLICY_MEMBERS = frozenset({"form_action", "own_forms", "frame_src"})


class SecurityHeaders:
    """Adds what is missing; a handler may be stricter (its own Cache-Control), not looser (the policy is ours)."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        self._fixed = {
            b"x-content-type-options": b"nosniff",
            b"x-frame-options": b"DENY",
            b"referrer-policy": b"no-referrer",
            b"cross-origin-opener-policy": b"same-origin",
            b"permissions-policy": b"camera=(self), geolocation=(), microphone=(), payment=(), usb=(), browsing-topics=()",
            b"cache-control": b"no-store",
            **({b"strict-transport-security": _HSTS} if https else {}),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; complete the answer's headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        shared = state(scope)  # made here, so that what a handler leaves in it is seen when the answer starts

        def complete(_status: int, headers: HeaderList) -> None:
            policy = _USUAL_POLICY
            if not _POLICY_MEMBERS.isdisjoint(shared):
                policy = content_security_policy(
                    shared.get("form_action", ()),
                    own_forms=shared.get("own_forms", True),
                    frame_src=shared.get("frame_src", ()),
                ).encode()
            if any([key.lower() == b"content-security-policy" for key, _ in headers]):  # noqa: C419  # a list is quicker
                headers[:] = [(key, value) for key, value in headers if key.lower() != b"content-security-policy"]
            headers.append((b"content-security-policy", policy))
            set_default(headers, self._fixed)

        shaped = shaping(scope, send)
        shape(scope, complete)
        await self._app(scope, receive, shaped)
