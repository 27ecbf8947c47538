"""What a holder has: credentials, the files to carry them in, and the account of credits."""

from __future__ import annotations

from credentials.bundling import Bundling
from credentials.creditbank.account import CreditAccount
from credentials.errors import CredentialUnknown
from credentials.held import held
from credentials.model import HeldCredential, Issued
from credentials.ports import Issuers, LedgerPort
from credentials.store import CredentialStore
from idp.authority.decide import signed_in
from idp.authority.model import Actor


class Wallet:
    """The signed-in person's own records; nobody else's are found here."""

    def __init__(self, *, store: CredentialStore, ledger: LedgerPort, bundling: Bundling, issuers: Issuers) -> None:
        self._store = store
        self._ledger = ledger
        self._bundling = bundling
        self._issuers = issuers

    async def credentials(self, actor: Actor | None) -> tuple[HeldCredential, ...]:
        """Return the person's credentials, newest first."""
        found = await self._store.credentials_of_person(signed_in(actor).person)
        return tuple(held(issued, self._issuers) for issued in found)

    async def credential(self, actor: Actor | None, credential_id: str) -> HeldCredential:
        """Return one of the person's credentials. Raises `CredentialUnknown`."""
        return held(await self._own(actor, credential_id), self._issuers)

    async def bundle(self, actor: Actor | None, credential_id: str) -> bytes:
        """Return the bundle with every claim disclosed. Raises `CredentialUnknown`."""
        issued = await self._own(actor, credential_id)
        return (await self._bundling.bundle(issued, issued.presentation)).to_bytes()

    async def receipt(self, actor: Actor | None, credential_id: str) -> bytes:
        """Return the receipt file of one credential. Raises `CredentialUnknown`."""
        issued = await self._own(actor, credential_id)
        return (await self._ledger.receipt(issued.leaf_index)).to_json()

    async def account(self, actor: Actor | None) -> CreditAccount:
        """Return the person's credit account."""
        return CreditAccount(await self._store.credit_entries(signed_in(actor).person))

    async def _own(self, actor: Actor | None, credential_id: str) -> Issued:
        issued = await self._store.credential(credential_id)
        # Someone else's credential and none at all are answered alike.
        if issued.person != signed_in(actor).person:
            raise CredentialUnknown(field="credential")
        return issued
