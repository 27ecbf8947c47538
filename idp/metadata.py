"""Discovery and key sets, each an answer made once (OpenID Connect Discovery §3, RFC 8414 §2, RFC 7517).

Everything said here is true of this server: a value is listed when the code answers it, and absent otherwise. The issuer
comes from settings; no header of a request changes a byte (Canaille's `get_issuer` is the warning).
"""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from crypto.keys import jwks_document
from crypto.suites import Alg, Purpose, policy
from idp.authorize.checks import PROMPTS
from idp.authorize.response import RESPONSE_MODES
from idp.clients.model import GrantType, SubjectType, TokenEndpointAuth
from idp.keys import INTEROP_ALGORITHMS, NATIONAL_ALGORITHMS, IdpKeys
from idp.model import Acr
from idp.scopes import CLAIMS_OF_SCOPE

METADATA_PATHS = (
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
    "/jwks",
    "/jwks/national",
)
"""What is answered there depends on the signing keys and on nothing else (`IdpKeys.revision`)."""
CACHE_SECONDS = 300
"""A pending key is published for longer than this before it signs, so a cached set always knows it."""


class Metadata:
    """Handlers of the well-known documents."""

    def __init__(self, issuer: str, keys: IdpKeys, *, sm2_curve: str) -> None:
        self._keys = keys
        self._sm2_curve = sm2_curve
        self._configuration = _public(_dump(configuration(issuer)))
        self._sets: dict[tuple[Alg, ...], tuple[int, Response]] = {}

    def routes(self) -> list[Route]:
        """Return the routes."""
        handlers = (self.discovery, self.discovery, self.jwks, self.national_jwks)
        return [Route(path, handler, methods=["GET"]) for path, handler in zip(METADATA_PATHS, handlers, strict=True)]

    async def discovery(self, _request: Request) -> Response:
        """Answer with the configuration."""
        return self._configuration

    async def jwks(self, _request: Request) -> Response:
        """Answer with the interoperable keys."""
        return self._key_set(INTEROP_ALGORITHMS)

    async def national_jwks(self, _request: Request) -> Response:
        """Answer with the SM2 keys, for clients of the national profile."""
        return self._key_set(NATIONAL_ALGORITHMS)

    def _key_set(self, algorithms: tuple[Alg, ...]) -> Response:
        known = self._sets.get(algorithms)
        if known is None or known[0] != self._keys.revision:
            keys = (key for alg in algorithms for key in self._keys.published(alg))
            rendered = _public(_dump(jwks_document(keys, sm2_curve=self._sm2_curve)))
            known = self._sets[algorithms] = (self._keys.revision, rendered)
        return known[1]


def configuration(issuer: str) -> dict[str, object]:
    """Return the discovery document of an issuer."""
    claims = dict.fromkeys(
        (
            "iss",
            "sub",
            "aud",
            "exp",
            "iat",
            "auth_time",
            "nonce",
            "acr",
            "amr",
            "sid",
            "at_hash",
            *tuple(claim for listed in CLAIMS_OF_SCOPE.values() for claim in listed),
        )
    )
    algorithms = [alg.value for alg in INTEROP_ALGORITHMS + NATIONAL_ALGORITHMS]
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "pushed_authorization_request_endpoint": f"{issuer}/par",
        "token_endpoint": f"{issuer}/token",
        "device_authorization_endpoint": f"{issuer}/device_authorization",
        "userinfo_endpoint": f"{issuer}/userinfo",
        "introspection_endpoint": f"{issuer}/introspect",
        "revocation_endpoint": f"{issuer}/revoke",
        "end_session_endpoint": f"{issuer}/end-session",
        "registration_endpoint": f"{issuer}/register",
        "jwks_uri": f"{issuer}/jwks",
        "national_jwks_uri": f"{issuer}/jwks/national",
        "response_types_supported": ["code"],
        "response_modes_supported": list(RESPONSE_MODES),
        "grant_types_supported": [grant.value for grant in GrantType],
        "subject_types_supported": [kind.value for kind in SubjectType],
        "scopes_supported": list(CLAIMS_OF_SCOPE),
        "claims_supported": list(claims),
        "claim_types_supported": ["normal"],
        "acr_values_supported": [acr.value for acr in Acr],
        "prompt_values_supported": sorted(PROMPTS),
        "ui_locales_supported": ["zh-CN", "en"],
        "id_token_signing_alg_values_supported": algorithms,
        "userinfo_signing_alg_values_supported": algorithms,
        **_authentication("token_endpoint", frozenset(TokenEndpointAuth)),
        **_authentication("revocation_endpoint", frozenset(TokenEndpointAuth)),
        **_authentication("introspection_endpoint", frozenset(TokenEndpointAuth) - {TokenEndpointAuth.NONE}),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "claims_parameter_supported": True,
        "request_parameter_supported": False,
        "require_pushed_authorization_requests": False,  # of every client; one may be registered so (RFC 9126 §5, §6)
        "request_uri_parameter_supported": False,  # of a client's own; OpenID Connect Discovery §3: true when absent, so it is said
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "frontchannel_logout_supported": True,
        "frontchannel_logout_session_supported": True,
    }


def _authentication(endpoint: str, methods: frozenset[TokenEndpointAuth]) -> dict[str, object]:
    algorithms = policy(Purpose.CLIENT_ASSERTION).algorithms
    return {
        f"{endpoint}_auth_methods_supported": [method.value for method in TokenEndpointAuth if method in methods],
        f"{endpoint}_auth_signing_alg_values_supported": [alg.value for alg in Alg if alg in algorithms],
    }


def _dump(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=True, separators=(",", ":")).encode()


def _public(body: bytes) -> Response:
    headers = {"Cache-Control": f"public, max-age={CACHE_SECONDS}", "Access-Control-Allow-Origin": "*"}
    return Response(body, media_type="application/json", headers=headers)
