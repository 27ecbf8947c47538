"""`idp.store.SessionStore` and `LogoutOutbox` in SQL."""

from __future__ import annotations

from collections.abc import Mapping

from adapters.sql.database import Database, Row, Transaction
from idp.model import Acr, Authentication, EndedSession, Session
from idp.registry.model import AccountStatus, shard_of
from idp.store import LogoutJob

_SESSION = (
    "SELECT s.reference, s.person, s.auth_time, s.acr, s.amr, s.created_at, s.last_seen, s.idle_until,"
    " s.absolute_until, s.device, s.place, p.status FROM login_session s JOIN account a ON a.person = s.person"
    " LEFT JOIN person p ON p.number = s.person"
    " WHERE a.state = 'active' AND s.ended_at IS NULL"
)


def authentication_of(row: Row) -> Authentication:
    """Read the three columns of an authentication."""
    return Authentication(row["auth_time"], Acr(row["acr"]), tuple(row["amr"].split()))


def _session(row: Row) -> Session:
    return Session(
        reference=row["reference"],
        person=row["person"],
        authentication=authentication_of(row),
        created_at=row["created_at"],
        last_seen=row["last_seen"],
        idle_until=row["idle_until"],
        absolute_until=row["absolute_until"],
        device=row["device"],
        place=row["place"],
        person_active=row["status"] == AccountStatus.ACTIVE,
    )


REMEMBERED_MAX = 20_000
"""Sessions and clients known to be noted already, the oldest going first; 4 MB at the most."""


class SqlSessions:
    """Sessions and the logout outbox their ends fill."""

    def __init__(self, db: Database, *, region: str) -> None:
        self._db = db
        self._remembered: dict[tuple[str, str], None] = {}
        self._region = region

    async def open_session(self, session: Session, cookie_hash: bytes) -> None:
        """See `SessionStore.open_session`."""
        await self._db.execute(
            "INSERT INTO login_session (reference, cookie_hash, person, auth_time, acr, amr, created_at, last_seen,"
            " idle_until, absolute_until, device, place, region, shard)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
            session.reference,
            cookie_hash,
            session.person,
            session.authentication.time,
            session.authentication.acr.value,
            " ".join(session.authentication.amr),
            session.created_at,
            session.last_seen,
            session.idle_until,
            session.absolute_until,
            session.device,
            session.place,
            self._region,
            shard_of(session.person),
        )

    async def renew_session(
        self,
        reference: str,
        cookie_hash: bytes,
        authentication: Authentication,
        *,
        idle_until: int,
        absolute_until: int,
    ) -> bool:
        """See `SessionStore.renew_session`."""
        changed = await self._db.execute(
            "UPDATE login_session SET cookie_hash = $2, auth_time = $3, acr = $4, amr = $5, idle_until = $6,"
            " absolute_until = $7 WHERE reference = $1 AND ended_at IS NULL",
            reference,
            cookie_hash,
            authentication.time,
            authentication.acr.value,
            " ".join(authentication.amr),
            idle_until,
            absolute_until,
        )
        return changed == 1

    async def session_by_cookie(self, cookie_hash: bytes, now: int) -> Session | None:
        """See `SessionStore.session_by_cookie`."""
        row = await self._db.fetch_one(
            f"{_SESSION} AND s.cookie_hash = $1 AND s.idle_until > $2 AND s.absolute_until > $2", cookie_hash, now
        )
        return None if row is None else _session(row)

    async def session(self, reference: str, now: int) -> Session | None:
        """See `SessionStore.session`."""
        row = await self._db.fetch_one(
            f"{_SESSION} AND s.reference = $1 AND s.idle_until > $2 AND s.absolute_until > $2", reference, now
        )
        return None if row is None else _session(row)

    async def touch_session(self, reference: str, *, now: int, idle_until: int) -> None:
        """See `SessionStore.touch_session`."""
        await self._db.execute(
            "UPDATE login_session SET last_seen = $2, idle_until = $3 WHERE reference = $1 AND ended_at IS NULL",
            reference,
            now,
            idle_until,
        )

    async def sessions_of(self, person: str, now: int) -> tuple[Session, ...]:
        """See `SessionStore.sessions_of`."""
        rows = await self._db.fetch(
            f"{_SESSION} AND s.person = $1 AND s.idle_until > $2 AND s.absolute_until > $2"
            " ORDER BY s.created_at DESC, s.reference",
            person,
            now,
        )
        return tuple(_session(row) for row in rows)

    async def remember_client(self, reference: str, client_id: str, now: int) -> None:
        """See `SessionStore.remember_client`."""
        if (reference, client_id) in self._remembered:
            return
        await self._db.execute(
            "INSERT INTO session_client (reference, client_id, first_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            reference,
            client_id,
            now,
        )
        # Only what is durable; such a row is never removed while its session lives.
        self._remembered[reference, client_id] = None
        while len(self._remembered) > REMEMBERED_MAX:
            del self._remembered[next(iter(self._remembered))]

    async def end_session(self, reference: str, now: int) -> EndedSession | None:
        """See `SessionStore.end_session`."""
        async with self._db.transaction() as tx:
            return await end_session(tx, reference, now)

    async def end_sessions_of(self, person: str, now: int) -> tuple[EndedSession, ...]:
        """See `SessionStore.end_sessions_of`."""
        async with self._db.transaction() as tx:
            return await end_sessions(tx, person, now)

    async def end_other_sessions(self, person: str, kept: str, now: int) -> tuple[EndedSession, ...]:
        """See `SessionStore.end_other_sessions`."""
        async with self._db.transaction() as tx:
            live = await tx.fetch(
                "SELECT reference FROM login_session WHERE person = $1 AND reference <> $2 AND ended_at IS NULL"
                " ORDER BY reference",
                person,
                kept,
            )
            ended = [await end_session(tx, row["reference"], now) for row in live]
        return tuple(session for session in ended if session is not None)

    async def clients_of_sessions(self, person: str, now: int) -> Mapping[str, tuple[str, ...]]:
        """See `SessionStore.clients_of_sessions`."""
        rows = await self._db.fetch(
            "SELECT c.reference, c.client_id FROM session_client c JOIN login_session s ON s.reference = c.reference"
            " WHERE s.person = $1 AND s.ended_at IS NULL AND s.idle_until > $2 AND s.absolute_until > $2"
            " ORDER BY c.first_at, c.client_id",
            person,
            now,
        )
        found: dict[str, tuple[str, ...]] = {}
        for row in rows:
            found[row["reference"]] = (*found.get(row["reference"], ()), row["client_id"])
        return found

    async def lease_jobs(self, now: int, *, lease_s: int, limit: int) -> tuple[LogoutJob, ...]:
        """See `LogoutOutbox.lease_jobs`."""
        # The outer conditions are looked at again once the row is locked, so two workers never lease one job.
        rows = await self._db.fetch(
            "UPDATE logout_outbox SET lease_until = $2, attempts = attempts + 1 WHERE job_id IN"
            " (SELECT job_id FROM logout_outbox WHERE done_at IS NULL AND dead_at IS NULL AND next_time <= $1"
            " AND lease_until <= $1 ORDER BY next_time LIMIT $3)"
            " AND done_at IS NULL AND dead_at IS NULL AND next_time <= $1 AND lease_until <= $1"
            " RETURNING job_id, client_id, person, session_reference, attempts",
            now,
            now + lease_s,
            limit,
        )
        return tuple(
            LogoutJob(row["job_id"], row["client_id"], row["person"], row["session_reference"], row["attempts"])
            for row in rows
        )

    async def finish_job(self, job_id: str, now: int) -> None:
        """See `LogoutOutbox.finish_job`."""
        await self._db.execute("UPDATE logout_outbox SET done_at = $2 WHERE job_id = $1", job_id, now)

    async def retry_job(self, job_id: str, *, next_time: int, reason: str) -> None:
        """See `LogoutOutbox.retry_job`."""
        await self._db.execute(
            "UPDATE logout_outbox SET next_time = $2, lease_until = 0, reason = $3 WHERE job_id = $1",
            job_id,
            next_time,
            reason,
        )

    async def bury_job(self, job_id: str, now: int, *, reason: str) -> None:
        """See `LogoutOutbox.bury_job`."""
        await self._db.execute(
            "UPDATE logout_outbox SET dead_at = $2, reason = $3 WHERE job_id = $1", job_id, now, reason
        )


async def end_session(tx: Transaction, reference: str, now: int) -> EndedSession | None:
    """End one session inside a transaction."""
    row = await tx.fetch_one(
        "UPDATE login_session SET ended_at = $2 WHERE reference = $1 AND ended_at IS NULL RETURNING person",
        reference,
        now,
    )
    if row is None:
        return None
    await tx.execute(
        "UPDATE token_family SET revoked_at = $2 WHERE session_reference = $1 AND offline = 0 AND revoked_at IS NULL",
        reference,
        now,
    )
    # The job's identifier is its idempotency key: one client hears of one session's end once.
    await tx.execute(
        "INSERT INTO logout_outbox"
        " (job_id, client_id, person, session_reference, attempts, next_time, lease_until, reason)"
        " SELECT s.reference || '.' || s.client_id, s.client_id, $2, s.reference, 0, $3, 0, ''"
        " FROM session_client s JOIN client c ON c.client_id = s.client_id"
        " WHERE s.reference = $1 AND c.backchannel = 1 ON CONFLICT DO NOTHING",
        reference,
        row["person"],
        now,
    )
    clients = await tx.fetch("SELECT client_id FROM session_client WHERE reference = $1 ORDER BY client_id", reference)
    return EndedSession(reference, row["person"], tuple(found["client_id"] for found in clients))


async def end_sessions(tx: Transaction, person: str, now: int) -> tuple[EndedSession, ...]:
    """End every session of a person and revoke every family, offline ones too, inside a transaction."""
    live = await tx.fetch(
        "SELECT reference FROM login_session WHERE person = $1 AND ended_at IS NULL ORDER BY reference", person
    )
    ended = [await end_session(tx, row["reference"], now) for row in live]
    await tx.execute("UPDATE token_family SET revoked_at = $2 WHERE person = $1 AND revoked_at IS NULL", person, now)
    return tuple(session for session in ended if session is not None)
