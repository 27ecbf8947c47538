"""`edutrust ledger fsck` over a copied data directory: any byte that means something is found, and what does not is known."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.cli import main
from adapters.kek import create_kek
from adapters.parts import open_parts
from adapters.settings import check_settings
from tests.ledger.parts import entries
from tests.scale import report, trials
from tests.services.clock import StillClock
from tests.services.tables import make_tables

SEED = 20_265
BYTES = trials(60, full=2_000)


@dataclass
class Copies:
    """A deployment's data directory, and copies of it to be bent."""

    whole: Path
    copy: Path
    capsys: pytest.CaptureFixture[str]

    def fresh(self) -> Path:
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.whole, self.copy)
        return self.copy

    def fsck(self, *arguments: str) -> tuple[int, list[dict[str, str]]]:
        """Return the exit code and the findings; whatever happened, they are one JSON object."""
        self.capsys.readouterr()
        code = main(["ledger", "fsck", "--config", str(self.copy.with_suffix(".toml")), "--json", *arguments])
        told = json.loads(self.capsys.readouterr().out)
        assert told["ok"] == (not told["findings"]) == (code == 0)
        return code, told["findings"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("deployment")
    settings = check_settings({"data_dir": str(home / "data"), "kek_file": str(home / "kek")})
    settings.data_dir.mkdir()
    create_kek(settings.kek_file, random_bytes=random.Random(1).randbytes)
    make_tables(settings.database_url)
    config = home / "copy.toml"
    config.write_text(f'data_dir = "{home / "copy"}"\nkek_file = "{home / "kek"}"\n', "utf-8")
    clock = StillClock(1_790_000_000)

    async def story() -> None:
        async with open_parts(settings, clock=clock, random_bytes=os.urandom) as parts:
            for start, stop in ((0, 1), (1, 250), (250, 256), (256, 600), (600, 700)):
                await parts.ledger.append([(one.body, one.idempotency_key) for one in entries(start, stop)])
                if stop < 700:  # the last is not anchored yet
                    await parts.ledger.anchor_now()
                clock.advance(30)

    asyncio.run(story())
    return settings.data_dir


@pytest.fixture
def copies(data: Path, capsys: pytest.CaptureFixture[str]) -> Copies:
    return Copies(data, data.with_name("copy"), capsys)


def _means_nothing(database: Path) -> set[int]:
    """Return the places of a database file that stand for nothing: the space between and behind what its pages hold."""
    raw, slack = database.read_bytes(), set[int]()
    size = int.from_bytes(raw[16:18])
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        pages = connection.execute("SELECT pageno, name, pagetype, unused FROM dbstat").fetchall()
    finally:
        connection.close()
    for number, name, kind, unused in pages:
        base = (number - 1) * size
        if name == "sqlite_schema":
            # The file's header, and the tables' definitions as text: SQLite looks at some of it, and then says so.
            slack.update(range(base, base + size))
            continue
        if kind == "overflow":
            slack.update(range(base + size - unused, base + size))
            continue
        free, cells, content = (int.from_bytes(raw[base + at : base + at + 2]) for at in (1, 3, 5))
        slack.update(range(base + (12 if kind == "internal" else 8) + 2 * cells, base + (content or 65_536)))
        while free:
            at = base + free
            free, length = int.from_bytes(raw[at : at + 2]), int.from_bytes(raw[at + 2 : at + 4])
            slack.update(range(at + 4, at + length))
    slack.update(range(max(number for number, *_ in pages) * size, len(raw)))
    return slack


@pytest.mark.soak
def test_a_changed_byte_of_the_database_is_found_wherever_a_byte_means_something(copies: Copies) -> None:
    draw, whole = random.Random(SEED), (copies.whole / "ledger.sqlite3").read_bytes()
    copies.fresh()
    assert copies.fsck("--deep") == (0, [])
    slack = _means_nothing(copies.whole / "ledger.sqlite3")
    meant = sorted(set(range(len(whole))) - slack)
    for at in [*draw.sample(meant, BYTES), meant[0], meant[-1]]:
        bent = bytearray(whole)
        bent[at] ^= 1 << draw.randrange(8)
        (copies.fresh() / "ledger.sqlite3").write_bytes(bent)
        code, findings = copies.fsck("--deep")
        assert code == 1, (SEED, at)
        assert all(one["what"] and one["where"] and one["rule"] for one in findings)
    report("ledger database: one byte changed", target="100%", actual=f"{BYTES + 2}/{BYTES + 2}", seed=SEED)


def test_without_deep_an_index_that_is_bent_passes_and_a_row_does_not(copies: Copies) -> None:
    whole, [one] = (copies.whole / "ledger.sqlite3").read_bytes(), entries(300, 301)
    found = set()
    for at in (at for at in range(len(whole)) if whole.startswith(one.idempotency_key, at)):
        (copies.fresh() / "ledger.sqlite3").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        found.add((copies.fsck()[0], copies.fsck("--deep")[0]))
    assert {(1, 1), (0, 1)} <= found


def test_what_the_folder_has_published_the_database_must_still_have(copies: Copies) -> None:
    with sqlite3.connect(copies.fresh() / "ledger.sqlite3") as connection:
        connection.execute("DELETE FROM anchor WHERE size = 600")
        connection.execute("UPDATE anchor_count SET anchors = 3")
    assert copies.fsck() == (1, [{"what": "anchor", "where": "file 600", "rule": "present"}])


def test_deep_looks_at_every_published_file_too(copies: Copies) -> None:
    tile = copies.fresh() / "log/tile/0/001"
    tile.chmod(0o644)
    tile.write_bytes(tile.read_bytes()[:-1] + b"x")
    assert copies.fsck() == (0, [])
    assert copies.fsck("--deep") == (1, [{"what": "tile", "where": "tile/0/001", "rule": "equal"}])


def test_a_database_that_is_none_and_one_that_is_behind_are_findings(
    copies: Copies, capsys: pytest.CaptureFixture[str]
) -> None:
    (copies.fresh() / "ledger.sqlite3").write_bytes(b"not a database at all" * 500)
    code, [finding] = copies.fsck()
    assert (code, finding) == (1, {"what": "database", "where": "file", "rule": "SQLITE_NOTADB"})
    (copies.fresh() / "ledger.sqlite3").unlink()
    make_tables(f"sqlite:///{copies.copy}", "ledger")
    code, findings = copies.fsck()
    assert code == 1
    assert {"what": "published", "where": "checkpoint 700", "rule": "not_behind"} in findings


def test_deep_is_of_the_database_only(copies: Copies) -> None:
    assert main(["ledger", "fsck", str(copies.fresh() / "log"), "--deep"]) == 1
    assert "--deep is for" in copies.capsys.readouterr().err
