"""The provider put together: constructor calls, nothing else. The composition root passes the outside in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.routing import Route

from crypto.sealed import ColumnSealer
from idp.audit import Acts, AuditPort
from idp.authority.store import AuthorityStore
from idp.authorize.endpoint import AuthorizeEndpoint
from idp.authorize.pushed import PushedRequestEndpoint, PushedRequests
from idp.authorize.response import AuthorizationResponses
from idp.clients.authentication import ClientAuthentication
from idp.clients.requests import ClientRequests
from idp.consent import Consents
from idp.id_token import IdTokens
from idp.keys import IdpKeys
from idp.login.dispatch import Dispatcher
from idp.login.endpoint import SignInPages
from idp.login.first_party import FirstParty
from idp.login.flow import Finisher, Flows
from idp.login.password import PasswordAuthenticator, PasswordVerifier
from idp.login.policy import SignInPolicy
from idp.login.proof import StepProofs
from idp.login.totp import TotpAuthenticator
from idp.login.transaction import LoginTransactions, Purpose
from idp.logout.backchannel import BackchannelLogout
from idp.logout.endpoint import EndSession
from idp.logout.token import LogoutTokens
from idp.metadata import Metadata
from idp.model import Acr, Clock, RandomBytes
from idp.pages.render import Render
from idp.people import RegistryPeople
from idp.registry.store import RegistryStore
from idp.session.actor import ActorResolver
from idp.session.cookies import CookiePolicy
from idp.session.endpoint import AccountPages
from idp.session.sign_in import Sessions
from idp.store import AccessStore
from idp.subject import SubjectIdentifiers
from idp.token.access_token import AccessTokens
from idp.token.endpoint import TokenEndpoint
from idp.token.introspection import IntrospectionEndpoint
from idp.token.revocation import RevocationEndpoint
from idp.transient import TransientStore
from idp.userinfo import UserinfoEndpoint

DEAD_TOKENS_KEPT_S = 24 * 60 * 60
"""Dead tokens stay a day, so that a late replay is still recognised as one."""


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """`issuer`: absolute address without a trailing slash. `display_name`: how phone apps label the code.

    `sm2_curve` is the name written for the curve in published keys, one of `SM2_CURVES_WRITTEN`. `stated_acr` is what the
    operator stated for single people (see `SignInPolicy`).
    """

    issuer: str
    display_name: str
    second_factor_for_all: bool
    sm2_curve: str
    stated_acr: Mapping[str, Acr]


@dataclass(frozen=True, slots=True)
class Provider:
    """What the composition root mounts, asks and runs."""

    routes: list[Route]
    actors: ActorResolver
    logout: BackchannelLogout
    housekeeping: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Outside:
    """What the outside passes in: stores, keys, the password pool, the audit trail, pages, time and randomness."""

    store: AccessStore
    transient: TransientStore
    registry: RegistryStore
    authority: AuthorityStore
    keys: IdpKeys
    sealer: ColumnSealer
    subject_key: bytes
    step_key: bytes
    passwords: PasswordVerifier
    audit: AuditPort
    render: Render
    clock: Clock
    random_bytes: RandomBytes


class _Shared:
    """What several rooms use, made once."""

    def __init__(self, settings: ProviderSettings, outside: _Outside) -> None:
        clock, random_bytes, store = outside.clock, outside.random_bytes, outside.store
        self.acts = Acts(outside.audit, clock=clock)
        self.people = RegistryPeople(outside.registry)
        self.authentication = ClientAuthentication(settings.issuer, clients=store, replays=store, clock=clock)
        self.subjects = SubjectIdentifiers(outside.subject_key)
        self.id_tokens = IdTokens(settings.issuer, outside.keys, self.subjects, clock=clock)
        self.consents = Consents(store, clock=clock)
        cookies = CookiePolicy(secure=settings.issuer.startswith("https://"))
        self.sessions = Sessions(store, self.people, cookies, clock=clock, random_bytes=random_bytes)
        self.totp = TotpAuthenticator(
            store, outside.sealer, issuer_name=settings.display_name, clock=clock, random_bytes=random_bytes
        )
        self.access_tokens = AccessTokens(
            settings.issuer,
            keys=outside.keys,
            subjects=self.subjects,
            tokens=store,
            clients=store,
            clock=clock,
            random_bytes=random_bytes,
        )


def build_provider(  # one keyword a dependency: the composition root reads as a list of what goes in
    settings: ProviderSettings,
    *,
    store: AccessStore,
    transient: TransientStore,
    registry: RegistryStore,
    authority: AuthorityStore,
    keys: IdpKeys,
    sealer: ColumnSealer,
    subject_key: bytes,
    step_key: bytes,
    passwords: PasswordVerifier,
    audit: AuditPort,
    render: Render,
    clock: Clock,
    random_bytes: RandomBytes,
) -> Provider:
    """Put the provider together."""
    return _assemble(
        settings,
        _Outside(
            store=store,
            transient=transient,
            registry=registry,
            authority=authority,
            keys=keys,
            sealer=sealer,
            subject_key=subject_key,
            step_key=step_key,
            passwords=passwords,
            audit=audit,
            render=render,
            clock=clock,
            random_bytes=random_bytes,
        ),
    )


def _assemble(settings: ProviderSettings, outside: _Outside) -> Provider:
    shared = _Shared(settings, outside)
    store, transient, clock = outside.store, outside.transient, outside.clock
    logout_tokens = LogoutTokens(
        settings.issuer, outside.keys, shared.subjects, clock=clock, random_bytes=outside.random_bytes
    )

    async def housekeeping() -> None:
        await transient.discard_expired()
        await store.discard_dead_tokens(clock() - DEAD_TOKENS_KEPT_S)
        await store.discard_used(clock())

    return Provider(
        routes=[
            *Metadata(settings.issuer, outside.keys, sm2_curve=settings.sm2_curve).routes(),
            *_sign_in_routes(settings, outside, shared),
            *_token_routes(settings, outside, shared),
            *_ending_routes(outside, shared),
        ],
        actors=ActorResolver(shared.sessions, shared.people, outside.authority),
        logout=BackchannelLogout(outbox=store, clients=store, tokens=logout_tokens, acts=shared.acts, clock=clock),
        housekeeping=housekeeping,
    )


def _sign_in_routes(settings: ProviderSettings, outside: _Outside, shared: _Shared) -> list[Route]:
    store, clock = outside.store, outside.clock
    proofs = StepProofs(outside.step_key)
    dispatcher = Dispatcher(
        accounts=store,
        clients=store,
        people=shared.people,
        proofs=proofs,
        policy=SignInPolicy(
            outside.authority,
            second_factor_for_all=settings.second_factor_for_all,
            stated=settings.stated_acr,
        ),
        totp=shared.totp,
        consents=shared.consents,
    )
    finishers: dict[Purpose, Finisher] = {Purpose.FIRST_PARTY: FirstParty()}
    flows = Flows(
        transactions=LoginTransactions(outside.transient),
        dispatcher=dispatcher,
        proofs=proofs,
        sessions=shared.sessions,
        acts=shared.acts,
        finishers=finishers,
        clock=clock,
        random_bytes=outside.random_bytes,
    )
    pushed = PushedRequests(outside.transient)
    push = PushedRequestEndpoint(
        requests=ClientRequests(shared.authentication, acts=shared.acts), pushed=pushed, acts=shared.acts
    )
    authorize = AuthorizeEndpoint(
        clients=store,
        session_store=store,
        transient=outside.transient,
        flows=flows,
        id_tokens=shared.id_tokens,
        subjects=shared.subjects,
        pushed=pushed,
        responses=AuthorizationResponses(settings.issuer, outside.render),
        acts=shared.acts,
        clock=clock,
    )
    # The one knot: a sign-in begun by the authorization endpoint ends in it.
    finishers[Purpose.AUTHORIZATION] = authorize
    pages = SignInPages(
        flows=flows,
        password=PasswordAuthenticator(store, outside.passwords, clock=clock),
        totp=shared.totp,
        accounts=store,
        consents=shared.consents,
        acts=shared.acts,
        render=outside.render,
    )
    return [*authorize.routes(), *push.routes(), *pages.routes()]


def _token_routes(settings: ProviderSettings, outside: _Outside, shared: _Shared) -> list[Route]:
    requests = ClientRequests(shared.authentication, acts=shared.acts)
    token = TokenEndpoint(
        requests=requests,
        tokens=outside.store,
        transient=outside.transient,
        people=shared.people,
        access_tokens=shared.access_tokens,
        id_tokens=shared.id_tokens,
        acts=shared.acts,
        clock=outside.clock,
        random_bytes=outside.random_bytes,
    )
    userinfo = UserinfoEndpoint(access_tokens=shared.access_tokens, people=shared.people, subjects=shared.subjects)
    revocation = RevocationEndpoint(requests=requests, tokens=outside.store, acts=shared.acts, clock=outside.clock)
    introspection = IntrospectionEndpoint(
        settings.issuer,
        requests=requests,
        access_tokens=shared.access_tokens,
        tokens=outside.store,
        people=shared.people,
        subjects=shared.subjects,
        clock=outside.clock,
    )
    return [*token.routes(), *userinfo.routes(), *revocation.routes(), *introspection.routes()]


def _ending_routes(outside: _Outside, shared: _Shared) -> list[Route]:
    end_session = EndSession(
        sessions=shared.sessions,
        clients=outside.store,
        transient=outside.transient,
        id_tokens=shared.id_tokens,
        subjects=shared.subjects,
        acts=shared.acts,
        render=outside.render,
    )
    account = AccountPages(
        sessions=shared.sessions,
        clients=outside.store,
        consents=shared.consents,
        acts=shared.acts,
        render=outside.render,
    )
    return [*end_session.routes(), *account.routes()]
