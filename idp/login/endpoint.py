"""The pages of sign-in. Each form posts to its authenticator, which returns to the dispatcher's address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from crypto.errors import TrustError
from idp.audit import Acts
from idp.consent import Consents
from idp.login.dispatch import (
    AskConsent,
    AskPassword,
    AskTotp,
    EnrolTotp,
    Finish,
    Step,
    TransactionRefused,
)
from idp.login.flow import STEP_PATH, Flow, Flows, step_redirect
from idp.login.local_path import local_path
from idp.login.password import PasswordAuthenticator, SignInRefused
from idp.login.totp import CodeRefused, TotpAuthenticator
from idp.login.transaction import Purpose, Requirement
from idp.model import Acr, AuthenticatorKind
from idp.pages.render import Render
from idp.parameters import parse_parameters, query_of, read_form
from idp.scopes import CLAIMS_OF_SCOPE
from idp.store import AccountStore

NO_STORE = {"Cache-Control": "no-store"}
"""Pages with a handle, a name or a seed stay out of every cache."""


class SignInPages:
    """Handlers of `/signin…`."""

    def __init__(
        self,
        *,
        flows: Flows,
        password: PasswordAuthenticator,
        totp: TotpAuthenticator,
        accounts: AccountStore,
        consents: Consents,
        acts: Acts,
        render: Render,
    ) -> None:
        self._flows = flows
        self._password = password
        self._totp = totp
        self._accounts = accounts
        self._consents = consents
        self._acts = acts
        self._render = render

    def routes(self) -> list[Route]:
        """Return the routes of sign-in."""
        return [
            Route("/signin", self.sign_in, methods=["GET"]),
            Route(STEP_PATH, self.step, methods=["GET"]),
            Route("/signin/password", self.post_password, methods=["POST"]),
            Route("/signin/totp", self.post_totp, methods=["POST"]),
            Route("/signin/enrol", self.post_enrol, methods=["POST"]),
            Route("/signin/consent", self.post_consent, methods=["POST"]),
            Route("/signin/cancel", self.post_cancel, methods=["POST"]),
        ]

    async def sign_in(self, request: Request) -> Response:
        """Begin a first-party sign-in: `/signin?return=<local path>`."""
        parameters = parse_parameters(query_of(request))
        # A page that needs a stronger sign-in sends the person here with `acr=2`.
        acr = Acr.TWO if parameters.get("acr") == "2" else Acr.ONE
        requirement = Requirement(acr=acr, not_before=0, fresh=False, consent_again=False, login_hint="")
        browser = self._flows.browser_secret(request)
        continuation = local_path(parameters.get("return"))
        transaction = self._flows.prepare(Purpose.FIRST_PARTY, continuation, requirement, None, browser)
        step = await self._flows.decide(transaction, await self._flows.sessions.current(request))
        if isinstance(step, Finish):
            return RedirectResponse(continuation, status_code=303)
        return await self._flows.begin(transaction, browser)

    async def step(self, request: Request) -> Response:
        """Ask the dispatcher what is missing, and show that page or finish."""
        flow = await self._flow_of(request, parse_parameters(query_of(request)))
        step = await self._flows.decide(flow.transaction, flow.session)
        if isinstance(step, Finish):
            return await self._flows.finish(request, flow, step)
        return await self._page(request, flow, step, error=None)

    async def post_password(self, request: Request) -> Response:
        """Check name and password."""
        form = await read_form(request)
        flow = await self._flow_of(request, form)
        username, password = form.get("username", ""), form.get("password", "")
        try:
            account = await self._password.authenticate(username, password)
        except SignInRefused as refusal:
            await self._refused(request, AuthenticatorKind.PASSWORD, "unknown", refusal)
            return await self._page(request, flow, AskPassword(), error=refusal, typed=username)
        return await self._flows.complete_step(request, flow, AuthenticatorKind.PASSWORD, account.person)

    async def post_totp(self, request: Request) -> Response:
        """Check a code."""
        form = await read_form(request)
        flow = await self._flow_of(request, form)
        step = await self._flows.decide(flow.transaction, flow.session)
        if not isinstance(step, AskTotp):
            return step_redirect(flow.handle)
        try:
            await self._totp.authenticate(step.person, form.get("code", ""))
        except CodeRefused as refusal:
            await self._refused(request, AuthenticatorKind.TOTP, step.person, refusal)
            return await self._page(request, flow, step, error=refusal)
        return await self._flows.complete_step(request, flow, AuthenticatorKind.TOTP, step.person)

    async def post_enrol(self, request: Request) -> Response:
        """Confirm a new phone app with its first code."""
        form = await read_form(request)
        flow = await self._flow_of(request, form)
        step = await self._flows.decide(flow.transaction, flow.session)
        if not isinstance(step, EnrolTotp) or not flow.transaction.pending_seed:
            return step_redirect(flow.handle)
        try:
            await self._totp.confirm_enrolment(step.person, flow.transaction.pending_seed, form.get("code", ""))
        except CodeRefused as refusal:
            return await self._page(request, flow, step, error=refusal)
        await self._acts.record(
            "idp.login.totp_enrolled", actor=step.person, subject=step.person, result="ok", connection=request
        )
        return await self._flows.complete_step(request, flow, AuthenticatorKind.TOTP, step.person)

    async def post_consent(self, request: Request) -> Response:
        """Keep what the person allows."""
        form = await read_form(request)
        flow = await self._flow_of(request, form)
        step = await self._flows.decide(flow.transaction, flow.session)
        if not isinstance(step, AskConsent) or not flow.transaction.session_reference:
            return step_redirect(flow.handle)
        ticked = frozenset(scope for scope in step.question.optional if form.get(f"scope_{scope}") == "yes")
        requirement = replace(flow.transaction.requirement, consent_again=False)
        await self._flows.advance(flow, replace(flow.transaction, requirement=requirement))
        await self._consents.remember(step.session.person, step.client, step.question, ticked)
        await self._acts.record(
            "idp.consent.given",
            actor=step.session.person,
            subject=step.client.client_id,
            result="ok",
            connection=request,
            session_reference=step.session.reference,
            scope=" ".join((*step.question.required, *sorted(ticked))),
        )
        return step_redirect(flow.handle)

    async def post_cancel(self, request: Request) -> Response:
        """Take the person's no, at any step."""
        flow = await self._flow_of(request, await read_form(request))
        return await self._flows.cancel(request, flow)

    async def _flow_of(self, request: Request, parameters: Mapping[str, str]) -> Flow:
        handle = parameters.get("t")
        if handle is None:
            raise TransactionRefused(rule="absent")
        return await self._flows.find(request, handle)

    async def _refused(self, request: Request, kind: AuthenticatorKind, person: str, refusal: TrustError) -> None:
        # The typed name is not recorded: people type passwords into that field.
        await self._acts.record(
            f"idp.login.{kind.value}_refused",
            actor=person,
            subject=person,
            result=refusal.code,
            connection=request,
        )

    async def _page(
        self, request: Request, flow: Flow, step: Step, *, error: TrustError | None, typed: str = ""
    ) -> Response:
        context: dict[str, object] = {"t_handle": flow.handle, "error": error}
        release = flow.transaction.release
        if release is not None and release.origin:
            # Browsers apply form-action to the redirect after a form: the page says where its form may lead.
            request.state.form_action = (release.origin,)
        if isinstance(step, AskPassword):
            template = "idp/sign_in.html"
            # Exactly what was typed, never how the register writes it: a known and an unknown name look the same.
            context["login_hint"] = typed or flow.transaction.requirement.login_hint
        elif isinstance(step, AskTotp):
            template = "idp/second_factor.html"
        elif isinstance(step, EnrolTotp):
            template = "idp/enrol_totp.html"
            flow = await self._with_seed(flow, step.person)
            account = await self._accounts.account(step.person)
            name = "" if account is None else account.username
            picture, seed = self._totp.enrolment_picture(step.person, name, flow.transaction.pending_seed)
            context |= {"picture": picture, "seed": seed}
        elif isinstance(step, AskConsent):
            template = "idp/consent.html"
            await self._flows.bind_session(flow, step.session)
            context |= {
                "client": step.client,
                "client_name": step.client.name(request.state.locale),
                "question": step.question,
                "claims_of": CLAIMS_OF_SCOPE,
            }
        else:
            raise TransactionRefused(rule="step")
        response = self._render(request, template, context, 200 if error is None else 422)
        response.headers.update(NO_STORE)
        return response

    async def _with_seed(self, flow: Flow, person: str) -> Flow:
        if flow.transaction.pending_seed:
            return flow
        seeded = replace(flow.transaction, pending_seed=self._totp.new_pending_seed(person))
        await self._flows.advance(flow, seeded)
        return Flow(flow.handle, seeded, flow.session)
