"""The checks of a bundle and of a receipt, in order, each told apart from the others and none left out.

`verification.py` is the way in; here stands what it does with one bundle.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from credentials.accreditation import Accreditation, KeyPurpose, verify_chain
from credentials.bundle import Bundle
from credentials.errors import (
    AccreditorUnknown,
    KeyUnavailable,
    SdJwtRefused,
    StatusRefused,
    Unreadable,
)
from credentials.formats import sd_jwt
from credentials.formats.key_binding import ExpectedBinding, verify_key_binding
from credentials.status import CurrentStatus, Status, StatusSnapshot, reference_of, verify_status_token
from credentials.trust import TrustAnchors
from credentials.verdict import Check, CheckName, Result, Verdict, decide
from crypto.canonical import jcs
from crypto.encoding import b64u_encode, json_strict
from crypto.errors import TrustError
from crypto.jws import unverified_kid
from crypto.sm3 import sm3
from crypto.suites import Purpose, policy
from ledger.anchor import AnchorEvidence, require_binds, verify_evidence
from ledger.receipt import Receipt, VerifiedEntry, verify_receipt

CLOCK_LEEWAY_S: Final = 300  # the clocks of a school, a log and a verifier may differ by this much
ENTRY_KIND_ISSUED: Final = "credential.issued"
REQUIRED_CLAIMS: Final = frozenset({"iss", "iat", "nbf", "vct", "cnf", "status"})
# Claims that serve the machinery; the others are the facts a reader wants.
_MACHINERY: Final = frozenset({"iss", "iat", "nbf", "exp", "vct", "vct#integrity", "cnf", "status", "jti"})


def entry_commitment(opening: bytes, issuer_jwt: str) -> str:
    """Return the commitment a log entry carries: SM3 over salt and issuer-signed JWT, in base64url."""
    return b64u_encode(sm3(opening + issuer_jwt.encode("ascii")))


def rule_broken(error: TrustError) -> dict[str, str | int]:
    """Return the evidence of a failed check: code, field and rule of the refusal, nothing else of it."""
    evidence: dict[str, str | int] = {"code": error.code}
    if error.field is not None:
        evidence["field"] = error.field
    if error.rule is not None:
        evidence["rule"] = error.rule
    return evidence


@dataclass(slots=True)
class Findings:
    """The checks made so far, in the order of `CheckName`, and what later steps build on."""

    checks: list[Check] = field(default_factory=list)
    judged_at: int | None = None
    as_of: int | None = None
    said: Status | None = None
    accreditation: Accreditation | None = None
    credential: sd_jwt.VerifiedSdJwt | None = None

    def add(self, name: CheckName, result: Result, evidence: Mapping[str, str | int]) -> None:
        """Note one check."""
        self.checks.append(Check(name, result, evidence))

    def attempt(self, name: CheckName, step: Callable[[], Mapping[str, str | int]]) -> None:
        """Run one check: its evidence on success, the rule it broke on refusal, unknown where trust is lacking."""
        try:
            self.add(name, Result.PASS, step())
        except AccreditorUnknown as error:
            self.add(name, Result.UNKNOWN, rule_broken(error))
        except TrustError as error:
            self.add(name, Result.FAIL, rule_broken(error))

    def verdict(self) -> Verdict:
        """Return the verdict of the checks made; unproved claims are not in it."""
        shown, who = self.credential, self.accreditation
        facts = {n: v for n, v in shown.claims.items() if n not in _MACHINERY} if shown is not None else {}
        return Verdict(
            decide(self.checks, self.said),
            self.as_of,
            tuple(self.checks),
            facts,
            who.statement.names if who is not None and shown is not None else {},
            who.issuer if who is not None and shown is not None else None,
            str(shown.claims["vct"]) if shown is not None else None,
        )


def judge_log(found: Findings, receipt: Receipt, trust: TrustAnchors) -> VerifiedEntry | None:
    """Judge inclusion first, then each anchor by itself, so that the two are told apart."""
    if receipt.origin not in trust.ledger.logs:
        found.add(CheckName.LOG_INCLUSION, Result.UNKNOWN, {"origin": receipt.origin, "rule": "log_not_trusted"})
        found.add(CheckName.ANCHOR, Result.UNKNOWN, {"rule": "log_not_trusted"})
        return None
    try:
        entry = verify_receipt(replace(receipt, anchors=()), trust=trust.ledger)
    except TrustError as error:
        found.add(CheckName.LOG_INCLUSION, Result.FAIL, rule_broken(error))
        found.add(CheckName.ANCHOR, Result.UNKNOWN, {"rule": "no_checkpoint"})
        return None
    evidence: dict[str, str | int] = {
        "origin": receipt.origin,
        "index": entry.index,
        "size": entry.checkpoint.size,
        "time": entry.checkpoint.time,
    }
    found.add(CheckName.LOG_INCLUSION, Result.PASS, evidence)
    found.judged_at = entry.checkpoint.time
    _anchors(found, receipt, entry, trust)
    return entry


def _anchors(found: Findings, receipt: Receipt, entry: VerifiedEntry, trust: TrustAnchors) -> None:
    witnesses = trust.ledger.anchor_witnesses
    seen: list[AnchorEvidence] = []
    unknown = False
    for statement in receipt.anchors:
        try:
            if unverified_kid(statement, policy=policy(Purpose.ANCHOR)) not in witnesses:
                unknown = True
                continue
            evidence = verify_evidence(statement, witnesses=witnesses)
            require_binds(evidence, entry.checkpoint)
            seen.append(evidence)
        except TrustError as error:
            found.add(CheckName.ANCHOR, Result.FAIL, rule_broken(error))
            return
    if not seen:
        rule = "witness_not_trusted" if unknown else "not_anchored"
        found.add(CheckName.ANCHOR, Result.UNKNOWN, {"rule": rule})
        return
    earliest = min(seen, key=lambda one: one.time)
    # Every anchor of a trusted witness proves the entry existed then; the log's own time is only the log's word. A chain's
    # clock may lag behind the log's, so the later of the two counts: a lagging chain must not date a signature back.
    found.judged_at = max(earliest.time, entry.checkpoint.time)
    # An anchor nobody here can judge must not pass unseen: no byte of the receipt is idle.
    result = Result.UNKNOWN if unknown else Result.PASS
    found.add(CheckName.ANCHOR, result, {"chain": earliest.chain, "time": earliest.time, "count": len(seen)})


def _commitment(bundle: Bundle, entry: VerifiedEntry, presented: sd_jwt.SdJwt) -> Mapping[str, str | int]:
    body = json_strict(entry.body)
    if not isinstance(body, dict) or jcs(body) != entry.body or body.get("v") != 1:
        raise SdJwtRefused(field="entry", rule="entry_form")
    if body.get("kind") != ENTRY_KIND_ISSUED:
        raise SdJwtRefused(field="entry", rule="entry_kind")
    commitment = entry_commitment(bundle.opening, presented.issuer_jwt)
    if not hmac.compare_digest(str(body.get("commitment")).encode(), commitment.encode()):
        raise SdJwtRefused(field="entry", rule="commitment")
    if body.get("issuer") != presented.unverified_payload().get("iss"):
        raise SdJwtRefused(field="issuer", rule="entry_issuer")
    return {"index": entry.index}


def _signature(found: Findings, presented: sd_jwt.SdJwt, at: int) -> Mapping[str, str | int]:
    chain = found.accreditation
    if chain is None:
        raise AccreditorUnknown(rule="no_accreditation")
    rules = policy(Purpose.CREDENTIAL)
    kid = unverified_kid(presented.issuer_jwt, policy=rules) or ""
    key = chain.key_in_force(kid, KeyPurpose.CREDENTIAL, at)
    credential = sd_jwt.verify(presented, keys={kid: key}, policy=rules, required_claims=REQUIRED_CLAIMS)
    if credential.claims["iss"] != chain.issuer:
        raise SdJwtRefused(field="iss", rule="issuer")
    for name in ("vct", "level"):
        if not isinstance(credential.payload.get(name, ""), str):
            raise SdJwtRefused(field=name, rule="text")
    found.credential = credential
    return {"kid": kid, "alg": key.alg.value, "judged_at": at}


def _scope(chain: Accreditation, claims: Mapping[str, Any]) -> Mapping[str, str | int]:
    if claims["vct"] not in chain.statement.types:
        raise KeyUnavailable(field="vct", rule="type_not_accredited")
    level = claims.get("level")
    if level is not None and level not in chain.statement.levels:
        raise KeyUnavailable(field="level", rule="level_not_accredited")
    return {"type": str(claims["vct"])} | ({} if level is None else {"level": str(level)})


def _dates(claims: Mapping[str, Any], at: int, now: int) -> Mapping[str, str | int]:
    for name in ("iat", "nbf", *(("exp",) if "exp" in claims else ())):
        if type(claims[name]) is not int or claims[name] < 0:
            raise SdJwtRefused(field=name, rule="time")
    if claims["iat"] > at + CLOCK_LEEWAY_S:  # nothing is logged before it is signed
        raise SdJwtRefused(field="iat", rule="after_log")
    if max(claims["iat"], claims["nbf"]) > now + CLOCK_LEEWAY_S:
        raise SdJwtRefused(field="nbf", rule="not_yet")
    if "exp" in claims and now >= claims["exp"]:
        raise SdJwtRefused(field="exp", rule="expired")
    return {"issued_at": claims["iat"]}


def _snapshot(chain: Accreditation, token: str, uri: str, now: int) -> StatusSnapshot:
    # A status is about now, so a key known to be compromised is not believed at any time.
    keys = {kid: key.public for kid, key in chain.keys(KeyPurpose.STATUS).items() if key.compromised_at is None}
    snapshot = verify_status_token(token, uri=uri, keys=keys, policy=policy(Purpose.STATUS_LIST))
    if snapshot.issued_at > now + CLOCK_LEEWAY_S:
        raise StatusRefused(field="iat", rule="future")
    kid = unverified_kid(token, policy=policy(Purpose.STATUS_LIST)) or ""
    chain.key_in_force(kid, KeyPurpose.STATUS, snapshot.issued_at)
    return snapshot


def _status(found: Findings, bundle: Bundle, now: int, status: CurrentStatus | None) -> None:
    """Judge the status: the current list where one was asked for, else the snapshot, "as of" its own time."""
    chain, credential = found.accreditation, found.credential
    if chain is None or credential is None:
        found.add(CheckName.STATUS, Result.UNKNOWN, {"rule": "no_signature"})
        return
    try:
        reference = reference_of(credential.claims)
        snapshot = _snapshot(chain, bundle.status, reference.uri, now)
        value = Status(snapshot.statuses.value(reference.index))
        if status is not None:
            if status.uri != reference.uri or status.token is None:
                found.add(CheckName.STATUS, Result.UNKNOWN, {"rule": "status_not_available"})
                return
            current = _snapshot(chain, status.token, reference.uri, now)
            stale = current.expires_at is not None and now >= current.expires_at
            # An older list than the one already seen is a rollback (security.md 39): it proves nothing.
            if stale or current.issued_at < snapshot.issued_at:
                found.add(CheckName.STATUS, Result.UNKNOWN, {"rule": "status_stale"})
                return
            value, snapshot = Status(current.statuses.value(reference.index)), current
    except (TrustError, ValueError) as error:
        evidence = rule_broken(error) if isinstance(error, TrustError) else {"rule": "status_value"}
        found.add(CheckName.STATUS, Result.FAIL, evidence)
        return
    found.said, found.as_of = value, snapshot.issued_at
    found.add(CheckName.STATUS, Result.PASS, {"status": value.name.lower(), "as_of": snapshot.issued_at})


def _binding(found: Findings, presented: sd_jwt.SdJwt, now: int, expected: ExpectedBinding | None) -> None:
    if presented.key_binding is None and expected is None:
        return
    if found.credential is None:
        found.add(CheckName.KEY_BINDING, Result.UNKNOWN, {"rule": "no_signature"})
        return
    payload = found.credential.payload

    def step() -> Mapping[str, str | int]:
        binding = verify_key_binding(presented, payload, policy=policy(Purpose.KEY_BINDING), now=now, expected=expected)
        return {"audience": binding.audience, "time": binding.issued_at}

    found.attempt(CheckName.KEY_BINDING, step)


def judge(
    found: Findings,
    bundle: Bundle,
    trust: TrustAnchors,
    now: int,
    status: CurrentStatus | None,
    expected: ExpectedBinding | None,
) -> None:
    """Make every check of a bundle, in order; none is left out because an earlier one failed."""
    # 1. The presentation is a well-formed SD-JWT. What is not one at all cannot be judged.
    try:
        presented = sd_jwt.parse(bundle.presentation)
        claimed = presented.unverified_payload()
    except SdJwtRefused as error:
        raise Unreadable(field="presentation", rule=error.rule) from error
    # 2. The log: the entry stands in it, and its checkpoint is anchored; this fixes the time of judgement.
    entry = judge_log(found, bundle.receipt, trust)
    stated = claimed.get("iat")
    at = found.judged_at if found.judged_at is not None else stated if type(stated) is int else now
    # 3. The entry commits to exactly this credential.
    if entry is None:
        found.add(CheckName.COMMITMENT, Result.UNKNOWN, {"rule": "no_entry"})
    else:
        found.attempt(CheckName.COMMITMENT, lambda: _commitment(bundle, entry, presented))

    # 4. The issuer was accredited at that time.
    def accredited() -> Mapping[str, str | int]:
        found.accreditation = verify_chain(bundle.accreditation, trust=trust, at=at)
        return {"issuer": found.accreditation.issuer, "by": " > ".join(found.accreditation.path)}

    found.attempt(CheckName.ACCREDITATION, accredited)
    # 5. It signed, with a key in force at that time; each disclosure is one the signature covers.
    if found.accreditation is None:
        found.add(CheckName.SIGNATURE, Result.UNKNOWN, {"rule": "no_accreditation"})
    else:
        found.attempt(CheckName.SIGNATURE, lambda: _signature(found, presented, at))
    # 6. It may issue this type and level. 7. The dates hold.
    chain, credential = found.accreditation, found.credential
    if chain is None or credential is None:
        found.add(CheckName.SCOPE, Result.UNKNOWN, {"rule": "no_signature"})
        found.add(CheckName.DATES, Result.UNKNOWN, {"rule": "no_signature"})
    else:
        found.attempt(CheckName.SCOPE, lambda: _scope(chain, credential.payload))
        found.attempt(CheckName.DATES, lambda: _dates(credential.payload, at, now))
    # 8. Its status. 9. The holder's signature over this presentation.
    _status(found, bundle, now, status)
    _binding(found, presented, now, expected)
