"""The password authenticator.

Every refusal looks and costs the same: unknown name, wrong password, empty password, account not active, too many tries
all run exactly one password hash, commit exactly one write, and raise the one `SignInRefused`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from crypto.encoding import b64u_encode
from crypto.errors import TrustError
from crypto.password import PasswordMismatch
from crypto.sm3 import sm3
from idp.login.username import normalise
from idp.model import Account, AccountState, AuthenticatorKind, Clock
from idp.store import AccountStore, Attempt

PASSWORD_BYTES_MAX = 1024
"""NIST asks for at least 64 characters; more than this is a way to burn our processor, not a password."""


class SignInRefused(TrustError):
    """The one refusal of the password step. Deliberately says nothing of why."""

    code = "idp.login.refused"


class PasswordVerifier(Protocol):
    """Hashing in a bounded thread pool: never on the event loop, never more at once than the pool has threads."""

    async def verify(self, stored: str | None, password: str) -> bool:
        """Raise `PasswordMismatch`; return whether the hash should be renewed under newer parameters.

        `stored` None is a name nobody has: the same work is done, and `PasswordMismatch` raised.
        """

    async def hash(self, password: str) -> str:
        """Return a fresh PHC string."""


class PasswordAuthenticator:
    """Checks name and password against the account store."""

    def __init__(self, store: AccountStore, verifier: PasswordVerifier, *, clock: Clock) -> None:
        self._store = store
        self._verifier = verifier
        self._clock = clock

    async def authenticate(self, typed_name: str, password: str) -> Account:
        """Return the account whose password this is. Raises `SignInRefused`."""
        if len(password.encode("utf-8", "surrogatepass")) > PASSWORD_BYTES_MAX:
            password = ""  # refused below at the usual cost
        username, attempt = normalise(typed_name), Attempt.ABSENT
        account = await self._store.account_by_username(username)
        if account is None:
            await self._store.spend_attempt_of_nobody(username, self._clock())
        else:
            attempt = await self._store.reserve_attempt(account.person, AuthenticatorKind.PASSWORD, self._clock())
        stored = None if account is None else account.password_hash
        try:
            renew = await self._verifier.verify(stored, password)
        except PasswordMismatch:
            raise SignInRefused(rule="credentials") from None
        if (
            account is None
            or not password
            or attempt is not Attempt.ALLOWED
            or account.state is not AccountState.ACTIVE
        ):
            raise SignInRefused(rule="credentials")
        await self._store.clear_failures(account.person, AuthenticatorKind.PASSWORD)
        if not renew:
            return account
        renewed = await self._verifier.hash(password)
        await self._store.replace_password_hash(account.person, account.password_hash, renewed)
        return replace(account, password_hash=renewed)


def password_mark(stored: str) -> str:
    """Return what names a stored password, and so one choice of it, without being good for guessing it: 22 characters.

    What is hashed is a PHC string with its random salt, which stays in the database.
    """
    return b64u_encode(sm3(b"password mark\x00" + stored.encode())[:16])
