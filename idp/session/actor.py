"""Who acts: from a request's session to the actor every room's rules are decided on."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from idp.authority.model import Actor
from idp.authority.store import AuthorityStore
from idp.people import People
from idp.registry.person_number import parse_person_number
from idp.session.sign_in import Sessions


class ActorResolver:
    """Resolves the actor of a request."""

    def __init__(self, sessions: Sessions, people: People, authority: AuthorityStore) -> None:
        self._sessions = sessions
        self._people = people
        self._authority = authority

    async def resolve_actor(self, connection: HTTPConnection) -> Actor | None:
        """Return the actor, or None when nobody is signed in.

        An absent, malformed, unknown, expired or ended cookie and an account or person not active are all None.
        """
        session = await self._sessions.current(connection)
        if session is None:
            return None
        profile = await self._people.profile(session.person, affiliations=False)
        if profile is None:
            return None
        number = parse_person_number(session.person)
        return Actor(
            person=number,
            display_name=profile.display_name,
            offices=await self._authority.offices_of(number),
            acr=session.authentication.acr.value,
            auth_time=session.authentication.time,
            session_ref=session.reference,
        )
