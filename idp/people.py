"""What sign-in reads of the registry: a person in good standing, with the names and affiliations a claim may release."""

from __future__ import annotations

from typing import Protocol

from idp.model import Affiliated, PersonProfile
from idp.registry.errors import PersonNumberRefused, PersonUnknown
from idp.registry.model import AccountStatus, Person
from idp.registry.person_number import parse_person_number
from idp.registry.store import RegistryStore


class People(Protocol):
    """Profiles by person number."""

    async def profile(self, person: str) -> PersonProfile | None:
        """Return the profile, or None when the person is unknown or not active in the registry."""

    async def in_good_standing(self, person: str) -> bool:
        """Whether the person is known and active in the registry."""


class RegistryPeople:
    """`People` over the registry's store."""

    def __init__(self, registry: RegistryStore) -> None:
        self._registry = registry

    async def profile(self, person: str) -> PersonProfile | None:
        """See `People.profile`."""
        found = await self._active(person)
        if found is None:
            return None
        affiliations = await self._registry.affiliations(found.number, current_only=True)
        return PersonProfile(
            person=person,
            display_name=found.display_name,
            real_name=str(found.real_name) or None,
            affiliations=tuple(
                Affiliated(
                    school_code=str(entry.school),
                    kind=entry.kind.value,
                    since=entry.since.isoformat(),
                    until=None if entry.until is None else entry.until.isoformat(),
                )
                for entry in affiliations
            ),
        )

    async def in_good_standing(self, person: str) -> bool:
        """See `People.in_good_standing`."""
        return await self._active(person) is not None

    async def _active(self, person: str) -> Person | None:
        try:
            found = await self._registry.person(parse_person_number(person))
        except (PersonNumberRefused, PersonUnknown):
            return None
        return found if found.status is AccountStatus.ACTIVE else None
