"""The cookies of sign-in, read strictly and written in one form."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable

from starlette.requests import HTTPConnection
from starlette.responses import Response

from crypto.encoding import b64u_encode
from crypto.sm3 import sm3
from idp.model import SECRET_BYTES, RandomBytes

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


class CookiePolicy:
    """Names and attributes. Over https the `__Host-` prefix binds a cookie to this host, path `/`, and TLS."""

    def __init__(self, *, secure: bool) -> None:
        prefix = "__Host-" if secure else ""
        self._secure = secure
        self.session_name = f"{prefix}edutrust-session"
        self.browser_name = f"{prefix}edutrust-browser"

    def session_secret(self, connection: HTTPConnection) -> str | None:
        """Return the session cookie's secret, or None when absent, repeated, or malformed."""
        return _only(connection, self.session_name)

    def browser_secret(self, connection: HTTPConnection) -> str | None:
        """Return the secret that ties a sign-in under way to this browser."""
        return _only(connection, self.browser_name)

    def set_session(self, response: Response, secret: str) -> None:
        """Hand out the session cookie; it lasts as long as the browser, the server's limits end it sooner."""
        self._set(response, self.session_name, secret)

    def set_browser(self, response: Response, secret: str) -> None:
        """Hand out the browser cookie."""
        self._set(response, self.browser_name, secret)

    def clear_session(self, response: Response) -> None:
        """Take the session cookie back."""
        response.delete_cookie(self.session_name, path="/", secure=self._secure, httponly=True, samesite="lax")

    def _set(self, response: Response, name: str, secret: str) -> None:
        response.set_cookie(name, secret, path="/", secure=self._secure, httponly=True, samesite="lax")


def new_secret(random_bytes: RandomBytes) -> str:
    """Make a cookie's secret: 43 base64url characters."""
    return b64u_encode(random_bytes(SECRET_BYTES))


def cookie_hash(secret: str) -> bytes:
    """Return what is stored of a cookie's secret."""
    return sm3(b"cookie\x00" + secret.encode())


def same_browser(secret: str | None, expected_hash: bytes) -> bool:
    """Compare in constant time; no cookie is no match."""
    return secret is not None and hmac.compare_digest(cookie_hash(secret), expected_hash)


def _only(connection: HTTPConnection, name: str) -> str | None:
    found = [value for key, value in _pairs(connection.headers.getlist("cookie")) if key == name]
    # A second cookie of the same name can be planted from a sibling host: then neither is believed.
    if len(found) != 1 or not _SECRET.fullmatch(found[0]):
        return None
    return found[0]


def _pairs(headers: Iterable[str]) -> Iterable[tuple[str, str]]:
    for header in headers:
        for part in header.split(";"):
            key, separator, value = part.strip().partition("=")
            if separator:
                yield key.strip(), value.strip()
