"""Two pictures of the log, drawn as SVG on the server: the tree as it has grown, and the path that proves one entry.

The tree of n entries is a row of perfect trees, one for each binary digit of n that is 1 (RFC 6962 section 2.1), joined
under one root. It is drawn as that row, so a picture of a million entries has at most twenty-odd shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 320
ROOT_Y = 24
GROUND_Y = 168
TREE_HEIGHT = 200
LEVEL_STEP = 36


@dataclass(frozen=True, slots=True)
class PathStep:
    """One level of an inclusion proof: the neighbour's hash (short form, for people) and the side it stands on."""

    neighbour: str
    neighbour_is_left: bool


def perfect_trees(size: int) -> list[int]:
    """Return the sizes of the perfect trees a log of `size` entries consists of, largest first."""
    return [1 << bit for bit in range(size.bit_length() - 1, -1, -1) if size >> bit & 1]


def tree_picture(size: int, *, title: str, description: str) -> str:
    """Draw a log of `size` entries; `title` and `description` are the text alternative."""
    trees = perfect_trees(size)
    parts = [_open("tree-picture", TREE_HEIGHT, title, description)]
    if not trees:
        parts.append(f'<path class="tree-ground" d="M16 {GROUND_Y}H{WIDTH - 16}"/></svg>')
        return "".join(parts)
    # A tree's width grows with its height (the logarithm of its size): the smallest stays visible beside the largest.
    weights = [tree.bit_length() for tree in trees]
    scale = (WIDTH - 32) / sum(weights)
    tallest = max(weights)
    left = 16.0
    tops: list[tuple[float, float]] = []
    for tree, weight in zip(trees, weights, strict=True):
        width = weight * scale
        middle = left + width / 2
        top = GROUND_Y - (GROUND_Y - ROOT_Y - 32) * weight / tallest
        half = max(width / 2 - 3, 2)
        parts.append(
            f'<path class="tree-part" d="M{middle:.1f} {top:.1f}L{middle - half:.1f} {GROUND_Y}H{middle + half:.1f}Z"/>'
        )
        if width >= 28:  # narrower than its label
            parts.append(f'<text class="tree-count" x="{middle:.1f}" y="{GROUND_Y + 18}">{tree}</text>')
        tops.append((middle, top))
        left += width
    root_x = WIDTH / 2
    parts.extend(f'<path class="tree-edge" d="M{root_x} {ROOT_Y}L{x:.1f} {y:.1f}"/>' for x, y in tops)
    parts.append(f'<circle class="tree-root" cx="{root_x}" cy="{ROOT_Y}" r="8"/></svg>')
    return "".join(parts)


def path_picture(steps: Sequence[PathStep], *, leaf: str, root: str, title: str, description: str) -> str:
    """Draw the way from a leaf (bottom) to the root (top), one neighbour a level."""
    height = LEVEL_STEP * (len(steps) + 1) + 32
    spine = WIDTH // 2
    parts = [_open("path-picture", height, title, description)]
    bottom = height - 16
    for level, step in enumerate(steps):
        y = bottom - level * LEVEL_STEP
        above = y - LEVEL_STEP
        side = spine - 96 if step.neighbour_is_left else spine + 96
        parts.append(f'<path class="tree-edge" d="M{spine} {y}V{above}M{side} {y - 8}L{spine} {above}"/>')
        parts.append(f'<circle class="path-neighbour" cx="{side}" cy="{y - 8}" r="5"/>')
        anchor, x = ("end", side - 10) if step.neighbour_is_left else ("start", side + 10)
        parts.append(
            f'<text class="path-label" x="{x}" y="{y - 4}" text-anchor="{anchor}">{escape(step.neighbour)}</text>'
        )
        parts.append(f'<circle class="path-node" cx="{spine}" cy="{y}" r="5"/>')
    top = bottom - len(steps) * LEVEL_STEP
    parts.append(f'<circle class="tree-root" cx="{spine}" cy="{top}" r="8"/>')
    parts.append(f'<text class="path-label" x="{spine}" y="{top - 14}" text-anchor="middle">{escape(root)}</text>')
    if steps:
        parts.append(
            f'<circle class="path-leaf" cx="{spine}" cy="{bottom}" r="8"/>'
            f'<text class="path-label" x="{spine + 14}" y="{bottom + 12}">{escape(leaf)}</text>'
        )
    parts.append("</svg>")
    return "".join(parts)


def _open(css_class: str, height: int, title: str, description: str) -> str:
    return (
        f'<svg class="{css_class}" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title><desc>{escape(description)}</desc>"
    )
