"""The list of promises names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_promise_names_tests_that_exist() -> None:
    text = (ROOT / "docs" / "promises.md").read_text("utf-8")
    table = text.partition("<!-- promises -->\n")[2].partition("\n\n")[0].splitlines()[2:]
    assert len(table) >= 9
    for row in table:
        named = re.findall(r"`(tests/[a-z_/]+\.py)`", row)
        assert named, row
        assert all((ROOT / path).is_file() for path in named), row
