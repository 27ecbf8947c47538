"""The benchmark runs and reports; how fast is for a person to read."""

from __future__ import annotations

import asyncio
from pathlib import Path

from benchmarks.story import measure


def test_the_story_is_measured_with_real_parts_and_every_figure_is_reported(tmp_path: Path) -> None:
    values = [figure.to_value() for figure in asyncio.run(measure(tmp_path, diplomas=3, seconds=0.01))]
    assert len(values) == 6
    assert all(float(value["per_s"]) > 0 for value in values)
    assert [set(value) for value in values[:2]] == [{"name", "per_s", "reference", "reference_per_s", "ratio"}] * 2
    assert all(set(value) == {"name", "per_s"} for value in values[2:])
