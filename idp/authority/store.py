"""The contract of the store of offices, and the two verbs that decide before they write.

Every method of the store is one transaction, committed when it returns; two calls at once end as if one had come after
the other. The store keeps the rules that span offices; who may appoint is decided in `decide.py`, by `appoint` and
`dismiss` below, which are what pages call.
"""

from __future__ import annotations

from typing import Protocol

from idp.authority.decide import require_may_appoint, require_may_dismiss
from idp.authority.model import Actor, NewOffice, Office, OfficeKind, Unit
from idp.registry.person_number import PersonNumber


class AuthorityStore(Protocol):
    """Offices and who holds them."""

    async def grant_office(self, new: NewOffice, *, by: PersonNumber | None, now: int) -> Office:
        """Record an office; granting the very same again returns the one in force, with the duties of this grant.

        `by` is None only when the operator seats the first officer from the command line.
        Raises `PersonUnknown`; `SystemOfficeTaken` when another person is the unit's active system officer;
        `SeparationOfDuties` when the person holds an active office of another kind in the unit.
        """
        ...

    async def revoke_office(self, office_id: str, *, by: PersonNumber | None, now: int) -> Office:
        """End an office; it stays on record. Raises `OfficeUnknown` for an unknown or revoked one."""
        ...

    async def office(self, office_id: str) -> Office:
        """Return an active office. Raises `OfficeUnknown`."""
        ...

    async def offices_of(self, person: PersonNumber) -> tuple[Office, ...]:
        """Return the person's active offices, oldest first; empty for an unknown or disabled person."""
        ...

    async def officers_of(self, unit_code: str, *, kind: OfficeKind | None) -> tuple[Office, ...]:
        """Return the active offices of one unit, oldest first."""
        ...

    async def offices_within(self, unit: Unit, *, after: str | None, limit: int) -> tuple[Office, ...]:
        """Return active offices of the unit and of every unit below, by identifier, past `after`, at most `limit`."""
        ...


async def appoint(store: AuthorityStore, actor: Actor | None, new: NewOffice, *, now: int) -> Office:
    """Grant an office as the actor. Raises what `require_may_appoint` and `AuthorityStore.grant_office` raise."""
    by = require_may_appoint(actor, new).person
    return await store.grant_office(new, by=by, now=now)


async def dismiss(store: AuthorityStore, actor: Actor | None, office_id: str, *, now: int) -> Office:
    """Revoke an office as the actor. Raises what `require_may_dismiss` and `AuthorityStore.revoke_office` raise."""
    by = require_may_dismiss(actor, await store.office(office_id)).person
    return await store.revoke_office(office_id, by=by, now=now)
