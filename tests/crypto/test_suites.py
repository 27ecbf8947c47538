from __future__ import annotations

import pytest

from crypto.errors import AlgorithmRefused
from crypto.suites import Alg, Purpose, policy


def test_every_purpose_has_a_policy() -> None:
    assert {policy(purpose).purpose for purpose in Purpose} == set(Purpose)


def test_what_we_write_we_accept() -> None:
    for purpose in Purpose:
        rules = policy(purpose)
        assert rules.typ is None or rules.typ in rules.accepted_typ


def test_explicit_types_are_unique_to_their_purpose() -> None:
    owners: dict[str, set[Purpose]] = {}
    for purpose in Purpose:
        for typ in policy(purpose).accepted_typ - {None, "JWT"}:
            owners.setdefault(str(typ), set()).add(purpose)
    assert all(len(purposes) == 1 for purposes in owners.values())


def test_untyped_tokens_are_accepted_from_clients_only() -> None:
    untyped = {purpose for purpose in Purpose if None in policy(purpose).accepted_typ}
    assert untyped == {Purpose.CLIENT_ASSERTION, Purpose.REQUEST_OBJECT}


def test_discovery_can_offer_rs256_and_the_national_algorithm() -> None:
    assert {Alg.RS256, Alg.SGD_SM3_SM2} <= policy(Purpose.ID_TOKEN).algorithms


def test_records_are_never_signed_with_pkcs1() -> None:
    for purpose in (
        Purpose.CREDENTIAL,
        Purpose.STATUS_LIST,
        Purpose.ACCREDITATION,
        Purpose.APPROVAL,
        Purpose.CHECKPOINT,
    ):
        with pytest.raises(AlgorithmRefused):
            policy(purpose).require(Alg.RS256)


@pytest.mark.parametrize("alg", list(Alg))
def test_columns_are_never_signed(alg: Alg) -> None:
    with pytest.raises(AlgorithmRefused):
        policy(Purpose.COLUMN).require(alg)


def test_approvals_and_anchors_are_signed_with_sm2_alone() -> None:
    for purpose in (Purpose.APPROVAL, Purpose.ANCHOR):
        assert policy(purpose).algorithms == {Alg.SGD_SM3_SM2}
