"""Reading Wycheproof files and counting what came of them.

A file's `valid` cases must be accepted, or refused for a reason named here; its `invalid` cases must be refused; what it
calls `acceptable` is counted either way. A flaw of the file itself is named by its case.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.vectors_dir import shared

Case = Mapping[str, Any]


class Outcome(NamedTuple):
    """What our own entry point did with a case. `excuse` says why it refuses what the file calls valid."""

    case: Case
    accepted: bool
    excuse: str | None = None


@dataclass(frozen=True)
class Tally:
    """How many cases of a file ended how."""

    valid: int = 0
    invalid: int = 0
    acceptable_accepted: int = 0
    acceptable_refused: int = 0
    refused_on_purpose: Mapping[str, int] = field(default_factory=dict)
    flaws_of_the_file: frozenset[int] = frozenset()

    @property
    def total(self) -> int:
        return (
            self.valid
            + self.invalid
            + self.acceptable_accepted
            + self.acceptable_refused
            + sum(self.refused_on_purpose.values())
            + len(self.flaws_of_the_file)
        )


def groups(name: str) -> list[dict[str, Any]]:
    document: dict[str, Any] = json.loads(shared(f"vectors/wycheproof/{name}").read_text())
    loaded: list[dict[str, Any]] = document["testGroups"]
    return loaded


def cases(name: str) -> Iterator[tuple[dict[str, Any], Case]]:
    for group in groups(name):
        for case in group["tests"]:
            yield group, case


def tally(outcomes: Iterator[Outcome], *, flaws: Mapping[int, str]) -> Tally:
    """Count, and stop at the first case that ends as it must not."""
    counted: Counter[str] = Counter()
    excuses: Counter[str] = Counter()
    flawed: set[int] = set()
    for case, accepted, excuse in outcomes:
        number, result = int(case["tcId"]), str(case["result"])
        if number in flaws:
            # What the file says of this case is wrong; we do the opposite.
            assert accepted == (result == "invalid"), (number, flaws[number])
            flawed.add(number)
        elif result == "acceptable":
            counted["accepted" if accepted else "refused"] += 1
        elif result == "valid" and not accepted:
            assert excuse is not None, (number, case["comment"])
            excuses[excuse] += 1
        else:
            assert accepted == (result == "valid"), (number, case["comment"])
            counted[result] += 1
    return Tally(
        counted["valid"],
        counted["invalid"],
        counted["accepted"],
        counted["refused"],
        dict(excuses),
        frozenset(flawed),
    )
