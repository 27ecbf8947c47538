"""The composition root: the one module that knows everyone. Constructor calls, in the order of the house, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from adapters.certificate_press import PooledCertificatePress
from adapters.http.counted import CountedLimiter
from adapters.http.edge import UPLOAD_MAX_BYTES
from adapters.http.outbound import OutboundClient
from adapters.http.public import public_routes
from adapters.http.rate_limit import Limit, LocalRateLimiter, RateRule
from adapters.http.stack import HttpRules, build_stack
from adapters.observe.log import Log, patterns_of
from adapters.observe.meters import CountedAudit
from adapters.pages import audit_pages, home_pages, log_files, log_pages, openapi, text_pages
from adapters.parts import Parts
from adapters.records import Records
from adapters.web.assets import Assets
from adapters.web.catalogue import load
from adapters.web.render import Frame, NavigationItem, Pages, environment
from credentials.pages import (
    batch_forms,
    batch_pages,
    record_pages,
    share_pages,
    verify_api,
    verify_pages,
    wallet_pages,
)
from idp.authority.model import Actor, Duty
from idp.metadata import METADATA_PATHS
from idp.model import Acr
from idp.provider import Provider, ProviderSettings, build_provider

# Paths that programs call: they are told of errors in JSON, and no cookie counts there.
PROGRAM_PATHS: Final = (
    "/token",
    "/revoke",
    "/introspect",
    "/par",
    "/device_authorization",
    "/userinfo",
    "/register",
    "/jwks",
    "/.well-known/",
    "/api/",
    "/status/",
    "/trust.json",
    *log_files.LOG_FILE_PATHS,
)
# Their pages have no navigation of the person's own.
OWN_SESSION_PATHS: Final = ("/authorize",)
# Authenticated by a code, a token or nothing at all, never by a cookie; or open to cross-site posts by their standard
# (OIDC Core §3.1.2.1, RP-Initiated Logout §2), which themselves change nothing without a page of ours in between.
TOKEN_AUTHENTICATED_PATHS: Final = (
    "/authorize",
    "/token",
    "/revoke",
    "/introspect",
    "/par",
    "/device_authorization",
    "/userinfo",
    "/register",
    "/register/",
    "/end-session",
    "/api/verify",
)
UPLOAD_PATHS: Final[Mapping[str, int]] = {
    "/verify": UPLOAD_MAX_BYTES,
    "/api/verify": UPLOAD_MAX_BYTES,
    "/batches/new/": UPLOAD_MAX_BYTES,
}
# A school behind one address signs in together at eight in the morning; guessing is slowed per account elsewhere.
RATE_RULES: Final = (
    RateRule("POST", "/signin/", Limit("sign-in", burst=300, period_s=0.2)),
    # The pages and the endpoint of devices; guessing user codes is slowed per person elsewhere.
    RateRule("POST", "/device", Limit("device", burst=300, period_s=0.2)),
    RateRule("POST", "/account/password", Limit("password", burst=30, period_s=2)),
    RateRule("POST", "/verify", Limit("verify", burst=120, period_s=0.5)),
    RateRule("GET", "/verify/", Limit("verify", burst=120, period_s=0.5)),
    RateRule("POST", "/api/verify", Limit("verify", burst=120, period_s=0.5)),
    *(
        RateRule(method, "/register", Limit("register", burst=60, period_s=2))
        for method in ("POST", "GET", "PUT", "DELETE")
    ),
)


@dataclass(frozen=True, slots=True)
class Application:
    """What the server serves, and what the worker drives."""

    asgi: ASGIApp
    provider: Provider
    records: Records
    press: PooledCertificatePress
    log: Log
    outbound: OutboundClient

    def close(self) -> None:
        """Let the certificate press finish its page."""
        self.press.close()


def build_application(
    parts: Parts, records: Records, *, stated_acr: Mapping[str, Acr], write_log: Callable[[str], object]
) -> Application:
    """Put the pages and endpoints on top of the parts. `stated_acr`: see `SignInPolicy`."""
    settings = parts.settings
    translators = load()
    assets = Assets()
    pages = Pages(environment(assets), translators, _frame(parts))
    meters = parts.meters
    log = Log(clock=parts.clock, write=write_log, heard=meters.http.heard)
    outbound = OutboundClient(allow=settings.outbound_allowed)
    provider = build_provider(
        ProviderSettings(
            issuer=settings.issuer,
            display_name=settings.region_name_zh,
            second_factor_for_all=settings.second_factor_for_all,
            sm2_curve=settings.sm2_curve,
            stated_acr=stated_acr,
        ),
        store=parts.access,
        transient=parts.transient,
        registry=parts.registry,
        authority=parts.authority,
        keys=parts.idp_keys,
        sealer=parts.column_sealer,
        subject_key=parts.keyring["pairwise-subject"].current,
        step_key=parts.keyring["login-step"].current,
        passwords=parts.passwords,
        audit=CountedAudit(parts.audit, meters.acts),
        render=pages,
        fetch=outbound.get,
        clock=parts.clock,
        random_bytes=parts.random_bytes,
    )
    press = PooledCertificatePress(
        wallet=records.services.wallet,
        sharing=records.services.sharing,
        keys=records.keys,
        issuers=records.issuers,
        translators=translators,
        clock=parts.clock,
    )
    routes = [
        *provider.routes,
        *_page_routes(parts, records, pages, press),
        *public_routes(records.services.desk, records.services.statuses, parts.idp_database),
    ]
    meters.http.know(patterns_of(routes))
    meters.limits.know(rule.limit.name for rule in RATE_RULES)
    asgi = build_stack(
        routes,
        rules=_rules(parts),
        pages=pages,
        translators=translators,
        assets=assets,
        log=log,
        limiter=CountedLimiter(LocalRateLimiter(time.monotonic, processes=settings.workers), meters.limits),
        resolve_actor=provider.actors.resolve_actor,
        form_key=parts.keyring["csrf"].current,
        random_bytes=parts.random_bytes,
        monotonic=time.monotonic,
    )
    return Application(asgi, provider, records, press, log, outbound)


def _rules(parts: Parts) -> HttpRules:
    origin = urlsplit(parts.settings.issuer)
    return HttpRules(
        origin=f"{origin.scheme}://{origin.netloc}",
        proxies=[ip_network(network) for network in parts.settings.trusted_proxies],
        programs=PROGRAM_PATHS,
        own_sessions=OWN_SESSION_PATHS,
        token_authenticated=TOKEN_AUTHENTICATED_PATHS,
        uploads=UPLOAD_PATHS,
        rates=RATE_RULES,
        same_for_all=METADATA_PATHS,
        revision=lambda: parts.idp_keys.revision,
    )


def _page_routes(parts: Parts, records: Records, pages: Pages, press: PooledCertificatePress) -> list[BaseRoute]:
    clock = parts.clock
    verify = verify_pages.VerifyDeps(pages, records.services.desk, clock)
    batch = batch_pages.BatchDeps(pages, records.services.issuance, parts.registry, records.issuers, clock)
    return [
        *home_pages.routes(
            home_pages.HomeDeps(pages, records.services.wallet, records.services.issuance, parts.registry, parts.ledger)
        ),
        *verify_pages.routes(verify),
        *verify_api.routes(verify),
        *wallet_pages.routes(
            wallet_pages.WalletDeps(
                pages, records.services.wallet, records.services.sharing, press, records.store.changes_of, clock
            )
        ),
        *share_pages.routes(
            share_pages.ShareDeps(pages, records.services.wallet, records.services.sharing, records.issuers, clock)
        ),
        *batch_forms.routes(batch),
        *batch_pages.routes(batch),
        *record_pages.routes(
            record_pages.RecordDeps(
                pages, records.store, records.services.statuses, parts.registry, records.issuers, clock
            )
        ),
        *log_files.routes(parts.log_folder),
        *log_pages.routes(log_pages.LogDeps(pages, parts.ledger, parts.log_trust)),
        *audit_pages.routes(audit_pages.AuditDeps(pages, parts.audit, parts.authority)),
        *text_pages.routes(pages),
        *openapi.routes(),
    ]


def _frame(parts: Parts) -> Frame:
    return Frame(
        filing_number=parts.settings.filing_number,
        police_filing_number=parts.settings.police_filing_number,
        navigation=_navigation,
        sign_out_path="/signout",
        home_path="/home",
    )


def _navigation(request: Request) -> Sequence[NavigationItem]:
    """Offer each reader the few places that are theirs."""
    actor: Actor | None = getattr(request.state, "actor", None)
    anyone = [NavigationItem("/verify", "navigation.verify"), NavigationItem("/log", "navigation.log")]
    if actor is None:
        return [*anyone, NavigationItem("/home", "frame.sign_in")]
    own = [NavigationItem("/home", "navigation.home"), NavigationItem("/credentials", "navigation.credentials")]
    duties = {duty for office in actor.offices for duty in office.duties}
    if duties & {Duty.REGISTRAR, Duty.APPROVER}:
        own.append(NavigationItem("/batches", "navigation.batches"))
    if Duty.AUDITOR in duties:
        own.append(NavigationItem("/audit", "navigation.audit"))
    return [*own, *anyone, NavigationItem("/account/sessions", "navigation.account")]
