"""Who may issue what: the chain from a trust anchor, its scope, its times, and a compromise told since."""

from __future__ import annotations

from dataclasses import replace

import pytest

from credentials.accreditation import (
    AccreditedKey,
    KeyPurpose,
    Statement,
    sign_statement,
    unverified_statement,
    verify_chain,
)
from credentials.errors import AccreditationRefused, AccreditorUnknown, KeyUnavailable, TrustRefused
from credentials.trust import TrustAnchors, parse_trust
from crypto.canonical import jcs
from crypto.encoding import json_object
from crypto.jws import sign_jws
from crypto.keys import SigningKey, generate_signing_key
from crypto.suites import Alg, Purpose, policy
from ledger.checkpoint import LogIdentity
from ledger.receipt import LogTrust
from tests.credentials.world import BACKEND


def new_key(alg: Alg = Alg.SGD_SM3_SM2) -> SigningKey:
    return generate_signing_key(alg, backend=BACKEND)


ROOT, PROVINCE, SCHOOL, STATUS, STRANGER = (new_key() for _ in range(5))
LOG, WITNESS, ED25519 = new_key(), new_key(), new_key(Alg.EDDSA)
LOG_TRUST = LogTrust({"log": LogIdentity("log", LOG.public, ED25519.public)}, {WITNESS.kid: WITNESS.public})
TRUST = TrustAnchors({"root": ROOT.public}, LOG_TRUST, ())
AT = 1000


def accredited(key: SigningKey, purpose: KeyPurpose, **changes: int) -> AccreditedKey:
    times = {"not_before": 0, "not_after": None, "compromised_at": None} | changes
    return AccreditedKey(key.public, purpose, times["not_before"] or 0, times["not_after"], times["compromised_at"])


def to_province(**changes: object) -> Statement:
    base = Statement(
        "root", "province", {"zh-CN": "省厅"}, (accredited(PROVINCE, KeyPurpose.ACCREDITATION),),
        frozenset({"diploma", "record"}), frozenset({"bachelor", "master"}), 10, 0, 5000,
    )  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]  # each test changes a field to a value of its type


def to_school(**changes: object) -> Statement:
    keys = (accredited(SCHOOL, KeyPurpose.CREDENTIAL), accredited(STATUS, KeyPurpose.STATUS))
    base = Statement(
        "province", "school", {"zh-CN": "大学"}, keys, frozenset({"diploma"}), frozenset({"bachelor"}), 20, 0, 4000
    )
    return replace(base, **changes)  # type: ignore[arg-type]  # as above


def chain(above: Statement | None = None, below: Statement | None = None) -> list[str]:
    return [sign_statement(above or to_province(), key=ROOT), sign_statement(below or to_school(), key=PROVINCE)]


def refused(statements: list[str], at: int = AT, trust: TrustAnchors = TRUST) -> str | None:
    with pytest.raises(AccreditationRefused) as caught:
        verify_chain(statements, trust=trust, at=at)
    return caught.value.rule


def test_a_chain_from_the_anchor_gives_the_issuers_keys_types_and_levels() -> None:
    found = verify_chain(chain(), trust=TRUST, at=AT)
    assert (found.issuer, found.path) == ("school", ("root", "province"))
    assert found.statement == unverified_statement(chain()[1])
    assert found.key_in_force(SCHOOL.kid, KeyPurpose.CREDENTIAL, AT) == SCHOOL.public


def test_a_root_nobody_trusts_is_unknown_not_wrong() -> None:
    with pytest.raises(AccreditorUnknown):
        verify_chain(chain(), trust=replace(TRUST, accreditors={}), at=AT)


def test_a_key_serves_its_own_purpose_only() -> None:
    found = verify_chain(chain(), trust=TRUST, at=AT)
    for kid, purpose in (
        (STATUS.kid, KeyPurpose.CREDENTIAL),
        (SCHOOL.kid, KeyPurpose.STATUS),
        ("x", KeyPurpose.STATUS),
    ):
        with pytest.raises(KeyUnavailable):
            found.key_in_force(kid, purpose, AT)


def test_a_key_counts_from_not_before_until_not_after_or_its_compromise() -> None:
    for changes, good, bad in (
        ({"not_before": 500}, 500, 499),
        ({"not_after": 500}, 499, 500),
        ({"compromised_at": 500}, 499, 500),
    ):
        below = to_school(keys=(accredited(SCHOOL, KeyPurpose.CREDENTIAL, **changes),))
        found = verify_chain(chain(below=below), trust=TRUST, at=AT)
        found.key_in_force(SCHOOL.kid, KeyPurpose.CREDENTIAL, good)
        with pytest.raises(KeyUnavailable):
            found.key_in_force(SCHOOL.kid, KeyPurpose.CREDENTIAL, bad)


def test_nobody_grants_more_than_they_hold() -> None:
    assert refused(chain(below=to_school(types=frozenset({"diploma", "other"})))) == "scope"
    assert refused(chain(below=to_school(levels=frozenset({"doctor"})))) == "scope"


def test_broken_links_and_foreign_signatures_are_refused() -> None:
    assert refused([]) == "length"
    assert refused(chain() * 3) == "length"
    assert refused([chain()[0], sign_statement(to_school(), key=STRANGER)]) == "signature"
    assert refused([sign_statement(to_province(), key=STRANGER), chain()[1]]) == "signature"
    assert refused(chain(below=to_school(accreditor="other"))) == "link"
    assert refused([chain()[0][:-4], chain()[1]]) == "signature"
    assert refused([chain()[0], "no.token"]) == "form"
    # A credential key accredits nobody.
    credential_only = to_province(keys=(accredited(PROVINCE, KeyPurpose.CREDENTIAL),))
    assert refused(chain(above=credential_only)) == "signature"


def test_a_statement_of_another_type_of_token_is_refused() -> None:
    token = sign_jws(jcs(to_school().to_claims()), key=PROVINCE, policy=policy(Purpose.APPROVAL))
    assert refused([chain()[0], token]) == "signature"


def test_a_statement_counts_within_its_time() -> None:
    assert refused(chain(), at=4000) == "in_force"
    assert refused(chain(above=to_province(not_before=1001))) == "in_force"


def test_a_compromised_accreditation_key_is_believed_for_nothing() -> None:
    stolen = accredited(PROVINCE, KeyPurpose.ACCREDITATION, compromised_at=4999)
    assert refused(chain(above=to_province(keys=(stolen,)))) == "signature"


def test_an_accreditation_key_counts_when_it_signed_not_when_the_credential_was_logged() -> None:
    rotated = accredited(PROVINCE, KeyPurpose.ACCREDITATION, not_before=3000)
    above = to_province(keys=(rotated,))
    assert refused(chain(above=above)) == "signature"
    assert verify_chain(chain(above=above, below=to_school(issued_at=3500)), trust=TRUST, at=AT).issuer == "school"


def test_a_newer_statement_the_verifier_knows_wins_over_the_one_brought_along() -> None:
    compromised = accredited(SCHOOL, KeyPurpose.CREDENTIAL, compromised_at=900)
    newer = sign_statement(to_school(keys=(compromised,), issued_at=21), key=PROVINCE)
    older = sign_statement(to_school(keys=(compromised,), issued_at=19), key=PROVINCE)
    found = verify_chain(chain(), trust=replace(TRUST, statements=(older, newer)), at=AT)
    with pytest.raises(KeyUnavailable) as caught:
        found.key_in_force(SCHOOL.kid, KeyPurpose.CREDENTIAL, AT)
    assert caught.value.rule == "compromised"
    kept = verify_chain(chain(), trust=replace(TRUST, statements=(older,)), at=AT)
    assert kept.key_in_force(SCHOOL.kid, KeyPurpose.CREDENTIAL, AT) == SCHOOL.public


@pytest.mark.parametrize(
    "change",
    [
        {"keys": "x"}, {"keys": [1]}, {"types": [1]}, {"levels": "x"}, {"name": []}, {"iat": "1"}, {"nbf": -1}, {"exp": None},
        {"iss": 1}, {"more": 1}, {"keys": [{"purpose": "credential", "kid": "k", "jwk": {}, "nbf": 0}]},
        {"keys": [{"purpose": "all", "kid": SCHOOL.kid, "jwk": dict(SCHOOL.public.jwk), "nbf": 0}]},
        {"keys": [{"purpose": "credential", "kid": "other", "jwk": dict(SCHOOL.public.jwk), "nbf": 0}]},
    ],
)  # fmt: skip
def test_malformed_statements_are_refused_though_signed(change: dict[str, object]) -> None:
    token = sign_jws(jcs(to_school().to_claims() | change), key=PROVINCE, policy=policy(Purpose.ACCREDITATION))
    assert refused([chain()[0], token]) in {"members", "text", "texts", "time", "key"}


# The trust file


def test_a_trust_file_reads_back_as_it_was_written() -> None:
    trust = replace(TRUST, statements=tuple(chain()))
    read = parse_trust(trust.to_bytes())
    assert read.to_bytes() == trust.to_bytes()
    assert read.accreditors["root"].jwk == ROOT.public.jwk
    assert read.ledger.logs["log"].sm2.kid == LOG.kid
    assert verify_chain(chain(), trust=read, at=AT).issuer == "school"


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"type": "other"}, "type"),
        ({"more": 1}, "member"),
        ({"accreditors": {}}, "list"),
        ({"accreditors": [1]}, "object"),
        ({"accreditors": [{"id": "a"}]}, "key"),
        ({"accreditors": [{"jwk": dict(ROOT.public.jwk)}]}, "text"),
        ({"accreditors": [{"id": "a", "jwk": dict(ROOT.public.jwk)}] * 2}, "twice"),
        ({"accreditors": [{"id": "a", "jwk": dict(ROOT.private_jwk)}]}, "key"),
        ({"logs": [{"origin": "log", "sm2": dict(ED25519.public.jwk)}]}, "key"),
        ({"logs": [{"origin": "log", "sm2": dict(LOG.public.jwk)}] * 2}, "twice"),
        ({"anchor_witnesses": [{"kty": "oct", "k": "AAAA"}]}, "key"),
        ({"statements": [1]}, "text"),
    ],
)
def test_trust_files_that_cannot_be_relied_on_are_refused(change: dict[str, object], rule: str) -> None:
    with pytest.raises(TrustRefused) as caught:
        parse_trust(jcs(json_object(TRUST.to_bytes()) | change))
    assert caught.value.rule == rule


@pytest.mark.parametrize("data", [b"", b"[]", b'{"type":"edutrust-trust/1","type":"x"}', b"{" + b" " * (1 << 20)])
def test_what_is_no_trust_file_at_all_is_refused(data: bytes) -> None:
    with pytest.raises(TrustRefused):
        parse_trust(data)
