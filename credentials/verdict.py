"""The verdict: one word, and every check it rests on. Message codes are `credentials.verdict.*` and `credentials.check.*`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from credentials.status import Status


class Outcome(StrEnum):
    """What is said of a record. Only `valid` is green."""

    VALID = "valid"
    INVALID = "invalid"
    REVOKED = "revoked"
    SUSPENDED = "suspended"
    SUPERSEDED = "superseded"
    UNKNOWN = "unknown"


class Result(StrEnum):
    """The result of one check. `unknown`: what it needs was not to be had."""

    PASS = "pass"  # noqa: S105 -- a result, no password
    FAIL = "fail"
    UNKNOWN = "unknown"


class CheckName(StrEnum):
    """The checks, in the order they are made and shown."""

    DOCUMENT = "document"
    LOG_INCLUSION = "log_inclusion"
    ANCHOR = "anchor"
    COMMITMENT = "commitment"
    ACCREDITATION = "accreditation"
    SIGNATURE = "signature"
    SCOPE = "scope"
    DATES = "dates"
    STATUS = "status"
    KEY_BINDING = "key_binding"


_SAID: Mapping[Status, Outcome] = {
    Status.REVOKED: Outcome.REVOKED,
    Status.SUSPENDED: Outcome.SUSPENDED,
    Status.SUPERSEDED: Outcome.SUPERSEDED,
}


@dataclass(frozen=True, slots=True)
class Check:
    """One check. `evidence` says what it rested on (identifiers, times, a rule broken); never personal data."""

    name: CheckName
    result: Result
    evidence: Mapping[str, str | int]

    @property
    def code(self) -> str:
        """The message code that names the check."""
        return f"credentials.check.{self.name.value}"

    def to_value(self) -> dict[str, object]:
        """Return the check as the JSON interface shows it."""
        return {"name": self.name.value, "result": self.result.value, "evidence": dict(self.evidence)}


@dataclass(frozen=True, slots=True)
class Verdict:
    """`as_of` is the time of the status it rests on (None where there is none); `facts` are the disclosed claims.

    `facts` is empty unless the issuer's signature was verified: an unproved claim is not shown. `issuer` holds the
    issuer's names by language, `type` the credential's vct; both under the same condition.
    """

    outcome: Outcome
    as_of: int | None
    checks: tuple[Check, ...]
    facts: Mapping[str, Any] = field(repr=False)
    issuer: Mapping[str, str]
    issuer_id: str | None
    type: str | None

    @property
    def verdict(self) -> str:
        """The one word."""
        return self.outcome.value

    @property
    def code(self) -> str:
        """The message code of the sentence shown."""
        return f"credentials.verdict.{self.outcome.value}"

    def to_value(self) -> dict[str, object]:
        """Return the verdict as the JSON interface and the command line show it."""
        return {
            "verdict": self.outcome.value,
            "as_of": self.as_of,
            "checks": [check.to_value() for check in self.checks],
            "facts": dict(self.facts),
            "issuer": {"id": self.issuer_id, "name": dict(self.issuer)},
            "type": self.type,
        }


def decide(checks: Sequence[Check], said: Status | None) -> Outcome:
    """Return the outcome: any failure is invalid; then what the issuer says; then what could not be checked.

    `said` is the status the issuer's own signed list gives, None where it gives none that counts.
    """
    if any(check.result is Result.FAIL for check in checks):
        return Outcome.INVALID
    if said is not None and said is not Status.VALID:
        return _SAID[said]
    if said is None or any(check.result is Result.UNKNOWN for check in checks):
        return Outcome.UNKNOWN
    return Outcome.VALID
