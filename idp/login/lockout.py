"""Growing delays and the last refusal, per authenticator.

NIST SP 800-63B-4 §3.2.2 allows at most 100 consecutive failures; we allow ten, each slower than the one before. A try is
counted before the secret is looked at (`AccountStore.reserve_attempt`), so parallel tries cannot slip past the count.
"""

from __future__ import annotations

FAILURES_MAX = 10
"""After so many consecutive failures the authenticator is disabled until it is reset."""

_FREE_FAILURES = 3
_FIRST_DELAY_S = 2
_DELAY_S_MAX = 15 * 60


def delay_after(failures: int) -> int:
    """Return how many seconds the next try must wait after so many consecutive failures: 0 0 0 2 8 32 128 512 900 900."""
    if failures <= _FREE_FAILURES:
        return 0
    return int(min(_FIRST_DELAY_S * 4 ** (failures - _FREE_FAILURES - 1), _DELAY_S_MAX))
