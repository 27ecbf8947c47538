"""`idp.store.AccessStore` in SQL: the whole of sign-in over one database."""

from __future__ import annotations

from adapters.sql.database import Database
from adapters.sql.idp_accounts import SqlAccounts
from adapters.sql.idp_registrations import SqlRegistrations
from adapters.sql.idp_replays import SqlReplays
from adapters.sql.idp_sandboxes import SqlSandboxes
from adapters.sql.idp_sessions import SqlSessions
from adapters.sql.idp_tokens import SqlTokens


class SqlAccessStore(SqlAccounts, SqlSessions, SqlTokens, SqlRegistrations, SqlSandboxes, SqlReplays):
    """Accounts, sessions, tokens, consents, clients and the logout outbox. `region`: six digits of the province."""

    def __init__(self, db: Database, *, region: str) -> None:
        super().__init__(db, region=region)
        SqlSessions.__init__(self, db, region=region)
        SqlRegistrations.__init__(self, db, region=region)
