"""Client secrets.

A secret is 256 random bits made by the server, never chosen by a person, so it cannot be guessed from its hash and a
slow password hash would protect nothing; SM3 suffices and keeps the token endpoint fast. What a registration file
brings in must have the same length to keep that true.
"""

from __future__ import annotations

import hmac
import re

from crypto.encoding import b64u_encode
from crypto.errors import TrustError
from crypto.sm3 import sm3
from idp.model import SECRET_BYTES, RandomBytes

# 43 base64url characters carry the 256 bits this module's reasoning needs; anything longer is bounded.
_SECRET = re.compile(r"[A-Za-z0-9_-]{43,128}")


class ClientSecretRefused(TrustError):
    """A secret too short, too long, or with characters outside base64url."""

    code = "idp.client.secret_refused"


def new_client_secret(random_bytes: RandomBytes) -> str:
    """Make a client secret: 43 base64url characters."""
    return b64u_encode(random_bytes(SECRET_BYTES))


def hash_client_secret(secret: str) -> bytes:
    """Return the 32 bytes to store. Raises `ClientSecretRefused`."""
    if not _SECRET.fullmatch(secret):
        raise ClientSecretRefused(field="client_secret", rule="form")
    return _digest(secret)


def secret_matches(stored: bytes | None, presented: str) -> bool:
    """Compare in constant time; a client without a secret matches nothing."""
    computed = _digest(presented)
    return stored is not None and hmac.compare_digest(stored, computed)


def _digest(secret: str) -> bytes:
    return sm3(b"client secret\x00" + secret.encode("utf-8", "surrogatepass"))
