"""Where a first-party sign-in returns to: a path of this site, or home. Never another site (RFC 9700 §4.11)."""

from __future__ import annotations

import re

HOME = "/"
PATH_CHARS_MAX = 512
"""A page's address of ours with its query."""

# One slash, then no slash or backslash (`//host`, `/\host` are other sites), then visible ASCII without backslash.
_LOCAL = re.compile(r"/(?![/\\])[!-\[\]-~]*")


def local_path(value: str | None) -> str:
    """Return `value` if it is a path of this site, else home."""
    if value is None or len(value) > PATH_CHARS_MAX or not _LOCAL.fullmatch(value):
        return HOME
    return value
