"""The list of requirements names tests that exist, and every row once."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROWS = 78


def _tables() -> tuple[list[list[str]], str]:
    done, _, still_open = (ROOT / "docs" / "requirements.md").read_text("utf-8").partition("## Open\n")
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in done.splitlines() if line.startswith("| R")
    ], still_open


def test_every_row_stands_in_one_table_and_once() -> None:
    rows, still_open = _tables()
    named = [row[0] for row in rows] + re.findall(r"R\d+", still_open)
    assert sorted(named, key=lambda name: int(name[1:])) == [f"R{number}" for number in range(1, ROWS + 1)]


def test_every_row_that_works_names_a_test_that_exists() -> None:
    rows, _ = _tables()
    for name, state, _what, _where, test, _missing in rows:
        assert state in {"works", "part"}, name
        file, _, function = test.strip("`").partition("::")
        tree = ast.parse((ROOT / file).read_text("utf-8"))
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{name}: {test}"
