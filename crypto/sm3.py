"""SM3 (GB/T 32905-2016) and HMAC-SM3 (GB/T 15852.2, RFC 2104 with a 64-byte block).

By the kernel where it was compiled, else through the standard library; the bytes are the same.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import cache

from crypto.native import Kernel, KernelUnavailable, load_kernel

SM3_BYTES = 32


def sm3(data: bytes) -> bytes:
    """Return the 32-byte SM3 digest."""
    kernel = _kernel()
    return hashlib.new("sm3", data).digest() if kernel is None else kernel.sm3(bytes(data))


def hmac_sm3(key: bytes, data: bytes) -> bytes:
    """Return the 32-byte HMAC-SM3. Compare it with `hmac.compare_digest`, never with `==`."""
    kernel = _kernel()
    return hmac.digest(key, data, "sm3") if kernel is None else kernel.hmac_sm3(bytes(key), bytes(data))


@cache
def _kernel() -> Kernel | None:
    try:
        return load_kernel()
    except KernelUnavailable:
        return None
