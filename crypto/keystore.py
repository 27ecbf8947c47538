"""What a key store promises, and the rules of a key's life that every store and every caller share.

A key is published while pending, signs while active, only verifies while retiring, and is gone from publication when
retired. The order never turns back. A reported compromise ends signing at once and says from when on signatures are
worthless; what was signed before, and is anchored before, stays verifiable.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from crypto.errors import TrustError
from crypto.keys import KeyRecord, KeyState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crypto.suites import Alg, Purpose


class KeyStateRefused(TrustError):
    """A key that may not do what is asked in its state, or a state that does not follow the one it is in."""

    code = "crypto.key_state_refused"


class KeyUnknown(TrustError):
    """No such key, or no active key of this owner for this purpose and algorithm."""

    code = "crypto.key_unknown"


_NEXT: Mapping[KeyState, frozenset[KeyState]] = MappingProxyType(
    {
        KeyState.PENDING: frozenset({KeyState.ACTIVE, KeyState.RETIRED}),
        KeyState.ACTIVE: frozenset({KeyState.RETIRING, KeyState.RETIRED}),
        KeyState.RETIRING: frozenset({KeyState.RETIRED}),
        KeyState.RETIRED: frozenset(),
    }
)
_PUBLISHED = frozenset({KeyState.PENDING, KeyState.ACTIVE, KeyState.RETIRING})
_VERIFYING = frozenset({KeyState.ACTIVE, KeyState.RETIRING})


def with_state(record: KeyRecord, state: KeyState) -> KeyRecord:
    """Return the record in its next state; raise `KeyStateRefused` where that does not follow, or for a compromised key."""
    if state not in _NEXT[record.state]:
        raise KeyStateRefused(field="state", rule="order")
    if state is KeyState.ACTIVE and record.compromised_at is not None:
        raise KeyStateRefused(field="state", rule="compromised")
    return replace(record, state=state)


def with_compromise(record: KeyRecord, at: int) -> KeyRecord:
    """Return the record retired and marked worthless from `at` on; an earlier report stands."""
    earliest = at if record.compromised_at is None else min(at, record.compromised_at)
    return replace(record, state=KeyState.RETIRED, compromised_at=earliest)


def require_signing(record: KeyRecord, now: int) -> None:
    """Raise `KeyStateRefused` unless the key may sign now: active, inside its dates, not compromised."""
    if record.state is not KeyState.ACTIVE or record.compromised_at is not None:
        raise KeyStateRefused(field="state", rule="not_active")
    if not record.not_before <= now < record.not_after:
        raise KeyStateRefused(field="not_after", rule="outside_dates")


def require_verifying(record: KeyRecord, signed_at: int) -> None:
    """Raise `KeyStateRefused` unless a token signed at that time may be verified with the key today."""
    if record.state not in _VERIFYING:
        raise KeyStateRefused(field="state", rule="not_verifying")
    if record.compromised_at is not None and signed_at >= record.compromised_at:
        raise KeyStateRefused(field="compromised_at", rule="compromised")
    if not record.not_before <= signed_at < record.not_after:
        raise KeyStateRefused(field="not_after", rule="outside_dates")


def is_published(record: KeyRecord) -> bool:
    """Whether the key stands in the owner's JWK set: a client that caches the set knows a key before it signs."""
    return record.state in _PUBLISHED and record.compromised_at is None


class KeyStore(Protocol):
    """Keys at rest. Each method is one transaction, serialised against every other change of the same owner's keys.

    At most one key of an owner is active for a purpose and algorithm at any instant, across processes.
    """

    async def add(self, record: KeyRecord) -> None:
        """Store a new key, pending or active; raise `KeyStateRefused` if the kid exists or another is active."""

    async def active(self, owner: str, purpose: Purpose, alg: Alg) -> KeyRecord:
        """Return the one active key; raise `KeyUnknown` without one."""

    async def by_kid(self, owner: str, kid: str) -> KeyRecord:
        """Return a key in whatever state; raise `KeyUnknown`. A kid of another owner is unknown."""

    async def verifying(self, owner: str, kid: str, signed_at: int) -> KeyRecord:
        """Return the key to verify with what it is said to have signed at that time.

        Raise `KeyUnknown`, and what `require_verifying` raises: the key never signed or is retired, the time lies
        outside its dates, or at or after the moment it was compromised. `signed_at` of a compromised key counts only
        where somebody else vouches for it (an anchor): its thief writes any time into what he signs.
        """

    async def published(self, owner: str) -> tuple[KeyRecord, ...]:
        """Return the keys `is_published` names, oldest first."""

    async def rotate(self, owner: str, successor_kid: str) -> KeyRecord:
        """Make the pending successor active and the key it follows retiring, both or neither; return the successor."""

    async def retire(self, owner: str, kid: str) -> KeyRecord:
        """Retire a key and destroy its sealed private half; return the record."""

    async def report_compromise(self, owner: str, kid: str, at: int) -> KeyRecord:
        """Apply `with_compromise` and destroy the sealed private half; return the record."""
