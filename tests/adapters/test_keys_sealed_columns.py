"""The list of sealed columns is whole: no column of bytes is forgotten, and none is in it that holds something else."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from adapters.sql.migrate import SCHEMA_OF_ROOM, upgrade_all
from adapters.sql.resealing import SEALED_TABLES

# Columns of bytes that hold nothing sealed under a column key, and what they hold instead. Whoever adds a column of
# bytes decides here, or in `SEALED_TABLES`, what it is.
OTHER_BYTES = {
    ("idp", "data_key", "sealed"): "under the key-encryption key; rewrapped when that turns",
    ("idp", "key_encryption_key", "check_value"): "a truncated HMAC",
    ("idp", "person", "id_index"): "a blind index",
    ("idp", "login_session", "cookie_hash"): "a hash",
    ("idp", "client", "secret_hash"): "a hash",
    ("idp", "token_family", "code_hash"): "a hash",
    ("idp", "replayed_code", "code_hash"): "a hash",
    ("idp", "access_token", "token_hash"): "a hash",
    ("idp", "refresh_token", "token_hash"): "a hash",
    ("idp", "client_access_token", "token_hash"): "a hash",
    ("idp", "used_value", "digest"): "a hash",
    ("idp", "initial_access_token", "token_hash"): "a hash",
    ("idp", "client_registration", "token_hash"): "a hash",
    ("idp", "client_logo", "body"): "a picture a platform shows to everybody",
    ("idp", "transient_entry", "handle_hash"): "a hash",
    ("idp", "transient_entry", "payload"): "a sign-in under way; gone before a data key may be destroyed",
    ("credentials", "batch", "digest"): "a digest",
    ("credentials", "item", "digest"): "a digest",
    ("credentials", "claimed_key", "key_index"): "a blind index",
    ("credentials", "share", "code_index"): "a blind index",
}
# The log and the audit trail are public to their readers: commitments, notes, tiles, events.
PUBLIC_SCHEMAS = {"ledger", "audit"}


@pytest.fixture(scope="module")
def columns_of_bytes(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str, str]]:
    folder = tmp_path_factory.mktemp("schemas")
    upgrade_all(f"sqlite:///{folder}")
    found = set()
    for schema in set(SCHEMA_OF_ROOM.values()):
        connection = sqlite3.connect(Path(folder) / f"{schema}.sqlite3")
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for column in connection.execute(f'PRAGMA table_info("{table}")'):
                if column[2].upper() == "BLOB":
                    found.add((schema, table, column[1]))
        connection.close()
    return found


def test_every_column_of_bytes_is_either_resealed_or_known_to_hold_nothing_sealed(
    columns_of_bytes: set[tuple[str, str, str]],
) -> None:
    listed = {(one.schema, one.table, column) for one in SEALED_TABLES for column in one.columns}
    assert len(listed) == sum(len(one.columns) for one in SEALED_TABLES)
    assert not listed & OTHER_BYTES.keys()
    unknown = {column for column in columns_of_bytes - listed - OTHER_BYTES.keys() if column[0] not in PUBLIC_SCHEMAS}
    assert not unknown, f"decide whether these are sealed: {sorted(unknown)}"
    gone = (listed | OTHER_BYTES.keys()) - columns_of_bytes
    assert not gone, f"these are no columns any more: {sorted(gone)}"


def test_the_keys_of_the_walk_are_the_primary_keys_and_are_texts(tmp_path: Path) -> None:
    upgrade_all(f"sqlite:///{tmp_path}")
    for one in SEALED_TABLES:
        connection = sqlite3.connect(tmp_path / f"{one.schema}.sqlite3")
        columns = connection.execute(f"PRAGMA table_info({one.table})").fetchall()
        connection.close()
        primary = [(name, kind) for _, name, kind, _, _, place in sorted(columns, key=lambda row: row[5]) if place]
        assert primary == [(name, "TEXT") for name in one.key], one.table
