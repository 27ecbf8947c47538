"""A few figures of one log for whoever watches it, all as of one moment and each found by an index.

The number of statements is fixed by the number of chains, and none of them walks a table that grows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from adapters.sql.ledger_engine import LedgerDatabase, Statements
from ledger.anchoring_transactions import OPEN_STATES
from ledger.errors import LedgerUnavailable

ANCHORS_LOOKED_AT: Final = 1024
"""Newest anchors of all chains among which a chain's newest is looked for: an hour and a half of one every five seconds."""

TRANSACTIONS_LOOKED_AT: Final = 64
"""Newest transactions of a key among which open ones are looked for: one is under way at a time, with its replacements."""


@dataclass(frozen=True, slots=True)
class WatchedChain:
    """A chain that is anchored on: its name, and the key whose transactions do it, where it takes transactions."""

    name: str
    submitter: str | None


@dataclass(frozen=True, slots=True)
class ChainFigures:
    """How far a chain is. `waiting`: the note of the oldest checkpoint that waits for it, None where none does.

    `newest`: size and statement of the newest anchor; `attempts` and `error` (a code) of the newest job.
    """

    newest: tuple[int, str] | None
    waiting: bytes | None
    attempts: int
    error: str
    sent_at: tuple[int, ...]
    """Of the open transactions."""


@dataclass(frozen=True, slots=True)
class LedgerFigures:
    """A log as of one moment: its head's size and note, and its chains by name."""

    size: int
    note: bytes
    chains: dict[str, ChainFigures]


class SqlLedgerFigures:
    """Reads the figures of the log `origin`. For one thread."""

    def __init__(self, database: LedgerDatabase, origin: str, chains: Sequence[WatchedChain]) -> None:
        self._database = database
        self._origin = origin
        self._chains = tuple(chains)
        # What was final once stays so; the next look starts behind it.
        self._newest: dict[str, tuple[int, str]] = {}

    @property
    def chains(self) -> Sequence[WatchedChain]:
        """The chains watched."""
        return self._chains

    def read(self) -> LedgerFigures:
        """Return the figures. Raises LedgerUnavailable."""
        with self._database.reading() as statements:
            rows = statements.fetch("SELECT id, size, note FROM log WHERE origin = $1", self._origin)
            if not rows:
                raise LedgerUnavailable(field="log", rule="created")
            log, size, note = rows[0]
            chains = {chain.name: self._chain(statements, log, chain) for chain in self._chains}
        return LedgerFigures(size, bytes(note), chains)

    def _chain(self, statements: Statements, log: int, chain: WatchedChain) -> ChainFigures:
        waiting = statements.fetch(
            "SELECT note FROM checkpoint WHERE log = $1 AND size ="
            " (SELECT min(size) FROM anchor_outbox WHERE log = $1 AND chain = $2)",
            log,
            chain.name,
        )
        job = statements.fetch(
            "SELECT attempts, last_error FROM anchor_outbox WHERE log = $1 AND chain = $2 ORDER BY size DESC LIMIT 1",
            log,
            chain.name,
        )
        attempts, error = job[0] if job else (0, "")
        return ChainFigures(
            newest=self._newest_of(statements, log, chain.name),
            waiting=bytes(waiting[0][0]) if waiting else None,
            attempts=attempts,
            error=error,
            sent_at=() if chain.submitter is None else _open(statements, chain.name, chain.submitter),
        )

    def _newest_of(self, statements: Statements, log: int, chain: str) -> tuple[int, str] | None:
        known = self._newest.get(chain)
        rows = statements.fetch(
            "SELECT size, statement FROM (SELECT size, chain, statement FROM anchor WHERE log = $1 AND size > $3"
            " ORDER BY size DESC LIMIT $4) AS newest WHERE chain = $2 ORDER BY size DESC LIMIT 1",
            log,
            chain,
            0 if known is None else known[0],
            ANCHORS_LOOKED_AT,
        )
        if rows:
            size, statement = rows[0]
            known = self._newest[chain] = (size, statement)
        return known


def _open(statements: Statements, chain: str, submitter: str) -> tuple[int, ...]:
    rows = statements.fetch(
        "SELECT state, sent_at FROM anchor_transaction WHERE chain = $1 AND submitter = $2"
        " ORDER BY nonce DESC LIMIT $3",
        chain,
        submitter,
        TRANSACTIONS_LOOKED_AT,
    )
    return tuple(sent_at for state, sent_at in rows if state in OPEN_STATES)
