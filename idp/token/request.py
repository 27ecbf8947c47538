"""The token request, parsed once (RFC 6749 §2.3.1, §4.1.3, §6)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from idp.oauth_errors import InvalidClient, InvalidRequest

BASIC_CHARS_MAX = 1024
"""Two form-encoded values of at most 128 characters, in base64."""


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What came in: the form, and how the client presents itself. `method` is the authentication method used."""

    form: Mapping[str, str]
    client_id: str
    client_secret: str | None
    method: str

    @property
    def grant_type(self) -> str:
        """The grant asked for."""
        return self.form.get("grant_type", "")


def parse_token_request(form: Mapping[str, str], authorization: str | None) -> TokenRequest:
    """Parse. Raises `InvalidClient` (no or malformed credentials) or `InvalidRequest` (two ways of authentication)."""
    form_id, form_secret = form.get("client_id"), form.get("client_secret")
    if authorization is None:
        if form_id is None:
            raise InvalidClient(rule="missing")
        return TokenRequest(form, form_id, form_secret, "none" if form_secret is None else "client_secret_post")
    client_id, secret = _basic(authorization)
    if form_secret is not None or "client_assertion" in form:
        # RFC 6749 §2.3: no more than one authentication method in each request.
        raise InvalidRequest(field="client_secret", rule="two_methods")
    if form_id is not None and form_id != client_id:
        raise InvalidRequest(field="client_id", rule="conflict")
    return TokenRequest(form, client_id, secret, "client_secret_basic")


def _basic(authorization: str) -> tuple[str, str]:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic" or len(encoded) > BASIC_CHARS_MAX:
        raise InvalidClient(rule="scheme")
    try:
        decoded = base64.b64decode(encoded.encode("ascii"), validate=True)
        client_id, separator, secret = decoded.partition(b":")
        # RFC 6749 §2.3.1: both parts are form-encoded before they are joined.
        pair = (
            unquote_to_bytes(client_id.replace(b"+", b" ")).decode(),
            unquote_to_bytes(secret.replace(b"+", b" ")).decode(),
        )
    except (binascii.Error, UnicodeError):
        raise InvalidClient(rule="encoding") from None
    if not separator or not pair[0] or not pair[1]:
        raise InvalidClient(rule="encoding")
    return pair
