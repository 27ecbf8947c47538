"""Limits on guessing user codes (RFC 8628 §5.1): a person's own, and one of everybody together.

A try is counted before the code is looked up, so parallel tries cannot slip past the count. Everybody's limit counts wrong
codes only, and once it is reached nobody is shut out by it: each person still has `SLOWED_TRIES_MAX`, enough to type a code
and mistype it once, so that whoever guesses cannot stop the others (lock-out as denial of service, GHSA-cq42-vhv7-xr7p).
"""

from __future__ import annotations

from crypto.errors import TrustError
from idp.device.codes import UserCodeKeys
from idp.transient import TransientKind, TransientStore

WINDOW_S = 10 * 60
"""As long as a code lives. A window begins with the first try in it."""

TRIES_MAX = 10
"""Of one person in a window; nobody has ten devices to connect in ten minutes."""

SLOWED_TRIES_MAX = 2
WRONG_CODES_MAX = 1000
"""Of everybody in a window: more than people mistype, see `idp.device.codes` for what they are worth to a guesser."""

_SWAPS_MAX = 32
"""Attempts at one compare-and-swap: more requests at once than these are not a person's."""

_EVERYBODY = "everybody"


class TooManyTries(TrustError):
    """Too many user codes tried. `retry_after_s` is the longest anybody may have to wait."""

    code = "idp.device.too_many_tries"
    status = 429
    retry_after_s = WINDOW_S


class Guesses:
    """Counts tries in the transient store."""

    def __init__(self, store: TransientStore, keys: UserCodeKeys) -> None:
        self._store = store
        self._keys = keys

    async def spend(self, person: str) -> None:
        """Count one try of a person. Raises `TooManyTries`, also where it cannot be counted."""
        found = await self._store.find_under(TransientKind.USER_CODE_TRIES, self._keys.of_tries(_EVERYBODY))
        slowed = found is not None and int(found[1]) >= WRONG_CODES_MAX
        if await self._counted(f"person\x00{person}") > (SLOWED_TRIES_MAX if slowed else TRIES_MAX):
            raise TooManyTries

    async def wrong(self) -> None:
        """Count one wrong code of anybody."""
        await self._counted(_EVERYBODY)

    async def _counted(self, whose: str) -> int:
        """Add one and return the sum, atomically. Raises `TooManyTries` when others are always quicker."""
        kind, secret = TransientKind.USER_CODE_TRIES, self._keys.of_tries(whose)
        for _ in range(_SWAPS_MAX):
            found = await self._store.find_under(kind, secret)
            if found is None:
                if await self._store.put_under(kind, secret, b"1", lifetime_s=WINDOW_S) is not None:
                    return 1
                continue
            handle, payload = found
            count = int(payload) + 1
            if await self._store.replace(kind, handle, expected=payload, payload=str(count).encode()):
                return count
        raise TooManyTries
