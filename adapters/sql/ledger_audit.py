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

    @property
    def origin(self) -> str:
        """The trail's name."""
        return self._origin

    def append(self, bodies: Sequence[bytes]) -> AuditHead:
        """Chain the events at the end, in one transaction."""
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
            rows: list[tuple[object, ...]] = []
            for body in bodies:
                current = link(current, count, body)
                rows.append((trail, count, body, current))
                count += 1
            statements.bulk_insert("audit_event", ("trail", "position", "body", "link"), rows)
            statements.execute("UPDATE audit_trail SET events = $2, link = $3 WHERE id = $1", trail, count, current)
        return AuditHead(count, current)

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
