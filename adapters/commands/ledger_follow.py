"""`edutrust ledger follow` and `edutrust ledger compare`: the log as somebody outside must be able to check it.

Exit codes: 0 nothing wrong · 1 could not begin · 3 fork · 4 rollback · 5 not signed by the pinned keys · 6 stale ·
7 tiles missing or wrong · 8 no answer. A round that ends in 7 or 8 may be the network's fault: a follower that keeps
running tries again and gives up after `FAILED_ROUNDS` such rounds in a row; every other alarm ends it at once.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Final

from adapters.commands.ledger_outside import opened, parse_keys, read_bounded, read_file, read_keys, said
from adapters.commands.outcome import CommandFailed
from adapters.follow import (
    LogAtUrl,
    LogInFolder,
    NoTiles,
    TileFolder,
    only_follower,
    write_atomically,
    write_evidence,
)
from ledger.checkpoint import LogIdentity
from ledger.errors import CheckpointRefused, LedgerUnavailable
from ledger.follow import Divergence, Judgement, Seen, Verdict, compare, follow_round, judge_proof, see
from ledger.follow_state import (
    MAX_STATE_BYTES,
    FollowState,
    evidence_files,
    is_state,
    parse_divergences,
)
from ledger.layout import DOCUMENT_NAME
from ledger.merkle import HashAlg
from ledger.publication_document import MAX_DOCUMENT_BYTES, verifier_key

EXIT_CODES: Final = {
    Verdict.FIRST: 0,
    Verdict.SAME: 0,
    Verdict.GROWN: 0,
    Verdict.FORK: 3,
    Verdict.ROLLBACK: 4,
    Verdict.UNSIGNED: 5,
    Verdict.STALE: 6,
    Verdict.UNPROVED: 7,
    Verdict.UNREACHABLE: 8,
}
# Five minutes at the usual interval: longer than a restart, shorter than anybody should stay blind.
FAILED_ROUNDS: Final = 5

_STATE: Final = Path("follow.json")
_EVIDENCE: Final = "evidence"


def main(arguments: argparse.Namespace) -> int:
    """Run the action; the exit code is the verdict's."""
    return _compare(arguments) if arguments.action == "compare" else _follow(arguments)


def _follow(arguments: argparse.Namespace) -> int:
    if arguments.interval < 1 or (arguments.stale_after is not None and arguments.stale_after < 1):
        raise CommandFailed("--interval and --stale-after are seconds, 1 or more.")
    path: Path = arguments.state or _STATE
    try:
        with only_follower(path), opened(arguments.log) as source:
            return _Follower(arguments, path, source).run()
    except BlockingIOError as error:
        raise CommandFailed(f"Another follower is running on {path}.") from error
    except OSError as error:
        raise CommandFailed(f"{error.filename or path} cannot be used: {error.strerror or error}.") from error


class _Follower:
    """The rounds of one command: its pinned log, its state, what it says."""

    def __init__(self, arguments: argparse.Namespace, path: Path, source: LogAtUrl | LogInFolder) -> None:
        self._arguments = arguments
        self._path = path
        self._source = source
        self._cache = TileFolder(path.with_name(f"{path.name}.tiles"))
        self._state = _read_state(path)
        self._log = self._pinned()

    def run(self) -> int:
        """Go round until an alarm, or once."""
        failed = 0
        while True:
            verdict = self._round()
            failed = failed + 1 if verdict in {Verdict.UNPROVED, Verdict.UNREACHABLE} else 0
            if self._arguments.once or not (verdict.good or 0 < failed < FAILED_ROUNDS):
                return EXIT_CODES[verdict]
            time.sleep(self._arguments.interval)

    def _pinned(self) -> LogIdentity:
        """Return the log whose keys are believed: the state's, once there is one."""
        given = None if self._arguments.keys is None else read_keys(self._arguments.keys)
        if self._state is not None:
            if given is not None and given != self._state.log:
                raise CommandFailed(f"{self._arguments.keys} is of another log or other keys than {self._path} holds.")
            return self._state.log
        if given is not None:
            return given
        if not self._arguments.trust_first:
            raise CommandFailed("The log's keys are not pinned yet: give --keys FILE (its log.json), or --trust-first.")
        try:
            data = self._source.fetch(DOCUMENT_NAME, MAX_DOCUMENT_BYTES)
        except LedgerUnavailable as refused:
            raise CommandFailed(f"The log does not show its keys: {said(refused)}.") from refused
        if data is None:
            raise CommandFailed(f"The log has no {DOCUMENT_NAME} with its keys.")
        log = parse_keys(data, DOCUMENT_NAME)
        for key in (log.sm2, log.ed25519):
            if key is not None:
                print(f"Key that the log shows, ask its operator: {verifier_key(log.origin, key)}", file=sys.stderr)
        return log

    def _round(self) -> Verdict:
        now, held = int(time.time()), None if self._state is None else self._state.held
        judged = follow_round(
            self._log,
            held,
            fetch=self._source.fetch,
            cache=self._cache,
            now=now,
            stale_after=self._arguments.stale_after,
        )
        if judged.keep is not None and judged.keep is not held:
            self._state = (
                FollowState(self._log, judged.keep) if self._state is None else self._state.advanced(judged.keep)
            )
            write_atomically(self._path, self._state.to_json())
        written = write_evidence(self._path.with_name(_EVIDENCE), evidence_files(judged))
        _say(judged, now, [str(one) for one in written], as_json=self._arguments.json)
        return judged.verdict


def _compare(arguments: argparse.Namespace) -> int:
    log = read_keys(arguments.keys)
    a, b = _read_note(arguments.note_a, log), _read_note(arguments.note_b, log)
    if arguments.conflict is not None:
        judged = judge_proof(a, b, _read_conflict(arguments.conflict))
    elif arguments.tiles is None:
        judged = compare(a, b, log=log, fetch=None, cache=NoTiles())
    else:
        with opened(arguments.tiles) as source:
            judged = compare(a, b, log=log, fetch=source.fetch, cache=NoTiles())
    _say(judged, int(time.time()), [], as_json=arguments.json)
    return EXIT_CODES[judged.verdict]


def _read_state(path: Path) -> FollowState | None:
    try:
        data = read_bounded(path, MAX_STATE_BYTES)
    except FileNotFoundError:
        return None
    try:
        return FollowState.parse(data)
    except CheckpointRefused as refused:
        raise CommandFailed(f"{path} is not the state of a follower: {refused}.") from refused


def _read_conflict(path: Path) -> tuple[Divergence, ...]:
    try:
        return parse_divergences(read_file(path, MAX_STATE_BYTES))
    except CheckpointRefused as refused:
        raise CommandFailed(f"{path} is not a proof of a conflict: {refused}.") from refused


def _read_note(path: Path, log: LogIdentity) -> Seen:
    """Return the note of a file, or of a follower's state, as the log's keys have signed it."""
    data = read_file(path, MAX_STATE_BYTES)
    try:
        return see(FollowState.parse(data).held.note if is_state(data) else data, log)
    except CheckpointRefused as refused:
        sentence = f"{path} is not a checkpoint signed by this log: {refused}."
        raise CommandFailed(sentence, exit_code=EXIT_CODES[Verdict.UNSIGNED]) from refused


def _say(judged: Judgement, now: int, evidence: list[str], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(_value(judged, now) | {"evidence": evidence}, ensure_ascii=False), flush=True)
    line = _line(judged, now) + "".join(f" Evidence: {', '.join(evidence)}." for _ in evidence[:1])
    if not judged.verdict.good:
        print(f"ALARM {judged.verdict.value}: {line}", file=sys.stderr, flush=True)
    elif not as_json:
        print(f"{judged.verdict.value}: {line}", flush=True)


def _value(judged: Judgement, now: int) -> dict[str, object]:
    held, seen = judged.held, judged.seen
    value: dict[str, object] = {
        "verdict": judged.verdict.value,
        "origin": next((one.checkpoint.origin for one in (seen, held) if one is not None), None),
        "held": None if held is None else held.checkpoint.size,
        "size": None if seen is None else seen.checkpoint.size,
        "age": None if seen is None else now - seen.checkpoint.time,
        "trees": [alg.value for alg in judged.trees],
    }
    if judged.refusal is not None:
        value |= {"code": judged.refusal.code, "field": judged.refusal.field, "rule": judged.refusal.rule}
        value |= dict(judged.refusal.params)
    return value


def _line(judged: Judgement, now: int) -> str:
    held, seen, refusal = judged.held, judged.seen, judged.refusal
    if seen is None or refusal is not None:
        return {
            Verdict.UNSIGNED: "the checkpoint is not one that the pinned keys signed",
            Verdict.UNPROVED: "the published tiles do not prove the checkpoint",
        }.get(judged.verdict, "the log did not answer") + (f": {said(refusal)}." if refusal is not None else ".")
    new = seen.checkpoint
    if judged.verdict is Verdict.STALE:
        return f"size {new.size}, signed {now - new.time} s ago."
    if held is None or judged.verdict is Verdict.FIRST:
        return f"{new.origin} has {new.size} entries; both trees give the signed roots."
    old = held.checkpoint
    trees = " and ".join(_NAMES[alg] for alg in judged.trees)
    match judged.verdict:
        case Verdict.FORK if old.size == new.size:
            return f"two signed checkpoints of size {new.size} have different {trees} roots."
        case Verdict.FORK:
            return (
                f"the log of size {new.size} does not begin with the one of size {old.size} that was signed ({trees})."
            )
        case Verdict.ROLLBACK:
            return f"a checkpoint of size {new.size}, time {new.time}, after one of {old.size}, time {old.time}."
        case Verdict.UNPROVED:
            return f"sizes {old.size} and {new.size} are not proved to fit, nor to contradict each other (give --tiles, or --conflict)."
        case Verdict.SAME:
            return f"{new.origin} has {new.size} entries, the same trees."
        case _:
            return f"{new.origin} grew from {old.size} to {new.size} entries; both trees are consistent."


_NAMES: Final = {HashAlg.SM3: "SM3", HashAlg.SHA256: "SHA-256"}
