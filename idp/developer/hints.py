"""What to do about a refusal: the message code of a hint for each note."""

from __future__ import annotations

from idp.clients.sandbox_store import RequestNote

GOOD = frozenset({"ok", "asked", "code"})
"""Outcomes with nothing to mend."""

# (field, rule) or field alone; the first that fits. The messages are `developer.hint.<word>`.
_BY_FIELD_AND_RULE = {
    ("redirect_uri", "not_registered"): "redirect_uri",
    ("redirect_uri", "missing"): "redirect_uri",
    ("code_challenge", "missing"): "pkce",
    ("code_challenge", "form"): "pkce",
    ("code_challenge_method", "s256_required"): "pkce",
    ("scope", "openid_missing"): "scope_openid",
    ("scope", "not_registered"): "scope",
    ("aud", "not_the_issuer"): "assertion_aud",
    ("jti", "used"): "assertion_jti",
    ("exp", "too_far"): "assertion_exp",
}
_BY_FIELD = {
    "response_type": "response_type",
    "response_mode": "response_mode",
    "nonce": "nonce",
    "prompt": "prompt",
    "request_uri": "request_uri",
    "client_secret": "two_methods",
    "client_assertion": "two_methods",
    "code": "code",
    "refresh_token": "refresh_token",
}
_BY_RULE = {"duplicate": "duplicate", "sandbox": "owner", "person": "said_no", "two_methods": "two_methods"}
_BY_OUTCOME = {
    "invalid_client": "credentials",
    "invalid_grant": "code",
    "invalid_scope": "scope",
    "login_required": "prompt_none",
    "consent_required": "prompt_none",
    "interaction_required": "prompt_none",
    "unsupported_grant_type": "grant_type",
    "unauthorized_client": "grant_type",
    "access_denied": "said_no",
}
WORDS = frozenset(
    {
        *_BY_FIELD_AND_RULE.values(),
        *_BY_FIELD.values(),
        *_BY_RULE.values(),
        *_BY_OUTCOME.values(),
        "repeated",
        "other",
    }
)
"""Every hint there is, for the catalogue's test."""


def hint_of(note: RequestNote) -> str | None:
    """Return the hint's message code; None for a request that went well."""
    if note.outcome in GOOD:
        return "developer.hint.repeated" if "repeated" in note.asked else None
    word = (
        _BY_FIELD_AND_RULE.get((note.field, note.rule))
        or _BY_RULE.get(note.rule)
        or _BY_FIELD.get(note.field)
        or (_refresh(note) if note.outcome == "invalid_grant" else None)
        or _BY_OUTCOME.get(note.outcome)
        or "other"
    )
    return f"developer.hint.{word}"


def _refresh(note: RequestNote) -> str | None:
    return "refresh_token" if note.asked.get("grant_type") == "refresh_token" else None
