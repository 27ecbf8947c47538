"""A system call that fails, or at which the process is killed: at every one of opening the log and appending to it (G14)."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.sql.ledger_engine import LedgerDatabase
from adapters.sql.ledger_open import open_ledger_database
from adapters.sql.ledger_sqlite import WAL_PAGES
from adapters.sql.ledger_store import SqlLedgerStore
from adapters.sql.targets import SqliteTarget, target_of
from ledger.checkpoint import LogIdentity
from ledger.fsck import fsck
from ledger.receipt import LogTrust
from tests.ledger.parts import ORIGIN, Keys, entries, entry
from tests.ledger.simulation.faults import Disk
from tests.ledger.writer_process import AT_GATE, POOL, Writers, open_log, writers
from tests.services.tables import make_tables
from tests.soak import Count

FILE_CALLS = ("openat", "pread64", "pwrite64", "write", "ftruncate", "fsync", "fdatasync", "rename", "unlink")
SOCKET_CALLS = ("socket", "connect", "read", "write", "writev", "sendto", "sendmsg", "recvfrom", "recvmsg")
FILE_FAULTS = ("error=EIO", "error=ENOSPC", "error=ENOSPC+", "signal=SIGKILL")
"""With a plus: from that call on, as a full disk is."""
SOCKET_FAULTS = ("error=EIO", "error=ECONNRESET", "error=ECONNRESET+", "signal=SIGKILL")
SEED = 14
# A WAL of so many pages is written back to the database at the next commit; a pool adds about twenty.
PAGES_BEFORE = WAL_PAGES - 15
WAL_FRAME = 4096 + 24
FIRST = 1_000_000
# SQLite file format, 4.1: the header of a WAL is its first 32 bytes, written when it begins and begins anew.
_WAL_HEADER = re.compile(r"pwrite64\(\d+, .*, 32, 0\) = 32$", re.MULTILINE)
_CALL = re.compile(r"^\d+ +(\w+)\(", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Case:
    """One fault at one call: the `number`th of its name."""

    call: str
    number: int
    fault: str

    @property
    def injected(self) -> str:
        """Return it as strace wants it."""
        return f"inject={self.call}:{self.fault.rstrip('+')}:when={self.number}{'+' if '+' in self.fault else ''}"


def _strace() -> str:
    found = shutil.which("strace")
    if found is None:
        pytest.fail("strace is not installed (Debian: apt-get install strace)", pytrace=False)
    return found


@dataclass
class Bench:
    """A folder with a gate, and the process that forks those who go through it."""

    folder: Path
    forking: Writers

    def run(self, url: str, origin: str, first: int, *options: str) -> tuple[list[str], str]:
        """Let a process append two pools under strace; return what it was told and the calls it made."""
        gate, said, trace = self.folder / "gate", self.folder / "said", self.folder / "trace"
        gate.unlink(missing_ok=True)
        os.mkfifo(gate)
        opened = os.open(gate, os.O_RDWR)  # both ways, so that this never waits for the other side
        pid = self.forking.start_twice(url, origin, first, gate, said)
        while not said.read_bytes()[AT_GATE]:
            time.sleep(0.001)
        watching = [_strace(), "-f", "-p", str(pid), "-o", str(trace), *options]
        with subprocess.Popen(watching, stderr=subprocess.PIPE, text=True) as strace:
            assert strace.stderr is not None
            said_first: list[str] = []
            while not said_first or (said_first[-1] and "attached" not in said_first[-1]):
                said_first.append(strace.stderr.readline())
            assert said_first[-1], f"strace cannot watch another process here: {''.join(said_first)}"
            os.write(opened, b"\n")
            self.forking.wait(pid)
            strace.communicate()
        os.close(opened)
        return said.read_bytes()[:AT_GATE].rstrip(b"\0").decode().splitlines(), trace.read_text(
            "utf-8", errors="replace"
        )


@pytest.fixture
def bench(keys: Keys, tmp_path: Path) -> Iterator[Bench]:
    with writers(keys.sm2) as forking:
        yield Bench(tmp_path, forking)


@pytest.mark.soak
def test_on_sqlite_a_fault_at_any_call_loses_and_doubles_nothing(bench: Bench, keys: Keys, tmp_path: Path) -> None:
    """The WAL is nearly full: opening recovers it, the first append writes it back, the second begins it anew."""
    disk, size = _nearly_full(tmp_path / "before", keys)

    def deployed() -> str:
        shutil.rmtree(tmp_path / "log", ignore_errors=True)
        (tmp_path / "log").mkdir()
        disk.put(_file(tmp_path / "log"))
        return f"sqlite:///{tmp_path / 'log'}"

    told, trace = bench.run(deployed(), ORIGIN, FIRST, f"-etrace={','.join(FILE_CALLS)}")
    assert len(told) == 2 * POOL
    assert f"{_file(tmp_path / 'log')}-wal" in trace
    assert _WAL_HEADER.search(trace), "the WAL was not begun anew"
    calls = Counter(_CALL.findall(trace))
    assert {"openat", "pread64", "pwrite64", "fdatasync"} <= calls.keys()
    cases = _cases(calls, FILE_FAULTS)
    count = Count("G14", "syscalls-sqlite", "0 lost, 0 doubled, fsck clean", SEED, sample=40, full=len(cases))
    for trial in count.trials():
        case, url = cases[trial], deployed()
        told, _ = bench.run(url, ORIGIN, FIRST, f"-etrace={case.call}", f"-e{case.injected}")
        with _opened(url) as database:
            _require_whole(case, database, ORIGIN, told, size, keys)
        _tally(count, told)


@pytest.mark.soak
def test_on_postgresql_a_fault_at_any_call_loses_and_doubles_nothing(
    bench: Bench, keys: Keys, postgres_url: str
) -> None:
    make_tables(postgres_url, "ledger")
    with _opened(postgres_url) as database:

        def deployed(trial: int) -> str:
            origin = f"{ORIGIN}/{trial}"
            open_log(database, origin, keys.sm2).append(entries(0, POOL))
            return origin

        told, trace = bench.run(postgres_url, deployed(-1), FIRST, f"-etrace={','.join(SOCKET_CALLS)}")
        assert len(told) == 2 * POOL
        # Answers come in more or fewer pieces each time: a few calls more than were counted.
        calls = Counter({call: times + 3 for call, times in Counter(_CALL.findall(trace)).items()})
        cases = _cases(calls, SOCKET_FAULTS)
        count = Count("G14", "syscalls-postgresql", "0 lost, 0 doubled, fsck clean", SEED, sample=24, full=len(cases))
        for trial in count.trials():
            case, origin = cases[trial], deployed(trial)
            told, _ = bench.run(postgres_url, origin, FIRST, f"-etrace={case.call}", f"-e{case.injected}")
            _require_whole(case, database, origin, told, POOL, keys)
            _tally(count, told)


def _cases(calls: Counter[str], faults: tuple[str, ...]) -> list[Case]:
    """Return every fault at every call: in a seeded order, each kind of call in turn, so that the first few sample them all."""
    rng, ordered = random.Random(SEED), list[tuple[float, Case]]()
    for call, times in sorted(calls.items()):
        cases = [Case(call, at, fault) for at in range(1, times + 1) for fault in faults]
        rng.shuffle(cases)
        ordered += [(turn + rng.random(), case) for turn, case in enumerate(cases)]
    return [case for _, case in sorted(ordered, key=lambda one: one[0])]


def _require_whole(case: Case, database: LedgerDatabase, origin: str, told: list[str], size: int, keys: Keys) -> None:
    """Hold the log, as the next process finds it, to what was told; ask again for both pools."""
    refusals = [line for line in told if line.startswith("refused")]
    assert all("ledger.errors:LedgerError" in line or case.call == "openat" for line in refusals), (case, refusals)
    acknowledged = {
        int(number): int(index) for number, index in (line.split() for line in told if line not in refusals)
    }
    store = SqlLedgerStore(database, origin)
    trust = LogTrust({origin: LogIdentity(origin, keys.sm2.public, None)}, {})
    for _ in range(2):
        report = fsck(store, trust)
        assert report.findings == (), case
        held = store.entries(0, report.size)
        assert list(held[:size]) == entries(0, size), case
        there = dict(enumerate(held))
        lost = [number for number, index in acknowledged.items() if there.get(index) != entry(number)]
        assert not lost, case
        assert len({one.body for one in held}) == len(held), case
        places = open_log(database, origin, keys.sm2).append(entries(FIRST, FIRST + 2 * POOL))
        assert all(acknowledged.get(number, place.index) == place.index for number, place in enumerate(places, FIRST))
    assert fsck(store, trust).size == size + 2 * POOL, case


def _tally(count: Count, told: list[str]) -> None:
    lines = [line for line in told if not line.startswith("refused")]
    how = "acknowledged both" if len(lines) == 2 * POOL else "acknowledged one" if lines else "acknowledged none"
    count.figures[how] = count.figures.get(how, 0) + 1


def _nearly_full(folder: Path, keys: Keys) -> tuple[Disk, int]:
    """Return the files of a log whose WAL is about to be written back, as a process that was killed leaves them."""
    folder.mkdir()
    url, size = f"sqlite:///{folder}", 0
    make_tables(url, "ledger")
    path = _file(folder)
    with _opened(url) as database:
        sequencer = open_log(database, ORIGIN, keys.sm2)
        while path.with_name(path.name + "-wal").stat().st_size < PAGES_BEFORE * WAL_FRAME:
            sequencer.append(entries(size, size + POOL))
            size += POOL
        return Disk.of(path), size


def _file(folder: Path) -> Path:
    target = target_of("ledger", f"sqlite:///{folder}")
    assert isinstance(target, SqliteTarget)
    return target.path


@contextmanager
def _opened(url: str) -> Iterator[LedgerDatabase]:
    database = open_ledger_database(url)
    try:
        yield database
    finally:
        database.close()
