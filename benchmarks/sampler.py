"""Runs the `edutrust` command and notes, some 250 times a second of CPU time, what its main thread is doing.

    python -m benchmarks.sampler OUT.json run --data-dir …

SIGUSR1 begins the sampling, SIGUSR2 ends it and writes the stacks with their counts to OUT.json. A sample costs microseconds and a
tracing profiler costs as much as the code it traces: the shares stay those of the undisturbed service.
"""

from __future__ import annotations

import json
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Final

from adapters.cli import main

EVERY_S: Final = 0.004
DEPTH_MAX: Final = 120

Stack = tuple[str, ...]
"""`file:function`, innermost first."""


class Sampler:
    """Counts the stacks it sees."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._seen: Counter[Stack] = Counter()
        self._names: dict[object, str] = {}

    def install(self) -> None:
        """Wait for the signals."""
        signal.signal(signal.SIGUSR1, self._begin)
        signal.signal(signal.SIGUSR2, self._end)
        signal.signal(signal.SIGPROF, self._sample)

    def _begin(self, _number: int, _frame: FrameType | None) -> None:
        self._seen.clear()
        signal.setitimer(signal.ITIMER_PROF, EVERY_S, EVERY_S)

    def _sample(self, _number: int, frame: FrameType | None) -> None:
        stack: list[str] = []
        while frame is not None and len(stack) < DEPTH_MAX:
            code = frame.f_code
            name = self._names.get(code)
            if name is None:
                name = self._names[code] = f"{code.co_filename}:{code.co_qualname}"
            stack.append(name)
            frame = frame.f_back
        self._seen[tuple(stack)] += 1

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        part = self._out.with_suffix(".part")
        part.write_text(json.dumps([[count, *stack] for stack, count in self._seen.items()]), "utf-8")
        part.rename(self._out)


if __name__ == "__main__":
    Sampler(Path(sys.argv[1])).install()
    sys.exit(main(sys.argv[2:]))
