"""`/authorize`: parse, prove, check, then either answer at once or begin a sign-in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from idp.audit import Acts
from idp.authorize.checks import check_request, prove_redirect
from idp.authorize.claims_request import ClaimsRequest, parse_claims
from idp.authorize.code import CODE_LIFETIME_S, AuthorizationGrant
from idp.authorize.pushed import REQUEST_URI_PREFIX, PushedRequests
from idp.authorize.repeats import RepeatedValues
from idp.authorize.request import AuthorizationRequest, load_authorization_request, parse_authorization_request
from idp.authorize.response import AuthorizationResponses
from idp.clients.model import Client
from idp.clients.redirect_uris import web_origin
from idp.id_token import HintRefused, IdTokens
from idp.login.dispatch import (
    AccountRefused,
    AskConsent,
    AskPassword,
    ClientRefused,
    EnrolTotp,
    Establish,
    Finish,
    Step,
)
from idp.login.flow import Flows
from idp.login.transaction import LoginTransaction, Purpose, Release, Requirement
from idp.model import Acr, Clock, Session
from idp.oauth_errors import (
    AccessDenied,
    ConsentRequired,
    InteractionRequired,
    InvalidRequest,
    LoginRequired,
    OAuthError,
    RequestShown,
    UnmetAuthenticationRequirements,
)
from idp.observed import observe, observe_repeated
from idp.parameters import ParametersRefused, parse_reporting_duplicate, query_of, read_form
from idp.routes import without_head
from idp.scopes import OPENID, in_order
from idp.store import ClientStore, SessionStore
from idp.subject import SubjectIdentifiers
from idp.transient import TransientKind, TransientStore


class AuthorizeEndpoint:
    """Handler of `/authorize` and finisher of the sign-ins it begins."""

    def __init__(
        self,
        issuer: str,
        *,
        clients: ClientStore,
        session_store: SessionStore,
        transient: TransientStore,
        flows: Flows,
        id_tokens: IdTokens,
        subjects: SubjectIdentifiers,
        pushed: PushedRequests,
        responses: AuthorizationResponses,
        acts: Acts,
        clock: Clock,
    ) -> None:
        self._issuer = issuer
        self._clients = clients
        self._session_store = session_store
        self._transient = transient
        self._flows = flows
        self._id_tokens = id_tokens
        self._subjects = subjects
        self._pushed = pushed
        self._responses = responses
        self._acts = acts
        self._clock = clock
        self._repeated = RepeatedValues(clock=clock)

    def routes(self) -> list[Route]:
        """Return the route; OpenID Connect Core §3.1.2.1 asks for both methods.

        Not HEAD: whoever only looks (a mail scanner) must not use up a pushed request or a code.
        """
        return [without_head(Route("/authorize", self.authorize, methods=["GET", "POST"]))]

    async def authorize(self, request: Request) -> Response:
        """Answer an authorization request. Raises what is shown and never redirected:

        `RequestShown`, `InvalidRequestUri`.
        """
        try:
            parameters, duplicate = await _parameters(request)
        except ParametersRefused as refused:
            raise RequestShown(field=refused.field, rule=refused.rule) from None
        observe(request, parameters.get("client_id", ""), parameters)
        pushed = parameters.get("request_uri", "").startswith(REQUEST_URI_PREFIX)
        if pushed:
            asked = await self._pushed.take(parameters, duplicate)
        else:
            asked = parse_authorization_request(parameters, duplicate)
        client = prove_redirect(asked, await self._clients.client(asked.client_id))
        try:
            if client.require_pushed_authorization_requests and not pushed:
                raise InvalidRequest(field="request_uri", rule="pushed_required")  # RFC 9126 §6
            check_request(asked, client, issuer=self._issuer)
            return await self._answer(request, asked, client)
        except OAuthError as error:
            if not error.redirectable:
                raise
            await self._acts.record(
                "idp.authorize.refused",
                actor=client.client_id,
                subject=client.client_id,
                result=error.code,
                connection=request,
                **({"rule": error.rule} if error.rule else {}),
            )
            return self._responses.error(request, asked, error)

    async def _answer(self, request: Request, asked: AuthorizationRequest, client: Client) -> Response:
        session = await self._flows.sessions.current(request)
        claims = parse_claims(asked.claims)
        other_person = session is not None and not self._person_meant(asked, client, session)
        if other_person:
            session = None
        browser = self._flows.browser_secret(request)
        await self._notice_repeats(request, asked, browser)
        transaction = self._transaction(asked, client, claims, other_person=other_person)
        try:
            step = await self._flows.decide(transaction, session)
            if isinstance(step, AskConsent) and "none" in asked.prompt and claims.scopes:
                # OpenID Connect Core §5.5.1: a claim that is not returned, essential or not, is no error.
                plain = replace(claims, scopes=frozenset())
                transaction = self._transaction(asked, client, plain, other_person=other_person)
                step = await self._flows.decide(transaction, session)
        except (AccountRefused, ClientRefused) as refusal:
            raise AccessDenied(rule=refusal.rule) from None
        if isinstance(step, Finish):
            return await self._hand_out(request, asked, client, claims, step.session, step.granted)
        if "none" in asked.prompt:
            raise _refusal_of(step)
        return await self._flows.begin(transaction, asked.dump(), browser, ui_locales=asked.ui_locales)

    def _transaction(
        self, asked: AuthorizationRequest, client: Client, claims: ClaimsRequest, *, other_person: bool
    ) -> LoginTransaction:
        max_age = client.default_max_age if asked.max_age is None else int(asked.max_age)
        wanted = {client.acr_minimum, *_preferred_acr(asked, client, claims)}
        requirement = Requirement(
            acr=Acr.TWO if Acr.TWO in wanted else Acr.ONE,
            not_before=0 if max_age is None else max(0, self._clock() - max_age),
            # Being the one the hint names means signing in: a browser keeps one session. OpenID Connect Core §3.1.2.1:
            # `max_age=0` is `prompt=login`, also in the second of the sign-in.
            fresh=other_person or "login" in asked.prompt or max_age == 0,
            consent_again="consent" in asked.prompt,
            login_hint=asked.login_hint,
            choose="select_account" in asked.prompt,
        )
        scopes = in_order((set(asked.scope) | claims.scopes) & client.scopes | {OPENID})
        release = Release(client.client_id, scopes, web_origin(asked.redirect_uri))
        return self._flows.prepare(Purpose.AUTHORIZATION, requirement, release)

    async def _notice_repeats(self, request: Request, asked: AuthorizationRequest, browser: str) -> None:
        repeat = self._repeated.noticed(asked, browser)
        if repeat is None:
            return
        observe_repeated(request, repeat.parameter)
        if repeat.to_record:
            await self._acts.record(
                "idp.authorize.value_repeated",
                actor=asked.client_id,
                subject=asked.client_id,
                result="ok",
                connection=request,
                parameter=repeat.parameter,
            )

    def _person_meant(self, asked: AuthorizationRequest, client: Client, session: Session) -> bool:
        """Whether the session is of the person whom the hint and the requested `sub` name, where there are such."""
        subs = parse_claims(asked.claims).subs
        if subs is None and asked.id_token_hint is None:
            return True
        sub = self._subjects.sub(session.person, client)
        if subs is not None and sub not in subs:
            return False
        if asked.id_token_hint is None:
            return True
        try:
            hint = self._id_tokens.read_hint(asked.id_token_hint)
        except HintRefused:
            return False
        return hint.client_id == client.client_id and hint.sub == sub

    async def __call__(
        self, request: Request, continuation: str, session: Session, granted: tuple[str, ...]
    ) -> Response:
        """Finish: hand out a code. The client and the hint are looked at again; minutes may have passed."""
        asked = load_authorization_request(continuation)
        client = prove_redirect(asked, await self._clients.client(asked.client_id))
        if not self._person_meant(asked, client, session):
            return self._responses.error(request, asked, LoginRequired(rule="other_person"))
        return await self._hand_out(request, asked, client, parse_claims(asked.claims), session, granted)

    async def _hand_out(  # all that a code stands for, and the browser to give it to
        self,
        request: Request,
        asked: AuthorizationRequest,
        client: Client,
        claims: ClaimsRequest,
        session: Session,
        granted: tuple[str, ...],
    ) -> Response:
        if claims.acr_bound and session.authentication.acr not in claims.acr:
            return self._responses.error(request, asked, UnmetAuthenticationRequirements(field="claims", rule="acr"))
        grant = AuthorizationGrant(
            client_id=client.client_id,
            redirect_uri=asked.redirect_uri,
            scope=granted,
            resources=asked.resources,
            code_challenge=asked.code_challenge,
            nonce=asked.nonce,
            person=session.person,
            session_reference=session.reference,
            authentication=session.authentication,
            id_token_claims=tuple(sorted(claims.id_token)),
        )
        code = await self._transient.put(TransientKind.AUTHORIZATION_CODE, grant.dump(), lifetime_s=CODE_LIFETIME_S)
        await self._session_store.remember_client(session.reference, client.client_id, self._clock())
        await self._acts.record(
            "idp.authorize.code_issued",
            actor=session.person,
            subject=client.client_id,
            result="ok",
            connection=request,
            session_reference=session.reference,
            scope=" ".join(granted),
        )
        return self._responses.code(request, asked, code)

    async def cancelled(self, request: Request, continuation: str) -> Response:
        """Answer `access_denied`: the person said no."""
        asked = load_authorization_request(continuation)
        prove_redirect(asked, await self._clients.client(asked.client_id))
        return self._responses.error(request, asked, AccessDenied(rule="person"))


async def _parameters(request: Request) -> tuple[Mapping[str, str], str | None]:
    if request.method == "POST":
        if request.scope["query_string"]:
            raise ParametersRefused(rule="query_and_form")
        return await read_form(request), None
    return parse_reporting_duplicate(query_of(request))


def _preferred_acr(asked: AuthorizationRequest, client: Client, claims: ClaimsRequest) -> tuple[Acr, ...]:
    """Return the class to ask for, none or one: the first we know of what the request prefers, else of the registration.

    The `claims` parameter is the more exact word where it names a class; `acr_values` overrides the registration's default
    also where we know none of it (OpenID Connect Core §3.1.2.1, §5.5.1.1, Registration §2).
    """
    if claims.acr:
        return claims.acr[:1]
    if asked.acr_values:
        known = {member.value for member in Acr}
        return tuple(Acr(value) for value in asked.acr_values if value in known)[:1]
    return client.default_acr_values[:1]


def _refusal_of(step: Step) -> OAuthError:
    # OpenID Connect Core §3.1.2.6: which `prompt=none` error says what is missing.
    if isinstance(step, AskConsent):
        return ConsentRequired(rule="prompt_none")
    if isinstance(step, AskPassword | EnrolTotp | Establish):
        return LoginRequired(rule="prompt_none")
    return InteractionRequired(rule="prompt_none")
