"""A credential's life as a line: one bar along time, one numbered mark an event, drawn as SVG.

The picture carries no style of its own: the style sheet colours `life-*` classes, and each state also has its own
shape (solid, dashed, none), so that nothing depends on colour. Times are seconds since the epoch, UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

State = Literal["valid", "suspended", "revoked", "superseded"]

WIDTH = 320
HEIGHT = 56
MARGIN = 16
BAR_Y = 28
# Marks closer than their own width would hide one another, whatever the real time between them.
MARK_GAP = 24
MARKS_MAX = (WIDTH - 2 * MARGIN) // MARK_GAP


@dataclass(frozen=True, slots=True)
class LifeEvent:
    """A moment and the state the credential was in from then on; None when the event changed no state."""

    at: int
    state: State | None


def life_line(events: Sequence[LifeEvent], *, now: int, title: str, description: str) -> str:
    """Draw events, given in order of time, up to `now`; `title` and `description` are the text alternative.

    Only the newest MARKS_MAX events are drawn; the page lists all of them in words under the picture.
    """
    shown = tuple(events)[-MARKS_MAX:]
    places = _places([event.at for event in shown], now)
    parts = [
        (
            f'<svg class="life-line" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
            f"<title>{escape(title)}</title><desc>{escape(description)}</desc>"
        )
    ]
    state: State | None = None
    for index, event in enumerate(shown):
        state = event.state or state
        until = places[index + 1] if index + 1 < len(shown) else WIDTH - MARGIN
        if state is not None and until > places[index]:
            parts.append(f'<path class="life-{state}" d="M{places[index]} {BAR_Y}H{until}"/>')
    first_number = len(events) - len(shown) + 1
    for index, place in enumerate(places):
        parts.append(f'<circle class="life-mark" cx="{place}" cy="{BAR_Y}" r="10"/>')
        parts.append(f'<text class="life-number" x="{place}" y="{BAR_Y + 4}">{first_number + index}</text>')
    end = WIDTH - MARGIN
    parts.append(f'<path class="life-now" d="M{end} {BAR_Y - 12}V{BAR_Y + 12}"/></svg>')
    return "".join(parts)


def _places(times: Sequence[int], now: int) -> list[int]:
    """Where each mark stands: in proportion to time, pushed apart where marks would touch."""
    if not times:
        return []
    left, right = MARGIN, WIDTH - MARGIN
    span = max(now - times[0], 1)
    wished = [left + round((time - times[0]) * (right - left) / span) for time in times]
    placed: list[int] = []
    for wish in wished:
        placed.append(max(wish, placed[-1] + MARK_GAP) if placed else wish)
    limit = right - MARK_GAP // 2
    for index in range(len(placed) - 1, -1, -1):
        placed[index] = min(placed[index], limit)
        limit = placed[index] - MARK_GAP
    return placed
