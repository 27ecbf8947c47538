"""Making a bundle: a presentation with the newest receipt, status token and chain of accreditation beside it."""

from __future__ import annotations

from credentials.bundle import Bundle
from credentials.issuers import Accreditation
from credentials.model import Issued
from credentials.ports import LedgerPort, People
from credentials.status_changes import StatusChanges


class Bundling:
    """Gathers what a verifier needs to judge a credential by itself."""

    def __init__(
        self, *, ledger: LedgerPort, people: People, statuses: StatusChanges, accreditation: Accreditation
    ) -> None:
        self._ledger = ledger
        self._people = people
        self._statuses = statuses
        self._accreditation = accreditation

    async def bundle(self, issued: Issued, presentation: str) -> Bundle:
        """Return the bundle of a presentation of this credential. Raises `ledger` refusals."""
        return Bundle(
            presentation,
            issued.opening,
            await self._ledger.receipt(issued.leaf_index),
            await self._statuses.token(issued.status_list),
            await self._accreditation.chain(await self._people.school(issued.school)),
        )
