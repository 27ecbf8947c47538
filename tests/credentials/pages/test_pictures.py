"""The pictures: inside their frame whatever they are given, told without colour, with a text alternative."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from credentials.pages.life_line import MARGIN, MARK_GAP, MARKS_MAX, WIDTH, LifeEvent, life_line
from credentials.pages.row_grid import CELL, COLUMNS, SQUARES_MAX, row_grid

EVENTS = st.lists(
    st.builds(LifeEvent, st.integers(0, 4_000_000_000), st.sampled_from(["valid", "suspended", "revoked", None])),
    min_size=1,
    max_size=40,
).map(lambda events: sorted(events, key=lambda event: event.at))


@given(EVENTS, st.integers(0, 10**9))
def test_the_marks_of_a_life_stay_inside_and_apart(events: list[LifeEvent], later: int) -> None:
    drawn = life_line(events, now=events[-1].at + later, title="<t>", description='"d"')
    root = ET.fromstring(drawn)  # noqa: S314 - our own drawing
    marks = [int(circle.attrib["cx"]) for circle in root.iter("circle")]
    assert len(marks) == min(len(events), MARKS_MAX)
    assert all(MARGIN <= mark <= WIDTH - MARGIN for mark in marks)
    assert all(after - before >= MARK_GAP for before, after in pairwise(marks))
    assert "style=" not in drawn
    assert root.attrib["role"] == "img"


@given(st.lists(st.sampled_from(["refused", "waiting", "issued"]), max_size=9_000))
def test_every_row_of_a_batch_is_in_the_grid_and_a_refused_one_never_hides(states: list[str]) -> None:
    drawn = row_grid(states, title="t", description="d")  # type: ignore[arg-type]  # drawn from the three states
    root = ET.fromstring(drawn)  # noqa: S314 - our own drawing
    each = max(1, -(-len(states) // SQUARES_MAX))
    width, height = (int(number) for number in root.attrib["viewBox"].split()[2:])
    assert width == COLUMNS * CELL
    assert height >= CELL * ceil(ceil(len(states) / each) / COLUMNS)
    crosses = sum(
        len(re.findall(r"M", path.attrib["d"])) for path in root.iter("path") if "refused" in path.attrib["class"]
    )
    assert (crosses > 0) == ("refused" in states)
    if each == 1:
        assert crosses == 2 * states.count("refused")
