"""A relying party in plain httpx and PyJWT: asks, redeems, validates what it gets, and knows nothing but the metadata."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote_plus, urlencode

import httpx
import jwt

from tests.protocol.conformance.live import SECRET, Live
from tests.protocol.conformance.person import Callback, Page, Person

CLOCK_SKEW_S = 5
DISCOVERY_PATH = "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True)
class Tokens:
    """A token response that has passed every check of OpenID Connect Core §3.1.3.7."""

    body: dict[str, Any]
    header: dict[str, Any]
    claims: dict[str, Any]

    @property
    def access_token(self) -> str:
        """The access token."""
        token: str = self.body["access_token"]
        return token

    @property
    def id_token(self) -> str:
        """The ID token in compact form."""
        token: str = self.body["id_token"]
        return token


class Party:
    """One registered client. `mode` is the response mode it asks for; `query` is the default and is not said."""

    def __init__(self, live: Live, client_id: str = "conformance", *, mode: str = "query") -> None:
        self.live = live
        self.client_id = client_id
        self.mode = mode
        self.redirect_uri = f"{live.party.origin}/callback"
        self.signed_out_uri = f"{live.party.origin}/signed-out"
        self.http = live.client()

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """The discovery document, fetched where the issuer says (OpenID Connect Discovery §4)."""
        answer = self.http.get(self.live.issuer + DISCOVERY_PATH)
        assert answer.status_code == 200
        document: dict[str, Any] = answer.json()
        return document

    @cached_property
    def keys(self) -> dict[str, jwt.PyJWK]:
        """The published keys by `kid`."""
        found = self.http.get(self.metadata["jwks_uri"]).json()["keys"]
        return {key["kid"]: jwt.PyJWK(key) for key in found}

    def request(self, **changes: str | None) -> dict[str, str]:
        """Return an ordinary authorization request with fresh state and nonce; None takes a parameter out."""
        base: dict[str, str | None] = {
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": "openid",
            "state": secrets.token_urlsafe(10),
            "nonce": secrets.token_urlsafe(10),
            "response_type": "code",
            "response_mode": None if self.mode == "query" else self.mode,
            **changes,
        }
        return {name: value for name, value in base.items() if value is not None}

    def ask(self, person: Person, asked: dict[str, str]) -> Callback | Page:
        """Send the person's browser to the authorization endpoint."""
        return person.go(f"{self.metadata['authorization_endpoint']}?{urlencode(asked)}")

    def code(self, answer: Callback | Page, asked: dict[str, str]) -> str:
        """Return the code of a successful authorization response, having checked the response."""
        callback = self.response(answer, asked)
        assert "error" not in callback.parameters, callback.parameters
        code = callback.parameters["code"]
        assert set(callback.parameters) == {"code", "iss"} | ({"state"} & asked.keys())
        return code

    def refusal(self, answer: Callback | Page, asked: dict[str, str]) -> str:
        """Return the error code of an authorization error response, having checked the response."""
        callback = self.response(answer, asked)
        assert "code" not in callback.parameters
        return callback.parameters["error"]

    def response(self, answer: Callback | Page, asked: dict[str, str]) -> Callback:
        """Check what every authorization response has: address, mode, state, issuer (RFC 9207 §2.4)."""
        assert isinstance(answer, Callback), answer
        assert answer.address == self.redirect_uri
        assert answer.mode == self.mode
        assert answer.parameters.get("state") == asked.get("state")
        assert answer.parameters["iss"] == self.live.issuer
        return answer

    def token(self, form: dict[str, str]) -> httpx.Response:
        """Post to the token endpoint with this client's authentication (RFC 6749 §2.3.1)."""
        headers = {}
        if self.client_id == "conformance-post":
            form = {**form, "client_id": self.client_id, "client_secret": SECRET}
        else:
            pair = f"{quote_plus(self.client_id)}:{quote_plus(SECRET)}".encode()
            headers["authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        return self.http.post(self.metadata["token_endpoint"], data=form, headers=headers)

    def redeem(self, code: str, asked: dict[str, str], **more: str) -> Tokens:
        """Redeem a code and validate what comes back."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": asked["redirect_uri"], **more}
        return self.tokens(self.token(form), nonce=asked.get("nonce"))

    def tokens(self, answer: httpx.Response, *, nonce: str | None) -> Tokens:
        """Validate a token response (RFC 6749 §5.1, OpenID Connect Core §3.1.3.3 and §3.1.3.7)."""
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("application/json")
        assert "no-store" in answer.headers["cache-control"]
        body = answer.json()
        assert body["token_type"].lower() == "bearer"
        assert body["access_token"]
        assert body["expires_in"] > 0
        token = body["id_token"]
        header = jwt.get_unverified_header(token)
        assert header["alg"] == "RS256"
        claims: dict[str, Any] = jwt.decode(
            token,
            self.keys[header["kid"]],
            ["RS256"],
            audience=self.client_id,
            issuer=self.live.issuer,
            leeway=CLOCK_SKEW_S,
            options={"require": ["iss", "sub", "aud", "exp", "iat"]},
        )
        assert claims["aud"] in (self.client_id, [self.client_id])
        assert claims.get("azp", self.client_id) == self.client_id
        assert claims.get("nonce") == nonce
        assert abs(time.time() - claims["iat"]) < 60
        assert claims["sub"].isascii()
        assert 0 < len(claims["sub"]) <= 255
        if "at_hash" in claims:
            half = hashlib.sha256(body["access_token"].encode()).digest()[:16]
            assert claims["at_hash"] == base64.urlsafe_b64encode(half).rstrip(b"=").decode()
        return Tokens(body, header, claims)

    def sign_in(self, person: Person, **changes: str | None) -> Tokens:
        """Go the whole way as an ordinary client does."""
        asked = self.request(**changes)
        return self.redeem(self.code(self.ask(person, asked), asked), asked)

    def userinfo(self, tokens: Tokens) -> dict[str, Any]:
        """Fetch the person's claims (OpenID Connect Core §5.3) and compare their subject with the ID token's."""
        headers = {"authorization": f"Bearer {tokens.access_token}"}
        return self.claims(self.http.get(self.metadata["userinfo_endpoint"], headers=headers), tokens)

    def claims(self, answer: httpx.Response, tokens: Tokens) -> dict[str, Any]:
        """Check a userinfo response (§5.3.2) and return the claims."""
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("application/json")
        claims: dict[str, Any] = answer.json()
        assert claims["sub"] == tokens.claims["sub"]
        return claims

    def is_signed_in(self, person: Person) -> bool:
        """Say whether the provider still knows this browser: ask with `prompt=none` (§3.1.2.6)."""
        asked = self.request(prompt="none")
        callback = self.response(self.ask(person, asked), asked)
        if "code" in callback.parameters:
            return True
        assert callback.parameters["error"] in {"login_required", "interaction_required"}
        return False

    def sign_out(self, person: Person, **parameters: str) -> Callback | Page:
        """Send the browser to the end-session endpoint (OpenID Connect RP-Initiated Logout §2)."""
        query = f"?{urlencode(parameters)}" if parameters else ""
        return person.go(f"{self.metadata['end_session_endpoint']}{query}")
