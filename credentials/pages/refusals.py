"""A refusal in the reader's words."""

from __future__ import annotations

from collections.abc import Mapping

from credentials.pages.render import Translator
from crypto.errors import TrustError


def sentence_of(code: str, rule: str | None, params: Mapping[str, str | int], t: Translator) -> str:
    """Return the most exact sentence the catalogues have: of the rule under its code, of the rule, of the code."""
    for message in (f"{code}.{rule}", f"credentials.rule.{rule}"):
        if rule and message in t:
            return t(message, **params)
    return t(code, **params)


def refusal_sentence(error: TrustError, t: Translator) -> str:
    """Return the sentence of a refusal that was raised."""
    return sentence_of(error.code, error.rule, error.params, t)
