"""The pages of sign-in. Each form posts to its authenticator, which returns to the dispatcher's address."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from crypto.errors import TrustError
from idp.audit import Acts
from idp.consent import Consents
from idp.login.dispatch import (
    AccountRefused,
    AskConsent,
    AskPassword,
    AskTotp,
    ChooseAccount,
    EnrolTotp,
    Finish,
    Step,
    TransactionRefused,
)
from idp.login.flow import STEP_PATH, Flow, Flows, step_redirect
from idp.login.local_path import local_path
from idp.login.password import PasswordAuthenticator, SignInRefused, password_mark
from idp.login.totp import CodeRefused, TotpAuthenticator
from idp.login.transaction import Purpose, Requirement
from idp.login.username import normalise
from idp.model import Acr, AuthenticatorKind
from idp.pages.render import Render
from idp.parameters import parse_parameters, query_of, read_form
from idp.people import People
from idp.routes import without_head
from idp.scopes import CLAIMS_OF_SCOPE
from idp.store import AccountStore, ClientStore

NO_STORE = {"Cache-Control": "no-store"}
"""Pages with a handle, a name or a seed stay out of every cache."""


_NAME = re.compile(r"[\w.@+-]{1,64}")


class SignInPages:
    """Handlers of `/signin…`."""

    def __init__(
        self,
        *,
        flows: Flows,
        password: PasswordAuthenticator,
        totp: TotpAuthenticator,
        accounts: AccountStore,
        clients: ClientStore,
        people: People,
        consents: Consents,
        acts: Acts,
        render: Render,
    ) -> None:
        self._flows = flows
        self._password = password
        self._totp = totp
        self._accounts = accounts
        self._clients = clients
        self._people = people
        self._consents = consents
        self._acts = acts
        self._render = render

    def routes(self) -> list[Route]:
        """Return the routes of sign-in."""
        return [
            without_head(Route("/signin", self.sign_in, methods=["GET"])),
            without_head(Route(STEP_PATH, self.step, methods=["GET"])),
            Route("/signin/account", self.post_account, methods=["POST"]),
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
        # One that needs a person who has just shown it is them (ASVS 5.0 §7.5.1) adds `fresh=yes`.
        fresh = parameters.get("fresh") == "yes"
        requirement = Requirement(acr=acr, not_before=0, fresh=fresh, consent_again=False, login_hint="")
        browser = self._flows.browser_secret(request)
        continuation = local_path(parameters.get("return"))
        transaction = self._flows.prepare(Purpose.FIRST_PARTY, requirement, None)
        step = await self._flows.decide(transaction, await self._flows.sessions.current(request))
        if isinstance(step, Finish):
            return RedirectResponse(continuation, status_code=303)
        return await self._flows.begin(transaction, continuation, browser)

    async def step(self, request: Request) -> Response:
        """Ask the dispatcher what is missing, and show that page or finish."""
        flow = await self._flow_of(request, parse_parameters(query_of(request)))
        step = await self._flows.decide(flow.transaction, flow.session)
        if isinstance(step, Finish):
            return await self._flows.finish(request, flow, step)
        return await self._page(request, flow, step, error=None)

    async def post_account(self, request: Request) -> Response:
        """Take the choice: the session that was shown, or another account, which signs in anew."""
        form = await read_form(request)
        flow = await self._flow_of(request, form)
        step = await self._flows.decide(flow.transaction, flow.session)
        if not isinstance(step, ChooseAccount):
            return step_redirect(flow.handle)
        after = flow.transaction
        if form.get("choice") == "other":
            hint = "" if await self._named_by_hint(flow, step.session.person) else after.requirement.login_hint
            requirement = replace(after.requirement, choose=False, fresh=True, login_hint=hint)
            after = replace(after, requirement=requirement)
        elif form.get("choice") == "continue" and form.get("session") == step.session.reference:
            after = replace(after, chosen=step.session.reference)
        # Anything else, also a yes to a session that is no longer this browser's, is asked again.
        if after != flow.transaction:
            await self._flows.advance(flow, after)
        return step_redirect(flow.handle)

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
        mark = password_mark(account.password_hash)
        return await self._flows.complete_step(
            request, flow, AuthenticatorKind.PASSWORD, account.person, credential=mark
        )

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
        return await self._flows.complete_step(request, flow, AuthenticatorKind.TOTP, step.person, credential="")

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
        return await self._flows.complete_step(request, flow, AuthenticatorKind.TOTP, step.person, credential="")

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
        context: dict[str, object] = {"t_handle": flow.handle, "error": error, "client_name": "", "platform": None}
        release = flow.transaction.release
        if release is not None:
            client = await self._clients.client(release.client_id)
            context["client_name"] = "" if client is None else client.name(request.state.locale)
            context["platform"] = client
            if release.origin:
                # Browsers apply form-action to the redirect after a form: the page says where its form may lead.
                request.state.form_action = (release.origin,)
        if isinstance(step, ChooseAccount):
            template = "idp/choose_account.html"
            context |= await self._choice(flow, step)
        elif isinstance(step, AskPassword):
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
                "question": step.question,
                "claims_of": CLAIMS_OF_SCOPE,
            }
        else:
            raise TransactionRefused(rule="step")
        response = self._render(request, template, context, 200 if error is None else 422)
        response.headers.update(NO_STORE)
        return response

    async def _choice(self, flow: Flow, step: ChooseAccount) -> dict[str, object]:
        """Return what the chooser shows: the one session of this browser, by the name the person goes by.

        Nobody who signed in here before is ever listed: on a shared computer that would tell who was at it.
        """
        profile = await self._people.profile(step.session.person, affiliations=False)
        if profile is None:
            raise AccountRefused(rule="standing")
        hint = flow.transaction.requirement.login_hint
        return {
            "display_name": profile.display_name,
            "session_reference": step.session.reference,
            "other_first": bool(hint) and not await self._named_by_hint(flow, step.session.person),
            # On a button of ours stands a name or nothing: whole sentences could be the platform's word as if it were ours.
            "other_name": hint if _NAME.fullmatch(hint) else "",
        }

    async def _named_by_hint(self, flow: Flow, person: str) -> bool:
        """Whether the hint is the sign-in name of this person; only ever said to the person themselves."""
        hint = flow.transaction.requirement.login_hint
        account = await self._accounts.account(person) if hint else None
        return account is not None and account.username == normalise(hint)

    async def _with_seed(self, flow: Flow, person: str) -> Flow:
        if flow.transaction.pending_seed:
            return flow
        seeded = replace(flow.transaction, pending_seed=self._totp.new_pending_seed(person))
        await self._flows.advance(flow, seeded)
        return Flow(flow.handle, seeded, flow.session)
