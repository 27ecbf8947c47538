"""What the commands that check a log from outside share: its keys, its place, and how a refusal is said."""

from __future__ import annotations

from pathlib import Path

from adapters.commands.outcome import CommandFailed
from adapters.follow import LogAtUrl, LogInFolder, open_log
from adapters.http.outbound import OutboundRefused
from crypto.errors import TrustError
from ledger.checkpoint import LogIdentity
from ledger.follow_state import MAX_STATE_BYTES, FollowState, is_state
from ledger.publication_document import LogDocument


def opened(place: str) -> LogAtUrl | LogInFolder:
    """Return the published log at an address or in a folder."""
    try:
        return open_log(place)
    except OutboundRefused as refused:
        sentence = "plain http is for this machine only" if refused.rule == "https" else "it is not a plain address"
        raise CommandFailed(f"{place} is not followed: {sentence}.") from refused


def read_keys(path: Path) -> LogIdentity:
    """Return the log of a file that holds its name and keys."""
    return parse_keys(read_file(path, MAX_STATE_BYTES), str(path))


def parse_keys(data: bytes, name: str) -> LogIdentity:
    """Return the log of a log.json, or of a follower's state."""
    try:
        return FollowState.parse(data).log if is_state(data) else LogDocument.parse(data).identity
    except TrustError as refused:
        raise CommandFailed(f"{name} does not hold a log's name and keys: {refused}.") from refused


def read_file(path: Path, most: int) -> bytes:
    """Return a file's bytes as `read_bounded` does; one sentence where it cannot be read."""
    try:
        return read_bounded(path, most)
    except OSError as error:
        raise CommandFailed(f"{path} cannot be read: {error.strerror or error}.") from error


def read_bounded(path: Path, most: int) -> bytes:
    """Return a file's bytes, one more than `most` where it is longer: enough for whoever parses it to refuse it."""
    with path.open("rb") as file:
        return file.read(most + 1)


def said(refusal: TrustError) -> str:
    """Say a refusal with its details, such as the path of the tile."""
    return " ".join([str(refusal), *(f"{name}={value}" for name, value in refusal.params.items())])
