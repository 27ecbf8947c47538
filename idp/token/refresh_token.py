"""Refresh tokens: opaque, rotated at every use, bound to client and scope, with an idle and an absolute end."""

from __future__ import annotations

import re

from crypto.encoding import b64u_encode
from crypto.sm3 import sm3
from idp.model import SECRET_BYTES, Clock, RandomBytes
from idp.store import Family, NewRefreshToken

IDLE_LIMIT_S = 30 * 60
"""A refresh token of a signed-in person idles as long as the session may."""

OFFLINE_IDLE_LIMIT_S = 14 * 24 * 60 * 60
"""With `offline_access`: two weeks unused and the platform has to ask again."""

ABSOLUTE_LIMIT_S = 12 * 60 * 60
"""A family ends with the longest session it can belong to."""

OFFLINE_ABSOLUTE_LIMIT_S = 180 * 24 * 60 * 60
"""With `offline_access`: half a year, a school term with its holidays."""

_FORM = re.compile(r"rt_[A-Za-z0-9_-]{43}")


def new_refresh_token(family: Family, *, clock: Clock, random_bytes: RandomBytes) -> tuple[str, NewRefreshToken]:
    """Make a refresh token of a family: the token, and the row to write."""
    token = f"rt_{b64u_encode(random_bytes(SECRET_BYTES))}"
    idle = OFFLINE_IDLE_LIMIT_S if family.offline else IDLE_LIMIT_S
    return token, NewRefreshToken(_hash(token), min(clock() + idle, family.absolute_until))


def refresh_token_hash(token: str) -> bytes | None:
    """Return the key a refresh token is stored under, or None when it is not of our form."""
    return _hash(token) if _FORM.fullmatch(token) else None


def _hash(token: str) -> bytes:
    return sm3(b"refresh token\x00" + token.encode())
