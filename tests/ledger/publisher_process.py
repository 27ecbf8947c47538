"""A process that publishes a log and waits to be killed: database URL, folder, and the log.json of the log."""

from __future__ import annotations

import sys
from pathlib import Path

from adapters.publication import LogFolder, Publisher
from adapters.sql.ledger_open import open_ledger_database
from adapters.sql.ledger_store import SqlLedgerStore
from ledger.publication_document import LogDocument


def publish(url: str, root: str, keys: str) -> None:
    document = LogDocument.parse(Path(keys).read_bytes())
    store = SqlLedgerStore(open_ledger_database(url), document.identity.origin)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    Publisher(store, LogFolder(Path(root)), document).catch_up()
    sys.stdin.read()


if __name__ == "__main__":
    publish(*sys.argv[1:])
