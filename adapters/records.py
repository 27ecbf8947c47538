"""The services of `credentials/`, put together over the parts: who issues, holds, shares and verifies."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.parts import Parts
from adapters.sql.credentials_keys import SqlIssuerKeys
from adapters.sql.credentials_store import SqlCredentialStore
from credentials.bundling import Bundling
from credentials.desk import VerificationDesk
from credentials.diploma import LEVELS
from credentials.issuance import Issuance
from credentials.issuers import MINISTRY_DIVISION, Accreditation
from credentials.issuing import Issuing
from credentials.kinds import TYPES
from credentials.ports import Accreditor, Issuers
from credentials.sharing import Sharing
from credentials.status_changes import StatusChanges
from credentials.trust import TrustAnchors
from credentials.wallet import Wallet
from crypto.sealed import BlindIndex


@dataclass(frozen=True, slots=True)
class Records:
    """What pages and the worker call."""

    store: SqlCredentialStore
    keys: SqlIssuerKeys
    issuers: Issuers
    issuance: Issuance
    statuses: StatusChanges
    wallet: Wallet
    sharing: Sharing
    desk: VerificationDesk


async def root_of_trust(parts: Parts) -> TrustAnchors:
    """Return what a verifier believes of this deployment: its root accreditor, its log and its anchor witness."""
    keys = _keys(parts)
    root = Issuers(parts.settings.issuer).accreditor_id(MINISTRY_DIVISION)
    key = await keys.accreditation_key(root)
    return TrustAnchors({root: key.public}, parts.log_trust, ())


def _keys(parts: Parts) -> SqlIssuerKeys:
    return SqlIssuerKeys(
        parts.credentials_database, sealer=parts.column_sealer, backend=parts.backend, clock=parts.clock
    )


def build_records(parts: Parts, trust: TrustAnchors) -> Records:
    """Put the services together; `trust` as `root_of_trust` returns it."""
    settings, clock, random_bytes = parts.settings, parts.clock, parts.random_bytes
    keys = _keys(parts)
    store = SqlCredentialStore(
        parts.credentials_database, sealer=parts.column_sealer, index=BlindIndex(parts.keyring["share-code"].current)
    )
    issuers = Issuers(settings.issuer)
    accreditation = Accreditation(
        store=store,
        keys=keys,
        clock=clock,
        issuers=issuers,
        accreditors={
            MINISTRY_DIVISION: Accreditor(
                issuers.accreditor_id(MINISTRY_DIVISION),
                {"zh-CN": settings.root_name_zh, "en": settings.root_name_en},
            ),
            settings.region: Accreditor(
                issuers.accreditor_id(settings.region),
                {"zh-CN": settings.region_name_zh, "en": settings.region_name_en},
            ),
        },
        types=TYPES,
        levels=LEVELS,
    )
    statuses = StatusChanges(
        store=store,
        keys=keys,
        ledger=parts.ledger,
        audit=parts.audit,
        issuers=issuers,
        clock=clock,
        random_bytes=random_bytes,
    )
    bundling = Bundling(ledger=parts.ledger, people=parts.registry, statuses=statuses, accreditation=accreditation)
    issuing = Issuing(
        store=store,
        keys=keys,
        accreditation=accreditation,
        ledger=parts.ledger,
        people=parts.registry,
        audit=parts.audit,
        issuers=issuers,
        clock=clock,
        random_bytes=random_bytes,
    )
    return Records(
        store=store,
        keys=keys,
        issuers=issuers,
        issuance=Issuance(
            store=store,
            keys=keys,
            people=parts.registry,
            audit=parts.audit,
            issuing=issuing,
            clock=clock,
            random_bytes=random_bytes,
        ),
        statuses=statuses,
        wallet=Wallet(store=store, ledger=parts.ledger, bundling=bundling, issuers=issuers),
        sharing=Sharing(
            store=store, keys=keys, audit=parts.audit, issuers=issuers, clock=clock, random_bytes=random_bytes
        ),
        desk=VerificationDesk(
            store=store,
            bundling=bundling,
            statuses=statuses,
            accreditation=accreditation,
            people=parts.registry,
            issuers=issuers,
            clock=clock,
            trust=trust,
        ),
    )
