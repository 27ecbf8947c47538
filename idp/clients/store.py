"""What authentication of clients asks of the database; the whole of it stands in `idp.store`."""

from __future__ import annotations

from typing import Protocol

from idp.clients.model import Client


class ClientLookup(Protocol):
    """Registered clients, to be read."""

    async def client(self, client_id: str) -> Client | None:
        """Find a client, disabled ones too."""


class ReplayStore(Protocol):
    """Values of others that are good once: the `jti` of a client's assertion."""

    async def use_once(self, digest: bytes, *, until: int) -> bool:
        """Say whether this digest (32 bytes, its kind hashed in) comes for the first time, and remember it to `until`.

        Atomic: of any number of concurrent calls, across processes, exactly one is True.
        """

    async def discard_used(self, now: int) -> int:
        """Forget what was to be remembered until `now` or earlier; return how many."""
