"""Which assurance a sign-in needs. One rule for every path (CVE-2026-9798 and its siblings: policy missing on a path)."""

from __future__ import annotations

from collections.abc import Mapping

from idp.authority.store import AuthorityStore
from idp.model import Acr
from idp.registry.person_number import parse_person_number


class SignInPolicy:
    """Decides the authentication context class a person must reach.

    `stated` is what the operator stated for single people (by person number) when this process started, in place of the
    rule for everybody. It never lowers what an office or a platform demands.
    """

    def __init__(self, authority: AuthorityStore, *, second_factor_for_all: bool, stated: Mapping[str, Acr]) -> None:
        self._authority = authority
        self._for_all = Acr.TWO if second_factor_for_all else Acr.ONE
        self._stated = stated

    async def required_acr(self, person: str, asked: Acr) -> Acr:
        """Return the class: two factors for whoever holds an office, for everyone by setting, or when asked for."""
        if asked is Acr.TWO or self._stated.get(person, self._for_all) is Acr.TWO:
            return Acr.TWO
        return Acr.TWO if await self._authority.offices_of(parse_person_number(person)) else Acr.ONE
