"""`RegistryStore` in SQL, on SQLite and PostgreSQL: schools, people, enrolment."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.sql.database import Database
from adapters.sql.idp_registry_contact import SqlContacts
from adapters.sql.idp_registry_enrol import EnrolmentDesk, enrol
from adapters.sql.idp_registry_people import SqlPeople
from adapters.sql.idp_registry_schools import SqlSchools
from adapters.sql.idp_registry_sealing import PersonSealer
from crypto.sealed import BlindIndex, ColumnSealer
from idp.registry.errors import RegistryRefused, RowRefused
from idp.registry.model import Enrolment, EnrolmentRequest
from idp.registry.person_number import RandomBytes
from idp.registry.store import MAX_PAGE


class SqlRegistryStore(SqlSchools, SqlPeople, SqlContacts):
    """The register of one deployment. `region` is the six-digit code of the province it serves."""

    def __init__(
        self, db: Database, *, sealer: ColumnSealer, index: BlindIndex, random_bytes: RandomBytes, region: str
    ) -> None:
        person_sealer = PersonSealer(sealer, index)
        SqlSchools.__init__(self, db)
        SqlPeople.__init__(self, db, person_sealer)
        SqlContacts.__init__(self, db, person_sealer)
        self._desk = EnrolmentDesk(person_sealer, random_bytes, region)

    async def enrol_person(self, request: EnrolmentRequest, *, now: int) -> Enrolment:
        """See `RegistryStore.enrol_person`."""
        (outcome,) = await self.enrol_people((request,), now=now)
        if isinstance(outcome, RegistryRefused):
            raise outcome
        return outcome

    async def enrol_people(
        self, requests: Sequence[EnrolmentRequest], *, now: int
    ) -> tuple[Enrolment | RegistryRefused, ...]:
        """See `RegistryStore.enrol_people`."""
        if len(requests) > MAX_PAGE:
            raise RowRefused(field="requests", rule="batch_too_large")
        async with self._db.transaction() as tx:
            return await enrol(self._desk, tx, requests, now)
