"""The audit trail: edited, thinned, reordered or cut, it no longer leads to the head someone kept."""

from __future__ import annotations

import random
import threading
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.sql.ledger_audit import SqlAuditStore
from crypto.sm3 import sm3
from ledger.audit import AuditEvent, AuditLog, starting_link, verify_chain
from ledger.errors import AuditBroken, AuditEventRefused
from ledger.store import AuditHead, StoredEvent
from tests.ledger.conftest import OpenLedger

TRAIL = "audit.example/province-43"


def _event(number: int) -> AuditEvent:
    return AuditEvent(
        time=1_782_864_000 + number,
        action="idp.sign_in",
        actor="1234567890123456",
        object=f"client:{number}",
        result="ok",
        origin_ip="192.0.2.0/24",
        session="c2Vzc2lvbg",
        details={"method": "password"},
    )


@pytest.fixture
def trail(open_ledger: OpenLedger) -> SqlAuditStore:
    return SqlAuditStore(open_ledger(), TRAIL)


def test_an_event_recorded_is_found_again_and_the_chain_leads_to_the_head(trail: SqlAuditStore) -> None:
    log = AuditLog(trail)
    assert log.head() == AuditHead(0, starting_link(TRAIL))
    first = log.record(_event(0))
    head = log.record_many(_event(number) for number in range(1, 20))
    assert (first.count, head.count) == (1, 20)
    assert log.head() == head
    assert verify_chain(TRAIL, trail.events(0, 100), head=first) == head
    assert verify_chain(TRAIL, trail.events(0, 100), head=head) == head
    assert [(index, event) for index, event in log.latest(2, None)] == [(19, _event(19)), (18, _event(18))]
    assert [index for index, _ in log.latest(2, 5)] == [4, 3]


def test_events_recorded_at_once_by_many_are_all_in_one_chain(open_ledger: OpenLedger) -> None:
    stores = [SqlAuditStore(open_ledger(), TRAIL) for _ in range(3)]
    AuditLog(stores[0]).record(_event(0))
    threads = [
        threading.Thread(target=lambda log: [log.record(_event(n)) for n in range(20)], args=(AuditLog(store),))
        for store in stores
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    head = stores[0].head()
    assert head.count == 61
    assert verify_chain(TRAIL, stores[1].events(0, 100), head=head) == head


def test_who_remembers_where_the_trail_ended_does_not_overwrite_what_another_added(open_ledger: OpenLedger) -> None:
    one, other = (AuditLog(SqlAuditStore(open_ledger(), TRAIL)) for _ in range(2))
    for number, log in enumerate((one, one, other, one, other, other, one)):
        assert log.record_many([_event(2 * number), _event(2 * number + 1)]).count == 2 * number + 2
    store = SqlAuditStore(open_ledger(), TRAIL)
    events = store.events(0, 100)
    assert verify_chain(TRAIL, events, head=store.head()) == AuditHead(14, events[-1].link)
    assert [event.object for _, event in one.latest(3, None)] == ["client:13", "client:12", "client:11"]


def _chain(count: int) -> list[StoredEvent]:
    events: list[StoredEvent] = []
    current = starting_link(TRAIL)
    for number in range(count):
        body = _event(number).to_json()
        current = _link(current, number, body)
        events.append(StoredEvent(number, body, current))
    return events


def _link(previous: bytes, index: int, body: bytes) -> bytes:
    return sm3(previous + index.to_bytes(8, "big") + body)


def _relinked(events: list[StoredEvent]) -> list[StoredEvent]:
    """Do what a hostile operator would: renumber the events and compute all links again."""
    current, made = starting_link(TRAIL), []
    for index, event in enumerate(events):
        current = _link(current, index, event.body)
        made.append(StoredEvent(index, event.body, current))
    return made


@given(count=st.integers(2, 12), data=st.data())
def test_an_edit_a_deletion_a_swap_or_a_cut_is_found_also_when_every_link_is_computed_again(
    count: int, data: st.DataObject
) -> None:
    events = _chain(count)
    head = AuditHead(count, events[-1].link)
    assert verify_chain(TRAIL, events, head=head) == head
    at = data.draw(st.integers(0, count - 1))
    other = data.draw(st.integers(0, count - 1).filter(lambda one: one != at))
    edited, swapped = list(events), list(events)
    edited[at] = replace(events[at], body=replace(_event(at), result="refused").to_json())
    swapped[at], swapped[other] = events[other], events[at]
    for bent in (edited, events[:at] + events[at + 1 :], swapped, events[:-1], []):
        for chain in (bent, _relinked(bent)):
            with pytest.raises(AuditBroken):
                verify_chain(TRAIL, chain, head=head)
    with pytest.raises(AuditBroken):
        verify_chain("audit.example/other", events, head=head)


def test_any_one_bit_changed_in_a_stored_event_is_found(trail: SqlAuditStore) -> None:
    head = AuditLog(trail).record_many(_event(number) for number in range(30))
    events = list(trail.events(0, 30))
    chosen = random.Random(11)
    for _ in range(500):
        at = chosen.randrange(30)
        whole = events[at].body + events[at].link
        bit = chosen.randrange(len(whole) * 8)
        bent = (int.from_bytes(whole) ^ (1 << bit)).to_bytes(len(whole))
        changed = replace(events[at], body=bent[:-32], link=bent[-32:])
        with pytest.raises((AuditBroken, AuditEventRefused)):
            verify_chain(TRAIL, [*events[:at], changed, *events[at + 1 :]], head=head)


@pytest.mark.parametrize(
    "change",
    [
        {"action": "Sign in"},
        {"action": "single"},
        {"result": ""},
        {"time": -1},
        {"actor": "x" * 300},
        {"details": {"password hash": "x"}},
        {"details": {"a": "x" * 300}},
        {"details": {f"a{n}": "" for n in range(17)}},
    ],
)
def test_an_event_outside_its_bounds_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(AuditEventRefused):
        replace(_event(0), **change)  # type: ignore[arg-type]  # the wrong values are the test


@given(st.binary(max_size=200))
def test_any_bytes_are_an_event_or_refused(data: bytes) -> None:
    with pytest.raises(AuditEventRefused):
        AuditEvent.parse(data)
