"""What authentication of clients and their registration ask of the database; the rest of it stands in `idp.store`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from idp.clients.fetching import Logo
from idp.clients.model import Client
from idp.clients.registration_tokens import InitialToken


class ClientLookup(Protocol):
    """Registered clients, to be read."""

    async def client(self, client_id: str) -> Client | None:
        """Find a client, disabled ones too."""


class ReplayStore(Protocol):
    """Values of others that are good once: the `jti` of a client's assertion."""

    async def use_once(self, digest: bytes, *, until: int) -> bool:
        """Say whether this digest (32 bytes, its kind hashed in) comes for the first time, and remember it to `until`.

        Atomic: of any number of concurrent calls, across processes, exactly one is True.
        """

    async def discard_used(self, now: int) -> int:
        """Forget what was to be remembered until `now` or earlier; return how many."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A client that registered itself, as it may be changed by itself.

    `digest` is of its registration access token; `token_id` names the initial access token it came by, `policy` the rules
    it is held to. `document` is the registered metadata in the names of RFC 7591, without secrets.
    """

    client: Client
    digest: bytes
    token_id: str
    policy: str
    document: str


class RegistrationStore(ClientLookup, Protocol):
    """Platforms that register themselves (RFC 7591, RFC 7592)."""

    async def add_initial_token(self, token: InitialToken, digest: bytes, now: int) -> None:
        """Keep an initial access token."""

    async def initial_tokens(self) -> tuple[InitialToken, ...]:
        """List them, newest first, dead ones too."""

    async def initial_token(self, digest: bytes, now: int) -> InitialToken | None:
        """Find one that has a use left and time to go, without using it."""

    async def end_initial_token(self, token_id: str) -> bool:
        """Take all uses from one; False when there is none of this name."""

    async def is_name_taken(self, skeletons: frozenset[str], *, client_id: str, token_id: str) -> bool:
        """Say whether a client looks like this by name that neither is `client_id` nor came by this initial token."""

    async def register_by_token(self, registered: Registered, *, initial: bytes, logo: Logo | None, now: int) -> bool:
        """Use the initial access token once and write the client; False, and nothing written, when it is used up or over.

        Atomic: of any number of concurrent calls with one use left, across processes, exactly one is True.
        """

    async def registered(self, client_id: str) -> Registered | None:
        """Find a client that may be changed by a registration access token; a disabled one has lost its token for good."""

    async def change_registration(
        self, registered: Registered, *, expected: bytes, logo: Logo | None, now: int
    ) -> bool:
        """Replace registration and token while the token in force is still `expected` and the client active. Atomic."""

    async def delete_client(self, client_id: str) -> bool:
        """Remove a client with its consents, tokens and registration; False when there is none. Atomic.

        Every token of it is dead at once. The id may be registered again and inherits nothing.
        """

    async def logo(self, client_id: str) -> Logo | None:
        """Return the picture kept for a client."""

    async def keep_logo(self, client_id: str, logo: Logo | None) -> None:
        """Keep or forget the picture of a client."""
