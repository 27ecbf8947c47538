"""The public log's pages: its shape, its checkpoint, its anchors, and the proof of any entry."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from adapters.pages.tree_picture import WIDTH, PathStep, path_picture, perfect_trees, tree_picture
from ledger.checkpoint import verify_checkpoint
from ledger.receipt import Receipt, verify_receipt
from tests.adapters.pages.conftest import Story
from tests.credentials.pages.house import NAMES, STUDENT, House, words

Play = Callable[[Story], None]


@given(st.integers(0, 2**63))
def test_a_log_of_any_size_is_perfect_trees_largest_first(size: int) -> None:
    trees = perfect_trees(size)
    assert sum(trees) == size
    assert trees == sorted(set(trees), reverse=True)
    assert all(tree & (tree - 1) == 0 for tree in trees)


@given(st.integers(0, 2**63))
def test_the_tree_stays_inside_its_frame(size: int) -> None:
    drawn = tree_picture(size, title="<log>", description="d")
    root = ET.fromstring(drawn)  # noqa: S314 - our own drawing
    places = [float(x) for path in root.iter("path") for x in re.findall(r"[MLH]([\d.]+)", path.attrib["d"])]
    assert all(0 <= place <= WIDTH for place in places)
    assert "style=" not in drawn


@given(st.lists(st.builds(PathStep, st.text("0123456789abcdef", min_size=8, max_size=8), st.booleans()), max_size=63))
def test_the_path_has_one_node_a_level(steps: list[PathStep]) -> None:
    root = ET.fromstring(path_picture(steps, leaf="<&>", root="ab", title="t", description="d"))  # noqa: S314 - ours
    classes = [circle.attrib["class"] for circle in root.iter("circle")]
    assert classes.count("path-neighbour") == classes.count("path-node") == len(steps)
    assert classes.count("tree-root") == 1


def test_an_empty_log_is_shown_and_says_that_it_is_empty(play: Play) -> None:
    async def story(house: House) -> None:
        page = await house.get("/log")
        assert page.status_code == 200
        assert "日志里还没有记录" in words(page)
        assert (await house.get("/log?entry=0")).status_code == 422
        assert (await house.get("/log/0")).status_code == 404

    play(story)


def test_the_log_shows_checkpoint_anchors_and_entries_and_nothing_personal(play: Play) -> None:
    async def story(house: House) -> None:
        await house.student_credential()
        page = await house.get("/log")
        said = words(page)
        note = await house.parts.ledger.checkpoint()
        checkpoint = verify_checkpoint(note, log=house.parts.ledger.identity)
        assert checkpoint.root_sm3.hex() in said
        assert "见证文件" in said
        assert 'href="/log/1"' in page.text
        assert 'class="tree-picture"' in page.text
        assert NAMES[STUDENT] not in page.text
        await house.parts.ledger.publish_now()
        assert (await house.get("/log/checkpoint")).content == note

    play(story)


def test_an_entry_is_shown_with_its_proof_and_its_receipt(play: Play) -> None:
    async def story(house: House) -> None:
        await house.student_credential()
        found = await house.get("/log?entry=1")
        assert (found.status_code, found.headers["location"]) == (303, "/log/1")
        page = await house.get("/log/1")
        assert "证明成立" in words(page)
        data = (await house.get("/log/1/receipt.json")).content
        verified = verify_receipt(Receipt.parse(data), trust=house.parts.log_trust)
        assert verified.index == 1
        assert f'data-root-sm3="{verified.checkpoint.root_sm3.hex()}"' in page.text
        assert f'data-root-sha256="{verified.checkpoint.root_sha256.hex()}"' in page.text

    play(story)


def test_a_number_that_is_no_entry_is_refused_at_its_field(play: Play) -> None:
    async def story(house: House) -> None:
        await house.student_credential()
        for typed in ("2", "-1", "abc", "9" * 16):
            page = await house.get(f"/log?entry={typed}")
            assert (page.status_code, 'id="entry-error"' in page.text) == (422, True), typed
            assert f'value="{typed}"' in page.text
        for path in ("/log/2", "/log/-1", "/log/abc", "/log/2/receipt.json"):
            assert (await house.get(path)).status_code == 404, path

    play(story)
