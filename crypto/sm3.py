"""SM3 (GB/T 32905-2016) and HMAC-SM3 (GB/T 15852.2, RFC 2104 with a 64-byte block), through the standard library."""

from __future__ import annotations

import hashlib
import hmac

SM3_BYTES = 32


def sm3(data: bytes) -> bytes:
    """Return the 32-byte SM3 digest."""
    return hashlib.new("sm3", data).digest()


def hmac_sm3(key: bytes, data: bytes) -> bytes:
    """Return the 32-byte HMAC-SM3. Compare it with `hmac.compare_digest`, never with `==`."""
    return hmac.digest(key, data, "sm3")
