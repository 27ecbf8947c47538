"""What a handler met in one request, left on the request for whoever watches it (`idp.developer.watch`).

Handlers of the protocol say it in passing, in memory; nothing is written here, so that a request nobody watches costs a few
attributes. What is left may hold codes, tokens and secrets as they came: it never outlives the request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from starlette.requests import Request

from crypto.errors import TrustError

# In what `request.state` shows; a member that is not there costs an exception to ask for by attribute.
_MEMBER: Final = "observed"
_NOTHING: Final[Mapping[str, Observed]] = MappingProxyType({})


@dataclass(slots=True)
class Observed:
    """One request of a client. `client_id` is what it names, proven or not; `error` what it was refused with.

    `outcome` is "code" once an authorization code was handed out. `repeated` names a parameter whose value was used before.
    """

    client_id: str
    parameters: Mapping[str, str]
    error: TrustError | None = None
    outcome: str = ""
    repeated: str = ""


def observe(
    request: Request,
    client_id: str,
    parameters: Mapping[str, str],
    *,
    error: TrustError | None = None,
    outcome: str = "",
) -> None:
    """Leave what is known of a request on it; a later word replaces an earlier one, but for a repeated value."""
    before = observed(request)
    repeated = "" if before is None else before.repeated
    request.scope.setdefault("state", {})[_MEMBER] = Observed(client_id, parameters, error, outcome, repeated)


def observe_repeated(request: Request, parameter: str) -> None:
    """Leave the name of a parameter whose value this client has used before."""
    before = observed(request)
    if before is not None:
        before.repeated = parameter


def observed(request: Request) -> Observed | None:
    """Return what was left, or None."""
    found: Observed | None = request.scope.get("state", _NOTHING).get(_MEMBER)
    return found
