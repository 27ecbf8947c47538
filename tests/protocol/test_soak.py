"""A soak that was broken off goes on where it stopped, and one of another commit or seed begins again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import soak
from tests.soak import KEPT_EVERY, Count

FULL = 4 * KEPT_EVERY


def a_count(seed: int = 1) -> Count:
    return Count("G0", "example", "nothing", seed, sample=3, full=FULL)


@pytest.fixture(autouse=True)
def _soaking(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(soak, "SOAK", True)
    monkeypatch.setattr(soak, "FOLDER", tmp_path)
    monkeypatch.setattr(soak, "commit", lambda: "this commit")


def broken_off(count: Count, after: int) -> None:
    for trial in count.trials():
        count.figures["tried"] = count.figures.get("tried", 0) + 1
        if trial == after:
            return


def test_it_goes_on_after_the_last_trial_that_was_kept_with_its_figures() -> None:
    broken_off(a_count(), after=2 * KEPT_EVERY + 7)
    again = a_count()
    assert list(again.trials()) == list(range(2 * KEPT_EVERY, FULL))
    assert again.figures["tried"] == 2 * KEPT_EVERY
    assert json.loads(again.path.read_text("utf-8"))["done"] == FULL


def test_another_seed_or_commit_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    broken_off(a_count(), after=KEPT_EVERY + 1)
    assert next(a_count(seed=2).trials()) == 0
    monkeypatch.setattr(soak, "commit", lambda: "another commit")
    assert next(a_count().trials()) == 0


def test_a_file_that_cannot_be_read_begins_again() -> None:
    count = a_count()
    count.path.parent.mkdir(parents=True, exist_ok=True)
    count.path.write_text("{", "utf-8")
    assert next(count.trials()) == 0


def test_without_soaking_there_is_the_sample_and_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "SOAK", False)
    count = a_count()
    assert list(count.trials()) == [0, 1, 2]
    assert not count.path.exists()
