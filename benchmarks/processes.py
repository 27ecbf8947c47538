"""Processes that are measured: pinned to a core, waited for until they say READY, their CPU time and memory from /proc."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

STOP_S: Final = 30
PRIORITY: Final = -15
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class NotStarted(Exception):
    """A process ended, or said something else, before it was ready."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A running process and whatever it started."""

    pid: int

    def pids(self) -> list[int]:
        """Return the process and its descendants."""
        found, waiting = [], [self.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            for task in _listed(Path(f"/proc/{pid}/task")):
                text = _read(task / "children")
                waiting += [int(child) for child in text.split()]
        return found

    def cpu_s(self) -> float:
        """Return the CPU seconds all of them have used so far."""
        return sum(_cpu_s(pid) for pid in self.pids())

    def memory_mb(self) -> list[float]:
        """Return the proportional set size of each, in MB (10^6 bytes), largest first; pages shared count in parts."""
        return sorted((_pss_mb(pid) for pid in self.pids()), reverse=True)


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where."""

    server: int
    load: frozenset[int]

    @classmethod
    def here(cls) -> Cores:
        """Give the last core to the server and the others to the load; where there is one only, they share it."""
        available = sorted(os.sched_getaffinity(0))
        return cls(available[-1], frozenset(available[:-1] or available))


def _cpu_s(pid: int) -> float:
    # Nanoseconds on a CPU, thread by thread; where the kernel keeps none, its ticks.
    spent = [_read(task / "schedstat").split() for task in _listed(Path(f"/proc/{pid}/task"))]
    if spent and all(spent):
        return sum(int(fields[0]) for fields in spent) / 1e9
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS if fields else 0.0


def _pss_mb(pid: int) -> float:
    for line in _read(Path(f"/proc/{pid}/smaps_rollup")).splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def core_busy_s(core: int) -> float:
    """Return the seconds a core has been busy so far, whoever used it."""
    for line in _read(Path("/proc/stat")).splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _wait, irq, softirq, *_ = (int(field) for field in fields)
            return (user + nice + system + irq + softirq) / _TICKS
    return 0.0


def thread_cpu_s(pid: int) -> dict[str, float]:
    """Return the CPU seconds of a process: its main thread, and each other one by its number."""
    spent: dict[str, float] = {}
    for task in _listed(Path(f"/proc/{pid}/task")):
        fields = _read(task / "schedstat").split()
        if fields:
            spent["main thread" if task.name == str(pid) else f"thread {task.name}"] = int(fields[0]) / 1e9
    return spent


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError:  # it ended in between
        return ""


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


@contextmanager
def first_in_line() -> Iterator[None]:
    """Raise this process's priority while the block lasts, where the user may: others then blur the figures less."""
    _raise_group("self")
    try:
        yield
    finally:
        _raise_group("self", 0)


def _raise_group(pid: int | str, nice: int = PRIORITY) -> None:
    # Linux shares a core by session first (sched(7), autogroup): the niceness of a process counts within it only.
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(nice), "ascii")


@contextmanager
def running(
    command: Sequence[str], *, cores: frozenset[int], environment: Mapping[str, str], log: Path
) -> Iterator[Measured]:
    """Start a process on some cores; yield it once it has printed READY; stop it.

    Raises `NotStarted` with what it wrote, also when it does not end in order.
    """

    def pin() -> None:
        os.sched_setaffinity(0, cores)

    with log.open("ab") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
            preexec_fn=pin,  # noqa: PLW1509  # only this thread runs
            start_new_session=True,  # a scheduling group of its own
        )
    _raise_group(process.pid)
    try:
        line = b"" if process.stdout is None else process.stdout.readline()
        if not line.startswith(b"READY"):
            raise NotStarted(f"{command[0]} said {line!r}\n{log.read_text('utf-8', 'replace')[-2000:]}")
        yield Measured(process.pid)
    finally:
        process.terminate()
        try:
            process.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
