"""What fsck asks of the anchors as a whole: that none is gone.

A statement proves itself, and a missing one says nothing. So each anchor has a number on its chain, and each chain its
count; and every file of an anchor that was ever published came from a row.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

from ledger.errors import EntryUnknown
from ledger.layout import AnchorPath, parse_path
from ledger.publication import LogFiles
from ledger.store import LedgerStore

Found = Callable[[str, str, str], None]
"""Takes a finding: what kind of row, which one, which rule."""


def check_numbers(store: LedgerStore, found: Found) -> None:
    """Hold the anchors' numbers to their chain's count: each from 1 on, none missing, none twice, none beyond."""
    counts = dict(store.anchor_counts())
    for chain, rows in groupby(store.scan_anchor_numbers(), key=lambda one: one.chain):
        count, last = counts.pop(chain, 0), 0
        for row in rows:
            if last < row.number <= count:
                _missing(found, chain, last + 1, row.number - 1)
                last = row.number
            else:
                found("anchor", f"{chain} {row.size}", "number")
        _missing(found, chain, last + 1, count)
    for chain, count in counts.items():
        _missing(found, chain, 1, count)


def _missing(found: Found, chain: str, first: int, last: int) -> None:
    """Name anchors that are gone; a run of them is one finding."""
    if first <= last:
        found("anchor", f"{chain} number {first}" if first == last else f"{chain} numbers {first} to {last}", "present")


def check_published_anchors(store: LedgerStore, files: LogFiles, found: Found) -> None:
    """Hold the published statements to the rows they came from. One that is not published yet is no finding."""
    head = store.head()
    size = -1 if head is None else head.size
    for name in files.names():
        try:
            path = parse_path(name)
        except EntryUnknown:
            continue
        if isinstance(path, AnchorPath) and path.size <= size:
            rows = [one.statement.encode() for one in store.anchors_at(path.size) if one.chain == path.chain]
            if not rows:
                found("anchor", f"{path.chain} {path.size}", "present")
            elif rows != [files.read(path)]:
                found("anchor", f"{path.chain} {path.size}", "published")
