"""What is asked when somebody scrapes: whether each store answers, and how far the log and its anchors are.

Each store is asked one or a few short questions, all at once, and none is waited for beyond `WAIT_S`: a scrape answers
while stores are down, and says so. One that has not come back from the last question is not asked another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from adapters.observe import metrics
from adapters.observe.counting import Reading
from adapters.parts import Parts
from adapters.sql.ledger_figures import ChainFigures
from ledger.anchor import verify_evidence
from ledger.checkpoint import parse_checkpoint_text, verify_checkpoint
from ledger.errors import AnchorForked
from ledger.layout import CheckpointPath
from ledger.note import parse_note

WAIT_S: Final = 2.0
"""Prometheus gives up after 10 s unless told otherwise."""

Answer = TypeVar("Answer")


class Probe(Generic[Answer]):
    """One question to one store; at most one of it is under way."""

    def __init__(self, ask: Callable[[], Awaitable[Answer]]) -> None:
        self._ask = ask
        self._under_way: asyncio.Future[Answer] | None = None

    async def answer(self) -> Answer | None:
        """Return the answer; None where the store refuses, or does not answer in time."""
        if self._under_way is not None and not self._under_way.done():
            return None
        self._under_way = asyncio.ensure_future(self._ask())
        self._under_way.add_done_callback(_outcome)
        await asyncio.wait({self._under_way}, timeout=WAIT_S)
        return _outcome(self._under_way) if self._under_way.done() else None

    def close(self) -> None:
        """Wait for nothing any more."""
        if self._under_way is not None:
            self._under_way.cancel()


def _outcome(asked: asyncio.Future[Answer]) -> Answer | None:
    """Return an answer that is there; whatever was raised instead has been heard, and is none."""
    return None if asked.cancelled() or asked.exception() is not None else asked.result()


@dataclass(frozen=True, slots=True)
class _Log:
    """What the log's database and files said: figures, whether the files hold more, which chains hold another history."""

    readings: list[Reading]
    behind: bool
    forked: frozenset[str]


class Probes:
    """Asks the stores of one process. For one event loop."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="metrics")
        self._log = Probe(self._read_log)
        self._audit = Probe(parts.audit.head)
        self._stores: dict[str, Probe[object]] = {
            "idp": Probe(lambda: parts.idp_database.fetch_one("SELECT 1 AS one")),
            "credentials": Probe(lambda: parts.credentials_database.fetch_one("SELECT 1 AS one")),
        }
        if parts.redis is not None:
            self._stores["redis"] = Probe(parts.redis.epoch)

    def close(self) -> None:
        """Ask nothing more."""
        self._log.close()
        self._audit.close()
        for probe in self._stores.values():
            probe.close()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def read(self) -> list[Reading]:
        """Return what is known now."""
        parts = self._parts
        log, audit, answers = await asyncio.gather(
            self._log.answer(),
            self._audit.answer(),
            asyncio.gather(*(probe.answer() for probe in self._stores.values())),
        )
        up = dict(zip(self._stores, answers, strict=True)) | {"ledger": log, "audit": audit}
        readings = [Reading(metrics.STORE_UP, (store,), int(answer is not None)) for store, answer in up.items()]
        readings.append(Reading(metrics.AUDIT_WAITING, (), parts.audit.waiting))
        readings.append(Reading(metrics.LEDGER_WAITING, (), parts.ledger.waiting))
        if audit is not None:
            readings.append(Reading(metrics.AUDIT_EVENTS, (), audit.count))
        meter = parts.meters.ledger
        alarms = meter.alarms if log is None else meter.alarms | log.forked
        readings += [
            Reading(metrics.ANCHOR_ALARM, (chain.name,), int(chain.name in alarms))
            for chain in parts.ledger_figures.chains
        ]
        refuses = meter.refuses or (log is not None and log.behind)
        readings.append(Reading(metrics.LEDGER_REFUSES, (), int(refuses)))
        return readings if log is None else [*readings, *log.readings]

    def _read_log(self) -> asyncio.Future[_Log]:
        return asyncio.get_running_loop().run_in_executor(self._thread, self._read_log_now)

    def _read_log_now(self) -> _Log:
        # The files before the database: an append in between makes them look behind, never ahead.
        note = self._parts.log_folder.read(CheckpointPath())
        figures = self._parts.ledger_figures.read()
        readings = [
            Reading(metrics.LEDGER_ENTRIES, (), figures.size),
            Reading(metrics.LEDGER_CHECKPOINT, (), self._signed_at(figures.note)),
        ]
        lag = 0
        if note is not None:
            lag = figures.size - parse_checkpoint_text(parse_note(note).text).size
            readings.append(Reading(metrics.LEDGER_PUBLICATION_LAG, (), lag))
        for chain, found in figures.chains.items():
            readings += self._of_a_chain(chain, found)
        forked = {chain for chain, found in figures.chains.items() if found.error == AnchorForked.code}
        return _Log(readings, behind=lag < 0, forked=frozenset(forked))

    def _of_a_chain(self, chain: str, found: ChainFigures) -> Iterator[Reading]:
        if found.newest is not None:
            size, statement = found.newest
            evidence = verify_evidence(statement, witnesses=self._parts.log_trust.anchor_witnesses)
            yield Reading(metrics.ANCHOR_ENTRIES, (chain,), size)
            yield Reading(metrics.ANCHOR_TIME, (chain,), evidence.time)
        if found.waiting is not None:
            yield Reading(metrics.ANCHOR_WAITING, (chain,), self._signed_at(found.waiting))
        yield Reading(metrics.ANCHOR_ATTEMPTS, (chain,), found.attempts)
        yield Reading(metrics.ANCHOR_TRANSACTIONS, (chain,), len(found.sent_at))
        if found.sent_at:
            yield Reading(metrics.ANCHOR_STUCK, (chain,), min(found.sent_at))

    def _signed_at(self, note: bytes) -> int:
        return verify_checkpoint(note, log=self._parts.ledger.identity).time
