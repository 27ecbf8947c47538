"""What the HTTP floor itself refuses. `status` is the answer's; everything else about the answer is in `errors.py`."""

from __future__ import annotations

from typing import ClassVar

from crypto.errors import TrustError


class HttpRefusal(TrustError):
    """Base of the refusals of this floor."""

    code: ClassVar[str] = "http.request_refused"
    status: ClassVar[int] = 400


class NotFound(HttpRefusal):
    """No page at this address."""

    code = "http.not_found"
    status = 404


class MethodNotAllowed(HttpRefusal):
    """A page, but not by this method."""

    code = "http.method_not_allowed"
    status = 405


class FormExpired(HttpRefusal):
    """A form without the token of this browser: too old, from another site, or without its cookie."""

    code = "http.form_expired"
    status = 403


class BodyTooLarge(HttpRefusal):
    """More bytes than this address takes."""

    code = "http.body_too_large"
    status = 413


class BodyTooSlow(HttpRefusal):
    """A body that trickles: the connection would be held for nothing."""

    code = "http.body_too_slow"
    status = 408


class HostRefused(HttpRefusal):
    """A Host that is not the service's own: its links would lead elsewhere."""

    code = "http.host_refused"
    status = 400


class RateLimited(HttpRefusal):
    """More attempts than allowed; `retry_after_s` says when the next one may pass."""

    code = "http.rate_limited"
    status = 429

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(rule="rate", seconds=retry_after_s)
        self.retry_after_s = retry_after_s


class InternalFault(HttpRefusal):
    """What a caller is told of an error that is ours: nothing but where to ask."""

    code = "http.internal"
    status = 500
