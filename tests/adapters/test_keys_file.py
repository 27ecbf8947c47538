"""The key file changes whole or not at all, keeps its mode, and never gives a name twice."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters.kek import KekRefused, add_kek, create_kek, kek_check, read_kek, remove_kek, write_kek


def test_a_new_key_comes_last_and_is_active_and_the_older_ones_stay(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    before = create_kek(path, random_bytes=os.urandom)
    after = add_kek(path, random_bytes=os.urandom)
    assert after.active == "kek-2"
    assert after.by_kid["kek-1"] == before.by_kid["kek-1"]
    assert list(after.by_kid) == ["kek-1", "kek-2"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path], "nothing is left beside it"


def test_a_name_does_not_come_back_after_its_key_was_removed(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    create_kek(path, random_bytes=os.urandom)
    add_kek(path, random_bytes=os.urandom)
    remove_kek(path, "kek-1")
    assert list(add_kek(path, random_bytes=os.urandom).by_kid) == ["kek-2", "kek-3"]


def test_the_active_key_and_an_unknown_one_are_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    create_kek(path, random_bytes=os.urandom)
    for name, rule in (("kek-1", "active"), ("kek-2", "unknown_key")):
        with pytest.raises(KekRefused) as refused:
            remove_kek(path, name)
        assert refused.value.rule == rule


def test_two_who_add_at_once_both_have_their_key_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    create_kek(path, random_bytes=os.urandom)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: add_kek(path, random_bytes=os.urandom), range(24)))
    kept = read_kek(path)
    assert len(kept.by_kid) == 25
    for one in made:
        assert kept.by_kid[one.active] == one.by_kid[one.active]


def test_a_folder_that_takes_no_file_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    before = create_kek(path, random_bytes=os.urandom)
    path.with_name("kek.new").mkdir()
    with pytest.raises(KekRefused) as refused:
        add_kek(path, random_bytes=os.urandom)
    assert refused.value.rule == "unwritable"
    assert read_kek(path) == before


@pytest.mark.parametrize(
    "keys", [{"kek 1": bytes(16)}, {"kek-1": bytes(15)}, {"": bytes(16)}, {"k" * 33: bytes(16)}, {"kek\n": bytes(16)}]
)
def test_keys_the_file_could_not_hold_are_not_written(tmp_path: Path, keys: dict[str, bytes]) -> None:
    with pytest.raises(KekRefused):
        write_kek(tmp_path / "kek", keys)
    assert not (tmp_path / "kek").exists()


def test_a_check_value_tells_keys_apart_and_is_bound_to_the_name() -> None:
    key = bytes(range(16))
    checks = {kek_check("kek-1", key), kek_check("kek-2", key), kek_check("kek-1", bytes(16))}
    assert len(checks) == 3
    assert {len(check) for check in checks} == {8}
