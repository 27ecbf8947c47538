"""Routes where a request that only looks must change nothing."""

from __future__ import annotations

from starlette.routing import Route


def without_head(route: Route) -> Route:
    """Take HEAD away from a route: 405 with `Allow` (RFC 9110 §15.5.6).

    Starlette answers HEAD by running the handler of GET. Where that takes something that is good once, a mail scanner or a
    preview that asks with HEAD would use it up.
    """
    if route.methods is not None:
        route.methods.discard("HEAD")
    return route
