"""A learner's account: the sum of what was recognised and still stands."""

from __future__ import annotations

from dataclasses import dataclass

from credentials.model import CreditEntry


@dataclass(frozen=True, slots=True)
class CreditAccount:
    """The entries of one learner, oldest first, and the total of those not reversed, in whole hundredths."""

    entries: tuple[CreditEntry, ...]

    @property
    def total_hundredths(self) -> int:
        """The sum of the standing entries."""
        return sum(entry.hundredths for entry in self.entries if entry.reversed_at is None)
