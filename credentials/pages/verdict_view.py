"""A verdict in words: what the page under one glance shows, check by check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from credentials.pages.claims import Fact, facts, kind_of_type
from credentials.pages.render import Translator
from credentials.verdict import Check, CheckName, Result, Verdict

_TIMES = frozenset({"time", "as_of", "issued_at", "judged_at"})
_NUMBERS = frozenset({"index", "size", "count"})
_WORDS = {
    "rule": "credentials.rule.",
    "status": "credentials.status.",
    "level": "credentials.level.",
    "chain": "log.chain_",
}
# The refusal's code and member names: the rule says the same in words, and the JSON interface carries them.
_FOR_PROGRAMS = frozenset({"code", "field"})


@dataclass(frozen=True, slots=True)
class CheckView:
    """One check: its name and what it means as message codes, its result, and its evidence in words."""

    title: str
    about: str
    result: str
    evidence: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class VerdictView:
    """What the page shows. `code` is the verification code it came by, None for a file; `kind` a message code."""

    verdict: str
    sentence: str
    altered: bool
    kind: str | None
    facts: tuple[Fact, ...]
    as_of: int | None
    checked_at: int
    code: str | None
    checks: tuple[CheckView, ...]
    passed: int


def verdict_view(verdict: Verdict, t: Translator, *, checked_at: int, code: str | None) -> VerdictView:
    """Put a verdict into the reader's words."""
    checks = tuple(_check(check, t) for check in verdict.checks)
    return VerdictView(
        verdict=verdict.outcome.value,
        sentence=f"{verdict.code}.sentence",
        altered=any(check.name is CheckName.DOCUMENT and check.result is Result.FAIL for check in verdict.checks),
        kind=kind_of_type(verdict.type),
        facts=(*_issuer(verdict.issuer, verdict.facts, t), *facts(verdict.facts, t)),
        as_of=verdict.as_of,
        checked_at=checked_at,
        code=code,
        checks=checks,
        passed=sum(check.result == Result.PASS.value for check in checks),
    )


def _issuer(names: Mapping[str, str], claims: Mapping[str, object], t: Translator) -> tuple[Fact, ...]:
    """Name the issuer as its accreditation does, unless the record itself says the same."""
    name = names.get(t.locale) or names.get("zh-CN")
    if name is None or claims.get("school_name") == name:
        return ()
    return (Fact("issuer", "verify.issuer", "", name),)


def _check(check: Check, t: Translator) -> CheckView:
    evidence = tuple(_evidence(name, value, t) for name, value in check.evidence.items() if name not in _FOR_PROGRAMS)
    return CheckView(check.code, f"verify.about_{check.name.value}", check.result.value, evidence)


def _evidence(name: str, value: str | int, t: Translator) -> Fact:
    label = f"verify.evidence_{name}"
    code = label if label in t else None
    if name in _TIMES and isinstance(value, int):
        return Fact(name, code, name, t.time(value))
    if name in _NUMBERS and isinstance(value, int):
        return Fact(name, code, name, t.number(value))
    word = f"{_WORDS.get(name, '')}{value}"
    return Fact(name, code, name, t(word) if name in _WORDS and word in t else str(value))
