"""The provider put together: constructor calls, nothing else. The composition root passes the outside in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.routing import Route

from crypto.sealed import ColumnSealer
from idp.account.password import PasswordPage
from idp.account.platforms import PlatformList
from idp.account.profile import ProfilePage
from idp.account.sign_ins import SignInList
from idp.audit import Acts, AuditPort
from idp.authority.store import AuthorityStore
from idp.authorize.endpoint import AuthorizeEndpoint
from idp.authorize.pushed import PushedRequestEndpoint, PushedRequests
from idp.authorize.response import AuthorizationResponses
from idp.clients.authentication import ClientAuthentication
from idp.clients.fetching import Fetch
from idp.clients.key_sets import ClientKeySets
from idp.clients.registration_endpoint import RegistrationEndpoint, RegistrationSettings
from idp.clients.requests import ClientRequests
from idp.consent import Consents
from idp.developer.room import developer_routes
from idp.developer.watch import NOTE_LIFETIME_S, Watch
from idp.device.codes import UserCodeKeys
from idp.device.endpoint import DeviceAuthorizationEndpoint
from idp.device.guesses import Guesses
from idp.device.pages import DevicePages
from idp.device.requests import DeviceRequests
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
from idp.logout.frontchannel import FrontchannelLogout
from idp.logout.token import LogoutTokens
from idp.metadata import Metadata
from idp.model import Acr, Clock, RandomBytes
from idp.pages.render import Render
from idp.people import RegistryPeople
from idp.registry.store import RegistryStore
from idp.session.actor import ActorResolver
from idp.session.cookies import CookiePolicy
from idp.session.sign_in import Sessions
from idp.store import AccessStore
from idp.subject import SubjectIdentifiers
from idp.token.access_token import AccessTokens
from idp.token.browsers import readable_in_browsers
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
    fetch: Fetch
    clock: Clock
    random_bytes: RandomBytes


class _Shared:
    """What several rooms use, made once."""

    def __init__(self, settings: ProviderSettings, outside: _Outside) -> None:
        clock, random_bytes, store = outside.clock, outside.random_bytes, outside.store
        self.acts = Acts(outside.audit, clock=clock)
        self.people = RegistryPeople(outside.registry, clock=clock)
        self.authentication = ClientAuthentication(
            settings.issuer,
            clients=store,
            key_sets=ClientKeySets(outside.fetch, clock=clock),
            replays=store,
            clock=clock,
        )
        self.subjects = SubjectIdentifiers(outside.subject_key)
        self.id_tokens = IdTokens(settings.issuer, outside.keys, self.subjects, clock=clock)
        self.consents = Consents(store, clock=clock)
        self.policy = SignInPolicy(
            outside.authority, second_factor_for_all=settings.second_factor_for_all, stated=settings.stated_acr
        )
        self.password = PasswordAuthenticator(store, outside.passwords, clock=clock)
        cookies = CookiePolicy(secure=settings.issuer.startswith("https://"))
        self.sessions = Sessions(store, cookies, clock=clock, random_bytes=random_bytes)
        self.totp = TotpAuthenticator(
            store, outside.sealer, issuer_name=settings.display_name, clock=clock, random_bytes=random_bytes
        )
        self.user_codes = UserCodeKeys(outside.step_key)
        self.devices = DeviceRequests(outside.transient, self.user_codes, clock=clock, random_bytes=random_bytes)
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
    fetch: Fetch,
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
            fetch=fetch,
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
        await store.discard_notes(clock() - NOTE_LIFETIME_S)

    watch = Watch(store, clients=store, clock=clock)
    return Provider(
        routes=[
            *Metadata(settings.issuer, outside.keys, sm2_curve=settings.sm2_curve).routes(),
            *watch.over(_sign_in_routes(settings, outside, shared)),
            *watch.over(_token_routes(settings, outside, shared)),
            *developer_routes(settings.issuer, shared, outside),
            *_ending_routes(settings, outside, shared),
            *_registration_routes(settings, outside, shared),
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
        policy=shared.policy,
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
        settings.issuer,
        requests=ClientRequests(shared.authentication, acts=shared.acts),
        pushed=pushed,
        acts=shared.acts,
    )
    authorize = AuthorizeEndpoint(
        settings.issuer,
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
    device_pages = DevicePages(
        devices=shared.devices,
        guesses=Guesses(outside.transient, shared.user_codes),
        transient=outside.transient,
        clients=store,
        session_store=store,
        flows=flows,
        acts=shared.acts,
        render=outside.render,
        clock=clock,
    )
    finishers[Purpose.DEVICE] = device_pages
    pages = SignInPages(
        flows=flows,
        password=shared.password,
        totp=shared.totp,
        accounts=store,
        clients=store,
        people=shared.people,
        consents=shared.consents,
        acts=shared.acts,
        render=outside.render,
    )
    return [*authorize.routes(), *push.routes(), *device_pages.routes(), *pages.routes()]


def _token_routes(settings: ProviderSettings, outside: _Outside, shared: _Shared) -> list[Route]:
    requests = ClientRequests(shared.authentication, acts=shared.acts)
    token = TokenEndpoint(
        settings.issuer,
        requests=requests,
        tokens=outside.store,
        transient=outside.transient,
        devices=shared.devices,
        people=shared.people,
        access_tokens=shared.access_tokens,
        id_tokens=shared.id_tokens,
        acts=shared.acts,
        clock=outside.clock,
        random_bytes=outside.random_bytes,
    )
    userinfo = UserinfoEndpoint(
        settings.issuer,
        access_tokens=shared.access_tokens,
        people=shared.people,
        subjects=shared.subjects,
        keys=outside.keys,
        clock=outside.clock,
    )
    revocation = RevocationEndpoint(requests=requests, tokens=outside.store, acts=shared.acts, clock=outside.clock)
    introspection = IntrospectionEndpoint(
        settings.issuer,
        requests=requests,
        access_tokens=shared.access_tokens,
        tokens=outside.store,
        subjects=shared.subjects,
        clock=outside.clock,
    )
    device = DeviceAuthorizationEndpoint(settings.issuer, requests=requests, devices=shared.devices, acts=shared.acts)
    in_browsers = readable_in_browsers([*token.routes(), *revocation.routes()], clients=outside.store)
    return [*in_browsers, *device.routes(), *userinfo.routes(), *introspection.routes()]


def _registration_routes(settings: ProviderSettings, outside: _Outside, shared: _Shared) -> list[Route]:
    registration = RegistrationEndpoint(
        RegistrationSettings(settings.issuer, settings.display_name),
        store=outside.store,
        fetch=outside.fetch,
        acts=shared.acts,
        clock=outside.clock,
        random_bytes=outside.random_bytes,
    )
    return registration.routes()


def _ending_routes(settings: ProviderSettings, outside: _Outside, shared: _Shared) -> list[Route]:
    store = outside.store
    frontchannel = FrontchannelLogout(settings.issuer, clients=store, subjects=shared.subjects, render=outside.render)
    end_session = EndSession(
        sessions=shared.sessions,
        clients=store,
        transient=outside.transient,
        id_tokens=shared.id_tokens,
        subjects=shared.subjects,
        frontchannel=frontchannel,
        acts=shared.acts,
        render=outside.render,
    )
    return [*end_session.routes(), *_account_routes(outside, shared, frontchannel)]


def _account_routes(outside: _Outside, shared: _Shared, frontchannel: FrontchannelLogout) -> list[Route]:
    sign_ins = SignInList(
        sessions=shared.sessions,
        clients=outside.store,
        frontchannel=frontchannel,
        acts=shared.acts,
        render=outside.render,
    )
    platforms = PlatformList(
        sessions=shared.sessions,
        clients=outside.store,
        consents=shared.consents,
        acts=shared.acts,
        render=outside.render,
    )
    password = PasswordPage(
        sessions=shared.sessions,
        accounts=outside.store,
        authenticator=shared.password,
        passwords=outside.passwords,
        totp=shared.totp,
        policy=shared.policy,
        acts=shared.acts,
        render=outside.render,
        clock=outside.clock,
    )
    profile = ProfilePage(
        sessions=shared.sessions,
        registry=outside.registry,
        totp=shared.totp,
        acts=shared.acts,
        render=outside.render,
        clock=outside.clock,
    )
    return [*sign_ins.routes(), *platforms.routes(), *profile.routes(), *password.routes()]
