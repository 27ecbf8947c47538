"""The names of a published log's files: one for each place, and nothing else is a name."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import EntryUnknown
from ledger.layout import (
    AnchorPath,
    BundlePath,
    CheckpointPath,
    DocumentPath,
    KeysDigestPath,
    KeysPath,
    LayoutPath,
    NotePath,
    TilePath,
    parse_path,
    require_chain,
)
from ledger.merkle import MAX_TREE_SIZE, HashAlg
from ledger.tiles import TileId

SIZES = st.integers(0, MAX_TREE_SIZE)
WIDTHS = st.integers(1, 256)
CHAINS = st.one_of(st.just("file"), st.integers(1, 10**18).map("evm:{}".format))


@st.composite
def tile_paths(draw: st.DrawFn) -> TilePath:
    level = draw(st.integers(0, 7))
    hashes = MAX_TREE_SIZE >> (8 * level)
    index = draw(st.integers(0, (hashes - 1) >> 8))
    width = draw(st.integers(1, min(256, hashes - 256 * index)))
    return TilePath(TileId(draw(st.sampled_from(HashAlg)), level, index), width)


INDICES = st.integers(0, (MAX_TREE_SIZE >> 8) - 1)
PATHS: st.SearchStrategy[LayoutPath] = st.one_of(
    tile_paths(),
    st.builds(BundlePath, INDICES, WIDTHS),
    st.builds(KeysPath, INDICES, WIDTHS),
    st.builds(NotePath, SIZES),
    st.builds(KeysDigestPath, SIZES),
    st.builds(AnchorPath, CHAINS, SIZES),
    st.just(CheckpointPath()),
    st.just(DocumentPath()),
)


@given(PATHS)
def test_every_place_has_a_name_that_leads_back_to_it(path: LayoutPath) -> None:
    name = str(path)
    assert parse_path(name) == path
    assert re.fullmatch(r"[a-z0-9./-]+", name)
    assert ".." not in name
    assert not name.startswith("/")


@given(PATHS, st.data())
def test_what_is_read_is_the_name_itself(path: LayoutPath, data: st.DataObject) -> None:
    """A changed, left out or added character gives another place under its own name, or none."""
    name = str(path)
    at = data.draw(st.integers(0, len(name)))
    instead = data.draw(st.text(alphabet="0123456789xp./-%\\\n \x00é:", max_size=3))
    taken = data.draw(st.integers(0, 3))
    bent = name[:at] + instead + name[at + taken :]
    try:
        found = parse_path(bent)
    except EntryUnknown:
        return
    assert str(found) == bent


@given(st.text(max_size=60))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    try:
        found = parse_path(text)
    except EntryUnknown:
        return
    assert str(found) == text


def test_names_are_those_of_the_specification() -> None:
    def tile(level: int, index: int, width: int, alg: HashAlg = HashAlg.SHA256) -> str:
        return str(TilePath(TileId(alg, level, index), width))

    assert tile(0, 1234067, 256) == "tile/0/x001/x234/067"
    assert tile(2, 0, 1) == "tile/2/000.p/1"
    assert tile(1, 999, 256, HashAlg.SM3) == "sm3/tile/1/999"
    assert tile(1, 1000, 17, HashAlg.SM3) == "sm3/tile/1/x001/000.p/17"
    assert str(BundlePath(273, 112)) == "tile/entries/273.p/112"
    assert str(AnchorPath("evm:31337", 12)) == "anchor/evm-31337/12"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/checkpoint",
        "checkpoint/",
        "Checkpoint",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/00/000",
        "tile/8/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/x000/001",
        "tile/0/001/001",
        "tile/0/x001/x234",
        "tile/0/X001/234",
        "tile/0/000.p",
        "tile/0/000.p/",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/1/",
        "tile/0/x001.p/000",
        "tile/0/٠٠٠",
        "tile/0/000\n",
        "tile/entries/0",
        "tile/entries/000.p/300",
        "tile/0/../0/000",
        "tile/0//000",
        "sm3/checkpoint",
        "sm3/tile/entries/000",
        "keys/",
        "note/01",
        "note/+1",
        "note/1.key",
        "note/.keys",
        "note/9223372036854775809",
        "anchor/evm-0/1",
        "anchor/evm-01/1",
        "anchor/evm:1/1",
        "anchor/other/1",
        "anchor/file/",
        "log.json ",
        ".new/1",
        "tile/7/x036/x028/x797/x018/964",
        "tile/7/128",
        "x" * 97,
    ],
)
def test_every_other_form_is_refused(name: str) -> None:
    with pytest.raises(EntryUnknown):
        parse_path(name)


def test_a_chain_without_a_folder_is_refused() -> None:
    require_chain("file")
    require_chain("evm:1")
    for chain in ("evm-1", "evm:0", "elsewhere", ""):
        with pytest.raises(EntryUnknown):
            require_chain(chain)
