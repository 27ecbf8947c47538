"""A sign-in under way as the pages see it: its handle, its transaction, its browser; and the finishers it ends in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from crypto.encoding import b64u_decode, b64u_encode
from idp.audit import Acts
from idp.login.dispatch import Dispatcher, Establish, Finish, Step, TransactionRefused
from idp.login.proof import StepProofs
from idp.login.transaction import LoginTransaction, LoginTransactions, Purpose, Release, Requirement
from idp.model import REFERENCE_BYTES, AuthenticatorKind, Clock, RandomBytes, Session
from idp.session.cookies import cookie_hash, new_secret, same_browser
from idp.session.sign_in import Sessions

STEP_PATH = "/signin/step"
"""Where every step returns to."""


class Finisher(Protocol):
    """What a purpose does when nothing is missing any more."""

    async def __call__(
        self, request: Request, continuation: str, session: Session, granted: tuple[str, ...], /
    ) -> Response:
        """Answer the browser."""

    async def cancelled(self, request: Request, continuation: str, /) -> Response:
        """Answer when the person says no."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One request's view of a sign-in: proven to be of this browser."""

    handle: str
    transaction: LoginTransaction
    session: Session | None


class Flows:
    """Begins sign-ins, finds them again, moves them on, ends them."""

    def __init__(
        self,
        *,
        transactions: LoginTransactions,
        dispatcher: Dispatcher,
        proofs: StepProofs,
        sessions: Sessions,
        acts: Acts,
        finishers: Mapping[Purpose, Finisher],
        clock: Clock,
        random_bytes: RandomBytes,
    ) -> None:
        self._transactions = transactions
        self._dispatcher = dispatcher
        self._proofs = proofs
        self._acts = acts
        self._finishers = finishers
        self._clock = clock
        self._random_bytes = random_bytes
        self.sessions = sessions

    def prepare(self, purpose: Purpose, requirement: Requirement, release: Release | None) -> LoginTransaction:
        """Return what is to be decided about, kept nowhere and tied to no browser; `begin` does both if it must."""
        return LoginTransaction(
            purpose=purpose,
            continuation="",
            requirement=requirement,
            release=release,
            browser_hash="",
            nonce="",
            proofs=(),
            pending_seed="",
            session_reference="",
        )

    def browser_secret(self, request: Request) -> str:
        """Return this browser's secret, a new one when it has none."""
        return self.sessions.cookies.browser_secret(request) or new_secret(self._random_bytes)

    async def decide(self, transaction: LoginTransaction, session: Session | None) -> Step:
        """Ask the dispatcher."""
        return await self._dispatcher.next_step(transaction, session)

    async def begin(
        self, transaction: LoginTransaction, continuation: str, browser: str, *, ui_locales: str = ""
    ) -> Response:
        """Keep a prepared transaction for the browser whose secret this is, and send that to its first step.

        `ui_locales`: in one of these languages, if there is one of ours.
        """
        handle = await self._transactions.begin(
            replace(
                transaction,
                continuation=continuation,
                browser_hash=b64u_encode(cookie_hash(browser)),
                nonce=b64u_encode(self._random_bytes(REFERENCE_BYTES)),
            )
        )
        response = step_redirect(handle, ui_locales)
        self.sessions.cookies.set_browser(response, browser)
        return response

    async def find(self, request: Request, handle: str) -> Flow:
        """Return the sign-in of a handle. Raises `TransactionRefused`."""
        transaction = await self._transactions.read(handle)
        if transaction is None:
            raise TransactionRefused(rule="ended")
        if not same_browser(self.sessions.cookies.browser_secret(request), b64u_decode(transaction.browser_hash)):
            raise TransactionRefused(rule="browser")
        return Flow(handle, transaction, await self.sessions.current(request))

    async def advance(self, flow: Flow, after: LoginTransaction) -> None:
        """Keep a changed transaction. Raises `TransactionRefused` when another request overtook this one."""
        if not await self._transactions.advance(flow.handle, flow.transaction, after):
            raise TransactionRefused(rule="overtaken")

    async def complete_step(
        self, request: Request, flow: Flow, kind: AuthenticatorKind, person: str, *, credential: str
    ) -> Response:
        """Sign the step; when identity is complete open the session; send the browser back to the dispatcher."""
        proof = self._proofs.sign(flow.transaction, kind, person, self._clock(), credential=credential)
        after = flow.transaction.with_proof(proof)
        step = await self._dispatcher.next_step(after, flow.session)
        response = step_redirect(flow.handle)
        if isinstance(step, Establish):
            # First the compare-and-swap: of two requests with the same step only one opens a session.
            await self.advance(flow, after)
            session, secret = await self.sessions.establish(request, step.person, step.authentication)
            bound = _bind(after, session)
            await self.advance(Flow(flow.handle, after, session), bound)
            self.sessions.cookies.set_session(response, secret)
            await self._acts.record(
                "idp.login.signed_in",
                actor=step.person,
                subject=step.person,
                result="ok",
                connection=request,
                session_reference=session.reference,
                acr=step.authentication.acr.value,
                amr=" ".join(step.authentication.amr),
            )
        else:
            await self.advance(flow, after)
        return response

    async def bind_session(self, flow: Flow, session: Session) -> Flow:
        """Tie a sign-in that runs on an existing session to it, before the person is asked anything about it."""
        if flow.transaction.session_reference == session.reference:
            return flow
        bound = _bind(flow.transaction, session)
        await self.advance(flow, bound)
        return Flow(flow.handle, bound, session)

    async def finish(self, request: Request, flow: Flow, step: Finish) -> Response:
        """Take the transaction (exactly one request can) and let its purpose answer."""
        taken = await self._transactions.take(flow.handle)
        if taken is None:
            raise TransactionRefused(rule="overtaken")
        return await self._finishers[taken.purpose](request, taken.continuation, step.session, step.granted)

    async def cancel(self, request: Request, flow: Flow) -> Response:
        """Take the transaction and tell its purpose that the person said no."""
        taken = await self._transactions.take(flow.handle)
        if taken is None:
            raise TransactionRefused(rule="overtaken")
        return await self._finishers[taken.purpose].cancelled(request, taken.continuation)


def step_redirect(handle: str, ui_locales: str = "") -> Response:
    """303, never 307: a form with a password must not be sent on (RFC 9700 §4.12)."""
    wish = f"&{urlencode({'ui_locales': ui_locales})}" if ui_locales else ""
    return RedirectResponse(f"{STEP_PATH}?t={handle}{wish}", status_code=303)


def _bind(transaction: LoginTransaction, session: Session) -> LoginTransaction:
    return replace(transaction, pending_seed="", session_reference=session.reference)
