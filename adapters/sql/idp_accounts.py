"""`idp.store.AccountStore` and `ConsentStore` in SQL."""

from __future__ import annotations

from collections.abc import Mapping

from adapters.sql.database import Database, Row
from adapters.sql.idp_sessions import end_sessions
from crypto.sm3 import sm3
from idp.login.lockout import FAILURES_MAX, delay_after
from idp.model import Account, AccountState, AuthenticatorKind, EndedSession
from idp.registry.model import shard_of
from idp.store import Attempt, Consent, TotpEnrolment

_ACCOUNT = "SELECT person, username, state, password_hash FROM account"


def _account(row: Row | None) -> Account | None:
    if row is None:
        return None
    return Account(row["person"], row["username"], AccountState(row["state"]), row["password_hash"])


class SqlAccounts:
    """Accounts, authenticators and consents."""

    def __init__(self, db: Database, *, region: str) -> None:
        self._db = db
        self._region = region

    async def create_account(self, account: Account, now: int) -> None:
        """See `AccountStore.create_account`."""
        async with self._db.transaction() as tx:
            await tx.execute(
                "INSERT INTO account (person, username, state, password_hash, created_at, updated_at, region, shard)"
                " VALUES ($1, $2, $3, $4, $5, $5, $6, $7)",
                account.person,
                account.username,
                account.state.value,
                account.password_hash,
                now,
                self._region,
                shard_of(account.person),
            )
            await tx.execute(
                "INSERT INTO authenticator (person, kind, sealed_seed, last_step, failures, not_before, enrolled_at)"
                " VALUES ($1, 'password', NULL, 0, 0, 0, $2)",
                account.person,
                now,
            )

    async def account_by_username(self, username: str) -> Account | None:
        """See `AccountStore.account_by_username`."""
        return _account(await self._db.fetch_one(f"{_ACCOUNT} WHERE username = $1", username))

    async def account(self, person: str) -> Account | None:
        """See `AccountStore.account`."""
        return _account(await self._db.fetch_one(f"{_ACCOUNT} WHERE person = $1", person))

    async def set_account_state(self, person: str, state: AccountState, now: int) -> tuple[EndedSession, ...]:
        """See `AccountStore.set_account_state`."""
        async with self._db.transaction() as tx:
            await tx.execute(
                "UPDATE account SET state = $2, updated_at = $3 WHERE person = $1", person, state.value, now
            )
            if state is AccountState.ACTIVE:
                return ()
            return await end_sessions(tx, person, now)

    async def set_password(self, person: str, password_hash: str, now: int) -> tuple[EndedSession, ...]:
        """See `AccountStore.set_password`."""
        async with self._db.transaction() as tx:
            await tx.execute(
                "UPDATE account SET password_hash = $2, updated_at = $3 WHERE person = $1", person, password_hash, now
            )
            await tx.execute(
                "UPDATE authenticator SET failures = 0, not_before = 0 WHERE person = $1 AND kind = 'password'", person
            )
            return await end_sessions(tx, person, now)

    async def replace_password_hash(self, person: str, old: str, new: str) -> None:
        """See `AccountStore.replace_password_hash`."""
        await self._db.execute(
            "UPDATE account SET password_hash = $3 WHERE person = $1 AND password_hash = $2", person, old, new
        )

    async def reserve_attempt(self, person: str, kind: AuthenticatorKind, now: int) -> Attempt:
        """See `AccountStore.reserve_attempt`."""
        async with self._db.transaction() as tx:
            # The write comes first: it locks the row, so the delay is computed from a count nobody else can change.
            row = await tx.fetch_one(
                "UPDATE authenticator SET failures = failures + 1"
                " WHERE person = $1 AND kind = $2 AND failures < $3 AND not_before <= $4 RETURNING failures",
                person,
                kind.value,
                FAILURES_MAX,
                now,
            )
            if row is not None:
                await tx.execute(
                    "UPDATE authenticator SET not_before = $3 WHERE person = $1 AND kind = $2",
                    person,
                    kind.value,
                    now + delay_after(row["failures"]),
                )
                return Attempt.ALLOWED
            # A write of nothing: a try that is refused takes as long as one that is counted.
            held = await tx.fetch_one(
                "UPDATE authenticator SET failures = failures WHERE person = $1 AND kind = $2 RETURNING failures",
                person,
                kind.value,
            )
        if held is None:
            return Attempt.ABSENT
        return Attempt.DISABLED if held["failures"] >= FAILURES_MAX else Attempt.TOO_SOON

    async def spend_attempt_of_nobody(self, username: str, now: int) -> None:
        """See `AccountStore.spend_attempt_of_nobody`. The row has run out when it is written."""
        digest = sm3(b"nobody\x00" + username.encode())
        async with self._db.transaction() as tx:
            await tx.execute(
                "INSERT INTO used_value (digest, expires_at) VALUES ($1, $2)"
                " ON CONFLICT (digest) DO UPDATE SET expires_at = excluded.expires_at",
                digest,
                now,
            )
            await tx.execute("UPDATE used_value SET expires_at = $2 WHERE digest = $1", digest, now)

    async def clear_failures(self, person: str, kind: AuthenticatorKind) -> None:
        """See `AccountStore.clear_failures`."""
        await self._db.execute(
            "UPDATE authenticator SET failures = 0, not_before = 0 WHERE person = $1 AND kind = $2",
            person,
            kind.value,
        )

    async def totp(self, person: str) -> TotpEnrolment | None:
        """See `AccountStore.totp`."""
        row = await self._db.fetch_one(
            "SELECT sealed_seed, last_step FROM authenticator WHERE person = $1 AND kind = 'totp'", person
        )
        return None if row is None else TotpEnrolment(bytes(row["sealed_seed"]), row["last_step"])

    async def enrol_totp(self, person: str, sealed_seed: bytes, accepted_step: int, now: int) -> bool:
        """See `AccountStore.enrol_totp`."""
        added = await self._db.execute(
            "INSERT INTO authenticator (person, kind, sealed_seed, last_step, failures, not_before, enrolled_at)"
            " VALUES ($1, 'totp', $2, $3, 0, 0, $4) ON CONFLICT DO NOTHING",
            person,
            sealed_seed,
            accepted_step,
            now,
        )
        return added == 1

    async def remove_totp(self, person: str) -> None:
        """See `AccountStore.remove_totp`."""
        await self._db.execute("DELETE FROM authenticator WHERE person = $1 AND kind = 'totp'", person)

    async def consume_totp_step(self, person: str, step: int) -> bool:
        """See `AccountStore.consume_totp_step`."""
        moved = await self._db.execute(
            "UPDATE authenticator SET last_step = $2 WHERE person = $1 AND kind = 'totp' AND last_step < $2",
            person,
            step,
        )
        return moved == 1

    async def consent(self, person: str, client_id: str) -> Consent | None:
        """See `ConsentStore.consent`."""
        row = await self._db.fetch_one(
            "SELECT person, client_id, granted, offered, granted_at, granted_since FROM consent WHERE person = $1 AND client_id = $2",
            person,
            client_id,
        )
        return None if row is None else _consent(row)

    async def remember_consent(self, consent: Consent) -> None:
        """See `ConsentStore.remember_consent`."""
        await self._db.execute(
            "INSERT INTO consent (person, client_id, granted, offered, granted_at, region, shard, granted_since)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (person, client_id) DO UPDATE"
            " SET granted = excluded.granted, offered = excluded.offered, granted_at = excluded.granted_at,"
            " granted_since = excluded.granted_since",
            consent.person,
            consent.client_id,
            " ".join(consent.granted),
            " ".join(consent.offered),
            consent.granted_at,
            self._region,
            shard_of(consent.person),
            " ".join(f"{scope}={time}" for scope, time in consent.since.items()),
        )

    async def consents_of(self, person: str) -> tuple[Consent, ...]:
        """See `ConsentStore.consents_of`."""
        rows = await self._db.fetch(
            "SELECT person, client_id, granted, offered, granted_at, granted_since FROM consent WHERE person = $1 AND granted <> ''"
            " ORDER BY granted_at DESC, client_id",
            person,
        )
        return tuple(_consent(row) for row in rows)

    async def withdraw_consent(self, person: str, client_id: str, now: int) -> bool:
        """See `ConsentStore.withdraw_consent`."""
        async with self._db.transaction() as tx:
            # The emptied row stays: it says that the person withdrew, so that nothing is granted again without asking.
            removed = await tx.execute(
                "UPDATE consent SET granted = '', offered = '', granted_at = $3, granted_since = ''"
                " WHERE person = $1 AND client_id = $2 AND granted <> ''",
                person,
                client_id,
                now,
            )
            await tx.execute(
                "UPDATE token_family SET revoked_at = $3 WHERE person = $1 AND client_id = $2 AND revoked_at IS NULL",
                person,
                client_id,
                now,
            )
            return removed == 1

    async def withdraw_scope(self, person: str, client_id: str, scope: str, now: int) -> bool:
        """See `ConsentStore.withdraw_scope`."""
        async with self._db.transaction() as tx:
            # The first write holds the row, so that a code redeemed at this very moment comes before or after.
            row = await tx.fetch_one(
                "UPDATE consent SET granted = granted WHERE person = $1 AND client_id = $2 RETURNING granted",
                person,
                client_id,
            )
            granted = [] if row is None else row["granted"].split()
            if scope not in granted:
                return False
            await tx.execute(
                "UPDATE consent SET granted = $3 WHERE person = $1 AND client_id = $2",
                person,
                client_id,
                " ".join(kept for kept in granted if kept != scope),
            )
            families = await tx.fetch(
                "SELECT family_id, scope FROM token_family"
                " WHERE person = $1 AND client_id = $2 AND revoked_at IS NULL ORDER BY family_id",
                person,
                client_id,
            )
            for family in families:
                if scope in family["scope"].split():
                    await tx.execute(
                        "UPDATE token_family SET revoked_at = $2 WHERE family_id = $1", family["family_id"], now
                    )
            return True

    async def last_uses(self, person: str) -> Mapping[str, int]:
        """See `ConsentStore.last_uses`."""
        rows = await self._db.fetch(
            "SELECT client_id, MAX(used_at) AS last FROM token_family WHERE person = $1 GROUP BY client_id", person
        )
        return {row["client_id"]: row["last"] for row in rows}


def _consent(row: Row) -> Consent:
    granted = tuple(row["granted"].split())
    answered: int = row["granted_at"]
    named = (entry.partition("=") for entry in row["granted_since"].split())
    kept: dict[str, int] = {scope: int(time) for scope, _, time in named}
    return Consent(
        row["person"],
        row["client_id"],
        granted,
        tuple(row["offered"].split()),
        answered,
        {scope: kept.get(scope, answered) for scope in granted},
    )
