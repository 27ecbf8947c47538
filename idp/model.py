"""The words every room of the identity provider shares: time, randomness, accounts, assurance, sessions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from idp.authority.assurance import ACR_ONE_FACTOR, ACR_TWO_FACTORS, satisfies

Clock = Callable[[], int]
"""Seconds since the epoch, UTC."""

RandomBytes = Callable[[int], bytes]
"""So many bytes from the system's generator; injected, so that a simulation can be replayed."""

SECRET_BYTES = 32
"""256 bits for every bearer value (session cookie, code, token, handle): RFC 9700 asks for at least 128."""

REFERENCE_BYTES = 16
"""128 bits for references that open nothing by themselves (session reference, family id)."""


class AccountState(StrEnum):
    """Whether an account may be used at all. Only ACTIVE may; every path asks."""

    ACTIVE = "active"
    LOCKED = "locked"
    DISABLED = "disabled"
    DELETED = "deleted"


class Acr(StrEnum):
    """Authentication context class: one factor, or two different factors (NIST SP 800-63B AAL2)."""

    ONE = ACR_ONE_FACTOR
    TWO = ACR_TWO_FACTORS

    def reaches(self, required: Acr) -> bool:
        """Whether this class is at least `required`."""
        return satisfies(self.value, required.value)


class AuthenticatorKind(StrEnum):
    """An authenticator a person holds. Each has its own failure counter."""

    PASSWORD = "password"  # noqa: S105  # the name of a kind
    TOTP = "totp"


AMR_OF = {AuthenticatorKind.PASSWORD: "pwd", AuthenticatorKind.TOTP: "otp"}
"""RFC 8176 authentication method reference of each authenticator."""


@dataclass(frozen=True, slots=True)
class Account:
    """A person's account: the permanent person number, the name typed at sign-in, and the state."""

    person: str
    username: str
    state: AccountState
    password_hash: str


@dataclass(frozen=True, slots=True)
class Affiliated:
    """One affiliation as a platform may see it: school code (10 digits), kind, and dates (YYYY-MM-DD)."""

    school_code: str
    kind: str
    since: str | None
    until: str | None


@dataclass(frozen=True, slots=True)
class PersonProfile:
    """What the registry says of a person, as far as a claim may release it. `updated_at` is in seconds."""

    person: str
    display_name: str
    real_name: str | None
    given_name: str | None
    family_name: str | None
    locale: str | None
    zoneinfo: str | None
    updated_at: int
    affiliations: tuple[Affiliated, ...]


@dataclass(frozen=True, slots=True)
class Authentication:
    """How and when a person proved who they are: seconds, class, methods (RFC 8176)."""

    time: int
    acr: Acr
    amr: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in in one browser. `reference` is stable and opens nothing; the cookie's secret is kept as a hash only."""

    reference: str
    person: str
    authentication: Authentication
    created_at: int
    last_seen: int
    idle_until: int
    absolute_until: int
    device: str
    place: str
    person_active: bool


@dataclass(frozen=True, slots=True)
class EndedSession:
    """A session that has just ended, and the clients that must hear of it."""

    reference: str
    person: str
    client_ids: tuple[str, ...]


JsonObject = Mapping[str, object]
"""A JSON object as the strict parser returns it."""
