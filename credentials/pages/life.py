"""A record's life for its page: the line, and every event of it in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from credentials.model import HeldCredential, StatusChange
from credentials.pages.life_line import LifeEvent, State, life_line
from credentials.pages.render import Translator
from credentials.status import Status

_STATES: dict[Status, State] = {
    Status.VALID: "valid",
    Status.SUSPENDED: "suspended",
    Status.REVOKED: "revoked",
    Status.SUPERSEDED: "superseded",
}


@dataclass(frozen=True, slots=True)
class EventView:
    """One event: message codes of what happened and why (None where nothing was said), and when."""

    code: str
    at: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class LifeView:
    """The picture (SVG of our own making) and the events it numbers, oldest first."""

    picture: str
    events: tuple[EventView, ...]


def word_of(status: Status) -> str:
    """Return the word of a status, as the verdicts have it."""
    return _STATES[status]


def life_of(held: HeldCredential, changes: Sequence[StatusChange], t: Translator, *, now: int) -> LifeView:
    """Tell a record's life from its issuance and its changes of status, oldest first."""
    moments = [LifeEvent(held.issued_at, "valid"), *(LifeEvent(c.at, _STATES[c.after]) for c in changes)]
    events = (
        EventView("life.issued", held.issued_at, None),
        *(EventView(f"life.{c.act.value}", c.at, f"credentials.reason.{c.reason.value}") for c in changes),
    )
    text = t("life.text", count=len(events), status=t(f"verdict.{word_of(held.status)}"))
    return LifeView(life_line(moments, now=max(now, moments[-1].at), title=t("life.title"), description=text), events)
