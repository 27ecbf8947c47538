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
    UnmetAuthenticationRequirements,
)
from idp.parameters import ParametersRefused, parse_reporting_duplicate, query_of, read_form
from idp.scopes import OPENID, in_order
from idp.store import ClientStore, SessionStore
from idp.subject import SubjectIdentifiers
from idp.transient import TransientKind, TransientStore


class AuthorizeEndpoint:
    """Handler of `/authorize` and finisher of the sign-ins it begins."""

    def __init__(
        self,
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

    def routes(self) -> list[Route]:
        """Return the route; OpenID Connect Core §3.1.2.1 asks for both methods."""
        return [Route("/authorize", self.authorize, methods=["GET", "POST"])]

    async def authorize(self, request: Request) -> Response:
        """Answer an authorization request. Raises what is shown and never redirected:

        `RequestShown`, `InvalidRequestUri`, `ParametersRefused`.
        """
        parameters, duplicate = await _parameters(request)
        pushed = parameters.get("request_uri", "").startswith(REQUEST_URI_PREFIX)
        if pushed:
            asked = await self._pushed.take(parameters, duplicate)
        else:
            asked = parse_authorization_request(parameters, duplicate)
        client = prove_redirect(asked, await self._clients.client(asked.client_id))
        try:
            if client.require_pushed_authorization_requests and not pushed:
                raise InvalidRequest(field="request_uri", rule="pushed_required")  # RFC 9126 §6
            check_request(asked, client)
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
        transaction = self._transaction(asked, client, claims, browser, other_person=other_person)
        try:
            step = await self._flows.decide(transaction, session)
            if isinstance(step, AskConsent) and "none" in asked.prompt and claims.scopes:
                # OpenID Connect Core §5.5.1: a claim that is not returned, essential or not, is no error.
                plain = replace(claims, scopes=frozenset())
                transaction = self._transaction(asked, client, plain, browser, other_person=other_person)
                step = await self._flows.decide(transaction, session)
        except (AccountRefused, ClientRefused) as refusal:
            raise AccessDenied(rule=refusal.rule) from None
        if isinstance(step, Finish):
            return await self(request, transaction.continuation, step.session, step.granted)
        if "none" in asked.prompt:
            raise _refusal_of(step)
        return await self._flows.begin(transaction, browser, ui_locales=asked.ui_locales)

    def _transaction(
        self, asked: AuthorizationRequest, client: Client, claims: ClaimsRequest, browser: str, *, other_person: bool
    ) -> LoginTransaction:
        now = self._clock()
        not_before = 0 if asked.max_age is None else max(0, now - int(asked.max_age))
        wants_two = Acr.TWO in {client.acr_minimum, *claims.acr[:1]} or Acr.TWO.value in asked.acr_values
        requirement = Requirement(
            acr=Acr.TWO if wants_two else Acr.ONE,
            not_before=not_before,
            # Choosing another account, or being the one the hint names, means signing in: a browser keeps one session.
            fresh=other_person or bool(asked.prompt & {"login", "select_account"}),
            consent_again="consent" in asked.prompt,
            login_hint=asked.login_hint,
        )
        scopes = in_order((set(asked.scope) | claims.scopes) & client.scopes | {OPENID})
        release = Release(client.client_id, scopes, web_origin(asked.redirect_uri))
        return self._flows.prepare(Purpose.AUTHORIZATION, asked.dump(), requirement, release, browser)

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
        claims = parse_claims(asked.claims)
        if claims.acr_bound and session.authentication.acr not in claims.acr:
            return self._responses.error(request, asked, UnmetAuthenticationRequirements(field="claims", rule="acr"))
        grant = AuthorizationGrant(
            client_id=client.client_id,
            redirect_uri=asked.redirect_uri,
            scope=granted,
            code_challenge=asked.code_challenge,
            nonce=asked.nonce,
            person=session.person,
            session_reference=session.reference,
            authentication=session.authentication,
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


def _refusal_of(step: Step) -> OAuthError:
    # OpenID Connect Core §3.1.2.6: which `prompt=none` error says what is missing.
    if isinstance(step, AskConsent):
        return ConsentRequired(rule="prompt_none")
    if isinstance(step, AskPassword | EnrolTotp | Establish):
        return LoginRequired(rule="prompt_none")
    return InteractionRequired(rule="prompt_none")
