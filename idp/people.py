"""What sign-in reads of the registry: a person in good standing, with the names and affiliations a claim may release."""

from __future__ import annotations

from typing import Protocol

from idp.model import Affiliated, Clock, PersonProfile
from idp.registry.contact import Contact
from idp.registry.dates import day_of
from idp.registry.errors import PersonNumberRefused, PersonUnknown
from idp.registry.model import AccountStatus, NamedPerson, SealedPerson
from idp.registry.person_number import parse_person_number
from idp.registry.store import RegistryStore


class People(Protocol):
    """Profiles by person number."""

    async def profile(self, person: str, *, affiliations: bool) -> PersonProfile | None:
        """Return the profile, or None when the person is unknown or not active in the registry.

        Without `affiliations` they are not read, and the profile has none.
        """

    async def profile_of(self, sealed: SealedPerson, *, affiliations: bool) -> PersonProfile | None:
        """As `profile`, of a person who was read already."""

    async def contact(self, person: str) -> Contact | None:
        """Return how the person is reached, or None as `profile` does. Opens what is sealed: ask only when it is used.

        None also of a child below 14, whose guardian would have to consent to its release (PIPL Art 31); nobody asks
        guardians yet.
        """

    async def in_good_standing(self, person: str) -> bool:
        """Whether the person is known and active in the registry."""


class RegistryPeople:
    """`People` over the registry's store."""

    def __init__(self, registry: RegistryStore, *, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock

    async def profile(self, person: str, *, affiliations: bool) -> PersonProfile | None:
        """See `People.profile`."""
        found = await self._active(person)
        return None if found is None else await self._told(found, affiliations=affiliations)

    async def profile_of(self, sealed: SealedPerson, *, affiliations: bool) -> PersonProfile | None:
        """See `People.profile_of`."""
        if sealed.status is not AccountStatus.ACTIVE:
            return None
        return await self._told(self._registry.opened(sealed), affiliations=affiliations)

    async def _told(self, found: NamedPerson, *, affiliations: bool) -> PersonProfile:
        listed = await self._registry.affiliations(found.number, current_only=True) if affiliations else ()
        return PersonProfile(
            person=str(found.number),
            display_name=found.display_name,
            real_name=found.real_name or None,
            given_name=found.given_name,
            family_name=found.family_name,
            locale=found.locale,
            zoneinfo=found.zoneinfo,
            updated_at=found.updated_at,
            affiliations=tuple(
                Affiliated(
                    school_code=str(entry.school),
                    kind=entry.kind.value,
                    since=entry.since.isoformat(),
                    until=None if entry.until is None else entry.until.isoformat(),
                )
                for entry in listed
            ),
        )

    async def contact(self, person: str) -> Contact | None:
        """See `People.contact`."""
        try:
            found = await self._registry.person(parse_person_number(person))
        except (PersonNumberRefused, PersonUnknown):
            return None
        if found.status is not AccountStatus.ACTIVE or found.needs_guardian_on(day_of(self._clock())):
            return None
        return await self._registry.contact(found.number)

    async def in_good_standing(self, person: str) -> bool:
        """See `People.in_good_standing`."""
        try:
            status = await self._registry.status(parse_person_number(person))
        except (PersonNumberRefused, PersonUnknown):
            return False
        return status is AccountStatus.ACTIVE

    async def _active(self, person: str) -> NamedPerson | None:
        try:
            found = await self._registry.named(parse_person_number(person))
        except (PersonNumberRefused, PersonUnknown):
            return None
        return found if found.status is AccountStatus.ACTIVE else None
