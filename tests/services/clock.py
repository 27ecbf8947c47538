"""A clock the tests move by hand."""


class StillClock:
    """A `Clock` that moves only when told."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: int) -> None:
        """Let `seconds` pass."""
        self.now += seconds
