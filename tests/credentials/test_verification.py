"""The one judgement: green only when every check passes, each failure told by its own check, and no bit idle."""

from __future__ import annotations

import contextlib
import random
from dataclasses import replace
from typing import Any

import pytest

from credentials.bundle import Bundle
from credentials.errors import Unreadable
from credentials.formats.key_binding import ExpectedBinding, KeyBinding, bind
from credentials.formats.pdf_cms import der_signer
from credentials.formats.pdf_seal import seal_pdf
from credentials.status import CurrentStatus
from credentials.trust import TrustAnchors
from credentials.verdict import CheckName, Outcome, Result, Verdict
from credentials.verification import verify_bundle, verify_file, verify_presentation, verify_receipt_file
from crypto.canonical import jcs
from crypto.certificates import make_document_certificate
from crypto.encoding import json_object
from crypto.suites import Purpose, policy
from ledger.receipt import LogTrust
from tests.credentials.made import ISSUED_AT, ISSUER, NOW, ORIGIN, URI, Maker, new_key
from tests.credentials.pdf_samples import page
from tests.scale import trials

FLIPS = trials(1_500, full=70_000)  # of some 70,000 bits; seeded, so that a failure is found again


def judge(maker: Maker, bundle: Bundle | None = None, **changes: Any) -> Verdict:
    arguments: dict[str, Any] = {"trust": maker.trust, "now": NOW, "status": None} | changes
    return verify_bundle((bundle or maker.bundle()).to_bytes(), **arguments)


def wrong(verdict: Verdict) -> dict[str, tuple[str, object]]:
    return {
        check.name.value: (check.result.value, check.evidence.get("rule"))
        for check in verdict.checks
        if check.result is not Result.PASS
    }


def test_a_sound_credential_is_valid_with_every_check_listed() -> None:
    verdict = judge(Maker())
    assert wrong(verdict) == {}
    assert (verdict.outcome, verdict.as_of) == (Outcome.VALID, NOW - 3600)
    assert [check.name for check in verdict.checks] == [
        CheckName.LOG_INCLUSION, CheckName.ANCHOR, CheckName.COMMITMENT, CheckName.ACCREDITATION, CheckName.SIGNATURE,
        CheckName.SCOPE, CheckName.DATES, CheckName.STATUS,
    ]  # fmt: skip
    assert verdict.facts["name"] == "李明"
    assert verdict.issuer == {"zh-CN": "湖南大学"}
    assert "cnf" not in verdict.facts


# Status


@pytest.mark.parametrize(("value", "outcome"), [(1, Outcome.REVOKED), (2, Outcome.SUSPENDED), (3, Outcome.SUPERSEDED)])
def test_what_the_status_list_says_is_the_verdict(value: int, outcome: Outcome) -> None:
    assert judge(Maker(status_values={5: value})).outcome is outcome


def test_offline_an_expired_snapshot_is_valid_as_of_its_own_time() -> None:
    verdict = judge(Maker(status_until=NOW - 1))
    assert (verdict.outcome, verdict.as_of) == (Outcome.VALID, NOW - 3600)


def test_online_the_current_list_wins_over_the_snapshot() -> None:
    maker = Maker()
    bundle = maker.bundle()
    maker.status_values = {5: 1}
    current = CurrentStatus(URI, maker.token(issued_at=NOW, expires_at=NOW + 60))
    verdict = judge(maker, bundle, status=current)
    assert (verdict.outcome, verdict.as_of) == (Outcome.REVOKED, NOW)


def test_a_status_that_is_not_to_be_had_is_unknown_never_green() -> None:
    maker = Maker()
    bundle = maker.bundle()
    for status, rule in (
        (CurrentStatus(URI, None), "status_not_available"),
        (CurrentStatus("https://other", maker.token()), "status_not_available"),
        (CurrentStatus(URI, maker.token(issued_at=NOW, expires_at=NOW)), "status_stale"),
        (CurrentStatus(URI, maker.token(issued_at=NOW - 7200)), "status_stale"),  # older than the snapshot: a rollback
    ):
        verdict = judge(maker, bundle, status=status)
        assert verdict.outcome is Outcome.UNKNOWN
        assert wrong(verdict) == {"status": ("unknown", rule)}


def test_a_status_list_of_another_signer_or_without_the_index_is_a_failure() -> None:
    maker = Maker()
    forged = replace(maker, status=new_key())
    for bundle in (
        replace(maker.bundle(), status=forged.token()),
        replace(maker.bundle(), status=maker.token(issued_at=NOW + 10_000)),
        replace(maker, claims={"status": {"status_list": {"idx": 64, "uri": URI}}}).bundle(),
        replace(maker, claims={"status": {"status_list": {"idx": 5, "uri": URI + "2"}}}).bundle(),
        replace(maker, claims={"status": {}}).bundle(),
    ):
        verdict = judge(maker, bundle)
        assert verdict.outcome is Outcome.INVALID
        assert wrong(verdict).keys() == {"status"}


# Trust


def test_trust_that_is_not_to_be_had_is_unknown_never_green() -> None:
    maker = Maker()
    bundle = maker.bundle()
    nobody = TrustAnchors({}, maker.trust.ledger, ())
    no_log = replace(maker.trust, ledger=LogTrust({}, maker.trust.ledger.anchor_witnesses))
    no_witness = replace(maker.trust, ledger=LogTrust(maker.trust.ledger.logs, {}))
    for trust, check in ((nobody, "accreditation"), (no_log, "log_inclusion"), (no_witness, "anchor")):
        verdict = judge(maker, bundle, trust=trust)
        assert verdict.outcome is Outcome.UNKNOWN
        assert wrong(verdict)[check][0] == "unknown"
    assert judge(maker, bundle, trust=nobody).facts == {}


def test_a_credential_not_anchored_yet_is_unknown() -> None:
    verdict = judge(Maker(anchored=False))
    assert (verdict.outcome, wrong(verdict)) == (Outcome.UNKNOWN, {"anchor": ("unknown", "not_anchored")})


@pytest.mark.parametrize("stranger", ["root", "school", "log", "witness"])
def test_a_signature_by_a_stranger_is_never_valid(stranger: str) -> None:
    maker = Maker()
    strangers: dict[str, Any] = {stranger: new_key()}
    bundle = replace(maker, **strangers).bundle()
    if stranger == "school":  # a stranger's credential under the real school's accreditation
        bundle = replace(bundle, accreditation=(maker.statement(),))
    verdict = judge(maker, bundle)
    assert verdict.outcome in {Outcome.INVALID, Outcome.UNKNOWN}
    assert (verdict.facts == {}) == (stranger in {"root", "school"})


# The key's time


def test_a_signature_is_judged_at_its_anchored_time() -> None:
    for changes, rule in (
        ({"not_before": ISSUED_AT + 121}, "out_of_force"),
        ({"not_after": ISSUED_AT + 120}, "out_of_force"),
        ({"compromised_at": ISSUED_AT + 120}, "compromised"),
    ):
        verdict = judge(Maker(key_changes=changes))
        assert verdict.outcome is Outcome.INVALID
        assert wrong(verdict)["signature"] == ("fail", rule)
    for changes in ({"not_before": ISSUED_AT}, {"not_after": ISSUED_AT + 121}, {"compromised_at": ISSUED_AT + 121}):
        assert judge(Maker(key_changes=changes)).outcome is Outcome.VALID


def test_back_dating_after_a_compromise_fails() -> None:
    """The thief dates the credential years back; the log's and the anchor's time are not his to set."""
    verdict = judge(Maker(claims={"iat": ISSUED_AT - 10**7, "nbf": 1}, key_changes={"compromised_at": ISSUED_AT}))
    assert wrong(verdict)["signature"] == ("fail", "compromised")


def test_a_credential_dated_after_it_was_logged_fails() -> None:
    assert wrong(judge(Maker(claims={"iat": ISSUED_AT + 1000}))) == {"dates": ("fail", "after_log")}


# Scope, dates, entry


@pytest.mark.parametrize(
    ("changes", "failed"),
    [
        ({"claims": {"vct": "urn:edutrust:vct:other:1"}}, {"scope": ("fail", "type_not_accredited")}),
        ({"claims": {"level": "doctor"}}, {"scope": ("fail", "level_not_accredited")}),
        ({"claims": {"exp": NOW}}, {"dates": ("fail", "expired")}),
        ({"claims": {"nbf": NOW + 1000}}, {"dates": ("fail", "not_yet")}),
        ({"claims": {"exp": "never"}}, {"dates": ("fail", "time")}),
        ({"body": {"kind": "credential.status"}}, {"commitment": ("fail", "entry_kind")}),
        ({"body": {"v": 2}}, {"commitment": ("fail", "entry_form")}),
        ({"body": {"commitment": "A" * 43}}, {"commitment": ("fail", "commitment")}),
        ({"body": {"issuer": "https://other"}}, {"commitment": ("fail", "entry_issuer")}),
        ({"statement_changes": {"not_after": ISSUED_AT}}, None),
        ({"statement_changes": {"subject": "https://other"}}, None),
        ({"claims": {"nbf": ...}}, None),
        ({"claims": {"cnf": ...}}, None),
        ({"claims": {"vct": ["x"]}}, None),
        ({"claims": {"level": {"a": 1}}}, None),
        ({"claims": {"iat": 1.5}}, {"dates": ("fail", "time")}),
        ({"claims": {"iat": True}}, {"dates": ("fail", "time")}),
        ({"claims": {"nbf": None}}, {"dates": ("fail", "time")}),
        ({"claims": {"iss": {"a": 1}}}, None),
        ({"claims": {"status": "valid"}}, {"status": ("fail", "reference")}),
    ],
)
def test_each_broken_rule_fails_its_own_check(
    changes: dict[str, Any], failed: dict[str, tuple[str, str]] | None
) -> None:
    verdict = judge(Maker(**changes))
    assert verdict.outcome is Outcome.INVALID
    if failed is not None:
        assert wrong(verdict) == failed


def test_parts_of_two_sound_bundles_do_not_mix() -> None:
    maker = Maker()
    one, two = maker.bundle(), maker.bundle()
    for part in ("presentation", "opening", "receipt"):
        other: dict[str, Any] = {part: getattr(two, part)}
        mixed = replace(one, **other)
        assert wrong(judge(maker, mixed)) == {"commitment": ("fail", "commitment")}


# Key binding


def test_a_presentation_needs_the_holders_signature_for_this_verifier_and_share() -> None:
    maker = Maker()
    chosen = maker.credential().subset(lambda path: path[0] == "name")
    binding = KeyBinding("https://v", "share-1", NOW - 5)
    bound = bind(chosen, key=maker.holder, policy=policy(Purpose.KEY_BINDING), binding=binding)
    data = maker.bundle(bound).to_bytes()
    expected = ExpectedBinding("https://v", "share-1", NOW - 5)
    arguments: dict[str, Any] = {"trust": maker.trust, "now": NOW, "status": None}
    verdict = verify_presentation(data, expected=expected, **arguments)
    assert verdict.outcome is Outcome.VALID
    assert verdict.facts == {"level": "bachelor", "name": "李明"}
    for other in (
        replace(expected, nonce="share-2"),
        replace(expected, audience="x"),
        replace(expected, not_before=NOW),
    ):
        changed = replace(other, not_before=other.not_before + 1000) if other.not_before == NOW else other
        assert verify_presentation(data, expected=changed, **arguments).outcome is Outcome.INVALID
    unbound = maker.bundle(chosen).to_bytes()
    assert verify_bundle(unbound, **arguments).outcome is Outcome.VALID
    assert wrong(verify_presentation(unbound, expected=expected, **arguments)) == {"key_binding": ("fail", "missing")}


def test_a_key_binding_brought_along_must_hold_though_nobody_asked() -> None:
    maker = Maker()
    binding = KeyBinding("https://v", "n", NOW - 5)
    bound = bind(maker.credential(), key=new_key(), policy=policy(Purpose.KEY_BINDING), binding=binding)
    assert wrong(judge(maker, maker.bundle(bound))) == {"key_binding": ("fail", "signature")}


# Bytes


def flipped(data: bytes, seed: int) -> list[bytes]:
    chosen = random.Random(seed)
    out = []
    for _ in range(FLIPS):
        changed = bytearray(data)
        changed[chosen.randrange(len(data))] ^= 1 << chosen.randrange(8)
        out.append(bytes(changed))
    return out


def outcome_of(data: bytes, maker: Maker) -> Outcome | None:
    try:
        return verify_file(data, trust=maker.trust, now=NOW, status=None).outcome
    except Unreadable:
        return None


@pytest.mark.soak
def test_no_flipped_bit_of_a_bundle_is_ever_valid() -> None:
    maker = Maker()
    chosen = maker.credential().subset(lambda path: path[0] in {"name", "graduation_date"})
    binding = KeyBinding("https://v", "n", NOW - 5)
    bundle = maker.bundle(bind(chosen, key=maker.holder, policy=policy(Purpose.KEY_BINDING), binding=binding))
    data = bundle.to_bytes()
    assert outcome_of(data, maker) is Outcome.VALID
    for changed in flipped(data, 7):
        assert outcome_of(changed, maker) not in {Outcome.VALID, Outcome.REVOKED}, changed


@pytest.mark.soak
def test_no_flipped_bit_of_a_receipt_is_ever_valid() -> None:
    maker = Maker()
    data = maker.bundle().receipt.to_json()
    assert outcome_of(data, maker) is Outcome.VALID
    for changed in flipped(data, 8):
        assert outcome_of(changed, maker) is not Outcome.VALID, changed


@pytest.mark.parametrize(
    "change",
    [lambda d: d + b"\n", lambda d: b" " + d, lambda d: d.replace(b'":"', b'": "', 1), lambda d: d[:-1],
     lambda d: d.replace(b"edutrust-bundle/1", b"edutrust-bundle/2"), lambda d: d[:0], lambda d: b"%PDF-1.7\n" + d,
     lambda d: b'{"a":1,' + d[1:], lambda d: d.replace(b'"type"', b'"ty\\u0070e"')],
)  # fmt: skip
def test_what_is_not_a_canonical_bundle_is_unreadable(change: Any) -> None:
    maker = Maker()
    with pytest.raises(Unreadable):
        verify_file(change(maker.bundle().to_bytes()), trust=maker.trust, now=NOW, status=None)


@pytest.mark.parametrize("member", ["presentation", "opening", "receipt", "status", "accreditation", "type"])
@pytest.mark.parametrize("value", [None, 1, "", [], {}, [1]])
def test_a_bundle_with_a_malformed_member_is_unreadable_or_invalid(member: str, value: Any) -> None:
    maker = Maker()
    data = jcs(json_object(maker.bundle().to_bytes()) | {member: value})
    with contextlib.suppress(Unreadable):
        assert verify_bundle(data, trust=maker.trust, now=NOW, status=None).outcome is Outcome.INVALID


# Receipts and PDF


def test_a_receipt_alone_says_that_the_entry_is_logged_and_anchored() -> None:
    maker = Maker()
    verdict = verify_receipt_file(maker.bundle().receipt.to_json(), trust=maker.trust)
    assert (verdict.outcome, verdict.facts) == (Outcome.VALID, {"log": ORIGIN, "index": 0})
    unknown = verify_receipt_file(replace(maker, anchored=False).bundle().receipt.to_json(), trust=maker.trust)
    assert unknown.outcome is Outcome.UNKNOWN


def sealed_by(maker: Maker, bundle: Bundle) -> bytes:
    certificate = make_document_certificate("湖南大学", ISSUER, maker.document, ISSUED_AT, NOW + 10**7, serial=7)
    return seal_pdf(
        page(),
        bundle=bundle.to_bytes(),
        attachment_name="credential.json",
        sign=der_signer(maker.document),
        certificate_der=certificate,
        signing_time=NOW - 50,
    )


def test_a_sealed_pdf_is_valid_when_its_signer_is_the_schools_document_key() -> None:
    maker = Maker()
    verdict = verify_file(sealed_by(maker, maker.bundle()), trust=maker.trust, now=NOW, status=None)
    assert (verdict.outcome, wrong(verdict)) == (Outcome.VALID, {})
    assert verdict.checks[0].name is CheckName.DOCUMENT


def test_a_pdf_sealed_by_anyone_else_or_with_a_compromised_key_is_invalid() -> None:
    maker = Maker()
    bundle = maker.bundle()
    forged = sealed_by(replace(maker, document=new_key(maker.document.alg)), bundle)
    verdict = verify_file(forged, trust=maker.trust, now=NOW, status=None)
    assert (verdict.outcome, wrong(verdict)) == (Outcome.INVALID, {"document": ("fail", "not_accredited")})
    stolen = replace(maker, document_changes={"compromised_at": NOW})
    verdict = verify_file(sealed_by(stolen, stolen.bundle()), trust=maker.trust, now=NOW, status=None)
    assert wrong(verdict) == {"document": ("fail", "out_of_force")}


def test_an_altered_pdf_is_invalid_and_says_so() -> None:
    maker = Maker()
    data = bytearray(sealed_by(maker, maker.bundle()))
    data[200] ^= 1
    verdict = verify_file(bytes(data), trust=maker.trust, now=NOW, status=None)
    assert verdict.outcome is Outcome.INVALID
    assert verdict.checks[0].evidence["code"] == "credentials.document_altered"
