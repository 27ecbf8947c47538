"""The store of `credentials` on SQLite and PostgreSQL, one text of SQL for both."""

from __future__ import annotations

from adapters.sql.credentials_batches import BatchTables
from adapters.sql.credentials_records import RecordTables
from adapters.sql.credentials_sealing import CredentialSealer
from adapters.sql.credentials_shares import ShareTables
from adapters.sql.database import Database
from crypto.sealed import BlindIndex, ColumnSealer


class SqlCredentialStore(BatchTables, RecordTables, ShareTables):
    """`credentials.store.CredentialStore` over the tables of the credentials schema."""

    def __init__(self, database: Database, *, sealer: ColumnSealer, index: BlindIndex) -> None:
        """Take the credentials schema's database and the keys that seal and index its columns."""
        super().__init__(database, CredentialSealer(sealer, index))
