"""Gives large blocks of memory back to the system at once.

A password hash takes 19 MiB and more for a few milliseconds. glibc learns from the first such block to keep the next ones
in its heap, and the process stays that much larger for good: 40 MB a worker, measured.
"""

from __future__ import annotations

import ctypes
from typing import Final

_M_MMAP_THRESHOLD: Final = -3
"""malloc.h of glibc."""

LARGE_BLOCK_BYTES: Final = 1024 * 1024
"""From this size on a block is mapped for itself and unmapped when it is freed; setting it ends glibc's own learning."""


def give_back_large_blocks() -> bool:
    """Tell the C library; return whether it has such a knob (glibc has, musl and macOS need none)."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES))
