"""Who acts: asks the sign-in floor once a request and leaves the answer where every handler looks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.http.scopes import state
from idp.authority.model import Actor

ResolveActor = Callable[[HTTPConnection], Awaitable[Actor | None]]


class ActorOfRequest:
    """Sets `request.state.actor`. A sign-in that cannot be looked up raises; it never becomes "nobody"."""

    def __init__(self, app: ASGIApp, *, resolve: ResolveActor, without: Sequence[str]) -> None:
        """`without`: starts of paths no cookie authenticates; there the actor is None unasked."""
        self._app = app
        self._resolve = resolve
        self._without = tuple(without)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Resolve and pass on."""
        if scope["type"] == "http":
            path: str = scope["path"]
            state(scope)["actor"] = None
            if not path.startswith(self._without):
                state(scope)["actor"] = await self._resolve(HTTPConnection(scope))
        await self._app(scope, receive, send)
