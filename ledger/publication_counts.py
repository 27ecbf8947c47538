"""`counts`: how many notes and anchor statements a published log has, so that a file taken away is missed.

Entries, keys and tiles are all accounted for by the signed roots. Of notes and statements only some are kept, and nothing in
the others says which ones there were.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from ledger.errors import EntryUnknown, IntegrityBroken
from ledger.layout import AnchorPath, KeysDigestPath, LayoutPath, NotePath, parse_path, require_chain

NOTES: Final = "note"
# One line for each chain that ever anchored the log, and one for the notes.
MAX_LINES: Final = 64

_LINE: Final = re.compile(r"(note|anchor/[a-z0-9-]{1,24}) (0|[1-9][0-9]{0,18})\Z")


def counted(paths: Iterable[LayoutPath | str]) -> Counter[str]:
    """Count the paths that `counts` has a line for, under the line's name."""
    counts: Counter[str] = Counter()
    for one in paths:
        path = _path(one) if isinstance(one, str) else one
        if isinstance(path, NotePath | KeysDigestPath):
            counts[NOTES] += 1
        elif isinstance(path, AnchorPath):
            counts[str(path).rpartition("/")[0]] += 1
    return counts


def _path(name: str) -> LayoutPath | None:
    try:
        return parse_path(name)
    except EntryUnknown:
        return None


def encode_counts(counts: Mapping[str, int]) -> bytes:
    """Return the file's one encoding: a name and its number a line, in the order of the names."""
    return "".join(f"{name} {counts[name]}\n" for name in sorted(counts)).encode()


def parse_counts(data: bytes) -> dict[str, int]:
    """Return the numbers by name. IntegrityBroken for anything but the encoding of some."""
    lines = data.decode("ascii", errors="replace").split("\n")
    matches = [_LINE.match(line) for line in lines[: MAX_LINES + 1]]
    counts = {match[1]: int(match[2]) for match in matches if match is not None}
    try:
        for name in counts:
            if name != NOTES:
                require_chain(name.removeprefix("anchor/").replace("-", ":"))
    except EntryUnknown:
        counts = {}
    if not counts or len(counts) > MAX_LINES or encode_counts(counts) != data:
        raise IntegrityBroken(field="counts", rule="form")
    return counts
