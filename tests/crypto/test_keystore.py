from __future__ import annotations

from dataclasses import replace

import pytest

from crypto.keys import KeyRecord, KeyState
from crypto.keystore import (
    KeyStateRefused,
    is_published,
    require_signing,
    require_verifying,
    with_compromise,
    with_state,
)
from crypto.suites import Alg, Purpose

RECORD = KeyRecord(
    kid="k",
    purpose=Purpose.CREDENTIAL,
    alg=Alg.SGD_SM3_SM2,
    owner="https://idp.example/schools/4111010001",
    state=KeyState.ACTIVE,
    not_before=100,
    not_after=200,
    compromised_at=None,
    public_jwk={"kty": "EC"},
    sealed_private=b"sealed-secret",
)
ORDER = {
    (KeyState.PENDING, KeyState.ACTIVE),
    (KeyState.PENDING, KeyState.RETIRED),
    (KeyState.ACTIVE, KeyState.RETIRING),
    (KeyState.ACTIVE, KeyState.RETIRED),
    (KeyState.RETIRING, KeyState.RETIRED),
}


@pytest.mark.parametrize("before", list(KeyState))
@pytest.mark.parametrize("after", list(KeyState))
def test_states_follow_each_other_one_way(before: KeyState, after: KeyState) -> None:
    record = replace(RECORD, state=before)
    if (before, after) in ORDER:
        assert with_state(record, after).state is after
        return
    with pytest.raises(KeyStateRefused):
        with_state(record, after)


@pytest.mark.parametrize("state", list(KeyState))
def test_only_an_active_key_signs(state: KeyState) -> None:
    record = replace(RECORD, state=state)
    if state is KeyState.ACTIVE:
        require_signing(record, 100)
        return
    with pytest.raises(KeyStateRefused):
        require_signing(record, 150)


@pytest.mark.parametrize("now", [0, 99, 200, 201])
def test_a_key_signs_inside_its_dates_only(now: int) -> None:
    with pytest.raises(KeyStateRefused):
        require_signing(RECORD, now)
    with pytest.raises(KeyStateRefused):
        require_verifying(RECORD, now)


def test_old_tokens_verify_while_their_key_retires_and_not_after() -> None:
    retiring = with_state(RECORD, KeyState.RETIRING)
    require_verifying(retiring, 150)
    for state in (KeyState.RETIRED, KeyState.PENDING):
        with pytest.raises(KeyStateRefused):
            require_verifying(replace(RECORD, state=state), 150)


def test_a_compromised_key_signs_nothing_and_the_earliest_report_stands() -> None:
    compromised = with_compromise(RECORD, 150)
    assert (compromised.state, compromised.compromised_at) == (KeyState.RETIRED, 150)
    assert with_compromise(compromised, 120).compromised_at == 120
    assert with_compromise(compromised, 180).compromised_at == 150
    for state in (KeyState.ACTIVE, KeyState.RETIRING):
        kept = replace(compromised, state=state)
        require_verifying(kept, 149)
        with pytest.raises(KeyStateRefused):
            require_verifying(kept, 150)
        with pytest.raises(KeyStateRefused):
            require_signing(kept, 149)
    with pytest.raises(KeyStateRefused):
        with_state(replace(compromised, state=KeyState.PENDING), KeyState.ACTIVE)


def test_what_is_published_can_be_known_before_it_signs() -> None:
    published = {state for state in KeyState if is_published(replace(RECORD, state=state))}
    assert published == {KeyState.PENDING, KeyState.ACTIVE, KeyState.RETIRING}
    assert not is_published(replace(RECORD, compromised_at=1))


def test_a_record_shows_no_sealed_bytes() -> None:
    assert "sealed-secret" not in repr(RECORD)
