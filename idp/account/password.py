"""`/account/password`: a new password for the old one.

Whoever can change a password can keep its owner out, so the page asks for the old one, and for the second factor first
where the person has one. Afterwards every sign-in anywhere has ended and every platform's tokens are dead; this browser
alone goes on, under a fresh cookie.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from idp.account.pages import private, record_own_act, to_sign_in
from idp.account.password_rules import (
    CHARACTERS_ALONE_MIN,
    CHARACTERS_WITH_FACTOR_MIN,
    PasswordUnfit,
    check_new_password,
)
from idp.audit import Acts
from idp.login.password import PasswordAuthenticator, PasswordVerifier, SignInRefused
from idp.login.policy import SignInPolicy
from idp.login.totp import TotpAuthenticator
from idp.model import Acr, Clock, Session
from idp.pages.render import Render
from idp.parameters import parse_parameters, query_of, read_form
from idp.session.sign_in import Sessions
from idp.store import AccountStore

PATH = "/account/password"


class PasswordPage:
    """Handlers of the change of password."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        accounts: AccountStore,
        authenticator: PasswordAuthenticator,
        passwords: PasswordVerifier,
        totp: TotpAuthenticator,
        policy: SignInPolicy,
        acts: Acts,
        render: Render,
        clock: Clock,
    ) -> None:
        self._sessions = sessions
        self._accounts = accounts
        self._authenticator = authenticator
        self._passwords = passwords
        self._totp = totp
        self._policy = policy
        self._acts = acts
        self._render = render
        self._clock = clock

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [Route(PATH, self.show, methods=["GET"]), Route(PATH, self.change, methods=["POST"])]

    async def show(self, request: Request) -> Response:
        """Show the form, or say that it is done."""
        session = await self._strong_session(request)
        if session is None:
            return await self._sign_in(request)
        done = parse_parameters(query_of(request)).get("done") == "yes"
        return await self._page(request, session, error=None, done=done)

    async def change(self, request: Request) -> Response:
        """Check the old password, then the new one; set it and end everything but this browser."""
        session = await self._strong_session(request)
        if session is None:
            return await self._sign_in(request)
        form = await read_form(request)
        try:
            await self._set(session, form)
        except (SignInRefused, PasswordUnfit) as refusal:
            await record_own_act(
                self._acts, request, "idp.password.refused", session, session.person, result=refusal.code
            )
            return await self._page(request, session, error=refusal)
        renewed, secret = await self._sessions.establish(request, session.person, session.authentication)
        await record_own_act(self._acts, request, "idp.password.changed", renewed, session.person)
        response = RedirectResponse(f"{PATH}?done=yes", status_code=303)
        self._sessions.cookies.set_session(response, secret)
        return response

    async def _set(self, session: Session, form: Mapping[str, str]) -> None:
        account = await self._accounts.account(session.person)
        if account is None:
            raise SignInRefused(rule="credentials")
        old, new = form.get("old_password", ""), form.get("new_password", "")
        # The old one first, at the cost and under the count of a sign-in: the rules must not become an oracle.
        await self._authenticator.authenticate(account.username, old)
        check_new_password(new, username=account.username, characters_min=await self._characters_min(session.person))
        if new == old:
            raise PasswordUnfit(field="new_password", rule="same")
        if form.get("new_password_again", "") != new:
            raise PasswordUnfit(field="new_password_again", rule="differ")
        await self._accounts.set_password(session.person, await self._passwords.hash(new), self._clock())

    async def _characters_min(self, person: str) -> int:
        # Only where a second factor is always asked for does a shorter password do: an enrolled one may not be asked.
        always = await self._policy.required_acr(person, Acr.ONE) is Acr.TWO
        return CHARACTERS_WITH_FACTOR_MIN if always else CHARACTERS_ALONE_MIN

    async def _strong_session(self, request: Request) -> Session | None:
        """Return the session if it reached what the person can reach (ASVS 5.0 §6.3.4: no path is weaker)."""
        session = await self._sessions.current(request)
        if session is None or session.authentication.acr is Acr.TWO:
            return session
        return None if await self._totp.enrolled(session.person) else session

    async def _sign_in(self, request: Request) -> Response:
        session = await self._sessions.current(request)
        return to_sign_in(PATH, stronger=session is not None)

    async def _page(
        self, request: Request, session: Session, *, error: SignInRefused | PasswordUnfit | None, done: bool = False
    ) -> Response:
        wrong = "" if error is None else f"account.password.{error.rule}"
        context = {
            "error": wrong,
            "error_field": "" if error is None else error.field or "old_password",
            "characters": await self._characters_min(session.person),
            "done": done,
        }
        return private(self._render(request, "idp/password.html", context, 200 if error is None else 422))
