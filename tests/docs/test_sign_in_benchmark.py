"""The benchmark of the sign-in page runs and reports; how fast is for a person to read."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from benchmarks.house import open_house
from benchmarks.sign_in_page import measure


def test_the_page_and_the_password_are_measured_and_the_target_has_a_verdict(tmp_path: Path) -> None:
    async def story() -> dict[str, Any]:
        async with open_house(tmp_path) as house:
            return await measure(house, seconds=0.01)

    figures = asyncio.run(story())
    for name in ("page", "sign_in_with_password", "password_hash_alone"):
        assert set(figures[name]) == {"calls", "cpu_ms", "p50_ms", "p95_ms", "p99_ms"}
        assert figures[name]["cpu_ms"] > 0
    assert figures["password_post_without_hash_cpu_ms"] >= 0
    assert set(figures["met"]) == set(figures["target"])
