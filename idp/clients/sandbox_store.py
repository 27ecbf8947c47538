"""What is kept for developers of platforms: who is one, which clients are theirs, and what their requests met."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RequestNote:
    """One request of a sandbox client. Times are seconds since the epoch.

    `endpoint` is a path, `outcome` one of `code`, `ok`, `asked` (a page was shown) or the error code on the wire. `field` and
    `rule` say what was wrong, `code` the product's own code, `reference` the correlation id. `asked` holds facts by parameter
    name; never a state, nonce, code, token or secret.
    """

    client_id: str
    time: int
    endpoint: str
    outcome: str
    code: str
    field: str
    rule: str
    reference: str
    asked: Mapping[str, str]


class SandboxStore(Protocol):
    """Developers, their clients, and notes on their requests."""

    async def allow_developer(self, person: str, now: int) -> None:
        """Let a person with an account have sandbox clients. Idempotent."""

    async def disallow_developer(self, person: str, now: int) -> bool:
        """Take that back, and disable the person's sandbox clients with everything they hold. Atomic; False for nobody."""

    async def is_developer(self, person: str) -> bool:
        """Whether the person may have sandbox clients."""

    async def developers(self) -> tuple[str, ...]:
        """List the sign-in names of developers, in their order."""

    async def reserve_sandbox(self, person: str, client_id: str, *, limit: int, now: int) -> bool:
        """Take one of the developer's `limit` places for a client about to be registered.

        Atomic: of any number of concurrent calls no more than `limit` succeed. False also for no developer.
        """

    async def sandboxes_of(self, person: str) -> tuple[str, ...]:
        """List the developer's client ids, oldest first."""

    async def release_sandbox(self, person: str, client_id: str) -> bool:
        """Give the place back and forget the notes. False when the client is not this person's. Atomic."""

    async def write_note(self, note: RequestNote, *, keep: int) -> None:
        """Keep a note, and of its client no more than the newest `keep`. Atomic."""

    async def notes_of(self, client_id: str, *, since: int) -> tuple[RequestNote, ...]:
        """List the notes of a client written at `since` or later, newest first."""

    async def discard_notes(self, before: int) -> int:
        """Forget notes written before `before`; return how many."""
