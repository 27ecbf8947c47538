"""The two bearer values of dynamic registration: the initial access token (RFC 7591 §3) and the registration access token
(RFC 7592). Stored are digests; neither value's digest can be the other's, and a registration access token's holds its client.
"""

from __future__ import annotations

from dataclasses import dataclass

from crypto.encoding import b64u_encode
from crypto.sm3 import sm3
from idp.model import SECRET_BYTES, RandomBytes


@dataclass(frozen=True, slots=True)
class InitialToken:
    """What an operator gave away: so many registrations under one policy until a time. `note` says to whom."""

    token_id: str
    policy: str
    uses_left: int
    expires_at: int
    note: str


def new_initial_token(random_bytes: RandomBytes) -> str:
    """Make an initial access token: `ia_` and 43 base64url characters."""
    return f"ia_{b64u_encode(random_bytes(SECRET_BYTES))}"


def new_registration_token(random_bytes: RandomBytes) -> str:
    """Make a registration access token: `ra_` and 43 base64url characters."""
    return f"ra_{b64u_encode(random_bytes(SECRET_BYTES))}"


def initial_token_digest(token: str) -> bytes:
    """Return the 32 bytes to store or look up."""
    return sm3(b"initial access token\x00" + token.encode())


def registration_token_digest(token: str, client_id: str) -> bytes:
    """Return the 32 bytes to store or compare: of this token at this client and no other."""
    return sm3(b"registration access token\x00" + f"{client_id}\x00{token}".encode())
