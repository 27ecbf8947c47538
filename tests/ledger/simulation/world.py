"""Two writers over one database, clients who ask again, chains that come and go, a monitor; one seed moves them all."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from adapters.sql.ledger_store import SqlLedgerStore
from crypto.errors import TrustError
from ledger.anchoring import AnchorWorker
from ledger.errors import (
    AnchorForked,
    ClockWentBack,
    IdempotencyConflict,
    IntegrityBroken,
    LedgerError,
    LedgerUnavailable,
)
from ledger.reader import LedgerReader
from ledger.sequencer import Sequencer
from tests.ledger.parts import ORIGIN, Keys
from tests.ledger.simulation.chain import SimulatedChain
from tests.ledger.simulation.faults import (
    CALM,
    Disk,
    Fate,
    FaultyDatabase,
    PowerLost,
    ProcessEnded,
    Unwaiting,
    Weather,
)
from tests.ledger.simulation.keys import remembering
from tests.ledger.simulation.model import RECEIPTS, RECEIPTS_ON_THE_WAY, Model, PromiseBroken, entry, require

WRITERS = 2
CHAINS = ("file", "evm:7")
BEGIN = 1_782_864_000
REFRESH_S = 200
TRIES = 200
"""A writer that starts in bad weather and does not come up in so many tries never will."""
LINES = 30
BACKLOG = 60


class Writer:
    """One process: a sequencer, a reader and an anchor worker over connections and a clock of its own."""

    def __init__(self, world: World, number: int) -> None:
        self.fate = Fate(world.rng, CALM, lambda: world.turn_of_other(number))
        self.offset = 0
        self._world = world
        self._database: FaultyDatabase | None = None
        self._up = False

    def clock(self) -> int:
        """Return this process's time."""
        return self._world.now + self.offset

    @property
    def up(self) -> bool:
        """Whether it has come up and not ended since."""
        return self._up

    def stop(self) -> None:
        """Drop the connections, as the end of a process does."""
        self._up = False
        if self._database is not None:
            self._database.close()
            self._database = None

    def start(self) -> None:
        """Start as the service does; may end again on the way."""
        self.stop()
        keys, identity = self._world.keys, self._world.identity
        self._database = FaultyDatabase(self._world.path, self.fate)
        self.store = SqlLedgerStore(self._database, ORIGIN)
        self.sequencer = Sequencer(
            self.store,
            identity=identity,
            sm2_key=keys.sm2,
            ed25519_key=None,
            clock=self.clock,
            anchor_chains=CHAINS,
        )
        self.reader = LedgerReader(self.store, identity)
        self.worker = AnchorWorker(self.store, self.reader, identity, self.clock)
        self.sequencer.open()
        self._up = True


class World:
    """One run. Nothing in it depends on anything but the seed; signatures differ, and nothing looks at their bytes."""

    def __init__(self, seed: str, *, folder: Path, template: Path, keys: Keys) -> None:
        self.rng = random.Random(seed)
        self.keys = keys
        self.identity = replace(keys.identity, sm2=remembering(keys.sm2.public), ed25519=None)
        witnesses = {keys.witness.kid: remembering(keys.witness.public)}
        self.trust = replace(keys.trust, logs={ORIGIN: self.identity}, anchor_witnesses=witnesses)
        self.now = BEGIN
        self.model = Model(self.identity, self.trust)
        self.digest = hashlib.sha256()
        self.lines: deque[str] = deque(maxlen=LINES)
        self.counts: dict[str, int] = {}
        self._folder = folder
        self._generation = 0
        self._next = 0
        self._pending: list[list[int]] = []
        self._inside = False
        self.path = folder / "0.sqlite3"
        shutil.copy(template, self.path)
        self._weather = Weather(
            self.rng.choice((0.0, 0.001, 0.004)),
            self.rng.choice((0.0, 0.01, 0.05)),
            self.rng.choice((0.0, 0.02, 0.1)),
            self.rng.choice((0.0, 0.003)),
            self.rng.choice((0.0, 0.01, 0.03)),
        )
        self.chains = [
            SimulatedChain(chain, self.identity, witness=keys.witness, clock=lambda: self.now, rng=self.rng)
            for chain in CHAINS
        ]
        self.writers = [Writer(self, number) for number in range(WRITERS)]
        self._observe()
        self._steps = _weighted(
            (36, self._deliver),
            (8, self._deliver_known),
            (3, self._deliver_conflict),
            (1, self._deliver_many),
            (16, self._tick),
            (2, self._jump),
            (12, self._anchor),
            (3, self._chain_changes),
            (6, self._receipts),
            (12, self._look),
            (2, self._refresh),
            (1, self._restart),
        )

    def begin(self) -> None:
        """Start the writers over an empty database, in whatever weather there is."""
        for writer in self.writers:
            self._come_up(writer)

    def close(self) -> None:
        """Give the connections back."""
        for writer in self.writers:
            writer.stop()
        self._watching.close()

    def step(self, number: int) -> None:
        """Do one thing."""
        self.say(f"step {number}")
        action = self.rng.choice(self._steps)
        self._survived(self.rng.choice(self.writers), action)

    def finish(self) -> None:
        """Calm weather: everything asked is answered, everything due is anchored, everything promised is there."""
        self.say("calm")
        self._weather = CALM
        self.model.look(self._observer)
        self.now = max(self.now, self.model.seen[-1].time)
        for writer in self.writers:
            writer.offset = 0
            self._come_up(writer)
        for chain in self.chains:
            chain.away, chain.trouble = False, 0.0
        writer = self.writers[0]
        for request in (*self._pending, self._new(1)):
            self._commit(writer, [request])
        acknowledged = sorted(self.model.acknowledged)
        for at in range(0, len(acknowledged), 500):
            self._commit(self.writers[1], [acknowledged[at : at + 500]])
        for chain in self.chains:
            for _ in range(TRIES):
                if all(job.chain != chain.chain for job in self.writers[1].store.pending_anchors()):
                    break
                self.now += 400  # past any lease and any back-off
                self.writers[1].worker.step(chain)
            require(chain.taken is not None, f"nothing was anchored on {chain.chain}")
        require(not writer.store.pending_anchors(), "the outbox does not drain")
        self.model.provable(writer.reader, self.rng, RECEIPTS)
        self.model.whole(self._observer)
        self.model.one_history(self._observer, self.rng)

    def turn_of_other(self, number: int) -> None:
        """Let the other writer do something while this one is in the middle of a write."""
        other = self.writers[1 - number]
        if self._inside or not other.up:
            return
        self._inside = True
        other.fate.mortal = False
        try:
            self.say("  meanwhile")
            self._act(other, self.rng.choice((self._deliver, self._deliver_known, self._receipts, self._anchor)))
        finally:
            other.fate.mortal = True
            self._inside = False

    def say(self, line: str) -> None:
        """Add a line to the trace, of which the digest is kept."""
        self.lines.append(line)
        self.digest.update(line.encode() + b"\n")

    def _count(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1

    # --- what happens to processes

    def _act(self, writer: Writer, action: Callable[[Writer], None]) -> None:
        """Do it; a store that did not answer is nothing to be surprised at."""
        try:
            action(writer)
        except IntegrityBroken as error:
            require(writer.fate.bent, f"the store does not agree with what was signed: {error}")
            self.say("  a bit was found bent")
            self._count("bits found")
        except LedgerUnavailable as error:
            require(writer.fate.weather is not CALM or self._inside, "the store did not answer in calm weather")
            self.say(f"  unavailable {error.rule}")
            self._count("unavailable")

    def _survived(self, writer: Writer, action: Callable[[Writer], None]) -> None:
        """Do it, and start again whoever ended meanwhile."""
        try:
            self._act(writer, action)
        except ProcessEnded:
            self.say("  ended")
            self._count("ended")
            self._come_up(writer)
            self._whole_again()
        except PowerLost as lost:
            self._power_back(lost.disk)
            self._whole_again()

    def _whole_again(self) -> None:
        """Look at everything, after somebody started again."""
        self._count("restarts")
        self.model.whole(self._observer)

    def _come_up(self, writer: Writer) -> None:
        """Start a writer until it stands."""
        for _ in range(TRIES):
            try:
                writer.fate.weather = self._weather
                writer.start()
            except ProcessEnded:
                continue
            except LedgerUnavailable:
                continue
            except PowerLost as lost:
                self._power_back(lost.disk)
                return
            self.say(f"  up {writer.offset}")
            return
        raise PromiseBroken("a writer does not come up")

    def _power_back(self, disk: Disk) -> None:
        """Start everything from what the disk held."""
        self.say("  power lost")
        self._count("power lost")
        for writer in self.writers:
            writer.stop()
        self._watching.close()
        for old in self._folder.iterdir():
            old.unlink()
        self._generation += 1
        self.path = self._folder / f"{self._generation}.sqlite3"
        disk.put(self.path)
        self._observe()
        for writer in self.writers:
            if not writer.up:
                self._come_up(writer)

    def _observe(self) -> None:
        self._watching = Unwaiting(self.path)
        self._observer = SqlLedgerStore(self._watching, ORIGIN)

    def _restart(self, writer: Writer) -> None:
        """Stop in good order and start again: what a crash may leave is not there, so a look is enough."""
        self._come_up(writer)
        self.model.look(self._observer)

    # --- what clients do

    def _deliver(self, writer: Writer) -> None:
        """Deliver some requests, new ones and late ones in any order; some stay to be delivered again."""
        for _ in range(self.rng.choice((1, 1, 1, 2, 3))):
            size = self.rng.choice((1, 1, 2, 3, 5))
            self._pending.append(self._new(size))
        if len(self._pending) > BACKLOG:
            del self._pending[self.rng.randrange(len(self._pending))]  # dropped on the way, for ever
        chosen = self.rng.sample(self._pending, min(len(self._pending), self.rng.choice((1, 2, 4))))
        self._commit(writer, chosen)
        for request in chosen:
            # The other writer may have been given it meanwhile.
            if self.rng.random() < 0.85 and request in self._pending:
                self._pending.remove(request)

    def _new(self, size: int) -> list[int]:
        numbers = list(range(self._next, self._next + size))
        self._next += size
        if self._pending and self.rng.random() < 0.1:
            numbers.append(self.rng.choice(self.rng.choice(self._pending)))  # what another request brings as well
        if self.rng.random() < 0.05:
            numbers.append(numbers[0])
        return numbers

    def _deliver_known(self, writer: Writer) -> None:
        """Ask again for what was acknowledged."""
        known = self._known(4)
        if known:
            self._commit(writer, [known, self._new(1)] if self.rng.random() < 0.3 else [known])

    def _deliver_many(self, writer: Writer) -> None:
        self._commit(writer, [self._new(self.rng.choice((40, 120, 300)))])

    def _known(self, most: int) -> list[int]:
        numbers = list(self.model.acknowledged)
        return self.rng.sample(numbers, min(most, len(numbers)))

    def _deliver_conflict(self, writer: Writer) -> None:
        """Bind a key that is taken to other bytes, beside a request that is right."""
        known = self._known(2)
        if len(known) == 2:
            wrong = replace(entry(known[0]), body=b"other bytes")
            good, bad = writer.sequencer.commit([[entry(known[1])], [entry(self._next), wrong]])
            require(isinstance(bad, IdempotencyConflict), f"a key was bound again: {bad}")
            require(not isinstance(good, LedgerError), "a right request suffered for a wrong one")
            self._count("conflicts")

    def _commit(self, writer: Writer, requests: Sequence[list[int]]) -> None:
        self.say(f"  commit {requests}")
        try:
            outcomes = writer.sequencer.commit([[entry(number) for number in request] for request in requests])
        except ClockWentBack:
            fresh = [number for request in requests for number in request if number not in self.model.acknowledged]
            require(bool(fresh), "a clock that went back keeps nobody from asking for what was acknowledged")
            self.model.look(self._observer)
            require(writer.clock() < self.model.seen[-1].time, "a clock that is right was refused")
            self.say("  clock went back")
            self._count("clock went back")
            return
        for request, outcome in zip(requests, outcomes, strict=True):
            require(not isinstance(outcome, LedgerError), f"{request} was refused: {outcome}")
            if not isinstance(outcome, LedgerError):
                self.model.answered(request, outcome)
                self.say(f"  at {[place.index for place in outcome]}")
        self._count("commits")

    # --- time, chains, readers

    def _tick(self, _writer: Writer) -> None:
        self.now += self.rng.choice((1, 5, 30, 300))

    def _jump(self, writer: Writer) -> None:
        writer.offset = self.rng.choice((0, 0, 0, 0, -1, -30, -400, 3, 60, 400))
        self.say(f"  clock {writer.offset}")

    def _refresh(self, writer: Writer) -> None:
        """Sign again what did not grow; the other process may have, or this one's clock may be behind."""
        if writer.sequencer.refresh(REFRESH_S):
            self.say("  signed again")
            self._count("signed again")

    def _anchor(self, writer: Writer) -> None:
        chain = self.rng.choice(self.chains)
        try:
            evidence = writer.worker.step(chain)
        except (AnchorForked, IntegrityBroken, LedgerUnavailable):
            raise
        except TrustError as error:
            self.say(f"  {chain.chain} {error.code} {error.rule}")
            require(error.rule == "simulated", f"{chain.chain} refused: {error!r}")
        else:
            self.say(f"  {chain.chain} {None if evidence is None else evidence.size}")
            if evidence is not None:
                self.model.anchored.add((evidence.size, evidence.chain))
                self._count("anchors")

    def _chain_changes(self, _writer: Writer) -> None:
        chain = self.rng.choice(self.chains)
        chain.away = self.rng.random() < 0.4
        chain.trouble = self.rng.choice((0.0, 0.1, 0.5))

    def _receipts(self, writer: Writer) -> None:
        if self.model.at:
            self.model.provable(writer.reader, self.rng, RECEIPTS_ON_THE_WAY)
            self._count("receipts")

    def _look(self, _writer: Writer) -> None:
        self.model.look(self._observer)


def _weighted(*actions: tuple[int, Callable[[Writer], None]]) -> list[Callable[[Writer], None]]:
    return [action for weight, action in actions for _ in range(weight)]
