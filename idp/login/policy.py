"""Which assurance a sign-in needs. One rule for every path (CVE-2026-9798 and its siblings: policy missing on a path)."""

from __future__ import annotations

from idp.authority.store import AuthorityStore
from idp.model import Acr
from idp.registry.person_number import parse_person_number


class SignInPolicy:
    """Decides the authentication context class a person must reach."""

    def __init__(self, authority: AuthorityStore, *, second_factor_for_all: bool) -> None:
        self._authority = authority
        self._second_factor_for_all = second_factor_for_all

    async def required_acr(self, person: str, asked: Acr) -> Acr:
        """Return the class: two factors for whoever holds an office, for everyone by setting, or when asked for."""
        if self._second_factor_for_all or asked is Acr.TWO:
            return Acr.TWO
        return Acr.TWO if await self._authority.offices_of(parse_person_number(person)) else Acr.ONE
