"""Accreditation as this deployment grants it: ministry, province, school; statements are signed anew when keys change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from credentials.accreditation import AccreditedKey, KeyPurpose, Statement, sign_statement, unverified_statement
from credentials.ports import Accreditor, Clock, IssuerKeys, Issuers
from credentials.store import CredentialStore
from idp.registry.model import School

YEAR_S: Final = 365 * 86400
# A statement is signed for ten years and anew long before; old ones stay good for what was signed under them.
STATEMENT_LIFETIME_S: Final = 10 * YEAR_S
RENEW_BEFORE_S: Final = YEAR_S
ISSUER_PURPOSES: Final = frozenset({KeyPurpose.CREDENTIAL, KeyPurpose.STATUS, KeyPurpose.DOCUMENT})
MINISTRY_DIVISION: Final = "000000"


class Accreditation:
    """The chain for each school. `accreditors` are those this deployment holds keys of, by division code."""

    def __init__(
        self,
        *,
        store: CredentialStore,
        keys: IssuerKeys,
        clock: Clock,
        issuers: Issuers,
        accreditors: Mapping[str, Accreditor],
        types: frozenset[str],
        levels: frozenset[str],
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._issuers = issuers
        self._accreditors = accreditors
        self._types = types
        self._levels = levels

    async def chain(self, school: School) -> tuple[str, ...]:
        """Return the statements that lead from the ministry to the school, each the newest, signed anew where due."""
        ministry = self._accreditors[MINISTRY_DIVISION]
        province = self._accreditors.get(school.region)
        statements: list[str] = []
        above = ministry
        if province is not None:
            statements.append(await self._statement(above, province.id, province.names, accrediting=True))
            above = province
        issuer = self._issuers.issuer_id(school.code)
        statements.append(await self._statement(above, issuer, {"zh-CN": school.name}, accrediting=False))
        return tuple(statements)

    async def _statement(self, above: Accreditor, subject: str, names: Mapping[str, str], *, accrediting: bool) -> str:
        # Made at their first use, which this is.
        if accrediting:
            await self._keys.accreditation_key(subject)
        else:
            await self._keys.credential_key(subject)
            await self._keys.status_key(subject)
            await self._keys.document_key(subject)
        wanted = {KeyPurpose.ACCREDITATION} if accrediting else ISSUER_PURPOSES
        keys = tuple(key for key in await self._keys.accredited(subject) if key.purpose in wanted)
        signer = await self._keys.accreditation_key(above.id)  # before the time: a key is never younger than its use
        now = self._clock()
        kept = await self._store.statement(above.id, subject)
        before = None if kept is None else unverified_statement(kept)
        if kept is not None and before is not None and self._stands(before, keys, names, now):
            return kept
        # Accredited since the first statement, or since the oldest key: what was signed then stays covered.
        earliest = min(now, *(key.not_before for key in keys), *(() if before is None else (before.not_before,)))
        statement = Statement(
            above.id, subject, names, keys, self._types, self._levels, now, earliest, now + STATEMENT_LIFETIME_S
        )  # fmt: skip
        token = sign_statement(statement, key=signer)
        await self._store.keep_statement(above.id, subject, token, issued_at=now)
        return token

    def _stands(self, kept: Statement, keys: tuple[AccreditedKey, ...], names: Mapping[str, str], now: int) -> bool:
        return (
            {_state(key) for key in kept.keys} == {_state(key) for key in keys}
            and kept.names == names
            and kept.types == self._types
            and kept.levels == self._levels
            and now < kept.not_after - RENEW_BEFORE_S
        )


def _state(key: AccreditedKey) -> tuple[str, KeyPurpose, int, int | None, int | None]:
    return key.public.kid, key.purpose, key.not_before, key.not_after, key.compromised_at
