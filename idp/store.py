"""What the identity provider asks of its database: atomic verbs, each one transaction, each with its contract.

Every method is durable once it returns. `now` is seconds since the epoch. Hashes are 32 bytes of SM3; no bearer value
is ever stored. A method that says *atomic* is linearisable across processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from idp.clients.model import Client, ClientState
from idp.clients.sandbox_store import SandboxStore
from idp.clients.store import RegistrationStore, ReplayStore
from idp.model import (
    Account,
    AccountState,
    Authentication,
    AuthenticatorKind,
    EndedSession,
    Session,
)
from idp.registry.model import SealedPerson


class Attempt(StrEnum):
    """Answer to a reservation of one try at an authenticator."""

    ALLOWED = "allowed"
    TOO_SOON = "too_soon"
    DISABLED = "disabled"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class TotpEnrolment:
    """A person's TOTP seed, sealed, and the last time step that was accepted (RFC 6238 §5.2)."""

    sealed_seed: bytes
    last_step: int


class AccountStore(Protocol):
    """Accounts and their authenticators."""

    async def create_account(self, account: Account, now: int) -> None:
        """Add an account with its password authenticator. Raises `UniqueViolation` for a taken name or person."""

    async def account_by_username(self, username: str) -> Account | None:
        """Find by the normalised sign-in name (`idp.login.username.normalise`)."""

    async def account(self, person: str) -> Account | None:
        """Find by person number."""

    async def set_account_state(self, person: str, state: AccountState, now: int) -> tuple[EndedSession, ...]:
        """Set the state; any state but ACTIVE also ends every session and revokes every token family. Atomic."""

    async def set_password(self, person: str, password_hash: str, now: int) -> tuple[EndedSession, ...]:
        """Replace the password, clear its failures, end every session, revoke every token family. Atomic."""

    async def replace_password_hash(self, person: str, old: str, new: str) -> None:
        """Store the same password under newer parameters, if the hash is still `old`."""

    async def reserve_attempt(self, person: str, kind: AuthenticatorKind, now: int) -> Attempt:
        """Count one failure *before* the secret is checked, unless it is too soon or the authenticator is disabled.

        Atomic: any number of parallel tries are counted one by one, so none can slip past the limit.
        """

    async def spend_attempt_of_nobody(self, username: str, now: int) -> None:
        """Do the work of `reserve_attempt` for a name nobody has: as many statements, one committed write.

        So that the database's part of an answer does not tell a name somebody has from one nobody has.
        """

    async def clear_failures(self, person: str, kind: AuthenticatorKind) -> None:
        """Forget the failures after a success."""

    async def totp(self, person: str) -> TotpEnrolment | None:
        """Return the TOTP enrolment, if there is one."""

    async def enrol_totp(self, person: str, sealed_seed: bytes, accepted_step: int, now: int) -> bool:
        """Enrol a first TOTP seed. False when the person already has one. Atomic."""

    async def remove_totp(self, person: str) -> None:
        """Remove the TOTP authenticator (an administrator's reset); the next sign-in enrols anew."""

    async def consume_totp_step(self, person: str, step: int) -> bool:
        """Move the last accepted step forward to `step`. Atomic; False when `step` is not newer: a replay."""


class SessionStore(Protocol):
    """Sign-ins."""

    async def open_session(self, session: Session, cookie_hash: bytes) -> None:
        """Add a session under the hash of its cookie."""

    async def renew_session(
        self,
        reference: str,
        cookie_hash: bytes,
        authentication: Authentication,
        *,
        idle_until: int,
        absolute_until: int,
    ) -> bool:
        """Give a live session a new cookie and a new authentication; the old cookie is dead at once. Atomic."""

    async def session_by_cookie(self, cookie_hash: bytes, now: int) -> Session | None:
        """Return the live session of a cookie whose account is ACTIVE."""

    async def session(self, reference: str, now: int) -> Session | None:
        """Return a live session by reference, its account ACTIVE."""

    async def touch_session(self, reference: str, *, now: int, idle_until: int) -> None:
        """Move the idle limit forward."""

    async def sessions_of(self, person: str, now: int) -> tuple[Session, ...]:
        """List live sessions, newest first."""

    async def remember_client(self, reference: str, client_id: str, now: int) -> None:
        """Note that a client got tokens in this session, so that it hears of its end. Idempotent."""

    async def end_session(self, reference: str, now: int) -> EndedSession | None:
        """End a session: its cookie dies, its token families (offline ones excepted) are revoked, and an outbox row
        is written for every client it was used at. Atomic; None when it was not live.
        """

    async def end_sessions_of(self, person: str, now: int) -> tuple[EndedSession, ...]:
        """End every session of a person and revoke every token family, offline ones too. Atomic."""

    async def end_other_sessions(self, person: str, kept: str, now: int) -> tuple[EndedSession, ...]:
        """End every session of a person but the one of reference `kept`, each as `end_session` does. Atomic."""

    async def clients_of_sessions(self, person: str, now: int) -> Mapping[str, tuple[str, ...]]:
        """Return, by reference of each live session of a person, the clients that got tokens in it, in that order."""


@dataclass(frozen=True, slots=True)
class Family:
    """What a sign-in granted a client: everything issued from one authorization code lives and dies together.

    `resources` are the resource servers of the grant, beside the issuer itself (RFC 8707). `id_token_claims` were asked
    for by name in the ID token (OpenID Connect Core §5.5); a refreshed one says them, too.
    """

    family_id: str
    client_id: str
    person: str
    session_reference: str
    scope: tuple[str, ...]
    resources: tuple[str, ...]
    offline: bool
    authentication: Authentication
    created_at: int
    absolute_until: int
    id_token_claims: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NewAccessToken:
    """An access token to be written: its hash, scope, audience and end."""

    token_hash: bytes
    scope: tuple[str, ...]
    audience: tuple[str, ...]
    expires_at: int


@dataclass(frozen=True, slots=True)
class ClientToken:
    """An access token of a client itself, without a person: its hash, owner, scope, audience and end."""

    token_hash: bytes
    client_id: str
    scope: tuple[str, ...]
    audience: tuple[str, ...]
    expires_at: int


@dataclass(frozen=True, slots=True)
class NewRefreshToken:
    """A refresh token to be written: its hash and its idle end."""

    token_hash: bytes
    expires_at: int


@dataclass(frozen=True, slots=True)
class RefreshGrant:
    """A refresh token as found: its family, whether it was used before, and whether family and account still live.

    `account_state` is ACTIVE only where the register also has the person in good standing.
    """

    family: Family
    used: bool
    expires_at: int
    family_revoked: bool
    account_state: AccountState


@dataclass(frozen=True, slots=True)
class AccessGrant:
    """An access token as found, live or not.

    `account_state` is ACTIVE only where the register also has the person in good standing.
    """

    family: Family
    scope: tuple[str, ...]
    audience: tuple[str, ...]
    expires_at: int
    family_revoked: bool
    account_state: AccountState


class Beginning(StrEnum):
    """Answer to a family's beginning. REPLAYED: the code was seen a second time, and the family is written as revoked."""

    LIVE = "live"
    REPLAYED = "replayed"
    REFUSED = "refused"


class Rotation(StrEnum):
    """Answer to a rotation."""

    ROTATED = "rotated"
    REUSED = "reused"
    REFUSED = "refused"


class TokenStore(Protocol):
    """Token families."""

    async def start_family(
        self, family: Family, code_hash: bytes, access: NewAccessToken, refresh: NewRefreshToken | None
    ) -> Beginning:
        """Write a family with its first tokens under the hash of its code. Atomic; called by the code's one taker.

        REFUSED, and nothing is written, where at `family.created_at` the account or the person is not active, the session
        has ended, what is consented is less than the family's scope, or the client is disabled.
        """

    async def revoke_replayed_code(self, code_hash: bytes, client_id: str, now: int) -> bool:
        """Kill the family of a code that came again, and say whether there was one alive of this client.

        The code is remembered even where there is no family: its one taker may be at work, between taking it and writing
        (`start_family` then begins dead). An invented code of the right shape is remembered as well, until it is discarded.
        Atomic.
        """

    async def refresh_grant(self, token_hash: bytes) -> RefreshGrant | None:
        """Look up a refresh token, used and revoked ones too."""

    async def rotate_refresh_token(
        self, token_hash: bytes, access: NewAccessToken, refresh: NewRefreshToken, now: int
    ) -> Rotation:
        """Use up one refresh token and write its successors. Atomic: of any number of concurrent calls for one token
        exactly one is ROTATED; the next is REUSED, which has revoked the family; all others are REFUSED: unknown,
        expired, family revoked, or account not ACTIVE, and nothing changed.
        """

    async def revoke_family(self, family_id: str, now: int) -> None:
        """Revoke a family and with it everything issued in it. Idempotent."""

    async def access_grant(self, token_hash: bytes) -> AccessGrant | None:
        """Look up an access token of a person, dead ones too; never one of a client itself."""

    async def access_grant_of_person(self, token_hash: bytes) -> tuple[AccessGrant, SealedPerson] | None:
        """As `access_grant`, with the person as the register has them, in one reading; None where it has nobody."""

    async def write_client_token(self, token: ClientToken) -> bool:
        """Write an access token of a client itself, of no family and no person; False when the client is not ACTIVE."""

    async def client_token(self, token_hash: bytes) -> ClientToken | None:
        """Look up an access token of a client itself, expired ones too; never one of a person."""

    async def revoke_access_token(self, token_hash: bytes, client_id: str) -> bool:
        """Forget one access token, of whichever sort, if it is this client's; whether it was. Its family lives on."""

    async def discard_dead_tokens(self, before: int) -> int:
        """Forget tokens and families that ended before `before`; return how many tokens."""


@dataclass(frozen=True, slots=True)
class Consent:
    """What a person allowed a client: scopes granted, scopes that were offered (granted or not), and when.

    `granted_at` is when the person last answered, `since` when each granted scope was allowed; both in seconds.
    """

    person: str
    client_id: str
    granted: tuple[str, ...]
    offered: tuple[str, ...]
    granted_at: int
    since: Mapping[str, int]


class ConsentStore(Protocol):
    """Consents, one row a person and client."""

    async def consent(self, person: str, client_id: str) -> Consent | None:
        """Return what was allowed; a withdrawn consent is there with nothing granted and nothing offered."""

    async def remember_consent(self, consent: Consent) -> None:
        """Write or replace what was allowed."""

    async def consents_of(self, person: str) -> tuple[Consent, ...]:
        """List those that grant something, newest first."""

    async def withdraw_consent(self, person: str, client_id: str, now: int) -> bool:
        """Empty the consent and revoke every token family of this person at this client. Atomic."""

    async def withdraw_scope(self, person: str, client_id: str, scope: str, now: int) -> bool:
        """Take one scope out of what is granted, and revoke every token family that carries it. Atomic.

        It stays among what was offered, so that it is not asked for again at the next sign-in. False when it was not
        granted; nothing is revoked then.
        """

    async def last_uses(self, person: str) -> Mapping[str, int]:
        """Return when each client last got tokens for the person, as long as those families are kept."""


class ClientStore(Protocol):
    """Registered clients."""

    async def client(self, client_id: str) -> Client | None:
        """Find a client, disabled ones too."""

    async def clients(self) -> tuple[Client, ...]:
        """List all, disabled ones too, by id."""

    async def clients_of(self, owner: str) -> tuple[Client, ...]:
        """List those of one developer (person number), oldest first."""

    async def register_clients(self, clients: tuple[Client, ...], now: int) -> None:
        """Write registrations of a static file; an existing client gets the new registration, keeping its state."""

    async def set_client_state(self, client_id: str, state: ClientState, now: int) -> None:
        """Set the state; DISABLED also revokes every token family and token of the client. Atomic.

        Disabled, a client also loses for good the token by which it might change its registration.
        """


@dataclass(frozen=True, slots=True)
class LogoutJob:
    """One client to be told that one session has ended."""

    job_id: str
    client_id: str
    person: str
    session_reference: str
    attempts: int


class LogoutOutbox(Protocol):
    """Back-channel logout deliveries waiting to be made. Written by the verbs that end sessions."""

    async def lease_jobs(self, now: int, *, lease_s: int, limit: int) -> tuple[LogoutJob, ...]:
        """Take up to `limit` due jobs for `lease_s`; no other caller gets them meanwhile. Atomic."""

    async def finish_job(self, job_id: str, now: int) -> None:
        """Mark delivered."""

    async def retry_job(self, job_id: str, *, next_time: int, reason: str) -> None:
        """Mark failed once more, to be tried again at `next_time`."""

    async def bury_job(self, job_id: str, now: int, *, reason: str) -> None:
        """Mark dead: no further tries; an administrator sees it."""


class AccessStore(
    AccountStore,
    SessionStore,
    TokenStore,
    ConsentStore,
    ClientStore,
    RegistrationStore,
    SandboxStore,
    ReplayStore,
    LogoutOutbox,
    Protocol,
):
    """All of it, as one database implements it."""
