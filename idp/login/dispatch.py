"""The only place that decides the next step of a sign-in.

Order: which account (where the platform asks for a choice) → who (password) → how surely (second factor) → a session → may it be released (consent) → finish. Steps return here
with a signed proof; nothing else moves a sign-in on.
"""

from __future__ import annotations

from dataclasses import dataclass

from crypto.errors import TrustError
from idp.clients.model import Client, ClientState
from idp.consent import ConsentQuestion, Consents
from idp.login.password import password_mark
from idp.login.policy import SignInPolicy
from idp.login.proof import StepProofs
from idp.login.totp import TotpAuthenticator
from idp.login.transaction import LoginTransaction, StepProof
from idp.model import AMR_OF, Account, AccountState, Acr, Authentication, AuthenticatorKind, Session
from idp.people import People
from idp.store import AccountStore, ClientStore


class TransactionRefused(TrustError):
    """A sign-in that cannot go on: ended, moved to another browser, overtaken, or its session is gone."""

    code = "idp.login.transaction_refused"


class AccountRefused(TrustError):
    """The account behind a sign-in is not (any longer) in good standing. Only said after the password was right."""

    code = "idp.login.account_refused"
    status = 403


class ClientRefused(TrustError):
    """The platform behind a sign-in has been suspended."""

    code = "idp.login.client_refused"
    status = 403


@dataclass(frozen=True, slots=True)
class AskPassword:
    """Show the password page."""


@dataclass(frozen=True, slots=True)
class ChooseAccount:
    """Ask whether to go on with this browser's session or to sign in with another account."""

    session: Session


@dataclass(frozen=True, slots=True)
class AskTotp:
    """Show the code page."""

    person: str


@dataclass(frozen=True, slots=True)
class EnrolTotp:
    """Show the QR code; the person has proved the password in this very transaction."""

    person: str


@dataclass(frozen=True, slots=True)
class Establish:
    """Identity is complete: open or renew the session."""

    person: str
    authentication: Authentication


@dataclass(frozen=True, slots=True)
class AskConsent:
    """Show the consent page."""

    session: Session
    client: Client
    question: ConsentQuestion


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing is missing; `granted` are the scopes the person allows (empty for a first-party sign-in)."""

    session: Session
    granted: tuple[str, ...]


Step = AskPassword | ChooseAccount | AskTotp | EnrolTotp | Establish | AskConsent | Finish


class Dispatcher:
    """Decides. Reads only; every change is made by the step it names."""

    def __init__(
        self,
        *,
        accounts: AccountStore,
        clients: ClientStore,
        people: People,
        proofs: StepProofs,
        policy: SignInPolicy,
        totp: TotpAuthenticator,
        consents: Consents,
    ) -> None:
        self._accounts = accounts
        self._clients = clients
        self._people = people
        self._proofs = proofs
        self._policy = policy
        self._totp = totp
        self._consents = consents

    async def next_step(self, transaction: LoginTransaction, session: Session | None) -> Step:
        """Return the one next step. Raises `TransactionRefused`, `AccountRefused`, `ClientRefused`."""
        if transaction.session_reference:
            # The session this sign-in established: another one in its place is not asked for consent (Hydra #770).
            if session is None or session.reference != transaction.session_reference:
                raise TransactionRefused(rule="session")
            return await self._release(transaction, session)
        if session is not None and _choice_open(transaction, session):
            return ChooseAccount(session)
        if session is not None and await self._sufficient(transaction, session):
            return await self._release(transaction, session)
        return await self._identify(transaction, session)

    async def _sufficient(self, transaction: LoginTransaction, session: Session) -> bool:
        requirement = transaction.requirement
        if not _counts(transaction, session):
            return False
        if session.authentication.acr is Acr.TWO:  # nothing higher can be required
            return True
        required = await self._policy.required_acr(session.person, requirement.acr)
        return session.authentication.acr.reaches(required)

    async def _identify(self, transaction: LoginTransaction, session: Session | None) -> Step:
        proofs = self._proofs.believed(transaction)
        shown = {proof.kind: proof.time for proof in proofs}
        person = proofs[0].person if proofs else None
        # A session that is recent enough but not strong enough brings its password; only the second factor is asked.
        if session is not None and _counts(transaction, session) and person in {None, session.person}:
            person = session.person
            shown.setdefault(AuthenticatorKind.PASSWORD, session.authentication.time)
        if person is None or AuthenticatorKind.PASSWORD not in shown:
            return AskPassword()
        account = await self._in_standing(person)
        if any(_outdated(proof, account) for proof in proofs):
            return AskPassword()
        required = await self._policy.required_acr(person, transaction.requirement.acr)
        if required is Acr.TWO and AuthenticatorKind.TOTP not in shown:
            if await self._totp.enrolled(person):
                return AskTotp(person)
            # A new factor is only added by someone who has just shown the password, not by whoever sits at a session.
            return (
                EnrolTotp(person) if AuthenticatorKind.PASSWORD in {proof.kind for proof in proofs} else AskPassword()
            )
        return Establish(
            person,
            Authentication(
                time=min(shown.values()),
                acr=Acr.TWO if AuthenticatorKind.TOTP in shown else Acr.ONE,
                amr=tuple(AMR_OF[kind] for kind in AuthenticatorKind if kind in shown),
            ),
        )

    async def _in_standing(self, person: str) -> Account:
        account = await self._accounts.account(person)
        if (
            account is None
            or account.state is not AccountState.ACTIVE
            or not await self._people.in_good_standing(person)
        ):
            raise AccountRefused(rule="standing")
        return account

    async def _release(self, transaction: LoginTransaction, session: Session) -> Step:
        release = transaction.release
        if release is None:
            return Finish(session, ())
        client = await self._clients.client(release.client_id)
        if client is None or client.state is not ClientState.ACTIVE:
            raise ClientRefused(rule="state")
        if client.owner not in {None, session.person}:
            raise ClientRefused(rule="sandbox")  # a developer's trial platform sees nobody else's data
        answer = await self._consents.granted_or_question(
            session.person, client, release.scopes, again=transaction.requirement.consent_again
        )
        if isinstance(answer, ConsentQuestion):
            return AskConsent(session, client, answer)
        return Finish(session, answer)


def _choice_open(transaction: LoginTransaction, session: Session) -> bool:
    # A session that does not count (too old, or a fresh sign-in asked for) leads to the password page, where anybody may
    # sign in: there is nothing to choose.
    undecided = transaction.requirement.choose and transaction.chosen != session.reference
    return undecided and _counts(transaction, session)


def _outdated(proof: StepProof, account: Account) -> bool:
    # A password that was right when it was typed, and has been changed since (the person found out that it was stolen).
    return proof.kind is AuthenticatorKind.PASSWORD and proof.credential != password_mark(account.password_hash)


def _counts(transaction: LoginTransaction, session: Session) -> bool:
    requirement = transaction.requirement
    return not requirement.fresh and session.authentication.time >= requirement.not_before
