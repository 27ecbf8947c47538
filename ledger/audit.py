"""The audit trail: one event for each security-relevant act of any room, hash-chained with SM3 under its own origin.

Each event's link covers the link before it, its place and its bytes; whoever holds an earlier head (count and link) can
tell a trail that was edited, thinned, reordered or cut. `AuditLog.head` gives such a head out, to be kept elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from crypto.canonical import jcs
from crypto.encoding import json_strict
from crypto.errors import TrustError
from crypto.sm3 import sm3
from ledger.errors import AuditBroken, AuditEventRefused
from ledger.store import AuditHead, AuditStore, StoredEvent

# An event names things by opaque references; whoever needs more space is about to write personal data or secrets.
MAX_TEXT: Final = 256
MAX_DETAILS: Final = 16
MAX_EVENT_BYTES: Final = 8192

_CODE: Final = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*){1,5}\Z")
_RESULT: Final = re.compile(r"[a-z][a-z0-9_.]{0,63}\Z")
_DETAIL: Final = re.compile(r"[a-z][a-z0-9_]{0,31}\Z")
_MEMBERS: Final = frozenset({"action", "actor", "details", "object", "origin", "result", "session", "time"})


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Who did what, on whom, from where, with which result. Never a secret, never personal data in the clear.

    `time` in seconds since the epoch; `action` a dotted code; `actor` a person number or "system"; `object` an opaque
    reference; `result` "ok" or the code of the refusal; `origin_ip` truncated by the caller; `session` a hash.
    """

    time: int
    action: str
    actor: str
    object: str
    result: str
    origin_ip: str | None
    session: str | None
    details: Mapping[str, str]

    def __post_init__(self) -> None:
        if self.time < 0 or _CODE.match(self.action) is None or _RESULT.match(self.result) is None:
            raise AuditEventRefused(field="action", rule="form")
        texts = (self.actor, self.object, self.origin_ip or "", self.session or "", *self.details.values())
        if any(len(text) > MAX_TEXT for text in texts) or len(self.details) > MAX_DETAILS:
            raise AuditEventRefused(field="details", rule="length", most=MAX_TEXT)
        if any(_DETAIL.match(name) is None for name in self.details):
            raise AuditEventRefused(field="details", rule="name")

    def to_json(self) -> bytes:
        """Return the canonical bytes that are chained."""
        return jcs(
            {
                "action": self.action,
                "actor": self.actor,
                "details": dict(self.details),
                "object": self.object,
                "origin": self.origin_ip,
                "result": self.result,
                "session": self.session,
                "time": self.time,
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> AuditEvent:
        """Parse stored bytes. Anything but an event's canonical bytes raises AuditEventRefused."""
        if len(data) > MAX_EVENT_BYTES:
            raise AuditEventRefused(field="event", rule="length", most=MAX_EVENT_BYTES)
        try:
            value = json_strict(data)
        except TrustError as error:
            raise AuditEventRefused(field="event", rule="json") from error
        if not isinstance(value, dict) or value.keys() != _MEMBERS or type(value["time"]) is not int:
            raise AuditEventRefused(field="event", rule="members")
        details = value["details"]
        if not isinstance(details, dict):
            raise AuditEventRefused(field="details", rule="form")
        event = cls(
            value["time"],
            _text(value["action"]),
            _text(value["actor"]),
            _text(value["object"]),
            _text(value["result"]),
            None if value["origin"] is None else _text(value["origin"]),
            None if value["session"] is None else _text(value["session"]),
            {name: _text(text) for name, text in details.items()},
        )
        if event.to_json() != data:
            raise AuditEventRefused(field="event", rule="canonical")
        return event


class AuditLog:
    """The one call by which every room leaves its trace."""

    def __init__(self, store: AuditStore) -> None:
        self._store = store

    def record(self, event: AuditEvent) -> AuditHead:
        """Chain the event; durable on return. Raises LedgerUnavailable: then the act must not go on unrecorded."""
        return self._store.append([event.to_json()])

    def record_many(self, events: Iterable[AuditEvent]) -> AuditHead:
        """Chain several events in order, all or none."""
        return self._store.append([event.to_json() for event in events])

    def head(self) -> AuditHead:
        """Return the end of the chain, to be kept elsewhere and compared later."""
        return self._store.head()

    def latest(self, limit: int, below: int | None) -> list[tuple[int, AuditEvent]]:
        """Return up to `limit` events with their places, newest first, for an auditor's page."""
        return [(stored.index, AuditEvent.parse(stored.body)) for stored in self._store.latest(limit, below)]


def starting_link(origin: str) -> bytes:
    """Return the link before the first event: it binds the chain to its trail's name."""
    return sm3(b"edutrust-audit/1\n" + origin.encode())


def link(previous: bytes, index: int, body: bytes) -> bytes:
    """Return the 32-byte link after the event at `index` (0-based)."""
    return sm3(previous + index.to_bytes(8, "big") + body)


def verify_chain(origin: str, events: Iterable[StoredEvent], *, head: AuditHead) -> AuditHead:
    """Recompute the chain of a trail and hold it to a head known from elsewhere.

    Returns the end of the chain, which may lie beyond `head`. Raises AuditBroken with the place of the first event that
    does not fit, or with rule `head` where the trail is too short for the head or leads to another.
    """
    current, count = starting_link(origin), 0
    reached = head.count == 0 and head.link == current
    for stored in events:
        if stored.index != count:
            raise AuditBroken(field="event", rule="order", index=count)
        AuditEvent.parse(stored.body)
        current = link(current, count, stored.body)
        if current != stored.link:
            raise AuditBroken(field="event", rule="link", index=count)
        count += 1
        if count == head.count:
            if current != head.link:
                raise AuditBroken(field="head", rule="head", index=count - 1)
            reached = True
    if not reached:
        raise AuditBroken(field="head", rule="head", index=count)
    return AuditHead(count, current)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise AuditEventRefused(field="event", rule="form")
    return value
