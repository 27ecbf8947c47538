"""The services of this package, wired to one set of ports. The composition root calls this once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from credentials.bundling import Bundling
from credentials.desk import VerificationDesk
from credentials.diploma import LEVELS
from credentials.issuance import Issuance
from credentials.issuers import MINISTRY_DIVISION, Accreditation
from credentials.issuing import Issuing
from credentials.kinds import TYPES
from credentials.ports import Accreditor, AuditPort, Clock, IssuerKeys, Issuers, LedgerPort, People, RandomBytes
from credentials.sharing import Sharing
from credentials.status_changes import StatusChanges
from credentials.store import CredentialStore
from credentials.trust import TrustAnchors
from credentials.wallet import Wallet
from ledger.receipt import LogTrust


@dataclass(frozen=True, slots=True)
class Services:
    """What pages, interfaces and the worker call."""

    issuance: Issuance
    statuses: StatusChanges
    wallet: Wallet
    sharing: Sharing
    desk: VerificationDesk
    accreditation: Accreditation
    trust: TrustAnchors

    async def work(self) -> int:
        """Take one step of everything unfinished; return how many batches are still unfinished. For the worker."""
        await self.statuses.work()
        return await self.issuance.work()


async def open_services(
    *,
    store: CredentialStore,
    keys: IssuerKeys,
    ledger: LedgerPort,
    people: People,
    audit: AuditPort,
    issuers: Issuers,
    province: tuple[str, Mapping[str, str]],
    ministry_names: Mapping[str, str],
    log_trust: LogTrust,
    clock: Clock,
    random_bytes: RandomBytes,
) -> Services:
    """Wire the services. `province` is the six-digit code this deployment serves, with its bureau's names by language.

    The ministry's accreditation key is the trust anchor of this deployment and is made at the first start.
    """
    division, names = province
    ministry = Accreditor(issuers.accreditor_id(MINISTRY_DIVISION), ministry_names)
    accreditors = {
        MINISTRY_DIVISION: ministry,
        division: Accreditor(issuers.accreditor_id(division), names),
    }
    anchor = (await keys.accreditation_key(ministry.id)).public
    trust = TrustAnchors({ministry.id: anchor}, log_trust, ())
    accreditation = Accreditation(
        store=store, keys=keys, clock=clock, issuers=issuers, accreditors=accreditors, types=TYPES, levels=LEVELS
    )
    issuing = Issuing(
        store=store, keys=keys, ledger=ledger, people=people, audit=audit, accreditation=accreditation, issuers=issuers, clock=clock,
        random_bytes=random_bytes,
    )  # fmt: skip
    statuses = StatusChanges(
        store=store, keys=keys, ledger=ledger, audit=audit, issuers=issuers, clock=clock, random_bytes=random_bytes
    )
    bundling = Bundling(ledger=ledger, people=people, statuses=statuses, accreditation=accreditation)
    return Services(
        issuance=Issuance(
            store=store, keys=keys, people=people, audit=audit, issuing=issuing, clock=clock, random_bytes=random_bytes
        ),
        statuses=statuses,
        wallet=Wallet(store=store, ledger=ledger, bundling=bundling, issuers=issuers),
        sharing=Sharing(
            store=store, keys=keys, audit=audit, issuers=issuers, clock=clock, random_bytes=random_bytes
        ),
        desk=VerificationDesk(
            store=store, bundling=bundling, statuses=statuses, accreditation=accreditation, people=people,
            issuers=issuers, clock=clock, trust=trust,
        ),
        accreditation=accreditation,
        trust=trust,
    )  # fmt: skip
