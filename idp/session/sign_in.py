"""Opening, renewing, finding and ending sessions."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import HTTPConnection

from crypto.encoding import b64u_encode
from idp.model import REFERENCE_BYTES, Authentication, Clock, EndedSession, RandomBytes, Session
from idp.origin import device_of, place_of
from idp.session.cookies import CookiePolicy, cookie_hash, new_secret
from idp.store import SessionStore

IDLE_LIMIT_S = 30 * 60
"""NIST SP 800-63B-4 AAL2, the stricter figure of its draft: 30 minutes without use."""

ABSOLUTE_LIMIT_S = 12 * 60 * 60
"""NIST SP 800-63B-4 AAL2, the stricter figure of its draft: 12 hours in all."""

TOUCH_INTERVAL_S = 60
"""The idle limit moves at most once a minute, so that reading a page costs no write."""


class Sessions:
    """The one place that turns a cookie into a session and an authentication into a cookie."""

    def __init__(self, store: SessionStore, cookies: CookiePolicy, *, clock: Clock, random_bytes: RandomBytes) -> None:
        self._store = store
        self._clock = clock
        self._random_bytes = random_bytes
        self.cookies = cookies

    async def current(self, connection: HTTPConnection) -> Session | None:
        """Return the live session of this request, account and person active; move its idle limit."""
        secret = self.cookies.session_secret(connection)
        if secret is None:
            return None
        now = self._clock()
        session = await self._store.session_by_cookie(cookie_hash(secret), now)
        if session is None or not session.person_active:
            return None
        if now - session.last_seen >= TOUCH_INTERVAL_S:
            idle_until = min(now + IDLE_LIMIT_S, session.absolute_until)
            await self._store.touch_session(session.reference, now=now, idle_until=idle_until)
        return session

    async def held(self, connection: HTTPConnection) -> Session | None:
        """Return the session of this request to end it or to replace it.

        As `current`, but also where the person is not in good standing at the moment: who signs out while locked has
        signed out, and nothing comes back to life with the person.
        """
        secret = self.cookies.session_secret(connection)
        return None if secret is None else await self._store.session_by_cookie(cookie_hash(secret), self._clock())

    async def establish(
        self, connection: HTTPConnection, person: str, authentication: Authentication
    ) -> tuple[Session, str]:
        """Open a session after an authentication, or renew this browser's; return it with its new cookie secret.

        The cookie is fresh in every case (CVE-2026-7507, CVE-2025-12390: fixation). The same person keeps the session's
        reference, so that platforms signed in to stay part of it; another person's session in this browser is ended.
        """
        now = self._clock()
        secret = new_secret(self._random_bytes)
        previous = await self.held(connection)
        idle_until, absolute_until = now + IDLE_LIMIT_S, now + ABSOLUTE_LIMIT_S
        if previous is not None and previous.person == person:
            renewed = await self._store.renew_session(
                previous.reference,
                cookie_hash(secret),
                authentication,
                idle_until=idle_until,
                absolute_until=absolute_until,
            )
            session = await self._store.session(previous.reference, now) if renewed else None
            if session is not None:
                return session, secret
        elif previous is not None:
            await self._store.end_session(previous.reference, now)
        session = Session(
            reference=b64u_encode(self._random_bytes(REFERENCE_BYTES)),
            person=person,
            authentication=authentication,
            created_at=now,
            last_seen=now,
            idle_until=idle_until,
            absolute_until=absolute_until,
            device=device_of(connection),
            place=place_of(connection),
            person_active=True,  # the dispatcher has just asked
        )
        await self._store.open_session(session, cookie_hash(secret))
        return session, secret

    async def end(self, reference: str) -> EndedSession | None:
        """End one session."""
        return await self._store.end_session(reference, self._clock())

    async def end_all(self, person: str) -> tuple[EndedSession, ...]:
        """End every session of a person."""
        return await self._store.end_sessions_of(person, self._clock())

    async def end_others(self, session: Session) -> tuple[EndedSession, ...]:
        """End every session of this session's person but this one."""
        return await self._store.end_other_sessions(session.person, session.reference, self._clock())

    async def clients_of(self, person: str) -> Mapping[str, tuple[str, ...]]:
        """Return the clients that got tokens in each live session of a person, by the session's reference."""
        return await self._store.clients_of_sessions(person, self._clock())

    async def of(self, person: str) -> tuple[Session, ...]:
        """List a person's live sessions, newest first."""
        return await self._store.sessions_of(person, self._clock())
