"""Consent: per person, client and scope; remembered, and withdrawn as easily as given.

A scope the registration calls required comes with the platform or not at all; an optional one is asked for unticked. A
scope once offered and left unticked is not asked for again unless the platform says `prompt=consent`. No grant type, no
first party and no empty scope passes without it (CVE-2026-79652).

A platform registered for `openid` alone with pairwise subjects is given nothing of a person but a number that means
nothing elsewhere: it is not asked about at the first sign-in, but it stands among the platforms the person allowed, and
once withdrawn it is asked about like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from idp.clients.model import Client, SubjectType
from idp.model import Clock
from idp.scopes import OPENID, in_order
from idp.store import Consent, ConsentStore


@dataclass(frozen=True, slots=True)
class ConsentQuestion:
    """What to ask: scopes that come with the platform, and scopes the person may add."""

    required: tuple[str, ...]
    optional: tuple[str, ...]


class Consents:
    """Asks, remembers, withdraws."""

    def __init__(self, store: ConsentStore, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def granted_or_question(
        self, person: str, client: Client, requested: tuple[str, ...], *, again: bool
    ) -> tuple[str, ...] | ConsentQuestion:
        """Return the scopes the person has allowed of those requested, or the question that must be asked first."""
        consent = await self._store.consent(person, client.client_id)
        if consent is None and not again and _pseudonym_alone(client):
            now = self._clock()
            await self._store.remember_consent(
                Consent(person, client.client_id, (OPENID,), (OPENID,), now, {OPENID: now})
            )
            return in_order({OPENID} & set(requested))
        required = in_order(set(requested) & set(client.scopes_required))
        granted = set() if consent is None else set(consent.granted)
        offered = set() if consent is None else set(consent.offered)
        if again or not granted.issuperset(required) or not offered.issuperset(requested):
            return ConsentQuestion(required, in_order(set(requested) - set(required)))
        return in_order(granted & set(requested))

    async def remember(self, person: str, client: Client, question: ConsentQuestion, ticked: frozenset[str]) -> None:
        """Keep the answer: required scopes and the ticked ones of the optional. Scopes of earlier consents stay.

        A scope allowed before and left unticked now is taken back, with every token that carries it.
        """
        now = self._clock()
        earlier = await self._store.consent(person, client.client_id)
        granted = set(question.required) | (ticked & set(question.optional))
        offered = set(question.required) | set(question.optional)
        if earlier is not None:
            granted |= set(earlier.granted) - offered
            offered |= set(earlier.offered)
            for scope in in_order(set(earlier.granted) - granted):
                await self._store.withdraw_scope(person, client.client_id, scope, now)
        known = {} if earlier is None else earlier.since
        since = {scope: known.get(scope, now) for scope in granted}
        await self._store.remember_consent(
            Consent(person, client.client_id, in_order(granted), in_order(offered), now, since)
        )

    async def of(self, person: str) -> tuple[Consent, ...]:
        """List what a person allows, newest first."""
        return await self._store.consents_of(person)

    async def withdraw_scope(self, person: str, client: Client, scope: str) -> bool:
        """Untick one optional scope; every token that carries it is dead when this returns. A required one stays."""
        if scope in {OPENID, *client.scopes_required}:
            return False
        return await self._store.withdraw_scope(person, client.client_id, scope, self._clock())

    async def last_uses(self, person: str) -> Mapping[str, int]:
        """Return when each client last got tokens for the person: seconds by client id."""
        return await self._store.last_uses(person)

    async def withdraw(self, person: str, client_id: str) -> bool:
        """Withdraw; every token of this person at this client is dead when this returns."""
        return await self._store.withdraw_consent(person, client_id, self._clock())


def _pseudonym_alone(client: Client) -> bool:
    return {*client.scopes_required, *client.scopes_optional} == {
        OPENID
    } and client.subject_type is SubjectType.PAIRWISE
