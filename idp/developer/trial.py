"""The test sign-in: the developer's own browser goes the way of the platform, and every step is laid open.

The request goes to `/authorize` like any other and comes back to an address of ours. There the code is taken, as at `/token`
and as good once; but nothing is issued: the ID token that is shown was made over an access token that never existed and is
gone with the page.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlencode

from crypto.encoding import b64u_decode, b64u_encode, json_strict
from idp.authorize.code import AuthorizationGrant, load_grant
from idp.claims import named_claims, released_claims
from idp.clients.model import Client
from idp.developer.sandbox import SCOPES_OPTIONAL, SCOPES_REQUIRED, TEST_CALLBACK
from idp.id_token import IdTokens
from idp.model import SECRET_BYTES, RandomBytes, Session
from idp.people import People
from idp.scopes import CONTACT_SCOPES
from idp.subject import SubjectIdentifiers
from idp.transient import TransientKind, TransientStore

TRIAL_LIFETIME_S = 15 * 60
"""Time to read the consent page."""

STEPS = ("request", "answer", "code", "id_token", "userinfo")
"""In order; the first that fails is the last shown."""

PASSED_ON = ("error", "error_description", "iss")
"""Parameters of the answer that are shown as they came; of `code` and `state` only that they were there."""


@dataclass(frozen=True, slots=True)
class Started:
    """A test sign-in on its way."""

    client_id: str
    session_reference: str
    verifier: str
    nonce: str


@dataclass(frozen=True, slots=True)
class Shown:
    """One step: its name, whether it went well, the rule it broke if not, and what to see."""

    name: str
    passed: bool
    rule: str
    facts: Mapping[str, str]


class Trials:
    """Starts test sign-ins and judges what comes back."""

    def __init__(
        self,
        issuer: str,
        *,
        transient: TransientStore,
        id_tokens: IdTokens,
        subjects: SubjectIdentifiers,
        people: People,
        random_bytes: RandomBytes,
    ) -> None:
        self._issuer = issuer
        self._transient = transient
        self._id_tokens = id_tokens
        self._subjects = subjects
        self._people = people
        self._random_bytes = random_bytes

    async def start(self, client: Client, session: Session) -> str:
        """Return the address of the authorization request. Its `state` is good for one answer in this session."""
        started = Started(client.client_id, session.reference, self._secret(), self._secret())
        payload = json.dumps(asdict(started)).encode()
        state = await self._transient.put(TransientKind.DEVELOPER_TRIAL, payload, lifetime_s=TRIAL_LIFETIME_S)
        request = {
            "response_type": "code",
            "client_id": client.client_id,
            "redirect_uri": self._issuer + TEST_CALLBACK,
            "scope": " ".join(SCOPES_REQUIRED + SCOPES_OPTIONAL),
            "state": state,
            "nonce": started.nonce,
            "code_challenge": _s256(started.verifier),
            "code_challenge_method": "S256",
            "prompt": "consent",  # so that the page the platform's people will see is seen
        }
        return f"/authorize?{urlencode(request)}"

    async def started(self, state: str, session: Session) -> Started | None:
        """Take the test sign-in an answer belongs to; None when it is none of this session's."""
        payload = await self._transient.take(TransientKind.DEVELOPER_TRIAL, state)
        if payload is None:
            return None
        raw: Any = json_strict(payload)
        found = Started(**raw)
        return found if found.session_reference == session.reference else None

    async def judge(self, client: Client, started: Started, answer: Mapping[str, str]) -> list[Shown]:
        """Return the steps, up to the first that failed."""
        asked = {
            "client_id": client.client_id,
            "redirect_uri": self._issuer + TEST_CALLBACK,
            "scope": " ".join(SCOPES_REQUIRED + SCOPES_OPTIONAL),
            "code_challenge_method": "S256",
        }
        steps = [Shown("request", passed=True, rule="", facts=asked), self._answer(answer)]
        if not steps[-1].passed:
            return steps
        grant, redeemed = await self._redeem(client, started, answer["code"])
        steps.append(redeemed)
        if grant is not None:
            steps += await self._tokens(client, grant)
        return steps

    def _answer(self, answer: Mapping[str, str]) -> Shown:
        facts = {name: answer[name] for name in PASSED_ON if name in answer}
        facts |= dict.fromkeys((name for name in ("code", "state") if name in answer), "…")
        rule = ""
        if answer.get("iss") != self._issuer:
            rule = "iss"  # RFC 9207 §2.4
        elif "error" in answer:
            rule = "refused"
        elif "code" not in answer:
            rule = "no_code"
        return Shown("answer", passed=not rule, rule=rule, facts=facts)

    async def _redeem(self, client: Client, started: Started, code: str) -> tuple[AuthorizationGrant | None, Shown]:
        payload = await self._transient.take(TransientKind.AUTHORIZATION_CODE, code)
        grant = None if payload is None else load_grant(payload)
        if grant is None:
            return None, Shown("code", passed=False, rule="not_in_force", facts={})
        facts = {"grant_type": "authorization_code", "code_verifier": "…", "scope": " ".join(grant.scope)}
        good = (
            grant.client_id == client.client_id
            and grant.redirect_uri == self._issuer + TEST_CALLBACK
            and grant.code_challenge == _s256(started.verifier)
            and grant.nonce == started.nonce
        )
        rule = "" if good else "another_request"
        return (grant if good else None), Shown("code", passed=good, rule=rule, facts=facts)

    async def _tokens(self, client: Client, grant: AuthorizationGrant) -> list[Shown]:
        profile = await self._people.profile(grant.person, affiliations=True)
        if profile is None:
            return [Shown("id_token", passed=False, rule="person", facts={})]
        contact = None if CONTACT_SCOPES.isdisjoint(grant.scope) else await self._people.contact(grant.person)
        token = self._id_tokens.sign(
            client,
            person=grant.person,
            session_reference=grant.session_reference,
            authentication=grant.authentication,
            nonce=grant.nonce,
            access_token=self._secret(),
            claims=named_claims(profile, contact, grant.scope, grant.id_token_claims),
        )
        header, body, _ = token.split(".")
        seen = {"header": _pretty(b64u_decode(header, field="id_token")), "claims": _pretty(_without_nonce(body))}
        sub = self._subjects.sub(grant.person, client)
        released = {"sub": sub, **released_claims(profile, contact, grant.scope)}
        return [
            Shown("id_token", passed=True, rule="", facts=seen),
            Shown("userinfo", passed=True, rule="", facts={"claims": _pretty(json.dumps(released).encode())}),
        ]

    def _secret(self) -> str:
        return b64u_encode(self._random_bytes(SECRET_BYTES))


def _s256(verifier: str) -> str:
    return b64u_encode(hashlib.sha256(verifier.encode("ascii")).digest())  # RFC 7636 §4.2


def _without_nonce(body: str) -> bytes:
    claims: Any = json_strict(b64u_decode(body, field="id_token"))
    return json.dumps({**claims, "nonce": "…"}).encode()


def _pretty(document: bytes) -> str:
    return json.dumps(json_strict(document), ensure_ascii=False, indent=2)
