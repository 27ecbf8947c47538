"""A challenge or nonce that a client sends again and again protects nobody (RFC 9700 §2.1.1): noticed, and told.

Kept in memory only, the last request of each registered client: two dictionary look-ups a request, nothing written. A page
loaded again repeats the whole request and is no fault of the client; the same value under another `state` is. So is a whole
request, `state` and all, that comes from one browser after another.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from crypto.sm3 import sm3
from idp.authorize.request import AuthorizationRequest
from idp.model import Clock

CLIENTS_KEPT = 4096
"""Only proven, registered clients enter; the longest unseen leaves first."""

BROWSERS_IN_A_ROW = 3
"""A person who signs in and goes back may look like two browsers, but not like one more each time."""

TOLD_AGAIN_S = 60 * 60
"""A client that always does it is recorded once an hour, not once a sign-in."""

_WATCHED = ("code_challenge", "nonce")


@dataclass(frozen=True, slots=True)
class Repeat:
    """A parameter whose value did not change, and whether this time is to be recorded in the audit trail."""

    parameter: str
    to_record: bool


@dataclass(slots=True)
class _Last:
    state: str | None
    browser: bytes
    values: tuple[str | None, ...]
    others: int
    told_at: int


class RepeatedValues:
    """Notices. Never refuses: a person cannot do anything about their platform's mistake."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._last: OrderedDict[str, _Last] = OrderedDict()

    def noticed(self, asked: AuthorizationRequest, browser: str) -> Repeat | None:
        """Return what was the same in the client's request before this one, where that is the client's doing.

        `browser` is the browser's secret; only its hash is kept.
        """
        state, seen_by, values = asked.state, sm3(browser.encode()), (asked.code_challenge, asked.nonce)
        last = self._last.get(asked.client_id)
        if last is None:
            self._last[asked.client_id] = _Last(state, seen_by, values, others=0, told_at=-TOLD_AGAIN_S)
            if len(self._last) > CLIENTS_KEPT:
                self._last.popitem(last=False)
            return None
        self._last.move_to_end(asked.client_id)
        repeated = [
            name for name, value, before in zip(_WATCHED, values, last.values, strict=True) if value and value == before
        ]
        if state is not None and state == last.state and repeated:
            last.others += seen_by != last.browser
            told = last.others >= BROWSERS_IN_A_ROW
        else:
            last.others = 0
            told = state is not None or seen_by != last.browser
        last.state, last.browser, last.values = state, seen_by, values
        now = self._clock()
        if not (repeated and told):
            return None
        record = now - last.told_at >= TOLD_AGAIN_S
        if record:
            last.told_at = now
        return Repeat(repeated[0], to_record=record)
