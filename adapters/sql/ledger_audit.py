"""`ledger.store.AuditStore` in SQL, written once for SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.sql.ledger_engine import LedgerDatabase, Row
from ledger.audit import link, starting_link
from ledger.store import AuditHead, StoredEvent


class SqlAuditStore:
    """One audit trail (see AuditStore)."""

    def __init__(self, database: LedgerDatabase, origin: str) -> None:
        self._database = database
        self._origin = origin
        # Where this process left the trail; another may have moved it since.
        self._last: AuditHead | None = None

    @property
    def origin(self) -> str:
        """The trail's name."""
        return self._origin

    def append(self, bodies: Sequence[bytes]) -> AuditHead:
        """Chain the events at the end, in one transaction."""
        last, self._last = self._last, None
        moved = None
        if last is not None and bodies and self._database.remote:
            moved = self._append_after(last, bodies)
        self._last = self._append_locked(bodies) if moved is None else moved
        return self._last

    def _append_after(self, last: AuditHead, bodies: Sequence[bytes]) -> AuditHead | None:
        """Chain the events in a single statement if the trail ends where it did last time; otherwise change nothing."""
        append = (
            "WITH moved AS (UPDATE audit_trail SET events = $4, link = $5"
            " WHERE origin = $1 AND events = $2 AND link = $3 RETURNING id)"
            " INSERT INTO audit_event (trail, position, body, link)"
            " SELECT moved.id, made.position, made.body, made.link"
            " FROM moved, unnest($6::bigint[], $7::bytea[], $8::bytea[]) AS made (position, body, link)"
        )
        head, rows = _chained(last, bodies)
        positions, links = [position for position, _, _ in rows], [made for _, _, made in rows]
        written = self._database.at_once(
            append, self._origin, last.count, last.link, head.count, head.link, positions, list(bodies), links
        )
        return head if written == len(bodies) else None

    def _append_locked(self, bodies: Sequence[bytes]) -> AuditHead:
        """Read where the trail ends, hold it there, and chain the events to it."""
        make = (
            "INSERT INTO audit_trail (id, origin, events, link)"
            " VALUES ((SELECT coalesce(max(id), 0) + 1 FROM audit_trail), $1, 0, $2) ON CONFLICT (origin) DO NOTHING"
        )
        find = "SELECT id, events, link FROM audit_trail WHERE origin = $1{lock}".replace(
            "{lock}", self._database.for_update
        )
        with self._database.writing() as statements:
            found = statements.fetch(find, self._origin)
            if not found:
                statements.execute(make, self._origin, starting_link(self._origin))
                found = statements.fetch(find, self._origin)
            [(trail, count, current)] = found
            head, rows = _chained(AuditHead(count, current), bodies)
            statements.bulk_insert(
                "audit_event", ("trail", "position", "body", "link"), [(trail, *row) for row in rows]
            )
            statements.execute(
                "UPDATE audit_trail SET events = $2, link = $3 WHERE id = $1", trail, head.count, head.link
            )
        return head

    def head(self) -> AuditHead:
        """Return the end of the chain."""
        rows = self._fetch("SELECT events, link FROM audit_trail WHERE origin = $1", self._origin)
        return AuditHead(*rows[0]) if rows else AuditHead(0, starting_link(self._origin))

    def events(self, start: int, limit: int) -> Sequence[StoredEvent]:
        """Return a run of events."""
        sql = (
            "SELECT position, body, audit_event.link FROM audit_event JOIN audit_trail ON audit_trail.id = trail"
            " WHERE origin = $1 AND position >= $2 ORDER BY position LIMIT $3"
        )
        return [StoredEvent(*row) for row in self._fetch(sql, self._origin, start, limit)]

    def latest(self, limit: int, below: int | None) -> Sequence[StoredEvent]:
        """Return the newest events."""
        sql = (
            "SELECT position, body, audit_event.link FROM audit_event JOIN audit_trail ON audit_trail.id = trail"
            " WHERE origin = $1 AND position < $2 ORDER BY position DESC LIMIT $3"
        )
        last = (1 << 63) - 1 if below is None else below
        return [StoredEvent(*row) for row in self._fetch(sql, self._origin, last, limit)]

    def _fetch(self, sql: str, *args: object) -> list[Row]:
        with self._database.reading() as statements:
            return statements.fetch(sql, *args)


def _chained(head: AuditHead, bodies: Sequence[bytes]) -> tuple[AuditHead, list[tuple[int, bytes, bytes]]]:
    """Return the end of the chain after these events, and for each its position, body and link."""
    count, current = head.count, head.link
    rows = []
    for body in bodies:
        current = link(current, count, body)
        rows.append((count, body, current))
        count += 1
    return AuditHead(count, current), rows
