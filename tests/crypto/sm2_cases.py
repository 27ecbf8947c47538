"""Our own SM2 cases: `sm2_cases.json`, made by `python -m tests.crypto.sm2_cases_make`, read here.

A case has an id, the line on how it was made, the function it concerns (kind), its inputs as bytes, and what must come
of it: `valid`, an output, or the code of the refusal and the argument it names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, TypeAlias

FILE: Final = Path(__file__).with_name("sm2_cases.json")
VALID: Final = "valid"
RUN: Final = re.compile(rb"(.)\1{99,}", re.DOTALL)

Written: TypeAlias = "str | dict[str, str | int] | Sequence[str | dict[str, str | int]]"


@dataclass(frozen=True, slots=True)
class Case:
    """One case. `result` is `valid`, or `code` or `code field` of the refusal; `out` is there where something comes out."""

    id: str
    kind: str
    how: str
    inputs: Mapping[str, bytes]
    result: str
    out: bytes | None

    def written(self) -> dict[str, Written]:
        """Return the case as it stands in the file."""
        members: dict[str, Written] = {"id": self.id, "kind": self.kind, "how": self.how}
        members |= {name: write(value) for name, value in self.inputs.items()}
        members["result"] = self.result
        return members if self.out is None else members | {"out": write(self.out)}


class Table:
    """Cases in the making."""

    def __init__(self) -> None:
        self.cases: dict[str, Case] = {}

    def add(self, kind: str, name: str, how: str, result: str | bytes, **inputs: bytes) -> None:
        """Add a case; bytes as its result are the output of a valid one."""
        identity = f"{kind}/{name}"
        assert identity not in self.cases, identity
        out = result if isinstance(result, bytes) else None
        verdict = result if isinstance(result, str) else VALID
        self.cases[identity] = Case(identity, kind, how, inputs, verdict, out)


def write(value: bytes) -> Written:
    """Return hexadecimal, with long runs of one byte written as the byte and a count."""
    pieces: list[str | dict[str, str | int]] = []
    at = 0
    for run in RUN.finditer(value):
        pieces += [value[at : run.start()].hex(), {"hex": run[1].hex(), "times": len(run[0])}]
        at = run.end()
    return value.hex() if not pieces else [piece for piece in (*pieces, value[at:].hex()) if piece]


def read(value: Written) -> bytes:
    if isinstance(value, str):
        return bytes.fromhex(value)
    if isinstance(value, dict):
        return bytes.fromhex(str(value["hex"])) * int(value["times"])
    return b"".join(map(read, value))


@cache
def cases() -> tuple[Case, ...]:
    """Return every case of the file."""
    loaded = []
    for member in json.loads(FILE.read_text(encoding="utf-8"))["cases"]:
        fixed = {name: member.pop(name) for name in ("id", "kind", "how", "result")}
        out = member.pop("out", None)
        inputs = {name: read(value) for name, value in member.items()}
        loaded.append(Case(**fixed, inputs=inputs, out=None if out is None else read(out)))
    return tuple(loaded)


def of_kind(kind: str) -> list[Case]:
    return [case for case in cases() if case.kind == kind]


def case_id(case: Case) -> str:
    return f"{case.id}: {case.how}"


Build: TypeAlias = Callable[[Table], None]
