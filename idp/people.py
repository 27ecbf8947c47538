"""What sign-in reads of the registry: a person in good standing, with the names and affiliations a claim may release."""

from __future__ import annotations

from typing import Protocol

from idp.model import Affiliated, PersonProfile
from idp.registry.errors import PersonNumberRefused, PersonUnknown
from idp.registry.model import AccountStatus
from idp.registry.person_number import parse_person_number
from idp.registry.store import RegistryStore


class People(Protocol):
    """Profiles by person number."""

    async def profile(self, person: str) -> PersonProfile | None:
        """Return the profile, or None when the person is unknown or not active in the registry."""


class RegistryPeople:
    """`People` over the registry's store."""

    def __init__(self, registry: RegistryStore) -> None:
        self._registry = registry

    async def profile(self, person: str) -> PersonProfile | None:
        """See `People.profile`."""
        try:
            number = parse_person_number(person)
            found = await self._registry.person(number)
        except (PersonNumberRefused, PersonUnknown):
            return None
        if found.status is not AccountStatus.ACTIVE:
            return None
        affiliations = await self._registry.affiliations(number, current_only=True)
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
