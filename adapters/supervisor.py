"""Several server processes on one port, sharing nothing but the stores: this process starts them and watches.

It is forked into workers before anything is opened (no database, no thread, no event loop), so that the workers share
the memory of the code and nothing else. Each binds the address with SO_REUSEPORT and listens once it can answer; the
kernel gives every new connection to one of those that listen, so a worker that dies takes only its own connections with
it. The first worker starts alone: it makes the keys and brings in what an operator stated; the others find it there.

A worker that ends by itself is started again, at once the first time and later with growing pauses. When this process is
told to stop it tells all of them and waits; when it dies, the workers see its end of a pipe close, and stop.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, NoReturn

from adapters.observe.log import Scalar

STOP_S: Final = 15.0
"""From the request to stop until a worker is killed: answers under way have 5 s, the databases the rest."""

START_S: Final = 120.0
"""A worker that does not answer by then never will: opening keys and checking the log takes a second or two."""

RESTART_PAUSES_S: Final = (0.0, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Before a worker is started again, by how often it ended soon after its start; the last one from then on."""

SETTLED_S: Final = 60.0
"""A worker that lived so long begins a new count."""

LogEvent = Callable[[str, Mapping[str, Scalar | list[str]]], None]


@dataclass(frozen=True, slots=True)
class Place:
    """A worker's own place. The first (`number` 0) also does the work that one process must do."""

    number: int
    supervisor_fd: int
    """Reads nothing, and its end once the supervisor is gone."""
    _ready_fd: int

    @property
    def first(self) -> bool:
        """Whether this worker does the background work."""
        return self.number == 0

    def ready(self) -> None:
        """Tell the supervisor that this worker answers."""
        os.write(self._ready_fd, b"R")


Serve = Callable[[Place], None]
"""What a worker does until it is told to stop, in a process of its own. An exception ends it with an exit code."""


@dataclass(slots=True)
class _Worker:
    number: int
    pid: int = 0
    ready_fd: int = -1
    ready: bool = False
    started_at: float = 0.0
    soon_ended: int = 0
    start_at: float | None = field(default=None)
    """When it is due to be started again; None while it runs."""


class WorkersFailed(Exception):
    """The workers could not be started; the text is one sentence for the operator."""


def reserve(host: str, port: int) -> socket.socket:
    """Bind an address for this user's workers without listening, so that nobody else takes it while they start.

    Raises `OSError` where somebody listens there already.
    """
    with _bound(host, port, shared=False):
        pass  # an address that somebody else already shares would be shared with them
    return _bound(host, port, shared=True)


def workers_socket(host: str, port: int) -> socket.socket:
    """Return a worker's own socket on the shared address, not yet listening. Raises `OSError`."""
    return _bound(host, port, shared=True)


def _bound(host: str, port: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family is socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made


class Supervisor:
    """Runs `count` workers until it is told to stop."""

    def __init__(self, count: int, serve: Serve, *, log: LogEvent) -> None:
        self._serve = serve
        self._log = log
        self._workers = [_Worker(number) for number in range(count)]
        self._stopping = False
        self._waiting = selectors.DefaultSelector()
        self._alive_fd, self._lifeline_fd = os.pipe()

    def run(self, when_ready: Callable[[], None]) -> None:
        """Start all, call `when_ready` once every one of them answers, watch until SIGTERM or SIGINT, stop all.

        Raises `WorkersFailed` when they cannot be started, or when one had to be killed at the end.
        """
        gc.collect()
        gc.freeze()  # what is loaded now is left alone by the workers' collectors, and so stays shared
        with self._signals():
            try:
                self._start_all()
                if not self._stopping:
                    when_ready()
                while not self._stopping:
                    self._watch()
            finally:
                killed = self._stop_all()
        if killed:
            raise WorkersFailed(f"{killed} of the workers did not stop in time and had to be killed.")

    def _start_all(self) -> None:
        first, *others = self._workers
        for group in ([first], others):
            for worker in group:
                self._start(worker)
            deadline = time.monotonic() + START_S
            while not self._stopping and not all(worker.ready for worker in group):
                self._wait(deadline - time.monotonic())
                if any(self._ended(worker) for worker in group) or time.monotonic() > deadline:
                    raise WorkersFailed("A worker could not be started; what it said stands above.")

    def _watch(self) -> None:
        """Wait for something to happen and put things right."""
        now = time.monotonic()
        due = [worker.start_at for worker in self._workers if worker.start_at is not None]
        self._wait(min(due, default=now + SETTLED_S) - now)
        for worker in self._workers:
            self._notice_end(worker)
            if worker.start_at is not None and worker.start_at <= time.monotonic() and not self._stopping:
                self._start(worker)

    def _notice_end(self, worker: _Worker) -> None:
        late = not worker.ready and worker.pid and time.monotonic() - worker.started_at > START_S
        if late:
            os.kill(worker.pid, signal.SIGKILL)
        status = self._ended(worker)
        if status is None:
            return
        lived = time.monotonic() - worker.started_at
        worker.soon_ended = 0 if lived >= SETTLED_S else worker.soon_ended
        pause = RESTART_PAUSES_S[min(worker.soon_ended, len(RESTART_PAUSES_S) - 1)]
        worker.soon_ended += 1
        worker.start_at = time.monotonic() + pause
        fields: dict[str, Scalar | list[str]] = {"worker": worker.number, "lived_s": int(lived), "again_in_s": pause}
        self._log("supervisor.worker_ended", {**fields, "ended_with": _how(status)})

    def _start(self, worker: _Worker) -> None:
        ready_fd, told_fd = os.pipe()
        worker.started_at, worker.start_at, worker.ready = time.monotonic(), None, False
        pid = os.fork()
        if pid == 0:
            os.close(ready_fd)
            self._become(Place(worker.number, self._alive_fd, told_fd))
        os.close(told_fd)
        worker.pid, worker.ready_fd = pid, ready_fd
        self._waiting.register(ready_fd, selectors.EVENT_READ, worker)
        self._log("supervisor.worker_started", {"worker": worker.number, "pid": pid})

    def _become(self, place: Place) -> NoReturn:
        """Be a worker, in the new process; never come back to what the supervisor had in hand."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            self._waiting.close()
            os.close(self._lifeline_fd)
            self._serve(place)
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        except BaseException:  # noqa: BLE001  # it has nowhere else to go
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _wait(self, seconds: float) -> None:
        """Wait for a signal, for a worker that says it is ready, or for the time to pass."""
        for key, _ in self._waiting.select(max(0.0, seconds)):
            worker = key.data
            if worker is None:
                os.read(key.fd, 4096)
                continue
            worker.ready = os.read(key.fd, 1) == b"R"
            # Either way there is nothing more to hear: an end without a word is seen by its exit status.
            self._waiting.unregister(key.fd)
            os.close(key.fd)
            worker.ready_fd = -1

    def _ended(self, worker: _Worker) -> int | None:
        """Return how a worker ended, once; None while it runs."""
        if not worker.pid:
            return None
        pid, status = os.waitpid(worker.pid, os.WNOHANG)
        if pid == 0:
            return None
        worker.pid, worker.ready = 0, False
        return status

    def _stop_all(self) -> int:
        """Tell all to stop, wait for them, kill what is left; return how many were killed."""
        for worker in self._workers:
            if worker.pid:
                os.kill(worker.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        while any(worker.pid for worker in self._workers) and time.monotonic() < deadline:
            for worker in self._workers:
                self._ended(worker)
            self._wait(0.05)
        left = [worker for worker in self._workers if worker.pid]
        for worker in left:
            os.kill(worker.pid, signal.SIGKILL)
            os.waitpid(worker.pid, 0)
            worker.pid = 0
        os.close(self._lifeline_fd)
        os.close(self._alive_fd)
        return len(left)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Let signals wake the waiting; SIGTERM and SIGINT ask to stop."""
        woken_fd, wake_fd = os.pipe()
        os.set_blocking(wake_fd, False)
        os.set_blocking(woken_fd, False)

        def stop(_number: int, _frame: object) -> None:
            self._stopping = True

        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        old_fd = signal.set_wakeup_fd(wake_fd)
        self._waiting.register(woken_fd, selectors.EVENT_READ, None)
        try:
            yield
        finally:
            signal.set_wakeup_fd(old_fd)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._waiting.close()
            os.close(woken_fd)
            os.close(wake_fd)


def _how(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
