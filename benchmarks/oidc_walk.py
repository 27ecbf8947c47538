"""The person's part, once before the measuring: sign in, agree, and keep the session; then the requests of each plan."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import KeySet

from benchmarks.oidc_load import CodeFlow, Plan, Refresh, Repeat
from crypto.jws import verify_jwt
from crypto.keys import public_from_jwk
from crypto.suites import Alg, Purpose, policy

VERIFIER: Final = "benchmark-verifier-of-43-characters-or-more-1"
CHALLENGE: Final = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
REDIRECTS_MAX: Final = 12


class WalkFailed(Exception):
    """The walk did not arrive where it should."""


@dataclass(frozen=True, slots=True)
class Platform:
    """A registered client as the driver knows it."""

    client_id: str
    client_secret: str
    redirect_uri: str
    alg: Alg
    """Of its ID tokens."""

    @property
    def authorization(self) -> str:
        """The value of its Authorization header."""
        return "Basic " + base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()


@dataclass(frozen=True, slots=True)
class Person:
    """Who signs in, where the server asks."""

    username: str
    password: str


@dataclass(frozen=True, slots=True)
class _Form:
    action: str
    fields: dict[str, str]


class _Forms(HTMLParser):
    """Collects a page's forms with their fields."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[_Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(_Form(given.get("action", ""), {}))
        elif tag == "input" and self.found and given.get("name"):
            if given.get("type") == "checkbox":
                given["value"] = given.get("value", "on")
            self.found[-1].fields[given["name"]] = given.get("value", "")


class Walk:
    """One browser and one platform's server in front of a provider."""

    def __init__(self, issuer: str, person: Person) -> None:
        self._issuer = issuer
        self._person = person
        self._http = httpx.Client(trust_env=False, timeout=30)
        self.metadata: Mapping[str, Any] = self._json(f"{issuer}/.well-known/openid-configuration")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._http.close()

    def _json(self, url: str) -> Any:
        return self._http.get(url).raise_for_status().json()

    def path(self, endpoint: str) -> str:
        """Return the path of an endpoint of the discovery document."""
        return urlsplit(str(self.metadata[endpoint])).path

    def cookie(self) -> str:
        """Return the session's Cookie header as the authorization endpoint is sent it."""
        sent = self._http.build_request("GET", str(self.metadata["authorization_endpoint"])).headers
        return str(sent["cookie"])

    def sign_in(self, platform: Platform, scope: str, *, ask: bool) -> Mapping[str, Any]:
        """Walk through whatever the provider shows, redeem the code, check the ID token; return the token response."""
        query = authorization_query(platform, scope) | {"state": "walk", "nonce": "walk"}
        if ask:
            query["prompt"] = "consent"
        answer = self._http.get(f"{self.metadata['authorization_endpoint']}?{urlencode(query)}")
        for _ in range(REDIRECTS_MAX):
            if answer.is_redirect:
                target = urljoin(str(answer.url), answer.headers["location"])
                if target.startswith(platform.redirect_uri):
                    return self._redeem(platform, parse_qs(urlsplit(target).query))
                answer = self._http.get(target)
            else:
                answer = self._fill(answer)
        raise WalkFailed(f"{self._issuer} did not lead back to the platform")

    def _fill(self, page: httpx.Response) -> httpx.Response:
        forms = _Forms()
        forms.feed(page.raise_for_status().text)
        for form in forms.found:
            path = urlsplit(form.action).path
            if path.endswith(("/password", "/consent")):
                typed = {"username": self._person.username, "password": self._person.password}
                filled = {**form.fields, **(typed if path.endswith("/password") else {})}
                origin = {"Origin": self._issuer, "Referer": str(page.url)}
                return self._http.post(urljoin(str(page.url), form.action), data=filled, headers=origin)
        raise WalkFailed(f"{page.url} shows no form of sign-in or consent")

    def _redeem(self, platform: Platform, answered: Mapping[str, list[str]]) -> Mapping[str, Any]:
        if "code" not in answered:
            raise WalkFailed(f"{self._issuer} answered {answered}")
        form = {
            "grant_type": "authorization_code",
            "code": answered["code"][0],
            "redirect_uri": platform.redirect_uri,
            "code_verifier": VERIFIER,
        }
        answer = self._http.post(
            str(self.metadata["token_endpoint"]), data=form, headers={"Authorization": platform.authorization}
        )
        tokens: Mapping[str, Any] = answer.raise_for_status().json()
        self._check_id_token(platform, str(tokens["id_token"]))
        return tokens

    def _check_id_token(self, platform: Platform, token: str) -> None:
        """Verify the signature: a provider that signs nothing would be a fast one."""
        claims: Mapping[str, Any]
        if platform.alg is Alg.SGD_SM3_SM2:
            listed = self._json(str(self.metadata["national_jwks_uri"]))["keys"]
            keys = {key["kid"]: public_from_jwk(key, alg=platform.alg) for key in listed}
            claims = verify_jwt(token, keys=keys, policy=policy(Purpose.ID_TOKEN)).claims
        else:
            # By a library that knows neither of the two: the peer's tokens have another form than ours.
            key_set = KeySet.import_key_set(self._json(str(self.metadata["jwks_uri"])))
            claims = jwt.decode(token, key_set, algorithms=[platform.alg.value]).claims
        if claims["aud"] not in (platform.client_id, [platform.client_id]) or claims["nonce"] != "walk":
            raise WalkFailed("the ID token is not the platform's")


def authorization_query(platform: Platform, scope: str) -> dict[str, str]:
    """Return the parameters of an authorization request but `state` and `nonce`."""
    return {
        "response_type": "code",
        "client_id": platform.client_id,
        "redirect_uri": platform.redirect_uri,
        "scope": scope,
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }


@dataclass(frozen=True, slots=True)
class Requests:
    """Builds the plans against one server."""

    walk: Walk
    netloc: str

    def _head(self, method: str, target: str, *headers: str) -> str:
        return (
            "\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {self.netloc}", "Accept: */*", *headers]) + "\r\n\r\n"
        )

    def _form(self, endpoint: str, platform: Platform, form: str, length: str | None = None) -> bytes:
        head = self._head(
            "POST",
            self.walk.path(endpoint),
            f"Authorization: {platform.authorization}",
            "Content-Type: application/x-www-form-urlencoded",
            f"Content-Length: {len(form) if length is None else length}",
        )
        return (head + form).encode()

    def get(self, name: str, path: str) -> Plan:
        """GET one path."""
        return Repeat(name, self._head("GET", path).encode())

    def client_credentials(self, platform: Platform, scope: str) -> Plan:
        """Ask for a token of the client's own."""
        form = urlencode({"grant_type": "client_credentials", "scope": scope})
        return Repeat("client_credentials", self._form("token_endpoint", platform, form))

    def introspection(self, platform: Platform, token: str) -> Plan:
        """Introspect one live access token."""
        return Repeat("introspection", self._form("introspection_endpoint", platform, urlencode({"token": token})))

    def userinfo(self, token: str) -> Plan:
        """Ask who it is."""
        head = self._head("GET", self.walk.path("userinfo_endpoint"), f"Authorization: Bearer {token}")
        return Repeat("userinfo", head.encode())

    def refresh(self, platform: Platform, tokens: list[str]) -> Plan:
        """Use refresh tokens, one a connection."""
        form = "grant_type=refresh_token&refresh_token="
        request = self._form("token_endpoint", platform, form, "{length}")
        return Refresh(request, [token.encode() for token in tokens])

    def code_flow(self, platform: Platform, scope: str) -> Plan:
        """Ask for authorization, token and userinfo with the session of the walk; state and nonce differ each time."""
        query = urlencode(authorization_query(platform, scope))
        target = f"{self.walk.path('authorization_endpoint')}?{query}&state=\0&nonce=\0"
        authorize = self._head("GET", target, f"Cookie: {self.walk.cookie()}")
        form = urlencode(
            {"grant_type": "authorization_code", "redirect_uri": platform.redirect_uri, "code_verifier": VERIFIER}
        )
        userinfo = self._head("GET", self.walk.path("userinfo_endpoint"), "Authorization: Bearer \0")
        return CodeFlow(
            authorize=tuple(authorize.encode().split(b"\0")),
            token=self._form("token_endpoint", platform, form + "&code=", "{length}"),
            userinfo=tuple(userinfo.encode().split(b"\0")),
        )
