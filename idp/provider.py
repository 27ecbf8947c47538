"""The provider put together: constructor calls, nothing else. The composition root passes the outside in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.routing import Route

from crypto.sealed import ColumnSealer
from idp.audit import Acts, AuditPort
from idp.authority.store import AuthorityStore
from idp.authorize.endpoint import AuthorizeEndpoint
from idp.authorize.response import AuthorizationResponses
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
from idp.model import Clock, RandomBytes
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
from idp.transient import TransientStore
from idp.userinfo import UserinfoEndpoint

DEAD_TOKENS_KEPT_S = 24 * 60 * 60
"""Dead tokens stay a day, so that a late replay is still recognised as one."""


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """`issuer`: absolute address without a trailing slash. `display_name`: how phone apps label the code."""

    issuer: str
    display_name: str
    second_factor_for_all: bool


@dataclass(frozen=True, slots=True)
class Provider:
    """What the composition root mounts, asks and runs."""

    routes: list[Route]
    actors: ActorResolver
    logout: BackchannelLogout
    housekeeping: Callable[[], Awaitable[None]]


def build_provider(
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
    issuer = settings.issuer
    acts = Acts(audit, clock=clock)
    people = RegistryPeople(registry)
    subjects = SubjectIdentifiers(subject_key)
    id_tokens = IdTokens(issuer, keys, subjects, clock=clock)
    consents = Consents(store, clock=clock)
    cookies = CookiePolicy(secure=issuer.startswith("https://"))
    sessions = Sessions(store, people, cookies, clock=clock, random_bytes=random_bytes)
    proofs = StepProofs(step_key)
    totp = TotpAuthenticator(store, sealer, issuer_name=settings.display_name, clock=clock, random_bytes=random_bytes)
    dispatcher = Dispatcher(
        accounts=store,
        clients=store,
        people=people,
        proofs=proofs,
        policy=SignInPolicy(authority, second_factor_for_all=settings.second_factor_for_all),
        totp=totp,
        consents=consents,
    )
    finishers: dict[Purpose, Finisher] = {Purpose.FIRST_PARTY: FirstParty()}
    flows = Flows(
        transactions=LoginTransactions(transient),
        dispatcher=dispatcher,
        proofs=proofs,
        sessions=sessions,
        acts=acts,
        finishers=finishers,
        clock=clock,
        random_bytes=random_bytes,
    )
    authorize = AuthorizeEndpoint(
        clients=store,
        session_store=store,
        transient=transient,
        flows=flows,
        id_tokens=id_tokens,
        subjects=subjects,
        responses=AuthorizationResponses(issuer),
        acts=acts,
        clock=clock,
    )
    # The one knot: a sign-in begun by the authorization endpoint ends in it.
    finishers[Purpose.AUTHORIZATION] = authorize
    access_tokens = AccessTokens(
        issuer, keys=keys, subjects=subjects, tokens=store, clients=store, clock=clock, random_bytes=random_bytes
    )
    token = TokenEndpoint(
        clients=store,
        tokens=store,
        transient=transient,
        people=people,
        access_tokens=access_tokens,
        id_tokens=id_tokens,
        acts=acts,
        clock=clock,
        random_bytes=random_bytes,
    )
    sign_in = SignInPages(
        flows=flows,
        password=PasswordAuthenticator(store, passwords, clock=clock),
        totp=totp,
        accounts=store,
        consents=consents,
        acts=acts,
        render=render,
    )
    end_session = EndSession(
        sessions=sessions,
        clients=store,
        transient=transient,
        id_tokens=id_tokens,
        subjects=subjects,
        acts=acts,
        render=render,
    )
    account = AccountPages(sessions=sessions, clients=store, consents=consents, acts=acts, render=render)
    userinfo = UserinfoEndpoint(access_tokens=access_tokens, people=people, subjects=subjects)

    async def housekeeping() -> None:
        await transient.discard_expired()
        await store.discard_dead_tokens(clock() - DEAD_TOKENS_KEPT_S)

    return Provider(
        routes=[
            *Metadata(issuer, keys).routes(),
            *authorize.routes(),
            *sign_in.routes(),
            *token.routes(),
            *userinfo.routes(),
            *end_session.routes(),
            *account.routes(),
        ],
        actors=ActorResolver(sessions, people, authority),
        logout=BackchannelLogout(
            outbox=store,
            clients=store,
            tokens=LogoutTokens(issuer, keys, subjects, clock=clock, random_bytes=random_bytes),
            acts=acts,
            clock=clock,
        ),
        housekeeping=housekeeping,
    )
