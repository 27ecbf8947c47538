"""The account store, with the tries it held back counted."""

from __future__ import annotations

from adapters.observe.meters import ActMeter
from adapters.sql.database import Database
from adapters.sql.idp_access import SqlAccessStore
from idp.model import AuthenticatorKind
from idp.store import Attempt


class CountedAccessStore(SqlAccessStore):
    """`SqlAccessStore`; every answer to a try passes the meter."""

    def __init__(self, database: Database, *, region: str, meter: ActMeter) -> None:
        super().__init__(database, region=region)
        self._meter = meter

    async def reserve_attempt(self, person: str, kind: AuthenticatorKind, now: int) -> Attempt:
        """See `AccountStore.reserve_attempt`."""
        answer = await super().reserve_attempt(person, kind, now)
        self._meter.tried(kind, answer)
        return answer
