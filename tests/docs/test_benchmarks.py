"""The benchmark runs and reports; how fast is for a person to read."""

from __future__ import annotations

import asyncio
from pathlib import Path

from benchmarks import crypto
from benchmarks.story import measure


def test_the_story_is_measured_with_real_parts_and_every_figure_is_reported(tmp_path: Path) -> None:
    values = [figure.to_value() for figure in asyncio.run(measure(tmp_path, diplomas=3, seconds=0.01))]
    assert len(values) == 6
    assert all(float(value["per_s"]) > 0 for value in values)
    assert [set(value) for value in values[:2]] == [{"name", "per_s", "reference", "reference_per_s", "ratio"}] * 2
    assert all(set(value) == {"name", "per_s"} for value in values[2:])


def test_the_cryptography_is_measured_beside_its_peers_and_every_target_has_a_verdict() -> None:
    values = [figure.to_value() for figure in crypto.measure(rounds=1, round_s=0.001)]
    assert len({value["name"] for value in values}) == len(values)
    for value in values:
        assert set(value) == {
            "name", "ops_per_s", "reference", "reference_ops_per_s", "ratio", "target_ops_per_s", "target_ratio", "met",
        }  # fmt: skip
        assert isinstance(value["ops_per_s"], float)
        assert value["ops_per_s"] > 0
        targeted = value["target_ops_per_s"] is not None or value["target_ratio"] is not None
        assert (value["met"] is not None) is targeted
