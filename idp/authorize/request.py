"""The authorization request, parsed once (OpenID Connect Core §3.1.2.1, RFC 6749 §4.1.1, RFC 7636 §4.3)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from crypto.encoding import json_strict
from idp.authorize.resources import parse_resources


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """Every parameter this server reads, in its own type; None or empty where the request had none.

    `duplicate` names a parameter that came twice; `refused_features` the unsupported ones that came at all.
    """

    client_id: str
    redirect_uri: str
    response_type: str
    response_mode: str
    scope: tuple[str, ...]
    resources: tuple[str, ...]
    state: str | None
    nonce: str | None
    code_challenge: str | None
    code_challenge_method: str | None
    prompt: frozenset[str]
    max_age: str | None
    acr_values: tuple[str, ...]
    login_hint: str
    id_token_hint: str | None
    claims: str | None
    ui_locales: str
    duplicate: str | None
    refused_features: tuple[str, ...]

    def dump(self) -> str:
        """Return the request as text for the sign-in transaction."""
        return json.dumps({**asdict(self), "prompt": sorted(self.prompt)}, ensure_ascii=False, separators=(",", ":"))


UI_LOCALES_CHARS_MAX = 100
"""A dozen languages; what comes after them is not read (a preference is never an error, OpenID Connect Core §3.1.2.1)."""

_UNSUPPORTED_FEATURES = ("request", "request_uri", "registration")
_TUPLES = ("scope", "resources", "acr_values", "refused_features")


def parse_authorization_request(parameters: Mapping[str, str], duplicate: str | None) -> AuthorizationRequest:
    """Type the parameters. Refuses nothing: the checks do, in their order."""
    return AuthorizationRequest(
        client_id=parameters.get("client_id", ""),
        redirect_uri=parameters.get("redirect_uri", ""),
        response_type=parameters.get("response_type", ""),
        response_mode=parameters.get("response_mode", ""),
        scope=_words(parameters.get("scope")),
        resources=parse_resources(parameters),
        state=parameters.get("state"),
        nonce=parameters.get("nonce"),
        code_challenge=parameters.get("code_challenge"),
        code_challenge_method=parameters.get("code_challenge_method"),
        prompt=frozenset(_words(parameters.get("prompt"))),
        max_age=parameters.get("max_age"),
        acr_values=_words(parameters.get("acr_values")),
        login_hint=parameters.get("login_hint", ""),
        id_token_hint=parameters.get("id_token_hint"),
        claims=parameters.get("claims"),
        ui_locales=parameters.get("ui_locales", "")[:UI_LOCALES_CHARS_MAX],
        duplicate=duplicate,
        refused_features=tuple(name for name in _UNSUPPORTED_FEATURES if name in parameters),
    )


def load_authorization_request(text: str) -> AuthorizationRequest:
    """Read back what `dump` wrote."""
    raw: Any = json_strict(text)
    # `resources` is absent from requests that the version before wrote, minutes ago.
    tuples = {name: tuple(raw.get(name, ())) for name in _TUPLES}
    return AuthorizationRequest(**{**raw, **tuples, "prompt": frozenset(raw["prompt"])})


def _words(value: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part for part in (value or "").split(" ") if part))
