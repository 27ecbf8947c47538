"""A batch as a grid: one square a row, its state told by fill and shape, drawn as SVG.

A large batch is gathered: one square then stands for several neighbouring rows and shows the worst of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Literal

RowState = Literal["refused", "waiting", "issued"]

COLUMNS = 40
CELL = 8
# 40 x 50 squares stay legible on a phone; beyond that a square stands for several rows.
SQUARES_MAX = 2_000
_WORST_FIRST: tuple[RowState, ...] = ("refused", "waiting", "issued")


def row_grid(states: Sequence[RowState], *, title: str, description: str) -> str:
    """Draw the rows in the order of the file; `title` and `description` are the text alternative."""
    rows_each = max(1, -(-len(states) // SQUARES_MAX))
    squares = [_worst(states[start : start + rows_each]) for start in range(0, len(states), rows_each)]
    height = max(1, -(-len(squares) // COLUMNS)) * CELL
    parts = [
        (
            f'<svg class="row-grid" viewBox="0 0 {COLUMNS * CELL} {height}" role="img" aria-label="{escape(title)}">'
            f"<title>{escape(title)}</title><desc>{escape(description)}</desc>"
        )
    ]
    for state in _WORST_FIRST:
        path = "".join(
            _square(state, (index % COLUMNS) * CELL, (index // COLUMNS) * CELL)
            for index, square in enumerate(squares)
            if square == state
        )
        if path:
            parts.append(f'<path class="row-{state}" d="{path}"/>')
    parts.append("</svg>")
    return "".join(parts)


def _worst(states: Sequence[RowState]) -> RowState:
    return min(states, key=_WORST_FIRST.index)


def _square(state: RowState, x: int, y: int) -> str:
    if state == "refused":  # a cross, so that it is told without colour
        return f"M{x + 1} {y + 1}l5 5M{x + 6} {y + 1}l-5 5"
    return f"M{x + 1} {y + 1}h5v5h-5z"
