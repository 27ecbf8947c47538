"""The key-encryption key file and the keyring that hangs on it."""

import asyncio
import os
import stat
from pathlib import Path

import pytest

from adapters.kek import KekRefused, create_kek, read_kek
from adapters.sql.engine import SqliteDatabase
from adapters.sql.keyring import DATA_KEY_BYTES, KeyringRefused, open_keyring
from adapters.sql.migrate import SqliteTarget, upgrade
from crypto.sealed import ColumnSealer


def test_a_new_key_file_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    made = create_kek(path, random_bytes=os.urandom)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_kek(path) == made


def test_an_existing_key_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    before = create_kek(path, random_bytes=os.urandom)
    with pytest.raises(KekRefused) as refused:
        create_kek(path, random_bytes=os.urandom)
    assert refused.value.rule == "exists"
    assert read_kek(path) == before


@pytest.mark.parametrize(
    ("content", "mode", "rule"),
    [
        (b"kek-1 " + b"0" * 32 + b"\n", 0o640, "permissions"),
        (b"", 0o600, "malformed"),
        (b"kek-1 00\n", 0o600, "malformed"),
        (b"kek-1 " + b"0" * 32 + b"\nkek-1 " + b"1" * 32 + b"\n", 0o600, "malformed"),
        (b"\xff\xfe", 0o600, "unreadable"),
    ],
)
def test_a_key_file_that_is_open_to_others_or_malformed_is_refused(
    tmp_path: Path, content: bytes, mode: int, rule: str
) -> None:
    path = tmp_path / "kek"
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(KekRefused) as refused:
        read_kek(path)
    assert refused.value.rule == rule


def test_a_missing_key_file_is_named_as_missing(tmp_path: Path) -> None:
    with pytest.raises(KekRefused) as refused:
        read_kek(tmp_path / "kek")
    assert refused.value.rule == "missing"


def test_keys_never_show_in_a_repr(tmp_path: Path) -> None:
    made = create_kek(tmp_path / "kek", random_bytes=os.urandom)
    assert made.by_kid[made.active].hex() not in repr(made)


def test_the_keyring_is_the_same_at_every_start_and_opens_under_its_own_key_only(tmp_path: Path) -> None:
    asyncio.run(_open_three_times(tmp_path))


async def _open_three_times(tmp_path: Path) -> None:
    upgrade("keyring", SqliteTarget(tmp_path / "idp.sqlite3"))
    database = SqliteDatabase(tmp_path / "idp.sqlite3")
    kek = create_kek(tmp_path / "kek", random_bytes=os.urandom)
    other = create_kek(tmp_path / "other", random_bytes=os.urandom)
    sealer = ColumnSealer(kek.by_kid, kek.active, os.urandom)
    first = await open_keyring(database, sealer, now=1, random_bytes=os.urandom)
    second = await open_keyring(database, sealer, now=2, random_bytes=os.urandom)
    assert first == second
    assert {purpose: len(keys.current) for purpose, keys in first.items()} == DATA_KEY_BYTES
    with pytest.raises(KeyringRefused):
        await open_keyring(
            database, ColumnSealer(other.by_kid, other.active, os.urandom), now=3, random_bytes=os.urandom
        )
    await database.close()
