"""The name typed at sign-in, in the one form it is looked up by."""

from __future__ import annotations

import unicodedata

USERNAME_CHARS_MAX = 64
"""Longer than any school's local numbers; bounds what is normalised."""


def normalise(typed: str) -> str:
    """Fold width, case and surrounding space, so that every spelling meets the same account and the same counter."""
    folded = unicodedata.normalize("NFKC", typed[: USERNAME_CHARS_MAX * 4]).casefold()
    return unicodedata.normalize("NFKC", folded).strip()[:USERNAME_CHARS_MAX]
