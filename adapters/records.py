"""The services of `credentials/`, given this deployment's parts: who issues, holds, shares and verifies."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.parts import Parts
from adapters.sql.credentials_keys import SqlIssuerKeys
from adapters.sql.credentials_store import SqlCredentialStore
from credentials.ports import Issuers
from credentials.services import Services, open_services
from crypto.sealed import BlindIndex


@dataclass(frozen=True, slots=True)
class Records:
    """The services, and the store, keys and names that pages use directly."""

    services: Services
    store: SqlCredentialStore
    keys: SqlIssuerKeys
    issuers: Issuers


async def open_records(parts: Parts) -> Records:
    """Wire the services over the parts; the first start makes the root accreditor's key."""
    settings = parts.settings
    keys = SqlIssuerKeys(
        parts.credentials_database, sealer=parts.column_sealer, backend=parts.backend, clock=parts.clock
    )
    store = SqlCredentialStore(
        parts.credentials_database, sealer=parts.column_sealer, index=BlindIndex(parts.keyring["share-code"].current)
    )
    issuers = Issuers(settings.issuer)
    services = await open_services(
        store=store,
        keys=keys,
        ledger=parts.ledger,
        people=parts.registry,
        audit=parts.audit,
        issuers=issuers,
        province=(settings.region, {"zh-CN": settings.region_name_zh, "en": settings.region_name_en}),
        ministry_names={"zh-CN": settings.root_name_zh, "en": settings.root_name_en},
        log_trust=parts.log_trust,
        clock=parts.clock,
        random_bytes=parts.random_bytes,
    )
    return Records(services, store, keys, issuers)
