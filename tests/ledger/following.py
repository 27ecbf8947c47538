"""Published logs for the tests of those who follow one: written by the real sequencer, served over real HTTP."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from adapters.publication import LogFolder, Publisher
from adapters.sql.ledger_open import open_ledger_database
from adapters.sql.ledger_store import SqlLedgerStore
from ledger.entry import Entry
from ledger.layout import TilePath
from ledger.merkle import HashAlg
from ledger.publication import NOTE_EVERY_S
from ledger.publication_document import LogDocument
from ledger.sequencer import MAX_POOL_ENTRIES, Sequencer
from ledger.tiles import TileId, TileTree
from tests.ledger.parts import ORIGIN, Keys, entries
from tests.services.clock import StillClock
from tests.services.tables import make_tables


class PublishedLog:
    """A log in a database of its own, and the folder it is published to. Two of them with the same keys are a fork."""

    def __init__(self, folder: Path, keys: Keys, clock: StillClock) -> None:
        folder.mkdir()
        url = f"sqlite:///{folder}"
        make_tables(url, "ledger")
        self.clock = clock
        self.folder = folder / "log"
        self.document = LogDocument(keys.identity, {keys.witness.kid: keys.witness.public})
        self._database = open_ledger_database(url)
        self._store = SqlLedgerStore(self._database, ORIGIN)
        self._sequencer = Sequencer(
            self._store,
            identity=keys.identity,
            sm2_key=keys.sm2,
            ed25519_key=keys.ed25519,
            clock=clock,
            anchor_chains=[],
        )
        self._sequencer.open()
        self._size = 0

    def grow(self, to: int, *, salt: str = "") -> bytes:
        """Append up to the size `to`, publish, return the newest note. Logs of another salt have other entries."""
        self.clock.advance(NOTE_EVERY_S)  # so that every note is kept
        for start in range(self._size, to, MAX_POOL_ENTRIES):
            some = entries(start, min(to, start + MAX_POOL_ENTRIES))
            self._sequencer.append([Entry(one.body + salt.encode(), one.idempotency_key) for one in some])
        self._size = to
        return self.publish()

    def sign_again(self, after_s: int) -> bytes:
        """Sign the same trees again, publish, return the newest note."""
        self._sequencer.refresh(after_s)
        return self.publish()

    def publish(self) -> bytes:
        """Publish what is new and return the published note."""
        Publisher(self._store, LogFolder(self.folder), self.document).catch_up()
        return self.path("checkpoint").read_bytes()

    def consistency(self, alg: HashAlg, old: int, new: int) -> tuple[bytes, ...]:
        """Return a consistency proof from the database's own tiles."""
        return TileTree(alg, self._store.tiles).consistency(old, new)

    def path(self, name: str) -> Path:
        """Return a published file."""
        return self.folder / name

    def tile(self, alg: HashAlg, level: int, index: int, width: int = 256) -> Path:
        """Return a published tile."""
        return self.path(str(TilePath(TileId(alg, level, index), width)))

    def close(self) -> None:
        """Close the database."""
        self._database.close()


def flip(path: Path, bit: int) -> None:
    """Flip one bit of a file."""
    data = bytearray(path.read_bytes())
    data[bit // 8 % len(data)] ^= 1 << bit % 8
    path.chmod(0o644)
    path.write_bytes(bytes(data))


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
        """Say nothing on the terminal."""


Answer = Callable[[SimpleHTTPRequestHandler], bool]
"""Answer a request in another way than with the file; False where the file shall be sent."""


@contextlib.contextmanager
def serving(folder: Path, answer: Answer = lambda _: False) -> Iterator[str]:
    """Serve a folder on a free port of this machine; return its address."""

    class Handler(_Quiet):
        def do_GET(self) -> None:
            """Answer the request."""
            if not answer(self):
                super().do_GET()

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
